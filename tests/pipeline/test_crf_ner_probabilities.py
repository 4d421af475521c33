"""Entity probabilities of crf_ner: against the sum over every tag sequence, and where they go."""

import itertools
import math

import numpy as np
import pytest
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.training.iob_utils import iob_to_biluo, tags_to_entities
from toy_pipelines import (
    TEXTS,
    blank_pipeline,
    found,
    found_with_probabilities,
    make_examples,
    tagger_model,
    train,
    trained_pipeline,
)

Entity = tuple[int, int, str]


def read_entities(tags: tuple[str, ...]) -> frozenset[Entity]:
    """The entities that spaCy reads from BIO or BIOES tags; they must be without fault."""
    biluo = [tag.replace("S-", "U-").replace("E-", "L-") for tag in tags]
    if not any(tag[0] in "UL" for tag in biluo):
        biluo = iob_to_biluo(biluo)
    return frozenset((start, end + 1, label) for label, start, end in tags_to_entities(biluo))


def legal(tags: tuple[str, ...], scheme: str) -> bool:
    """Whether I (and E) always continue an entity, and under BIOES every B is closed."""
    for before, after in itertools.pairwise(("O", *tags, "O")):
        opens = before[0] in "BI"
        continues = after[0] in "IE"
        if continues and not (opens and before[2:] == after[2:]):
            return False
        if scheme == "BIOES" and opens and not continues:
            return False
    return True


def enumerate_paths(nlp: Language, doc: Doc) -> list[tuple[tuple[str, ...], float]]:
    """Every legal tag sequence of a doc with its probability, from the model's own scores."""
    ner = nlp.get_pipe("ner")
    tags = ner.tagset.tags
    emissions = ner.model.predict([doc])[0].astype("float64")
    layer = ner.model.get_ref("transition_scores")
    scale = layer.attrs["scale"]
    transitions, start, end = (
        layer.get_param(name).astype("float64") * scale for name in ("transitions", "start", "end")
    )
    paths, scores = [], []
    for numbers in itertools.product(range(len(tags)), repeat=len(doc)):
        names = tuple(tags[number] for number in numbers)
        if legal(names, ner.tagset.scheme):
            path = np.array(numbers)
            score = start[path[0]] + end[path[-1]] + emissions[np.arange(len(doc)), path].sum()
            scores.append(score + transitions[path[:-1], path[1:]].sum())
            paths.append(names)
    p = np.exp(np.array(scores) - max(scores))
    return list(zip(paths, (p / p.sum()).tolist()))


@pytest.fixture(scope="module", params=["BIO", "BIOES"])
def uncertain(request: pytest.FixtureRequest) -> Language:
    """A pipeline whose transitions are at work and which is sure of little."""
    nlp = blank_pipeline(tagger_model(scheme=request.param))
    data = [
        ("a b c d", {"entities": [(0, 7, "X")]}),
        ("b c d a", {"entities": [(0, 1, "Y"), (2, 7, "X")]}),
        ("c a b b", {"entities": [(2, 5, "X"), (6, 7, "X")]}),
    ]
    train(nlp, make_examples(nlp, data), 12)
    layer = nlp.get_pipe("ner").model.get_ref("transition_scores")
    rng = np.random.default_rng(1)
    for name in ("transitions", "start", "end"):
        noise = rng.normal(scale=0.1, size=layer.get_param(name).shape).astype("float32")
        layer.set_param(name, layer.get_param(name) + noise)
    return nlp


@pytest.mark.parametrize("text", ["a b c d", "b c d a", "c a b b", "d d", "a", "b b"])
def test_probabilities_agree_with_the_sum_over_all_tag_sequences(uncertain: Language, text: str):
    doc = uncertain(text)
    paths = enumerate_paths(uncertain, uncertain.make_doc(text))
    best, _ = max(paths, key=lambda path: path[1])
    assert {ent[:3] for ent in found_with_probabilities(doc)} == read_entities(best)
    for start, end, label, prob in found_with_probabilities(doc):
        expected = sum(p for path, p in paths if (start, end, label) in read_entities(path))
        assert prob == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("text", ["a b c d c", "b c d a b"])
def test_with_tokens_blocked_probabilities_are_those_of_the_remaining_sequences(
    uncertain: Language, text: str
):
    doc = uncertain.make_doc(text)
    doc.set_ents([], blocked=[doc[0:1]], default="missing")
    doc = uncertain.get_pipe("ner")(doc)
    paths = enumerate_paths(uncertain, uncertain.make_doc(text))
    paths = [(path, p) for path, p in paths if path[0] == "O"]
    total = sum(p for _, p in paths)
    best, _ = max(paths, key=lambda path: path[1])
    assert {ent[:3] for ent in found_with_probabilities(doc)} == read_entities(best)
    for start, end, label, prob in found_with_probabilities(doc):
        expected = sum(p for path, p in paths if (start, end, label) in read_entities(path))
        assert prob == pytest.approx(expected / total, abs=1e-6)


def test_with_an_entity_set_before_probabilities_are_those_of_the_sequences_with_it(
    uncertain: Language,
):
    doc = uncertain.make_doc("d a b c d")
    preset = (0, 1, "Y")
    doc.set_ents([Span(doc, *preset)], default="missing")
    doc = uncertain.get_pipe("ner")(doc)
    paths = enumerate_paths(uncertain, uncertain.make_doc("d a b c d"))
    paths = [(path, p) for path, p in paths if preset in read_entities(path)]
    total = sum(p for _, p in paths)
    best, _ = max(paths, key=lambda path: path[1])
    predicted = found_with_probabilities(doc)
    assert {ent[:3] for ent in predicted} == read_entities(best)
    for start, end, label, prob in predicted:
        if (start, end, label) == preset:
            assert prob is None
        else:
            expected = sum(p for path, p in paths if (start, end, label) in read_entities(path))
            assert prob == pytest.approx(expected / total, abs=1e-6)


