"""What is on the doc before crf_ner: entities of a ruler, blocked tokens, white space."""

import pytest
from spacy.language import Language
from spacy.tokens import Doc, Span
from toy_pipelines import (
    blank_pipeline,
    found,
    make_examples,
    tagger_model,
    train,
)

MODELS = {
    "BIO": tagger_model(),
    "BIOES": tagger_model(scheme="BIOES"),
    "BIO without CRF": tagger_model(crf=False),
    "BIOES without CRF": tagger_model(scheme="BIOES", crf=False),
}


@pytest.fixture(scope="module", params=MODELS.values(), ids=MODELS.keys())
def eager(request: pytest.FixtureRequest) -> Language:
    """A pipeline that calls each word of "a b c d" a LOC."""
    nlp = blank_pipeline(request.param)
    nlp.get_pipe("ner").add_label("OTHER")
    train(nlp, make_examples(nlp, [("a b c d", {"entities": ["U-LOC"] * 4})]), 40)
    assert found(nlp("a b c d")) == [(letter, "LOC") for letter in "abcd"]
    return nlp


def always_inside(model: dict) -> Language:
    """A pipeline whose emissions call every token the middle of a LOC."""
    nlp = blank_pipeline(model)
    nlp.get_pipe("ner").add_label("LOC")
    nlp.initialize()
    ner = nlp.get_pipe("ner")
    layer = ner.model.get_ref("output_layer")
    biases = [10.0 if tag == "I-LOC" else 0.0 for tag in ner.tagset.tags]
    layer.set_param("b", layer.ops.asarray1f(biases))
    return nlp


def test_an_entity_ruler_before_it_keeps_its_entities():
    nlp = blank_pipeline()
    nlp.get_pipe("ner").add_label("MY_LABEL")
    ruler = nlp.add_pipe("entity_ruler", before="ner")
    nlp.initialize()
    ruler.add_patterns([{"label": "THING", "pattern": "This"}])
    doc = nlp("This is Antti Korhonen speaking in Finland")
    assert [token.ent_iob_ for token in doc] == ["B", "O", "O", "O", "O", "O", "O"]
    assert [token.ent_type_ for token in doc] == ["THING", "", "", "", "", "", ""]


def test_an_entity_ruler_after_it_adds_its_entities():
    nlp = blank_pipeline()
    nlp.get_pipe("ner").add_label("MY_LABEL")
    nlp.initialize()
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "THING", "pattern": "This"}])
    doc = nlp("This is Antti Korhonen speaking in Finland")
    assert [token.ent_iob_ for token in doc] == ["B", "O", "O", "O", "O", "O", "O"]
    assert [token.ent_type_ for token in doc] == ["THING", "", "", "", "", "", ""]


def test_a_ruler_and_the_model_share_a_text(loaded: Language):
    ruler = loaded.add_pipe("entity_ruler", before="ner")
    ruler.add_patterns([{"label": "CAPITAL", "pattern": "Berlin"}])
    doc = loaded("I like London and Berlin .")
    assert found(doc) == [("London", "LOC"), ("Berlin", "CAPITAL")]
    assert [ent._.prob is None for ent in doc.ents] == [False, True]


@pytest.mark.parametrize("label", ["LOC", "OTHER", "NOT_OURS"])
@pytest.mark.parametrize("start, end", [(0, 1), (1, 3), (2, 4), (0, 4)])
def test_an_entity_set_before_stays_exactly_as_it_is(eager: Language, label, start, end):
    doc = eager.make_doc("a b c d")
    doc.set_ents([Span(doc, start, end, label=label)], default="missing")
    doc = eager.get_pipe("ner")(doc)
    assert (start, end, label) in [(ent.start, ent.end, ent.label_) for ent in doc.ents]
    others = [(ent.start, ent.end) for ent in doc.ents if (ent.start, ent.end) != (start, end)]
    assert others == [(i, i + 1) for i in range(4) if not start <= i < end]
    assert doc.has_annotation("ENT_IOB", require_complete=True)


