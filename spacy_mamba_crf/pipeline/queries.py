"""What can be asked of a trained CRF beside its prediction: any span, any tags, the n best."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from spacy.tokens import Doc, Span

from ..pytorch.schemes import TagSet
from .annotation import is_prediction
from .decoding import PredictedEntity, likely_entities
from .lattice import Lattice

# A scheme's letters for those of other schemes.
_LETTERS = {
    "BIO": {"L": "I", "E": "I", "U": "B", "S": "B"},
    "BIOES": {"L": "E", "U": "S"},
}


@dataclass(frozen=True)
class Analysis:
    """One way to tag a whole doc: its entities, its tags (one a token), and its probability."""

    ents: list[Span]
    tags: list[str]
    prob: float


class CRFQueries:
    """Questions about docs, answered exactly by sums over all tag sequences.

    Docs must have passed the components before this one, and may have passed this one: entities
    that it set itself count as not there. Entities by others and blocked tokens are kept, so
    probabilities are given those; settings such as `max_entity_length` hold, too.
    """

    name: str

    @property
    def tagset(self) -> TagSet:
        """The tags of the model."""
        raise NotImplementedError

    def lattice(self, docs: list[Doc], *, again: bool = False) -> Lattice:
        """All tag sequences of docs; again: without the entities set by this component."""
        raise NotImplementedError

    def span_probabilities(
        self, doc: Doc, spans: Iterable[Span | tuple[int, int, str]]
    ) -> list[float]:
        """The probability of each span to be exactly an entity of its label.

        spans: of this doc, or (first token, token after the last, label); they may overlap. Raises
        ValueError for a span that is empty or leaves the doc, or a label that is not known.
        """
        if not isinstance(doc, Doc):
            raise TypeError(f"span_probabilities takes one Doc and its spans, not {doc!r}.")
        rows = [self._row(doc, span) for span in spans]
        if not rows:
            return []
        found = np.array(rows, dtype=np.int64)
        return self.lattice([doc], again=True).span_probabilities(found).tolist()

    def likely_spans(self, docs: Iterable[Doc], threshold: float) -> list[list[PredictedEntity]]:
        """All spans of each doc that are entities with at least this probability, or 0.01.

        They may overlap. In the order of their first tokens. Raises ValueError for a threshold that
        is no probability.
        """
        docs = _as_list(docs, "likely_spans")
        if not 0 <= threshold <= 1:
            raise ValueError(f"The threshold is {threshold}; it must be a probability, 0 to 1.")
        if not any(map(len, docs)):
            return [[] for _ in docs]
        return likely_entities(self.lattice(docs, again=True), threshold)

    def tag_probability(self, doc: Doc, tags: Sequence[str | None]) -> float:
        """The probability of a whole tag sequence, or of all that agree with it.

        tags: one a token, such as "B-DRUG", in the scheme of the model or in BILUO; None and "-"
        say nothing about their token. 0 for a sequence that the scheme or a constraint forbids.
        Raises ValueError for another number of tags than of tokens, and for an unknown tag.
        """
        if len(tags) != len(doc):
            raise ValueError(f"There are {len(tags)} tags for the {len(doc)} tokens of the doc.")
        if not len(doc):
            return 1.0
        admitted = np.ones((len(tags), len(self.tagset)), dtype=bool)
        numbers = {tag: number for number, tag in enumerate(self.tagset.tags)}
        for token, tag in enumerate(tags):
            if tag not in (None, "-"):
                admitted[token] = False
                admitted[token, self._tag_number(str(tag), token, numbers)] = True
        return float(self.lattice([doc], again=True).probability_within(admitted)[0])

    def n_best(self, docs: Iterable[Doc], k: int) -> list[list[Analysis]]:
        """The k most probable tag sequences of each doc, best first; fewer where there are no more.

        With a CRF, each stands for another set of entities. Raises ValueError for k less than 1.
        """
        docs = _as_list(docs, "n_best")
        if not any(map(len, docs)):
            return [[Analysis([], [], 1.0)] for _ in docs]
        lattice = self.lattice(docs, again=True)
        tags, log_p = lattice.k_best(k)
        results: list[list[Analysis]] = [[] for _ in docs]
        names = self.tagset.tags
        for own_tags, own_p in zip(tags, log_p):
            ents: list[list[Span]] = [[] for _ in docs]
            for text, start, end, label in self.tagset.entities(own_tags, lattice.offsets).tolist():
                name = self.tagset.labels[label]
                ents[text].append(Span(docs[text], start, end, label=name))
            for text in np.flatnonzero(own_p > -np.inf):
                part = own_tags[lattice.offsets[text] : lattice.offsets[text + 1]]
                prob = min(float(np.exp(own_p[text])), 1.0)
                results[text].append(Analysis(ents[text], [names[tag] for tag in part], prob))
        return results

    def _is_own(self, ent: Span) -> bool:
        return is_prediction(ent, self.name)

    def _row(self, doc: Doc, span: Span | tuple[int, int, str]) -> list[int]:
        if isinstance(span, Span):
            if span.doc is not doc:
                raise ValueError(f"The span '{span.text}' belongs to another doc.")
            start, end, label = span.start, span.end, span.label_
        else:
            start, end, label = span
        if not 0 <= start < end <= len(doc):
            raise ValueError(
                f"The span of tokens {start} to {end} is empty or leaves its doc of {len(doc)}."
            )
        if label not in self.tagset.labels:
            raise ValueError(
                f"The span of tokens {start} to {end} has the label {label!r}, which the component "
                f"'{self.name}' does not know. It knows {', '.join(self.tagset.labels)}."
            )
        return [0, start, end, self.tagset.labels.index(label)]

    def _tag_number(self, tag: str, token: int, numbers: dict[str, int]) -> int:
        letter, dash, label = tag.partition("-")
        own = _LETTERS[self.tagset.scheme].get(letter, letter)
        if own + dash + label not in numbers:
            raise ValueError(
                f"The tag {tag!r} of token {token} is not known to the component '{self.name}', "
                f"whose labels are {', '.join(self.tagset.labels)}."
            )
        return numbers[own + dash + label]


def _as_list(docs: Iterable[Doc], method: str) -> list[Doc]:
    """The docs; TypeError for what is no iterable of docs, such as a single one."""
    if isinstance(docs, Doc | str):
        raise TypeError(f"{method} takes docs, not one: pass [doc]. It got {str(docs)[:40]!r}.")
    return list(docs)
