"""Which sub-words make up a token, and how a tokenizer is found."""

import shutil
from pathlib import Path

import pytest
from tiny_mamba import VOCABULARY, byte_level_bpe, make_checkpoints, make_docs, overlapping
from tokenizers import Tokenizer, models

from spacy_mamba_crf.files import write_text
from spacy_mamba_crf.layers.subwords import cut, read_tokenizer


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return make_checkpoints(tmp_path_factory.mktemp("checkpoints"))["mamba1"]


@pytest.mark.parametrize("spaces", [True, False])
def test_each_token_gets_the_subwords_that_share_a_character_with_it(spaces):
    tokenizer, docs = byte_level_bpe(), make_docs(spaces=spaces)
    subwords = cut(docs, tokenizer.to_str())
    pairs = subwords.pairs("mean")
    tokens = shift = 0
    for doc in docs:
        found = tokenizer.encode(doc.text)
        for expected in overlapping(doc, found.offsets):
            mine = pairs.subwords[pairs.tokens == tokens] - shift
            assert mine.tolist() == expected
            assert pairs.weights[pairs.tokens == tokens].sum() == pytest.approx(
                float(bool(expected))
            )
            tokens += 1
        shift += len(found.ids)
    assert len(subwords.ids) == shift


def test_a_rare_character_is_several_subwords_and_a_subword_may_span_tokens():
    subwords = cut(make_docs([["龘"], ["like", "l", "i", "ke"]]), byte_level_bpe().to_str())
    pairs = subwords.pairs("mean")
    assert (pairs.tokens == 0).sum() == 3  # its bytes in UTF-8
    assert len(set(pairs.subwords[pairs.tokens == 0])) == 3
    words = Tokenizer(models.WordLevel({"like": 0}))
    shared = cut(make_docs([["l", "i", "ke"]]), words.to_str()).pairs("mean")
    assert (shared.subwords.tolist(), shared.tokens.tolist()) == ([0, 0, 0], [0, 1, 2])


def without_tokenizer(checkpoint: Path, folder: Path) -> Path:
    shutil.copytree(checkpoint, folder)
    (folder / "tokenizer.json").unlink()
    return folder


def test_a_missing_or_broken_tokenizer_is_named(checkpoint, tmp_path):
    bare = without_tokenizer(checkpoint, tmp_path / "bare")
    with pytest.raises(ValueError, match=r"has no tokenizer\.json.*GPT-NeoX"):
        read_tokenizer(bare, None, VOCABULARY)
    with pytest.raises(ValueError, match=r"`tokenizer` is .*there is no file .*bare"):
        read_tokenizer(bare, str(bare), VOCABULARY)
    write_text(bare / "tokenizer.json", "{}")
    with pytest.raises(ValueError, match=r"tokenizer\.json cannot be read"):
        read_tokenizer(bare, None, VOCABULARY)


def test_a_tokenizer_with_more_subwords_than_the_embedding_has_rows_is_refused(
    checkpoint, tmp_path
):
    tokenizer = byte_level_bpe()
    tokenizer.add_tokens([f"word{i}" for i in range(9)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    size = tokenizer.get_vocab_size()
    with pytest.raises(ValueError, match=rf"has {size} sub-words, .* embeds {VOCABULARY}"):
        read_tokenizer(checkpoint, str(tmp_path), VOCABULARY)
