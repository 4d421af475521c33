"""Raw docs annotated by trained recognisers, with gaps where they are not sure."""

from collections.abc import Iterable, Iterator, Sequence

from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import minibatch

from ..doc_copies import copies_for, copy_tokens
from .decoding import PredictedEntity, select
from .parts import find_recogniser

# Spans less likely than this, to a recogniser, count as impossible to it.
_FLOOR = 0.01


def annotate(
    pipelines: Sequence[Language],
    docs: Iterable[Doc],
    certain: float,
    component: str | None = None,
    batch_size: int = 64,
) -> Iterator[Doc]:
    """Copies of the docs with what the recognisers agree on.

    The probability of a span is the mean over the pipelines' crf_ner components (all of the name
    `component`, the last if None). Entities are the spans of at least `certain`, in (0.5, 0.99];
    other tokens that are in an entity with more than 1 - certain have no annotation; the rest is
    outside of entities. Training on the result is self-training, or, from several, distillation.
    Raises ValueError for a pipeline without such a component, or with other labels than the first.
    """
    if not 0.5 < certain <= 1 - _FLOOR:
        raise ValueError(f"certain = {certain} is not in (0.5, {1 - _FLOOR}].")
    recognisers = [
        find_recogniser(nlp, component, f"Pipeline {number}")
        for number, nlp in enumerate(pipelines, start=1)
    ]
    for number, recogniser in enumerate(recognisers[1:], start=2):
        different = set(recogniser.labels) ^ set(recognisers[0].labels)
        if different:
            raise ValueError(
                f"Pipelines 1 and {number} know different labels ({', '.join(sorted(different))} "
                "only one of them); take pipelines of one kind."
            )
    for batch in minibatch(docs, batch_size):
        found = [
            recogniser.likely_spans(copies_for(nlp, recogniser, batch), _FLOOR)
            for nlp, recogniser in zip(pipelines, recognisers)
        ]
        for number, doc in enumerate(batch):
            yield _annotated(doc, _means([spans[number] for spans in found]), certain)


def _means(found: Sequence[Sequence[PredictedEntity]]) -> list[PredictedEntity]:
    """Each span with the mean of its probabilities, 0 where a recogniser does not name it."""
    sums: dict[tuple[int, int, str], float] = {}
    for spans in found:
        for start, end, label, prob in spans:
            sums[start, end, label] = sums.get((start, end, label), 0.0) + (prob or 0.0)
    return [PredictedEntity(*span, prob / len(found)) for span, prob in sorted(sums.items())]


def _annotated(doc: Doc, spans: list[PredictedEntity], certain: float) -> Doc:
    inside = [0.0] * len(doc)  # the probability of each token to be in an entity
    for start, end, _, prob in spans:
        for token in range(start, end):
            inside[token] += prob or 0.0
    tags = ["" if prob > 1 - certain else "O" for prob in inside]
    for start, end, label, _ in select(spans, certain):
        tags[start:end] = [f"I-{label}"] * (end - start)
        tags[start] = f"B-{label}"
    return copy_tokens(doc.vocab, doc, ents=tags)
