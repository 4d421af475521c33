"""CharNgramEmbed.v2: forms of a character that count as one, in every table."""

import numpy as np
import opencc
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc
from thinc.api import fix_random_seed, get_current_ops

from spacy_mamba_crf.architectures import CharNgramEmbed, CharNgramEmbedFolded
from spacy_mamba_crf.layers.chinese_script import radical, simplified
from spacy_mamba_crf.layers.token_keys import Folding, TokenBatch
from spacy_mamba_crf.pretraining.masking import MASK

VOCAB = spacy.blank("zh").vocab
TRADITIONAL = "頭髮乾燥，請檢查臺灣與台灣的藥物著色"


def vectors(embed, *texts: str | list[str]) -> list[np.ndarray]:
    docs = [Doc(VOCAB, words=list(text)) for text in texts]
    return embed.predict(docs)


def embedder(make=CharNgramEmbedFolded, **options):
    fix_random_seed(0)
    embed = make(8, [50, 50, 50], edge_rows=50, **options)
    embed.initialize()
    return embed


def test_each_traditional_character_is_read_as_the_simplified_one():
    assert simplified(TRADITIONAL) == "头发干燥，请检查台湾与台湾的药物着色"


@pytest.mark.parametrize(
    ["characters", "name"],
    [
        ("病癌痛", "⽧"),
        ("說说讠", "⾔"),
        ("肺脉肉", "⾁"),
        ("鐘钟", "⾦"),
        ("一丁", "⼀"),
        ("龠", "⿕"),
    ],
)
def test_characters_have_their_radicals(characters, name):
    assert {radical(own) for own in characters} == {ord(name) - 0x2F00 + 1}


@pytest.mark.parametrize("text", ["", "a", "１", "ㄅ", "。", "\U00020000", "\u3400"])
def test_what_is_no_common_ideograph_has_no_radical(text):
    assert radical(text) == 0


def test_a_negative_table_of_radicals_is_refused():
    with pytest.raises(ValueError, match="radical_rows = -1 must be 0 or more"):
        CharNgramEmbedFolded(8, radical_rows=-1)


def test_kernels_and_layers_agree_on_radicals():
    embed = embedder(radical_rows=50)
    docs = [Doc(VOCAB, words=list(text)) for text in ("高血壓abc🙂的病人", "", "痛")]
    together = embed.layers[0].predict(TokenBatch(docs, "NORM", Folding(width=True, edges=True)))
    np.testing.assert_allclose(np.concatenate(embed.predict(docs)), together, atol=1e-5)


def test_tokens_with_the_same_radicals_share_what_radicals_give():
    embed = embedder(radical_rows=50)
    for node in embed.walk():
        if node.name == "hashed_rows" and node.get_dim("nV") == 50 and node.attrs["seed"] != 4:
            node.set_param("E", node.get_param("E") * 0)
    first, second, other = vectors(embed, ["痛", "痛苦"], ["病", "病艾"], ["血", "苦痛"])
    np.testing.assert_array_equal(first, second)
    assert not np.isclose(first, other).all(axis=1).any()


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x9FFF), max_size=40))
def test_a_text_keeps_its_length_and_folding_twice_changes_nothing(text):
    folded = simplified(text)
    assert len(folded) == len(text)
    assert simplified(folded) == folded


@pytest.mark.parametrize("config", ["t2s", "tw2s"])
def test_both_scripts_get_the_same_vectors(config):
    """As OpenCC converts whole texts, which it does by words, not only by characters."""
    embed = embedder(fold_script=True)
    other = opencc.OpenCC(config).convert(TRADITIONAL[:-2])
    assert other != TRADITIONAL[:-2]
    traditional, converted = vectors(embed, TRADITIONAL[:-2], other)
    np.testing.assert_array_equal(traditional, converted)


def test_all_emoji_get_the_same_vectors():
    embed = embedder(fold_emoji=True)
    first, second, digits = vectors(embed, "痛🙂！", "痛💊！", "痛1！")
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, digits)
    parts = vectors(embed, ["👩", "\u200d", "⚕", "\ufe0f"], "🙂🙂🙂🙂")
    np.testing.assert_array_equal(*parts)
    assert not np.allclose(*vectors(embedder(), "痛🙂", "痛💊"))


@pytest.mark.parametrize("text", ["C℃®©™①→々〇、，。Ａα", TRADITIONAL, ["क्\u200dष"]])
def test_what_is_no_emoji_is_left_alone(text):
    np.testing.assert_array_equal(
        *(vectors(embedder(fold_emoji=own), text)[0] for own in (True, False))
    )


