"""What probabilities are worth: oracle scores and calibration, counted by hand."""

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_mamba_crf.evaluation.metrics import measure
from spacy_mamba_crf.evaluation.probabilities import (
    FLOOR,
    calibration_scores,
    measure_probabilities,
    oracle_scores,
)
from spacy_mamba_crf.evaluation.spans import gold_entities

Chunks = list[tuple[int, int, str]]
MakeExample = Callable[..., Example]


class Ranked:
    """A component whose analyses of each doc, best first, are given."""

    def __init__(self, analyses: list[list[Chunks]]):
        self.analyses = iter(analyses)

    def n_best(self, docs: Iterable[Doc], k: int) -> list[list[Any]]:
        return [
            [SimpleNamespace(ents=[Span(doc, *chunk) for chunk in chunks]) for chunks in own[:k]]
            for doc, own in zip(docs, self.analyses)
        ]


X, Y, Z = (0, 1, "X"), (1, 3, "Y"), (3, 4, "X")


def test_the_oracle_takes_the_best_analysis_of_each_doc_among_k(make_example: MakeExample):
    examples = [make_example(4, [X, Y], []), make_example(4, [Z], []), make_example(4, [], [])]
    ranked = [[[X, Z], [X], [X, Y]], [[Y], [], [Z]], [[], [X]]]
    # k = 1: 1 right of 3 found, gold 3. k = 2: [X], nothing, nothing: 1 right of 1 found.
    # k = 3: all right.
    scores = oracle_scores(Ranked(ranked), examples, ks=(1, 2, 3))
    assert scores == pytest.approx({"1": 2 / 6, "2": 2 / 4, "3": 1.0})


def test_the_oracle_prefers_fewer_wrong_entities_where_none_is_right(make_example: MakeExample):
    examples = [make_example(4, [], []), make_example(4, [X], [])]
    scores = oracle_scores(Ranked([[[Y, Z], [Y], []], [[X]]]), examples, ks=(1, 2, 3))
    assert scores == pytest.approx({"1": 2 / 4, "2": 2 / 3, "3": 1.0})


def test_the_oracle_does_not_count_entities_whose_truth_is_unknown(make_example: MakeExample):
    example = make_example(4, [X], [], missing=[(3, 4, "")])
    assert oracle_scores(Ranked([[[X, Z]]]), [example], ks=(1,)) == pytest.approx({"1": 1.0})


def found(example: Example, *spans: tuple[int, int, str, float]) -> list[Any]:
    return [(example, Span(example.predicted, *span[:3]), span[3]) for span in spans]


def test_the_calibration_error_is_that_of_both_bins_by_their_sizes(make_example: MakeExample):
    example = make_example(4, [X, Y], [])
    spans = found(example, (0, 1, "X", 0.92), (1, 3, "Y", 0.9), (3, 4, "X", 0.9), (0, 1, "Y", 0.3))
    # One bin of .92, .9 and .9, of which two are right; one of .3, which is wrong.
    error = (3 * abs(2.72 / 3 - 2 / 3) + 1 * abs(0.3 - 0)) / 4
    scores = calibration_scores(spans)
    assert scores["size"] == 4
    assert scores["ece"] == pytest.approx(error)
    assert [(row["size"], row["accuracy"]) for row in scores["bins"]] == [(1, 0.0), (3, 2 / 3)]


def test_spans_whose_truth_is_unknown_are_left_out(make_example: MakeExample):
    example = make_example(4, [X], [], missing=[(1, 3, "")])
    spans = found(example, (0, 1, "X", 0.9), (2, 4, "X", 0.9), (1, 2, "Y", 0.2), (3, 4, "Y", 0.1))
    assert calibration_scores(spans)["size"] == 2


def test_without_spans_there_is_no_error(make_example: MakeExample):
    assert calibration_scores([]) == {"size": 0, "ece": 0.0, "ece_by_chance": 0.0, "bins": []}


