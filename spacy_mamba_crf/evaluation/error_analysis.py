"""Two systems on one test set: which entities each gets and misses, and the kind of each error.

Entities are compared strictly, in gold tokens (`spans.py`). A gold entity and a prediction are each
given one kind, by the entity of the other side with the same edges, or else by the one that shares
most tokens with it. So these sums hold for each system:
    gold      = right + type only + boundary only + type and boundary + missed
    predicted = right + type only + boundary only + type and boundary + spurious
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from spacy.tokens import Doc
from spacy.training import Example

from ..chunks import Chunk
from .spans import gold_entities, predicted_entities

RIGHT, TYPE, BOUNDARY, TYPE_AND_BOUNDARY = (
    "right",
    "type only",
    "boundary only",
    "type and boundary",
)
MISSED, SPURIOUS = "missed", "spurious"
GOLD_KINDS = (RIGHT, TYPE, BOUNDARY, TYPE_AND_BOUNDARY, MISSED)
PREDICTED_KINDS = (RIGHT, TYPE, BOUNDARY, TYPE_AND_BOUNDARY, SPURIOUS)

BOTH, ONLY_A, ONLY_B, NEITHER = CELLS = ("both", "only_a", "only_b", "neither")
LENGTHS = ("1", "2", "3-4", "5-8", "9+")
SAME_TYPE, OTHER_TYPE, NEVER = SEEN = ("same type", "another type", "never")

_LENGTH_ENDS = (1, 2, 4, 8)
_CELL_OF = {(True, True): BOTH, (True, False): ONLY_A, (False, True): ONLY_B}


@dataclass(frozen=True)
class Judged:
    """A gold entity, or a wrong prediction, with its kind for systems A and B.

    document: place in the test set, from 0. start, end (exclusive): in gold tokens. genre: None
    where the document names none. seen: one of SEEN, None without training data. a, b: kind; for a
    wrong prediction, None where the system does not make it. cell: one of CELLS: who gets the gold
    entity, or who makes the wrong prediction.
    """

    document: int
    start: int
    end: int
    label: str
    text: str
    genre: str | None
    seen: str | None
    a: str | None
    b: str | None
    cell: str


@dataclass(frozen=True)
class ErrorAnalysis:
    """gold: every gold entity. wrong: every prediction of A or B that is no gold entity.

    counts: (document, 5) int, documents with annotation only: gold, then predicted and right of A,
    then predicted and right of B.
    """

    gold: list[Judged]
    wrong: list[Judged]
    counts: np.ndarray


@dataclass(frozen=True)
class Interval:
    """F1 of A less F1 of B in [-1, 1], and the edges of its 95 % interval.

    low, high: None where there are fewer than two documents.
    """

    difference: float
    low: float | None
    high: float | None


def analyse_errors(
    examples_a: Sequence[Example],
    examples_b: Sequence[Example],
    training: Mapping[str, set[str]] | None = None,
) -> ErrorAnalysis:
    """Judge the entities of two systems on the same documents.

    examples_a, examples_b: with predictions, document by document; the systems may tokenise
    differently. training: labels of each entity text of the training data (`entity_labels`).
    Predictions of one system that stand on the same gold tokens with the same label count once;
    documents without entity annotation are passed over. Raises ValueError where the two differ in
    their gold documents.
    """
    if len(examples_a) != len(examples_b):
        raise ValueError(
            f"System A has {len(examples_a)} documents and system B {len(examples_b)}. "
            "Run both on the same test set."
        )
    gold: list[Judged] = []
    wrong: list[Judged] = []
    counts = []
    for number, (a, b) in enumerate(zip(examples_a, examples_b)):
        true = gold_entities(a)
        if a.reference.text != b.reference.text or set(true) != set(gold_entities(b)):
            raise ValueError(
                f"Document {number + 1} is not the same for both systems. "
                "Run both on the same test set."
            )
        if not a.reference.has_annotation("ENT_IOB"):
            continue
        found_a, found_b = (list(dict.fromkeys(predicted_entities(x))) for x in (a, b))
        judge = _judge_of(number, a.reference, training)
        gold += _judge_gold(true, found_a, found_b, judge)
        wrong += _judge_wrong(true, found_a, found_b, judge)
        sizes = [[len(found), len(set(found) & set(true))] for found in (found_a, found_b)]
        counts.append([len(true), *sizes[0], *sizes[1]])
    return ErrorAnalysis(gold, wrong, np.array(counts, dtype="int64").reshape(-1, 5))


def entity_labels(docs: Iterable[Doc]) -> dict[str, set[str]]:
    """The labels that each entity text has in `docs`."""
    labels: dict[str, set[str]] = defaultdict(set)
    for doc in docs:
        for ent in doc.ents:
            labels[ent.text].add(ent.label_)
    return dict(labels)


def error_kinds(entities: Sequence[Chunk], others: Sequence[Chunk], alone: str) -> list[str]:
    """The kind of each of `entities` beside `others`, the other side of the same text.

    Of the others that share a token with an entity, the one with the same edges decides; if there
    is none, the one that shares most tokens (of several, one of the same type, then the first).
    It is RIGHT if edges and type agree, TYPE if only the edges do, BOUNDARY if only the type does,
    TYPE_AND_BOUNDARY if neither does. alone: the kind where none shares a token.
    """
    at: dict[int, list[Chunk]] = defaultdict(list)
    for other in others:
        for token in range(other[0], other[1]):
            at[token].append(other)
    kinds = []
    for entity in entities:
        tokens = range(entity[0], entity[1])
        shared = Counter(other for token in tokens for other in at.get(token, ()))
        kinds.append(_kind(entity, shared) if shared else alone)
    return kinds


def breakdown(items: Iterable[Judged], group: Callable[[Judged], str | None]) -> dict[str, Counter]:
    """How many items of each group are in each of CELLS; items of group None are left out."""
    table: dict[str, Counter] = defaultdict(Counter)
    for item in items:
        name = group(item)
        if name is not None:
            table[name][item.cell] += 1
    return dict(table)


def length_group(item: Judged) -> str:
    """The group of LENGTHS that the item's length in gold tokens falls into."""
    return LENGTHS[bisect_left(_LENGTH_ENDS, item.end - item.start)]