@pytest.mark.parametrize("emoji", ["⏰", "⏳", "▶", "★", "👩\u200d⚕\ufe0f", "😀😀", "🇹🇼"])
def test_each_pictograph_is_an_emoji_whatever_its_parts(emoji):
    np.testing.assert_array_equal(*vectors(embedder(fold_emoji=True), ["痛", emoji], ["痛", "🙂"]))


def test_without_fold_script_the_scripts_stay_apart():
    traditional, converted = vectors(embedder(), "頭髮", "头发")
    assert not np.allclose(traditional, converted)


@pytest.mark.parametrize(
    ["wide", "plain"], [("ＣＴ１２", "CT12"), ("（ａ）", "(a)"), ("％", "%"), ("Ａ", "A")]
)
def test_full_width_forms_get_the_vectors_of_plain_ones(wide, plain):
    embed = embedder()
    np.testing.assert_array_equal(*vectors(embed, wide, plain))
    np.testing.assert_array_equal(*vectors(embed, [wide], [plain]))


def test_in_v1_edges_and_shapes_are_not_folded():
    wide, plain = vectors(embedder(CharNgramEmbed), "１", "1")
    assert not np.allclose(wide, plain)


def test_width_can_be_left_alone():
    wide, plain = vectors(embedder(fold_width=False), "Ａ", "A")
    assert not np.allclose(wide, plain)


def test_a_plain_text_has_the_same_vectors_in_both_versions():
    text = "血壓高 CT 12"
    np.testing.assert_array_equal(
        *(vectors(embedder(make), text)[0] for make in (CharNgramEmbed, CharNgramEmbedFolded))
    )


def test_the_docs_stay_as_they_are():
    doc = Doc(VOCAB, words=list("頭髮ＣＴ"))
    embedder(fold_script=True).predict([doc])
    assert doc.text.replace(" ", "") == "頭髮ＣＴ"


def test_a_saved_embedding_folds_as_before():
    embed = embedder(fold_script=True)
    loaded = CharNgramEmbedFolded(8, [50, 50, 50], edge_rows=50, fold_script=True)
    loaded.from_bytes(embed.to_bytes())
    np.testing.assert_array_equal(vectors(loaded, "头发")[0], vectors(embed, "頭髮")[0])


@pytest.mark.parametrize("mask_rate", [0.0, 0.4])
def test_hidden_tokens_hide_from_their_neighbours_in_training_only(mask_rate):
    embed = embedder(mask_rate=mask_rate)
    doc = Doc(VOCAB, words=list("血壓高" * 200))
    np.random.seed(0)
    (seen,), _ = embed([doc], is_train=True)
    (expected,) = embed.predict([doc])
    changed = (np.abs(seen - expected) > 1e-6).any(axis=1).mean()
    # A token stays as it is if none of five, two at each side and itself, is hidden: 0.6 ** 5.
    assert changed == pytest.approx(1 - (1 - mask_rate) ** 5, abs=0.03)


def test_hidden_tokens_are_as_in_a_doc_with_masks():
    """The masks of pretraining. Two docs, so that places are counted over both."""
    embed = embedder(mask_rate=0.5)
    docs = [Doc(VOCAB, words=list("血壓高達 180 mmHg")), Doc(VOCAB, words=list("頭痛ＣＴ"))]
    np.random.seed(3)
    hidden = np.random.uniform(size=sum(map(len, docs))) < 0.5
    assert 0 < hidden.sum() < len(hidden)
    words = [token.text for doc in docs for token in doc]
    masked = [MASK if hide else word for word, hide in zip(words, hidden)]
    np.random.seed(3)
    seen, _ = embed(docs, is_train=True)
    expected = vectors(embed, masked[: len(docs[0])], masked[len(docs[0]) :])
    for own, other in zip(seen, expected):
        np.testing.assert_array_equal(own, other)


def test_hiding_leaves_the_norms_of_a_docs_own_tokens():
    embed = embedder(mask_rate=1e-9)
    doc = Doc(VOCAB, words=["cannot"])
    doc[0].norm_ = "can"
    (seen,), _ = embed([doc], is_train=True)
    np.testing.assert_array_equal(seen, embed.predict([doc])[0])


def test_kernels_and_layers_fold_alike():
    embed = embedder(fold_script=True)
    docs = [Doc(VOCAB, words=list("頭髮ＣＴ")), Doc(VOCAB, words=list("头发CT"))]
    fast = np.concatenate(embed.predict(docs))
    from spacy_mamba_crf.layers.char_ngrams import _batch

    slow = embed.layers[0].predict(_batch(embed, docs))
    np.testing.assert_allclose(fast, get_current_ops().to_numpy(slow), atol=1e-6)