def test_entities_side_by_side_stay_apart(eager: Language):
    doc = eager.make_doc("a b c d")
    preset = [Span(doc, 0, 2, label="LOC"), Span(doc, 2, 4, label="LOC")]
    doc.set_ents(preset, default="missing")
    doc = eager.get_pipe("ner")(doc)
    assert found(doc) == [("a b", "LOC"), ("c d", "LOC")]


def test_kb_id_and_span_id_of_an_entity_set_before_are_kept(trained: Language):
    doc = trained.make_doc("I like London and London .")
    doc.ents = [Span(doc, 2, 3, label="LOC", kb_id="Q84", span_id="city")]
    doc = trained.get_pipe("ner")(doc)
    first, second = doc.ents
    assert (first.text, first.label_, first.kb_id_, first.id_) == ("London", "LOC", "Q84", "city")
    assert (second.text, second.label_, second.kb_id_, second.id_) == ("London", "LOC", "", "")


def test_running_it_twice_changes_nothing(trained: Language):
    doc = trained("I like London and Berlin .")
    before = [(ent.text, ent.label_, ent._.prob) for ent in doc.ents]
    doc = trained.get_pipe("ner")(doc)
    assert [(ent.text, ent.label_, ent._.prob) for ent in doc.ents] == before


@Language.factory("toy_blocker")
def make_toy_blocker(nlp: Language, name: str, start: int, end: int):
    def block(doc: Doc) -> Doc:
        doc.set_ents([], blocked=[doc[start:end]], default="unmodified")
        return doc

    return block


def test_blocked_tokens_stay_blocked_in_a_pipeline():
    nlp = blank_pipeline()
    nlp.add_pipe("toy_blocker", config={"start": 2, "end": 5}, before="ner")
    nlp.get_pipe("ner").add_label("MY_LABEL")
    nlp.initialize()
    doc = nlp("This is Antti L Korhonen speaking in Finland")
    assert [token.ent_iob_ for token in doc] == ["O", "O", "B", "B", "B", "O", "O", "O"]
    assert [token.ent_type_ for token in doc] == [""] * 8


@pytest.mark.parametrize("blocked", [(0, 1), (1, 2), (1, 3), (3, 4), (0, 4)])
def test_no_entity_is_predicted_on_blocked_tokens(eager: Language, blocked):
    doc = eager.make_doc("a b c d")
    doc.set_ents([], blocked=[doc[slice(*blocked)]], default="missing")
    doc = eager.get_pipe("ner")(doc)
    free = [i for i in range(4) if i not in range(*blocked)]
    assert [(ent.start, ent.end) for ent in doc.ents] == [(i, i + 1) for i in free]
    assert all(doc[i].ent_iob_ == "B" and not doc[i].ent_type_ for i in range(*blocked))


def test_tokens_marked_outside_before_may_become_entities(eager: Language):
    doc = eager.make_doc("a b c d")
    doc.set_ents([], default="outside")
    assert len(eager.get_pipe("ner")(doc).ents) == 4


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
def test_no_entity_starts_on_white_space(model: dict):
    nlp = always_inside(model)
    words = ["\n", "a", "\n\n", "b", " ", "c", "\t"]
    doc = Doc(nlp.vocab, words=words, spaces=[False] * len(words))
    assert [token.is_space for token in doc] == [True, False] * 3 + [True]
    doc = nlp.get_pipe("ner")(doc)
    assert len(doc.ents) > 0
    assert {ent[0].text for ent in doc.ents} <= {"a", "b", "c"}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
def test_an_entity_set_before_never_grows(model: dict):
    nlp = always_inside(model)
    doc = nlp.make_doc("a b c d")
    doc.set_ents([Span(doc, 1, 3, label="LOC")], default="missing")
    doc = nlp.get_pipe("ner")(doc)
    assert (1, 3, "LOC") in [(ent.start, ent.end, ent.label_) for ent in doc.ents]


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
def test_a_text_of_white_space_has_no_entities(model: dict):
    assert found(always_inside(model)("\n \n\n   \t")) == []
