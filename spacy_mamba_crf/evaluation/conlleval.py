"""Phrase scores as conlleval defines them; `chunks` says what a phrase is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..chunks import chunks, split_tag
from .tagged_files import read_tag_pairs


def check_parallel(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> None:
    """Raise ValueError unless both have the same sentences with the same number of tags."""
    if len(gold) != len(predicted):
        raise ValueError(
            f"There are {len(gold)} gold sentences and {len(predicted)} predicted sentences. "
            "Pass one predicted sentence for each gold sentence."
        )
    for i, (gold_tags, predicted_tags) in enumerate(zip(gold, predicted)):
        if len(gold_tags) != len(predicted_tags):
            raise ValueError(
                f"Sentence {i} has {len(gold_tags)} gold tags and {len(predicted_tags)} predicted "
                "tags. Pass one predicted tag for each gold tag."
            )


@dataclass(frozen=True)
class PhraseCounts:
    """How many phrases the truth holds, how many were found, and how many of those are correct."""

    gold: int = 0
    found: int = 0
    correct: int = 0

    @property
    def precision(self) -> float:
        """Correct / found, in percent; 0 where nothing was found."""
        return _percent(self.correct, self.found)

    @property
    def recall(self) -> float:
        """Correct / gold, in percent; 0 where there is nothing to find."""
        return _percent(self.correct, self.gold)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall (FB1), in percent."""
        return _percent(2 * self.correct, self.gold + self.found)


@dataclass(frozen=True)
class ConllScore:
    """What conlleval prints: token counts, phrase counts, and phrase counts of each type.

    tokens include the lines between sentences where these were counted; `non_o_tokens` are those
    whose gold tag is not O. A token is correct if prefix and type are both right.
    """

    tokens: int
    correct_tokens: int
    non_o_tokens: int
    correct_non_o_tokens: int
    phrases: PhraseCounts
    per_type: Mapping[str, PhraseCounts] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """Tokens with the right tag, in percent."""
        return _percent(self.correct_tokens, self.tokens)

    @property
    def non_o_accuracy(self) -> float:
        """Tokens with the right tag among those whose gold tag is not O, in percent."""
        return _percent(self.correct_non_o_tokens, self.non_o_tokens)

    @property
    def precision(self) -> float:
        """Phrase precision over all types, in percent."""
        return self.phrases.precision

    @property
    def recall(self) -> float:
        """Phrase recall over all types, in percent."""
        return self.phrases.recall

    @property
    def f1(self) -> float:
        """Phrase F1 (FB1) over all types, in percent."""
        return self.phrases.f1

    def to_dict(self) -> dict[str, Any]:
        """Counts and percentages, ready for JSON."""
        return {
            "tokens": self.tokens,
            "accuracy": self.accuracy,
            "non_o_accuracy": self.non_o_accuracy,
            **_phrases_to_dict(self.phrases),
            "per_type": {kind: _phrases_to_dict(c) for kind, c in self.per_type.items()},
        }


def evaluate(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], *, blank_lines: int = 0
) -> ConllScore:
    """Score predicted tags against gold tags, sentence by sentence.

    gold, predicted: tags of each token of each sentence. blank_lines: lines between sentences
    that count as correct O tokens, which is what the scorer of ROCLING-2023 does; it changes the
    accuracy and nothing else. Raises ValueError where the two differ in length.
    """
    check_parallel(gold, predicted)
    tokens: Counter[str] = Counter()
    kinds: dict[str, Counter[str]] = {name: Counter() for name in ("gold", "found", "correct")}
    for gold_tags, predicted_tags in zip(gold, predicted):
        true = [split_tag(tag) for tag in gold_tags]
        guess = [split_tag(tag) for tag in predicted_tags]
        tokens.update(_count_tokens(true, guess))
        true_chunks, guess_chunks = set(chunks(gold_tags)), set(chunks(predicted_tags))
        kinds["gold"].update(chunk[2] for chunk in true_chunks)
        kinds["found"].update(chunk[2] for chunk in guess_chunks)
        kinds["correct"].update(chunk[2] for chunk in true_chunks & guess_chunks)
    return ConllScore(
        tokens=tokens["all"] + blank_lines,
        correct_tokens=tokens["correct"] + blank_lines,
        non_o_tokens=tokens["non-O"],
        correct_non_o_tokens=tokens["correct non-O"],
        phrases=PhraseCounts(**{name: counts.total() for name, counts in kinds.items()}),
        per_type={
            kind: PhraseCounts(**{name: counts[kind] for name, counts in kinds.items()})
            for kind in sorted({*kinds["gold"], *kinds["found"]})
        },
    )


