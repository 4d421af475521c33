"""Token-level tables: each tag is a class, scored token by token, as in tables 4-4 and 4-5 of the
thesis. These figures are not entity scores: `I-` tokens of long entities weigh most.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .conlleval import check_parallel

OUTSIDE = "O"


@dataclass(frozen=True)
class TokenScore:
    """Precision, recall and F1 in [0, 1] and the number of gold tokens (support)."""

    precision: float
    recall: float
    f1: float
    support: int

    def to_dict(self) -> dict[str, float]:
        """The four figures by name."""
        return asdict(self)


@dataclass(frozen=True)
class TokenTable:
    """Scores of each tag and their averages.

    With O, `micro` is the token accuracy. `macro.f1` is 2PR/(P+R) of the macro means P and R;
    `macro_mean_f1` is the other thing called macro-F1, the mean of the F1 of each tag. `weighted`
    averages each figure by support.
    """

    includes_o: bool
    per_tag: dict[str, TokenScore]
    micro: TokenScore
    macro: TokenScore
    macro_mean_f1: float
    weighted: TokenScore

    def to_dict(self) -> dict[str, Any]:
        """Everything in plain types, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TokenTable":
        """The table that `to_dict` was called on."""
        averages = {name: TokenScore(**data[name]) for name in ("micro", "macro", "weighted")}
        per_tag = {tag: TokenScore(**score) for tag, score in data["per_tag"].items()}
        return cls(**{**data, **averages, "per_tag": per_tag})

    def to_markdown(self) -> str:
        """A Markdown table in percent."""
        header = ["tag", "precision", "recall", "F1", "support"]
        lines = [f"| {' | '.join(header)} |", "|:--|--:|--:|--:|--:|"]
        lines += [f"| {' | '.join(row)} |" for row in self._rows()]
        return "\n".join(lines) + "\n"

    def _rows(self) -> list[list[str]]:
        micro = "micro (= accuracy)" if self.includes_o else "micro"
        scores = {
            **self.per_tag,
            micro: self.micro,
            "macro (F1 of mean P, R)": self.macro,
            "weighted": self.weighted,
        }
        rows = [
            [name, _percent(s.precision), _percent(s.recall), _percent(s.f1), str(s.support)]
            for name, s in scores.items()
        ]
        rows.insert(-1, ["macro (mean of F1s)", "", "", _percent(self.macro_mean_f1), ""])
        return rows


def token_table(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], *, include_o: bool = True
) -> TokenTable:
    """Score predicted tags against gold tags, token by token.

    gold, predicted: tags of each token of each sentence, in any scheme. The classes are the tags
    in either of them; `include_o` says whether O is one. P = TP/(TP+FP), R = TP/(TP+FN), 0 where
    the denominator is 0. Raises ValueError where the two differ in length.
    """
    check_parallel(gold, predicted)
    pairs = Counter(pair for tags in zip(gold, predicted) for pair in zip(*tags))
    true, guess, hits = Counter[str](), Counter[str](), Counter[str]()
    for (gold_tag, guess_tag), count in pairs.items():
        true[gold_tag] += count
        guess[guess_tag] += count
        if gold_tag == guess_tag:
            hits[gold_tag] += count
    tags = [tag for tag in _ordered({*true, *guess}) if include_o or tag != OUTSIDE]
    per_tag = {tag: _score(hits[tag], guess[tag], true[tag]) for tag in tags}
    scores = list(per_tag.values())
    support = sum(true[tag] for tag in tags)
    precision, recall, mean_f1 = (
        _ratio(sum(getattr(score, name) for score in scores), len(scores))
        for name in ("precision", "recall", "f1")
    )
    return TokenTable(
        includes_o=include_o,
        per_tag=per_tag,
        micro=_score(sum(hits[tag] for tag in tags), sum(guess[tag] for tag in tags), support),
        macro=TokenScore(precision, recall, _harmonic(precision, recall), support),
        macro_mean_f1=mean_f1,
        weighted=_weighted(scores, support),
    )


def _ordered(tags: set[str]) -> list[str]:
    """By type, then by prefix (B- before I-), O last."""
    return sorted(tags, key=lambda tag: (tag == OUTSIDE, *tag.partition("-")[::-1]))


def _score(hits: int, found: int, support: int) -> TokenScore:
    precision, recall = _ratio(hits, found), _ratio(hits, support)
    return TokenScore(precision, recall, _harmonic(precision, recall), support)


def _weighted(scores: Sequence[TokenScore], support: int) -> TokenScore:
    precision, recall, f1 = (
        _ratio(sum(getattr(score, name) * score.support for score in scores), support)
        for name in ("precision", "recall", "f1")
    )
    return TokenScore(precision, recall, f1, support)


def _harmonic(precision: float, recall: float) -> float:
    return _ratio(2 * precision * recall, precision + recall)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"