def exact_binomial(only_a: int, only_b: int) -> float:
    """Two-sided exact McNemar test: p that a fair coin falls at least this unevenly.

    only_a, only_b: gold entities that only A gets, and only B. Source: Q. McNemar (1947); the
    exact form is the sign test. It takes entities as independent.
    """
    n, least = only_a + only_b, min(only_a, only_b)
    tail, term = 0, 1
    for k in range(least + 1):
        tail += term
        term = term * (n - k) // (k + 1)
    return min(1.0, 2 * tail / 2**n)


def bootstrap_f1(counts: np.ndarray, *, samples: int = 1000, seed: int = 0) -> Interval:
    """Paired bootstrap over documents for the difference in F1 of A and B.

    counts: as in `ErrorAnalysis`. Each sample draws as many documents as there are, with
    replacement, the same for both systems; the interval goes from the 2.5th to the 97.5th
    percentile. Source: B. Efron and R. Tibshirani, "An Introduction to the Bootstrap" (1993).
    """
    difference = _f1_difference(counts.sum(axis=0))
    documents = len(counts)
    if documents < 2:
        return Interval(difference, None, None)
    rng = np.random.default_rng(seed)
    drawn = [
        _f1_difference(counts[rng.integers(documents, size=documents)].sum(axis=0))
        for _ in range(samples)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(difference, float(low), float(high))


def f1_score(gold: int, predicted: int, right: int) -> float:
    """F1 in [0, 1]; 0 where there is neither a gold entity nor a prediction."""
    return float(2 * right / (gold + predicted)) if gold + predicted else 0.0


_Judge = Callable[[Chunk, str | None, str | None, str], Judged]


def _judge_of(number: int, reference: Doc, training: Mapping[str, set[str]] | None) -> _Judge:
    genre = reference.user_data.get("genre")

    def judge(chunk: Chunk, a: str | None, b: str | None, cell: str) -> Judged:
        start, end, label = chunk
        text = reference[start:end].text
        seen = None if training is None else _seen(training, text, label)
        name = None if genre is None else str(genre)
        return Judged(number, start, end, label, text, name, seen, a, b, cell)

    return judge


def _judge_gold(
    true: list[Chunk], found_a: list[Chunk], found_b: list[Chunk], judge: _Judge
) -> list[Judged]:
    kinds_a, kinds_b = (error_kinds(true, found, MISSED) for found in (found_a, found_b))
    return [
        judge(chunk, a, b, _CELL_OF.get((a == RIGHT, b == RIGHT), NEITHER))
        for chunk, a, b in zip(true, kinds_a, kinds_b)
    ]


def _judge_wrong(
    true: list[Chunk], found_a: list[Chunk], found_b: list[Chunk], judge: _Judge
) -> list[Judged]:
    wrong_a, wrong_b = (set(found) - set(true) for found in (found_a, found_b))
    chunks = sorted(wrong_a | wrong_b)
    judged = []
    for chunk, kind in zip(chunks, error_kinds(chunks, true, SPURIOUS)):
        by_a, by_b = chunk in wrong_a, chunk in wrong_b
        cell = _CELL_OF[by_a, by_b]
        judged.append(judge(chunk, kind if by_a else None, kind if by_b else None, cell))
    return judged


def _kind(entity: Chunk, shared: Counter[Chunk]) -> str:
    """shared: how many tokens each of the others has in common with `entity`."""
    edges, label = entity[:2], entity[2]
    nearest = max(
        shared,
        key=lambda other: (other[:2] == edges, shared[other], other[2] == label, -other[0]),
    )
    if nearest[:2] == edges:
        return RIGHT if nearest[2] == label else TYPE
    return BOUNDARY if nearest[2] == label else TYPE_AND_BOUNDARY


def _seen(training: Mapping[str, set[str]], text: str, label: str) -> str:
    if text not in training:
        return NEVER
    return SAME_TYPE if label in training[text] else OTHER_TYPE


def _f1_difference(totals: np.ndarray) -> float:
    gold, found_a, right_a, found_b, right_b = totals.tolist()
    return f1_score(gold, found_a, right_a) - f1_score(gold, found_b, right_b)