DATA: list[tuple[str, dict[str, Any]]] = [
    ("a b c d", {"entities": [(0, 7, "X")]}),
    ("b c d a", {"entities": [(0, 1, "Y"), (2, 7, "X")]}),
    ("c a b b", {"entities": [(2, 5, "X"), (6, 7, "X")]}),
    ("", {"entities": []}),
]
TOK2VEC = {
    "@architectures": "spacy_mamba_crf.CharNgramEmbed.v1",
    "width": 16,
    "rows": [50, 50, 50],
}


def unsure_pipeline(threshold: float | None = None) -> Language:
    """A pipeline that has learnt too little of DATA to be sure of anything."""
    fix_random_seed(0)
    nlp = spacy.blank("xx")
    model = {"@architectures": "spacy_mamba_crf.CRFTagger.v1", "tok2vec": TOK2VEC}
    nlp.add_pipe("crf_ner", name="ner", config={"threshold": threshold, "model": model})
    examples = [Example.from_dict(nlp.make_doc(text), annotation) for text, annotation in DATA]
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(40):
        nlp.update(examples, sgd=optimizer)
    return nlp


def predicted(nlp: Language, n_unknown: int = 0) -> list[Example]:
    """DATA beside what is predicted; of the first n_unknown docs, nothing is known."""
    examples = []
    for number, (text, annotation) in enumerate(DATA):
        example = Example.from_dict(nlp(text), annotation)
        if number < n_unknown:
            example.reference.set_ents([], default="missing")
        examples.append(example)
    return examples


@pytest.fixture(scope="module")
def unsure() -> Language:
    return unsure_pipeline()


def test_the_best_analysis_alone_scores_as_the_prediction_without_a_threshold(unsure: Language):
    examples = predicted(unsure)
    measured = measure_probabilities(unsure, examples)
    assert measured is not None
    f1 = measure(examples)["ents_f"]
    assert 0 < f1 < 1
    assert measured["oracle"]["1"] == pytest.approx(f1)


def test_more_analyses_never_make_a_doc_worse(unsure: Language):
    ner = unsure.get_pipe("ner")
    for example in predicted(unsure)[:3]:
        scores = list(oracle_scores(ner, [example], ks=(1, 2, 5, 20)).values())
        assert scores == sorted(scores)


def test_candidates_are_all_spans_that_are_likely_enough(unsure: Language):
    examples = predicted(unsure)
    measured = measure_probabilities(unsure, examples)
    assert measured is not None
    ner = unsure.get_pipe("ner")
    sizes, right = 0, 0
    for example in examples:
        words = range(len(example.predicted))
        spans = [(s, e + 1, label) for s in words for e in words if s <= e for label in ("X", "Y")]
        p = ner.span_probabilities(example.predicted, spans)  # type: ignore[attr-defined]
        likely = {span for span, own in zip(spans, p) if own >= FLOOR}
        sizes += len(likely)
        right += len(likely & set(gold_entities(example)))
    bins = measured["candidates"]["bins"]
    assert measured["candidates"]["size"] == sizes > measured["entities"]["size"] > 0
    assert sum(row["size"] * row["accuracy"] for row in bins) == pytest.approx(right)


def test_docs_whose_truth_is_unknown_count_nowhere(unsure: Language):
    some = measure_probabilities(unsure, predicted(unsure, n_unknown=1))
    rest = measure_probabilities(unsure, predicted(unsure)[1:])
    assert some is not None and rest is not None
    for part in ("entities", "candidates"):
        assert some[part]["size"] == rest[part]["size"]
        assert some[part]["ece"] == pytest.approx(rest[part]["ece"])
    assert some["oracle"] == pytest.approx(rest["oracle"])


def test_the_component_and_its_temperature_are_named(unsure: Language):
    measured = measure_probabilities(unsure, predicted(unsure))
    assert measured is not None
    assert measured["component"] == "ner"
    assert measured["temperature"] == unsure.get_pipe("ner").temperature  # type: ignore[attr-defined]


def test_a_pipeline_without_probabilities_has_none_to_measure():
    nlp = spacy.blank("xx")
    ruler: Any = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "X", "pattern": "a"}])
    example = Example(nlp("a b"), nlp.make_doc("a b"))
    assert measure_probabilities(nlp, [example]) is None
