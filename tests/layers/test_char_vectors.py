"""Words from characters as an `embed` layer: spelling, docs, updates, saving."""

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc
from thinc.api import Adam, Model, fix_random_seed, set_dropout_rate

from spacy_mamba_crf.architectures.characters import CharEncoder
from spacy_mamba_crf.layers.char_encoder import spell_words
from spacy_mamba_crf.pytorch.char_encoder import BEGIN, END, FIRST, KINDS

VOCAB = spacy.blank("en").vocab
WIDTH = 6


def make_doc(*words: str) -> Doc:
    return Doc(VOCAB, words=list(words))


def make_layer(kind: str, seed: int = 0, **settings) -> Model:
    fix_random_seed(seed)
    return CharEncoder(WIDTH, kind, **{"char_width": 5, "rows": 300, **settings})


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


DOCS = [
    make_doc("The", "walking", "x", "The"),
    make_doc(),
    make_doc("walking", "https://example.org/" + "a" * 5000),
    make_doc("血", "Ａ", "😀"),
]


def spelled(docs: list[Doc], attr="ORTH", max_length=64, rows=300) -> list[list[int]]:
    """The rows of each token's characters."""
    words = spell_words(docs, attr, max_length, rows)
    parts = np.split(words.characters, words.lengths.cumsum()[:-1])
    return [parts[i].tolist() for i in words.token_word]


def row(character: str, rows: int = 300) -> int:
    return FIRST + ord(character) % rows


def test_a_word_is_spelled_between_a_mark_of_its_beginning_and_one_of_its_end():
    assert spelled([make_doc("ab", "c", "ab")]) == [
        [BEGIN, row("a"), row("b"), END],
        [BEGIN, row("c"), END],
        [BEGIN, row("a"), row("b"), END],
    ]


def test_each_different_word_is_spelled_once_and_short_ones_come_first():
    words = spell_words([make_doc("aa", "b", "aa"), make_doc("b", "ccc")], "ORTH", 64, 300)
    assert words.lengths.tolist() == [3, 4, 5]
    assert words.token_word.tolist() == [1, 0, 1, 0, 2]


def test_of_a_long_word_the_first_and_the_last_characters_are_read():
    for max_length, read in [(5, "abchi"), (4, "abhi"), (1, "a"), (9, "abcdefghi")]:
        (found,) = spelled([make_doc("abcdefghi")], max_length=max_length)
        assert found == [BEGIN, *map(row, read), END]


def test_the_attribute_decides_what_is_spelled():
    doc = make_doc("Ab1")
    assert spelled([doc], attr="LOWER") == spelled([make_doc("ab1")])
    assert spelled([doc], attr="SHAPE") == spelled([make_doc("Xxd")])


def test_a_doc_has_the_same_vectors_alone_and_in_a_batch(kind):
    layer = make_layer(kind)
    together = layer.predict(DOCS)
    assert [Y.shape for Y in together] == [(len(doc), WIDTH) for doc in DOCS]
    for doc, Y in zip(DOCS, together):
        np.testing.assert_allclose(layer.predict([doc])[0], Y, atol=1e-6)


def test_equal_words_have_equal_vectors_and_others_do_not(kind):
    Y = make_layer(kind).predict(DOCS)
    np.testing.assert_array_equal(Y[0][0], Y[0][3])
    np.testing.assert_array_equal(Y[0][1], Y[2][0])
    assert not np.allclose(Y[0][0], Y[0][1])


def test_the_order_of_characters_matters(kind):
    forward, backward = make_layer(kind).predict([make_doc("abc", "cba")])[0]
    assert not np.allclose(forward, backward)


@pytest.mark.parametrize("docs", [[], [make_doc()], [make_doc(), make_doc()]], ids=len)
def test_a_batch_without_any_token_passes_both_ways(kind, docs):
    layer = make_layer(kind)
    Ys, backprop = layer.begin_update(docs)
    assert [Y.shape for Y in Ys] == [(0, WIDTH)] * len(docs)
    assert backprop(Ys) == []


def test_an_update_lowers_the_loss(kind):
    layer, optimizer = make_layer(kind), Adam(0.01)

    def energy() -> float:
        return sum(float((Y**2).sum()) for Y in layer.predict(DOCS))

    before = energy()
    for _ in range(5):
        Ys, backprop = layer.begin_update(DOCS)
        backprop(Ys)
        layer.finish_update(optimizer)
    assert energy() < before


def test_thinc_sets_the_dropout_and_predicting_is_free_of_it(kind):
    layer = make_layer(kind)
    plain = np.concatenate(layer.predict(DOCS))
    set_dropout_rate(layer, 0.5)
    first, second = (np.concatenate(layer.begin_update(DOCS)[0]) for _ in range(2))
    assert not np.allclose(first, second)
    np.testing.assert_array_equal(np.concatenate(layer.predict(DOCS)), plain)


def test_bytes_of_one_layer_make_another_give_its_output(kind):
    layer, other = make_layer(kind), make_layer(kind, seed=1)
    expected = np.concatenate(layer.predict(DOCS))
    assert not np.allclose(np.concatenate(other.predict(DOCS)), expected)
    other.from_bytes(layer.to_bytes())
    np.testing.assert_array_equal(np.concatenate(other.predict(DOCS)), expected)


@pytest.mark.parametrize(
    ["settings", "message"],
    [
        ({"kind": "rnn"}, "kind = 'rnn' is unknown; choose one of cnn, lstm, gru"),
        ({"attr": "TEXT"}, "attr = 'TEXT' is unknown; choose one of ORTH"),
        ({"window_size": 4}, "window_size = 4 is even"),
        ({"kind": "gru", "width": 5}, "width = 5 is odd"),
        ({"max_length": 0}, "max_length = 0 must be larger than 0"),
        ({"rows": -1}, "rows = -1 must be larger than 0"),
    ],
    ids=str,
)
def test_bad_settings_are_sentences_that_name_the_config_key(settings, message):
    with pytest.raises(ValueError, match=f"CharEncoder: {message}"):
        CharEncoder(**{"width": 6, **settings})
