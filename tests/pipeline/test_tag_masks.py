"""What docs admit at each token: of several docs at once, and of each alone."""

import numpy as np
import pytest
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from spacy_mamba_crf.pipeline.tag_masks import decoding_mask
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