def test_every_entity_has_a_probability_above_0_and_up_to_1(trained):
    docs = list(trained.pipe(TEXTS))
    probs = [ent._.prob for doc in docs for ent in doc.ents]
    assert len(probs) >= 10
    assert all(0 < prob <= 1 for prob in probs)
    assert all(isinstance(prob, float) for prob in probs)


def test_a_model_sure_of_its_entities_says_so(trained):
    probs = [ent._.prob for ent in trained("I like London and Berlin .").ents]
    assert len(probs) == 2
    assert min(probs) > 0.9


def test_without_crf_a_probability_is_the_product_of_the_tokens_own():
    nlp = blank_pipeline(tagger_model(crf=False))
    train(nlp, make_examples(nlp), 30)
    doc = nlp("Shaka Khan lives in London .")
    ner = nlp.get_pipe("ner")
    emissions = ner.model.predict([doc])[0].astype("float64")
    softmax = np.exp(emissions) / np.exp(emissions).sum(1, keepdims=True)
    tag = {name: number for number, name in enumerate(ner.tagset.tags)}
    expected = {
        "Shaka Khan": softmax[0, tag["B-PERSON"]]
        * softmax[1, tag["I-PERSON"]]
        * (1 - softmax[2, tag["I-PERSON"]]),
        "London": softmax[4, tag["B-LOC"]] * (1 - softmax[5, tag["I-LOC"]]),
    }
    assert found(doc) == [("Shaka Khan", "PERSON"), ("London", "LOC")]
    for ent in doc.ents:
        assert ent._.prob == pytest.approx(expected[ent.text], abs=1e-6)


def test_probabilities_can_be_left_out():
    nlp = blank_pipeline(probabilities=False)
    train(nlp, make_examples(nlp), 60)
    doc = nlp("I like London .")
    assert found_with_probabilities(doc) == [(2, 3, "LOC", None)]


def test_predict_gives_probabilities_and_leaves_the_doc_alone(trained):
    doc = trained.make_doc("I like London .")
    (entities,) = trained.get_pipe("ner").predict([doc])
    assert [(e.start, e.end, e.label) for e in entities] == [(2, 3, "LOC")]
    assert entities[0].prob == pytest.approx(trained("I like London .").ents[0]._.prob, abs=1e-6)
    assert not doc.has_annotation("ENT_IOB")
    assert not doc.user_data


def test_a_span_group_holds_the_entities_and_their_scores():
    nlp = blank_pipeline(spans_key="ner")
    train(nlp, make_examples(nlp), 60)
    doc = nlp("Shaka Khan likes London .")
    group = doc.spans["ner"]
    assert [(span.text, span.label_) for span in group] == found(doc)
    assert len(group) == 2
    np.testing.assert_allclose(group.attrs["scores"], [ent._.prob for ent in doc.ents], rtol=1e-6)


def test_a_text_without_entities_gets_an_empty_span_group():
    nlp = blank_pipeline(spans_key="ner")
    nlp.get_pipe("ner").add_label("LOC")
    nlp.initialize()
    for doc in nlp.pipe(["Nothing here .", ""]):
        assert len(doc.spans["ner"]) == 0
        assert len(doc.spans["ner"].attrs["scores"]) == 0


def test_a_span_group_survives_a_doc_bin():
    nlp = blank_pipeline(spans_key="ner")
    train(nlp, make_examples(nlp), 60)
    doc = nlp("Shaka Khan likes London .")
    data = DocBin(docs=[doc], store_user_data=True).to_bytes()
    (again,) = DocBin().from_bytes(data).get_docs(nlp.vocab)
    assert again.spans["ner"].attrs["scores"] == pytest.approx([e._.prob for e in doc.ents])


def test_probabilities_survive_a_doc_bin(trained):
    docs = list(trained.pipe(TEXTS))
    data = DocBin(docs=docs, store_user_data=True).to_bytes()
    again = list(DocBin().from_bytes(data).get_docs(trained.vocab))
    assert list(map(found_with_probabilities, again)) == list(map(found_with_probabilities, docs))
    assert any(math.isfinite(ent._.prob) for doc in again for ent in doc.ents)


def test_a_probability_belongs_to_the_label_it_was_found_for(trained):
    doc = trained("I like London .")
    assert [ent._.prob is None for ent in doc.ents] == [False]
    doc.ents = [Span(doc, ent.start, ent.end, label="OTHER") for ent in doc.ents]
    assert [ent._.prob for ent in doc.ents] == [None]


def test_a_probability_goes_along_with_a_span_and_with_joined_docs(trained):
    doc = trained("I like London .")
    prob = doc.ents[0]._.prob
    joined = Doc.from_docs([trained("I like ."), doc])
    assert [ent._.prob for ent in joined.ents] == [prob]
    assert [ent._.prob for ent in doc[1:4].as_doc(copy_user_data=True).ents] == [prob]


def test_without_probabilities_a_span_group_has_no_scores():
    doc = trained_pipeline(spans_key="sc", probabilities=False)("I like London .")
    assert [span.text for span in doc.spans["sc"]] == ["London"]
    assert "scores" not in doc.spans["sc"].attrs
