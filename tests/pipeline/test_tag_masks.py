"""What docs admit at each token: of several docs at once, and of each alone."""

import numpy as np
import pytest
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_mamba_crf.pipeline.tag_masks import decoding_mask, target_mask
from spacy_mamba_crf.pytorch.schemes import TagSet

WORDS = [["a", "b", "c", "d"], [], ["\n", "a", " "], ["a"], ["a", "b", "c"]]


@pytest.fixture
def docs() -> list[Doc]:
    """One with an entity, one empty, one with white space, one plain, one with blocked tokens."""
    vocab = Vocab()
    made = [Doc(vocab, words=words) for words in WORDS]
    made[0].set_ents([Span(made[0], 1, 3, label="X")], default="missing")
    made[4].set_ents([], blocked=[made[4][1:2]], default="missing")
    return made


def offsets_of(docs: list[Doc]) -> np.ndarray:
    return np.cumsum([0, *map(len, docs)])


@pytest.mark.parametrize("scheme", ["BIO", "BIOES"])
@pytest.mark.parametrize("constrained", [True, False])
def test_the_mask_of_several_docs_is_that_of_each_alone(docs, scheme, constrained):
    tagset = TagSet(scheme, ("X", "Y"))
    together = decoding_mask(docs, offsets_of(docs), tagset, constrained)
    alone = []
    for doc in docs:
        mask = decoding_mask([doc], offsets_of([doc]), tagset, constrained)
        alone.append(np.ones((len(doc), len(tagset)), dtype=bool) if mask is None else mask)
    np.testing.assert_array_equal(together, np.concatenate(alone))


def test_docs_that_admit_everything_need_no_mask(docs):
    plain = [docs[3], docs[1]]
    assert decoding_mask(plain, offsets_of(plain), TagSet("BIO", ("X",)), True) is None


def annotated(vocab: Vocab, words: list[str], **ents) -> Doc:
    """A doc whose tokens 1 and 2 are an entity if a label is given."""
    doc = Doc(vocab, words=words, spaces=[False] * len(words))
    spans = [Span(doc, 1, 3, label=ents["label"])] if "label" in ents else []
    blocked = [doc[start : start + 1] for start in ents.get("blocked", [])]
    outside = [doc[start : start + 1] for start in ents.get("outside", [])]
    default = ents.get("default", "missing")
    doc.set_ents(spans, blocked=blocked, outside=outside, default=default)
    return doc


@pytest.mark.parametrize("predicted", [["a", "b", " ", "c", "\n", "d"], ["ab", " ", "c", "\nd"]])
@pytest.mark.parametrize(
    "annotation",
    [
        {},
        {"default": "outside"},
        {"label": "X"},
        {"label": "X", "default": "outside"},
        {"label": "UNKNOWN", "outside": [5]},
        {"blocked": [0, 4], "outside": [3]},
    ],
)
def test_the_target_has_o_where_spacy_aligns_o_and_entities_where_it_aligns_them(
    predicted, annotation
):
    vocab, tagset = Vocab(), TagSet("BIO", ("X",))
    reference = annotated(vocab, ["a", "b", " ", "c", "\n", "d"], **annotation)
    doc = Doc(vocab, words=predicted, spaces=[False] * len(predicted))
    target = target_mask(Example(doc, reference), tagset)
    names = {"O": "O", "B-X": "B-X", "I-X": "I-X", "L-X": "I-X", "U-X": "B-X"}
    aligned = Example(doc, reference).get_aligned_ner()
    for i, (admitted, tag) in enumerate(zip(target, aligned)):
        expected = {names[tag]} if tag in names else {"O", "B-X", "I-X"}
        if i and aligned[i - 1] in ("L-X", "U-X"):
            expected.discard("I-X")
        assert {name for name, may in zip(tagset.tags, admitted) if may} == expected
