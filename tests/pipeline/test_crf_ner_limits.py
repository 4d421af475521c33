"""Longest entities and neighbours that a config forbids: against the sequences that remain."""

import pytest
from path_enumeration import enumerate_paths, read_entities
from spacy.language import Language
from spacy.tokens import Span
from toy_pipelines import blank_pipeline, found, make_examples, tagger_model

from spacy_mamba_crf.pipeline.constraints import Constraints

TEXTS = ["a b c d", "c a b b", "d d", "a"]


@pytest.fixture
def constrained(uncertain: Language):
    """A function that gives the pipeline constraints, which it loses at the end of the test."""
    ner = uncertain.get_pipe("ner")

    def constrain(*settings) -> Language:
        ner.constraints = Constraints(*settings)
        return uncertain

    yield constrain
    ner.constraints = Constraints()


def follows(entities, before: str, after: str) -> bool:
    """Whether an entity of one label comes right after one of another."""
    return any(
        a[2] == before and b[2] == after and a[1] == b[0] for a in entities for b in entities
    )


def check(nlp: Language, text: str, is_allowed) -> None:
    """The prediction and its probabilities are those of the sequences that are allowed."""
    paths = [(read_entities(tags), p) for tags, p in enumerate_paths(nlp, nlp.make_doc(text))]
    paths = [(entities, p) for entities, p in paths if is_allowed(entities)]
    everything = sum(p for _, p in paths)
    best, _ = max(paths, key=lambda path: path[1])
    doc = nlp(text)
    assert {(e.start, e.end, e.label_) for e in doc.ents} == best
    for ent in doc.ents:
        span = (ent.start, ent.end, ent.label_)
        share = sum(p for entities, p in paths if span in entities) / everything
        assert ent._.prob == pytest.approx(share, abs=1e-6)
    second = sorted((p for _, p in paths), reverse=True)[:2]
    probs = [analysis.prob for analysis in nlp.get_pipe("ner").n_best([doc], 2)[0]]
    assert probs == pytest.approx([p / everything for p in second], abs=1e-6)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_entity_is_longer_than_the_longest(constrained, text: str, most: int):
    nlp = constrained(most)
    check(nlp, text, lambda entities: all(end - start <= most for start, end, _ in entities))


@pytest.mark.parametrize("text", TEXTS)
def test_forbidden_neighbours_do_not_meet(constrained, text: str):
    nlp = constrained(None, None, {"Y": ["X"], "X": ["X"]})
    check(nlp, text, lambda e: not (follows(e, "Y", "X") or follows(e, "X", "X")))


@pytest.mark.parametrize("text", TEXTS)
def test_only_allowed_neighbours_meet(constrained, text: str):
    nlp = constrained(None, {"Y": ["O", "X"]}, None)
    check(nlp, text, lambda entities: not follows(entities, "Y", "Y"))


def test_the_outside_can_be_named(constrained):
    nlp = constrained(None, None, {"O": ["Y"], "Y": ["O"]})

    def is_allowed(entities) -> bool:
        edges = {(start, end): label for start, end, label in entities}
        covered = {token for start, end, _ in entities for token in range(start, end)}
        return all(
            label != "Y" or ((start == 0 or start - 1 in covered) and (end == 4 or end in covered))
            for (start, end), label in edges.items()
        )

    check(nlp, "a b c d", is_allowed)


def test_both_kinds_of_constraints_work_together(constrained):
    nlp = constrained(2, None, {"X": ["X"]})
    check(
        nlp,
        "a b c d",
        lambda e: all(end - start <= 2 for start, end, _ in e) and not follows(e, "X", "X"),
    )


def test_an_entity_set_before_may_be_longer(constrained):
    nlp = constrained(2)
    doc = nlp.make_doc("a b c d")
    doc.set_ents([Span(doc, 0, 3, label="X")], default="missing")
    assert found(nlp(doc))[0] == ("a b c", "X")


def test_entities_set_before_may_be_forbidden_neighbours(constrained):
    nlp = constrained(None, None, {"X": ["Y"]})
    doc = nlp.make_doc("a b c d")
    doc.set_ents([Span(doc, 0, 2, label="X"), Span(doc, 2, 3, label="Y")], default="missing")
    assert found(nlp(doc)) == [("a b", "X"), ("c", "Y")]


def test_a_span_that_is_too_long_has_no_probability(constrained):
    nlp = constrained(2)
    doc = nlp.make_doc("a b c d")
    p = nlp.get_pipe("ner").span_probabilities(doc, [(0, 3, "X"), (0, 2, "X")])
    assert p[0] == 0.0 and p[1] > 0


def test_the_settings_come_from_the_config_and_stay_with_the_pipeline(tmp_path):
    settings = {"max_entity_length": 3, "forbidden_transitions": {"LOC": ["PERSON", "O"]}}
    nlp = blank_pipeline(**settings)
    nlp.initialize(lambda: make_examples(nlp))
    ner = type(nlp).from_config(nlp.config).get_pipe("ner")
    assert ner.constraints == Constraints(3, None, {"LOC": ["PERSON", "O"]})


def test_settings_can_be_changed_under_their_names(uncertain: Language):
    ner = uncertain.get_pipe("ner")
    ner.max_entity_length = 1
    try:
        assert all(len(ent) == 1 for ent in uncertain("a b c d").ents)
        with pytest.raises(ValueError, match="max_entity_length = 0 must be at least 1"):
            ner.max_entity_length = 0
    finally:
        ner.max_entity_length = None
    assert ner.constraints == Constraints()


@pytest.mark.parametrize("key", ["allowed_transitions", "forbidden_transitions"])
@pytest.mark.parametrize("rules", [{"LOC": ["NOBODY"]}, {"NOBODY": ["LOC"]}])
def test_an_unknown_label_in_a_constraint_is_refused_at_the_start_of_training(key, rules):
    nlp = blank_pipeline(**{key: rules})
    with pytest.raises(ValueError, match=rf"\[components.ner.{key}\] names the label 'NOBODY'"):
        nlp.initialize(lambda: make_examples(nlp))


@pytest.mark.parametrize(
    ["settings", "crf", "message"],
    [
        ({"max_entity_length": 0}, True, "max_entity_length = 0 must be at least 1"),
        ({"max_entity_length": 3}, False, "sets max_entity_length, but its model has crf = false"),
        ({"allowed_transitions": {"X": ["X"]}}, False, "sets allowed_transitions, but its model"),
    ],
)
def test_constraints_that_cannot_be_are_refused(settings, crf, message):
    with pytest.raises(ValueError, match=message):
        blank_pipeline(tagger_model(crf=crf), **settings)
