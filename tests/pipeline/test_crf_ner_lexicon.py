"""A lexicon at crf_ner's decoding: as soft scores and as hard constraints."""

import math
from pathlib import Path

import pytest
from path_enumeration import enumerate_paths, read_entities
from spacy.language import Language
from spacy.tokens import Span
from spacy.util import load_model_from_path
from toy_pipelines import blank_pipeline, found, make_examples

from spacy_mamba_crf.lexicon import Lexicon
from spacy_mamba_crf.pipeline.lexicon_use import LexiconUse


@pytest.fixture
def with_lexicon(uncertain: Language):
    """A function that gives the pipeline a lexicon, which it loses at the end of the test."""
    ner = uncertain.get_pipe("ner")

    def give(terms, mode: str, weight: float = 1.0) -> Language:
        ner.lexicon, ner.lexicon_use = Lexicon(terms), LexiconUse(mode, weight)
        return uncertain

    yield give
    ner.lexicon, ner.lexicon_use = None, LexiconUse()


def shares(nlp: Language, text: str, weigh) -> dict[frozenset, float]:
    """The probability of each set of entities whose model's probability is weighed anew."""
    paths = enumerate_paths(nlp, nlp.make_doc(text))
    weights = {read_entities(tags): p * weigh(tags) for tags, p in paths}
    everything = math.fsum(weights.values())
    return {entities: weight / everything for entities, weight in weights.items()}


def probability_of(span, shares: dict[frozenset, float]) -> float:
    return math.fsum(p for entities, p in shares.items() if span in entities)


def test_soft_terms_add_their_weight_spread_over_their_tags(with_lexicon):
    nlp = with_lexicon([("b c", "Y")], "soft", 3.0)
    tags = ["B-Y", "I-Y" if nlp.get_pipe("ner").tagset.scheme == "BIO" else "E-Y"]

    def weigh(path) -> float:
        held = sum(path[token] == tag for token, tag in zip((1, 2), tags))
        goes_on = tags[1] == "I-Y" and path[3] == "I-Y"
        return math.exp(3.0 * (held / 2 - goes_on))

    expected = shares(nlp, "a b c d", weigh)
    spans = [(1, 3, "Y"), (0, 4, "X"), (1, 2, "Y"), (1, 3, "X")]
    p = nlp.get_pipe("ner").span_probabilities(nlp.make_doc("a b c d"), spans)
    assert p == pytest.approx([probability_of(span, expected) for span in spans], abs=1e-5)


def holds_second_and_third(tags: tuple[str, ...]) -> bool:
    """Whether the second and the third token are an entity of any label."""
    return any(entity[:2] == (1, 3) for entity in read_entities(tags))


@pytest.mark.parametrize(["weight", "is_found"], [(100.0, True), (-100.0, False)])
def test_soft_weights_can_decide(with_lexicon, weight: float, is_found: bool):
    nlp = with_lexicon([("d", "Y"), ("c a", "X")], "soft", weight)
    entities = found(nlp("c a b d"))
    assert ({("c a", "X"), ("d", "Y")} <= set(entities)) == is_found


def test_hard_terms_are_entities(with_lexicon):
    nlp = with_lexicon([("b c", "Y")], "hard")
    expected = shares(nlp, "a b c d", lambda tags: (1, 3, "Y") in read_entities(tags))
    doc = nlp("a b c d")
    assert {(e.start, e.end, e.label_) for e in doc.ents} == max(expected, key=expected.get)
    assert ("b c", "Y") in found(doc)
    for ent in doc.ents:
        span = (ent.start, ent.end, ent.label_)
        assert ent._.prob == pytest.approx(probability_of(span, expected), abs=1e-6)


def test_of_overlapping_hard_terms_the_first_and_then_the_longest_is_taken(with_lexicon):
    nlp = with_lexicon([("a", "Y"), ("a b", "X"), ("b c d", "Y"), ("d", "X")], "hard")
    entities = found(nlp("a b c d"))
    assert ("a b", "X") in entities and ("d", "X") in entities


def test_a_hard_term_without_a_label_is_an_entity_of_any(with_lexicon):
    nlp = with_lexicon([("b c", "")], "hard")
    expected = shares(nlp, "a b c d", holds_second_and_third)
    doc = nlp("a b c d")
    assert {(e.start, e.end, e.label_) for e in doc.ents} == max(expected, key=expected.get)


def test_a_hard_term_with_two_labels_is_one_of_them(with_lexicon):
    nlp = with_lexicon([("b c", "X"), ("b c", "Y"), ("d", "OTHER")], "hard")
    assert {label for text, label in found(nlp("a b c d")) if text == "b c"} <= {"X", "Y"}
    assert any(text == "b c" for text, _ in found(nlp("a b c d")))


