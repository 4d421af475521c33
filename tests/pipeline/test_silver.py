"""Raw docs annotated by recognisers: means over pipelines, gaps where they are not sure."""

from collections.abc import Iterable

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from toy_pipelines import blank_pipeline, make_examples, train

from spacy_mamba_crf.pipeline.decoding import PredictedEntity
from spacy_mamba_crf.pipeline.silver import annotate

TEXT = "abcdef"


class Fixed:
    """A recogniser that says the same of every doc."""

    def __init__(self, spans: Iterable[tuple[int, int, str, float]], labels: str = "XY"):
        self.labels = tuple(labels)
        self.spans = [PredictedEntity(*span) for span in spans]

    def __call__(self, doc: Doc) -> Doc:
        return doc

    def likely_spans(self, docs: list[Doc], threshold: float) -> list[list[PredictedEntity]]:
        return [[span for span in self.spans if span.prob >= threshold] for _ in docs]


def pipeline_of(*spans: tuple[int, int, str, float], labels: str = "XY") -> Language:
    nlp = spacy.blank("xx")
    nlp._components.append(("ner", Fixed(spans, labels)))
    return nlp


def annotated(*pipelines: Language, certain: float = 0.8) -> list[str]:
    """Tags of TEXT, "?" where nothing is known."""
    docs = [Doc(spacy.blank("xx").vocab, words=list(TEXT))]
    (doc,) = annotate(pipelines, docs, certain)
    assert doc.text == docs[0].text
    return [
        f"{token.ent_iob_}-{token.ent_type_}" if token.ent_type_ else token.ent_iob_ or "?"
        for token in doc
    ]


def test_sure_spans_are_entities_and_the_rest_is_outside():
    assert annotated(pipeline_of((1, 3, "X", 0.9))) == ["O", "B-X", "I-X", "O", "O", "O"]


def test_where_it_is_not_sure_nothing_is_annotated():
    nlp = pipeline_of((0, 2, "X", 0.5), (3, 4, "Y", 0.1), (4, 6, "Y", 0.95))
    # 0.5 lies between 0.2 and 0.8, 0.1 does not.
    assert annotated(nlp) == ["?", "?", "O", "O", "B-Y", "I-Y"]


def test_a_sure_entity_stands_although_a_longer_one_is_possible():
    nlp = pipeline_of((1, 3, "X", 0.8), (1, 5, "X", 0.2))
    assert annotated(nlp, certain=0.8) == ["O", "B-X", "I-X", "?", "?", "O"]


def test_probabilities_are_means_over_the_pipelines():
    first, second = pipeline_of((0, 1, "X", 1.0), (2, 3, "Y", 1.0)), pipeline_of((0, 1, "X", 0.7))
    # 0.85 is an entity, 0.5 is not sure.
    assert annotated(first, second) == ["B-X", "O", "?", "O", "O", "O"]


def test_different_labels_are_refused():
    with pytest.raises(ValueError, match=r"Pipelines 1 and 2 know different labels \(Y, Z"):
        annotated(pipeline_of(), pipeline_of(labels="XZ"))


def test_many_small_doubts_about_a_token_are_one_doubt():
    spans = [(0, end, "X", 0.09) for end in range(1, 6)]
    # Tokens 0, 1 and 2 are in an entity with 0.45, 0.36 and 0.27; the doubt ends at 0.2.
    assert annotated(pipeline_of(*spans)) == ["?", "?", "?", "O", "O", "O"]


@pytest.mark.parametrize("certain", [0.5, 1.0])
def test_a_share_that_is_none_is_refused(certain):
    with pytest.raises(ValueError, match=f"certain = {certain}"):
        annotated(pipeline_of(), certain=certain)


def test_a_pipeline_without_probabilities_is_refused():
    with pytest.raises(ValueError, match="no component 'crf_ner' that knows probabilities"):
        annotated(spacy.blank("xx"))


def test_a_trained_pipeline_annotates_what_it_has_learnt():
    nlp = blank_pipeline()
    examples = make_examples(nlp)
    train(nlp, examples, 60)
    docs = list(annotate([nlp], [example.x for example in examples], certain=0.6))
    for example, doc in zip(examples, docs):
        assert [(e.text, e.label_) for e in doc.ents] == [
            (e.text, e.label_) for e in example.reference.ents
        ]