def evaluate_files(
    truth: str | Path, result: str | Path, *, count_blank_lines: bool = True
) -> ConllScore:
    """Score a file of `token ... tag` lines against another with the same tokens.

    Blank lines end a sentence and, as in the ROCLING-2023 score files, count as correct O tokens
    unless `count_blank_lines` is False. Raises ValueError naming file:line where the files
    disagree on a token or on length, or where a line cannot be read.
    """
    pairs = read_tag_pairs(truth, result, check=split_tag)
    blank_lines = pairs.blank_lines if count_blank_lines else 0
    return evaluate(pairs.gold, pairs.predicted, blank_lines=blank_lines)


def format_score(score: ConllScore) -> str:
    """The score in the layout of the ROCLING-2023 `*_Score.txt` files, with a final line end.

    The number that ends the line of a type is how many phrases of that type were found.
    """
    phrases = score.phrases
    lines = [
        f"processed {score.tokens} tokens with {phrases.gold} phrases; "
        f"found: {phrases.found} phrases; correct: {phrases.correct}.",
        f"accuracy: {score.non_o_accuracy:6.2f}%; (non-O)",
        f"accuracy: {score.accuracy:6.2f}%; {_format_prf(score)}",
    ]
    lines += [
        f"{kind:>17}: {_format_prf(counts)}  {counts.found}"
        for kind, counts in score.per_type.items()
    ]
    return "\n".join(lines) + "\n"


def format_overall(scores: Mapping[str, ConllScore]) -> str:
    """One line for each genre and their unweighted mean, in the layout of `Overall_Score.txt`.

    The mean is that of the printed figures, rounded to two decimals, as in that file. scores:
    score of each genre by its name, in the order to print. Raises ValueError if empty.
    """
    if not scores:
        raise ValueError("There is no score to average. Pass the score of at least one genre.")
    lines = [
        f"{name}:   accuracy: {score.accuracy:6.2f}%; {_format_prf(score)}"
        for name, score in scores.items()
    ]
    accuracy, precision, recall, f1 = (
        sum(round(getattr(score, name), 2) for score in scores.values()) / len(scores)
        for name in ("accuracy", "precision", "recall", "f1")
    )
    lines.append(
        f"macro-F1:    accuracy: {accuracy:6.2f}%; "
        f"precision: {precision:6.2f}%; recall: {recall:6.2f}%; FB1: {f1:6.2f}"
    )
    return "\n".join(lines) + "\n"


def _format_prf(score: ConllScore | PhraseCounts) -> str:
    return f"precision: {score.precision:6.2f}%; recall: {score.recall:6.2f}%; FB1: {score.f1:6.2f}"


def _phrases_to_dict(counts: PhraseCounts) -> dict[str, float]:
    names = ("gold", "found", "correct", "precision", "recall", "f1")
    return {name: getattr(counts, name) for name in names}


def _count_tokens(
    true: Sequence[tuple[str, str]], guess: Sequence[tuple[str, str]]
) -> dict[str, int]:
    correct = [t for t, g in zip(true, guess) if t == g]
    return {
        "all": len(true),
        "correct": len(correct),
        "non-O": sum(tag[0] != "O" for tag in true),
        "correct non-O": sum(tag[0] != "O" for tag in correct),
    }


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