def test_entities_and_blocks_set_before_win_over_hard_terms(with_lexicon):
    nlp = with_lexicon([("b c", "Y"), ("d", "Y")], "hard")
    doc = nlp.make_doc("a b c d")
    doc.set_ents([Span(doc, 0, 2, label="X")], blocked=[doc[3:4]], default="missing")
    assert found(nlp(doc))[0] == ("a b", "X")
    assert not any(ent.label_ == "Y" and ent.text in ("b c", "d") for ent in doc.ents)


def test_a_hard_term_longer_than_the_longest_entity_is_left(with_lexicon):
    nlp = with_lexicon([("a b c", "Y"), ("d", "Y")], "hard")
    ner = nlp.get_pipe("ner")
    ner.constraints = ner.constraints._replace(max_entity_length=2)
    try:
        assert ("d", "Y") in found(nlp("a b c d"))
        assert all(len(ent) <= 2 for ent in nlp("a b c d").ents)
    finally:
        ner.constraints = ner.constraints._replace(max_entity_length=None)


def test_off_leaves_everything_as_it_was(with_lexicon, uncertain: Language):
    before = [(ent.text, ent.label_, ent._.prob) for ent in uncertain("a b c d").ents]
    nlp = with_lexicon([("b c", "Y")], "off", 100.0)
    assert [(ent.text, ent.label_, ent._.prob) for ent in nlp("a b c d").ents] == before


def test_terms_are_read_at_initialization_and_saved_with_the_pipeline(tmp_path: Path):
    file = tmp_path / "terms.tsv"
    file.write_text("London\tLOC\nShaka Khan\tPERSON\n", encoding="utf-8")
    nlp = blank_pipeline(lexicon_mode="hard")
    nlp.config["initialize"]["components"]["ner"] = {"lexicon": str(file)}
    nlp.initialize(lambda: make_examples(nlp))
    expected = [("Shaka Khan", "PERSON"), ("London", "LOC")]
    assert found(nlp("shaka khan sees London .")) == [("shaka khan", "PERSON"), expected[1]]
    nlp.to_disk(tmp_path / "saved")
    file.unlink()
    loaded = load_model_from_path(tmp_path / "saved")
    assert found(loaded("Shaka Khan sees London .")) == expected
    assert len(loaded.get_pipe("ner").lexicon) == 2
    again = blank_pipeline(lexicon_mode="hard").from_bytes(nlp.to_bytes())
    assert found(again("Shaka Khan sees London .")) == expected


def test_a_bad_line_stops_the_initialization(tmp_path: Path):
    file = tmp_path / "terms.tsv"
    file.write_text("London\tLOC\n\tLOC\n", encoding="utf-8")
    nlp = blank_pipeline()
    nlp.config["initialize"]["components"]["ner"] = {"lexicon": str(file)}
    with pytest.raises(ValueError, match=r"terms\.tsv:2"):
        nlp.initialize(lambda: make_examples(nlp))


def test_terms_of_labels_that_are_not_known_have_a_warning(with_lexicon):
    nlp = with_lexicon([("b c", "NOPE"), ("d", "Y")], "hard")
    with pytest.warns(UserWarning, match="terms labelled NOPE, which the component does not know"):
        assert ("d", "Y") in found(nlp("a b c d"))


def test_a_missing_file_is_named_with_its_setting(tmp_path: Path):
    nlp = blank_pipeline()
    nlp.config["initialize"]["components"]["ner"] = {"lexicon": str(tmp_path / "no.tsv")}
    with pytest.raises(
        FileNotFoundError, match=r"\[initialize.components.ner\] lexicon = .*no.tsv"
    ):
        nlp.initialize(lambda: make_examples(nlp))


@pytest.mark.parametrize("wrong", ["terms.tsv", {"London": ["LOC"]}])
def test_what_is_no_lexicon_is_refused(uncertain: Language, wrong):
    with pytest.raises(TypeError, match=r"must be a spacy_mamba_crf\.lexicon\.Lexicon or None"):
        uncertain.get_pipe("ner").lexicon = wrong


def test_a_weight_that_is_no_number_is_refused(uncertain: Language):
    ner = uncertain.get_pipe("ner")
    with pytest.raises(ValueError, match="lexicon_weight = inf must be a finite number"):
        ner.lexicon_weight = float("inf")
    assert ner.lexicon_weight == 1.0


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match=r"\[components.ner\] lexicon_mode = 'firm' is unknown"):
        blank_pipeline(lexicon_mode="firm")
