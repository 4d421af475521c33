"""Taking entities away: which ones go, and what becomes of their tokens."""

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin, Span

from spacy_mamba_crf.corpora.partial import MARKS, drop_entities

VOCAB = spacy.blank("zh").vocab
OUTSIDE, MISSING = 2, 0  # spaCy's ENT_IOB; 3 opens an entity, 1 continues it

Entity = tuple[int, int, str]


def make_doc(length: int, entities: list[Entity]) -> Doc:
    doc = Doc(VOCAB, words=["字"] * length, spaces=[False] * length)
    doc.set_ents([Span(doc, *entity) for entity in entities], default="outside")
    return doc


def entities_of(doc: Doc) -> list[Entity]:
    return [(ent.start, ent.end, ent.label_) for ent in doc.ents]


def ent_iob(doc: Doc) -> list[int]:
    return [token.ent_iob for token in doc]


@st.composite
def annotated_docs(draw: st.DrawFn) -> Doc:
    """A doc whose spans, between random edges, have a label or none."""
    length = draw(st.integers(0, 12))
    edges = sorted(draw(st.sets(st.integers(0, length))))
    labels = [draw(st.sampled_from(["DISE", "BODY", ""])) for _ in edges[1:]]
    spans = zip(edges, edges[1:], labels)
    return make_doc(length, [span for span in spans if span[2]])


@settings(deadline=None)
@given(st.lists(annotated_docs(), max_size=4), st.floats(0, 1), st.integers(0, 3))
def test_every_mark_keeps_the_same_entities_and_marks_exactly_the_rest(docs, share, seed):
    before = [doc.to_bytes() for doc in docs]
    left = {mark: list(drop_entities(docs, share, mark, seed)) for mark in MARKS}
    assert [doc.to_bytes() for doc in docs] == before
    for doc, *copies in zip(docs, *(left[mark] for mark in MARKS)):
        kept = entities_of(copies[0])
        assert set(kept) <= set(entities_of(doc))
        own = dict(zip(MARKS, copies))
        assert all(entities_of(copy) == kept for copy in copies)
        dropped = set(entities_of(doc)) - set(kept)
        inside = {token for start, end, _ in kept for token in range(start, end)}
        gone = {token for start, end, _ in dropped for token in range(start, end)}
        for token in range(len(doc)):
            found = {mark: own[mark][token].ent_iob for mark in MARKS}
            if token in inside:
                iob = doc[token].ent_iob
                assert found == {"missing": iob, "outside": iob, "unknown": iob}
            else:
                missing = MISSING if token in gone else OUTSIDE
                assert found == {"missing": missing, "outside": OUTSIDE, "unknown": MISSING}


@pytest.mark.parametrize(
    ("mark", "expected"),
    [("missing", [2, 0, 0, 2, 0]), ("outside", [2, 2, 2, 2, 2]), ("unknown", [0, 0, 0, 0, 0])],
)
def test_a_share_of_one_leaves_no_entity_and_the_marks_only(mark: str, expected: list[int]):
    (copy,) = drop_entities([make_doc(5, [(1, 3, "DISE"), (4, 5, "BODY")])], 1.0, mark)
    assert entities_of(copy) == []
    assert ent_iob(copy) == expected


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_about_the_asked_share_goes(share: float):
    docs = [make_doc(20, [(i, i + 1, "DISE") for i in range(20)]) for _ in range(100)]
    left = sum(len(doc.ents) for doc in drop_entities(docs, share, "outside"))
    # of 2,000 entities: 5 standard deviations of the binomial distribution
    assert left == pytest.approx(2000 * (1 - share), abs=5 * (2000 * share * (1 - share)) ** 0.5)


def test_another_seed_drops_other_entities_and_the_same_seed_the_same():
    docs = [make_doc(40, [(i, i + 1, "DISE") for i in range(40)])]
    first, again, other = (
        entities_of(next(iter(drop_entities(docs, 0.5, "missing", seed)))) for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize("mark", MARKS)
def test_the_marks_and_the_genre_survive_a_file(mark: str):
    doc = make_doc(6, [(0, 2, "DISE"), (2, 3, "BODY"), (4, 6, "DISE")])
    doc.user_data["genre"] = "ft"
    left = list(drop_entities([doc] * 8, 0.5, mark))
    data = DocBin(docs=left, store_user_data=True).to_bytes()
    read = list(DocBin().from_bytes(data).get_docs(spacy.blank("zh").vocab))
    assert [ent_iob(doc) for doc in read] == [ent_iob(doc) for doc in left]
    assert [entities_of(doc) for doc in read] == [entities_of(doc) for doc in left]
    assert {doc.user_data["genre"] for doc in read} == {"ft"}


def test_an_unknown_mark_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match="mark is 'gone'; choose one of missing, outside, unknown"):
        list(drop_entities([], 0.5, "gone"))


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_of_0_to_1_is_refused(share: float):
    with pytest.raises(ValueError, match=rf"share of dropped entities is {share}; it must be in"):
        list(drop_entities([], share, "outside"))
