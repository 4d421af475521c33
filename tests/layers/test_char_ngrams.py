"""Hashed character n-grams: which tokens share a key, borders, width folding, edges, gradient."""

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc
from thinc.api import Adam, Model, NumpyOps, fix_random_seed, get_current_ops

from spacy_mamba_crf.architectures import CharNgramEmbed
from spacy_mamba_crf.layers import token_keys
from spacy_mamba_crf.layers.char_ngrams import EdgeKeys, HashedRows, NgramKeys
from spacy_mamba_crf.layers.token_keys import Folding, TokenBatch

VOCAB = spacy.blank("zh").vocab


def make_doc(text: str | list[str]) -> Doc:
    """Each character of a text, or each string of a list, is one token."""
    return Doc(VOCAB, words=list(text))


def ngram_keys(
    order: int, *docs: Doc, attr: str = "NORM", fold_width: bool = False
) -> list[list[int]]:
    return (
        NgramKeys(order).predict(TokenBatch(list(docs), attr, Folding(width=fold_width))).tolist()
    )


def edge_keys(*words: str, attr: str = "NORM") -> list[list[int]]:
    return EdgeKeys().predict(TokenBatch([make_doc(list(words))], attr)).tolist()


@pytest.mark.parametrize(["order", "n_keys"], [(1, 1), (2, 2), (3, 3)])
def test_a_token_has_one_key_for_each_ngram_that_it_is_part_of(order, n_keys):
    docs = [make_doc("血壓高"), make_doc("痛")]
    keys = NgramKeys(order).predict(TokenBatch(docs, "NORM"))
    assert keys.shape == (4, n_keys) and keys.dtype == "uint64"


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_same_surroundings_give_the_same_keys_wherever_they_stand(order):
    keys = ngram_keys(order, make_doc("與高血壓與高血壓與"))
    # 血 stands at 2 and 6, with the same two characters before and after it.
    assert keys[2] == keys[6]


def test_a_unigram_looks_at_no_neighbour():
    keys = ngram_keys(1, make_doc("血壓血"), make_doc("血"))
    assert keys[0] == keys[2] == keys[3] != keys[1]


def test_bigram_keys_are_one_of_the_left_and_one_of_the_right_neighbour():
    keys = ngram_keys(2, make_doc("甲乙丙"), make_doc("甲乙丁"), make_doc("戊乙丙"))
    middle, other_right, other_left = keys[1], keys[4], keys[7]
    assert middle[0] == other_right[0] and middle[1] != other_right[1]
    assert middle[0] != other_left[0] and middle[1] == other_left[1]


def test_left_and_right_neighbours_are_told_apart():
    """In 甲乙, 甲 has the bigram on its right, 乙 the same bigram on its left."""
    keys = ngram_keys(2, make_doc("甲乙"))
    assert keys[0][1] != keys[1][0]
    mirrored = ngram_keys(2, make_doc("甲乙甲"))
    assert mirrored[1][0] != mirrored[1][1]


def test_trigram_keys_are_before_around_and_after():
    base = ngram_keys(3, make_doc("甲乙丙丁戊"))[2]
    # (the place that changes, which of the windows [-2, 0], [-1, 1], [0, 2] contain it)
    for place, seen in [(0, [0]), (1, [0, 1]), (3, [1, 2]), (4, [2])]:
        changed = list("甲乙丙丁戊")
        changed[place] = "子"
        keys = ngram_keys(3, make_doc(changed))[2]
        assert [i for i in range(3) if keys[i] != base[i]] == seen


def test_the_order_of_the_characters_in_an_ngram_matters():
    forward, backward = ngram_keys(3, make_doc("甲乙丙")), ngram_keys(3, make_doc("丙乙甲"))
    assert forward[1][1] != backward[1][1]


def test_no_two_of_many_ngrams_share_a_key():
    generator = np.random.default_rng(0)
    text = "".join(chr(0x4E00 + n) for n in generator.integers(0, 3000, 4000))
    columns = np.array(ngram_keys(3, make_doc(text)), dtype="uint64")
    padded = f"  {text}  "
    for column, window in zip(columns.T, (0, 1, 2)):
        ngrams = {padded[i + window : i + window + 3] for i in range(len(text))}
        assert len(np.unique(column)) == len(ngrams)


@pytest.mark.parametrize("order", [2, 3])
def test_keys_stop_at_the_borders_of_a_doc(order):
    alone = ngram_keys(order, make_doc("血壓"))
    batch = ngram_keys(order, make_doc("高"), make_doc("血壓"), make_doc(""), make_doc("低"))
    assert batch[1:3] == alone


def test_a_border_is_no_character():
    first = ngram_keys(2, make_doc("血"))[0]
    for text in ("高血", "血高", " 血", "血 "):
        keys = ngram_keys(2, make_doc(text))[text.index("血")]
        assert keys != first


def test_full_width_half_width_and_upper_case_forms_fold_together():
    keys = ngram_keys(2, *map(make_doc, ("ＣＴ", "CT", "ct")), fold_width=True)
    assert keys[0:2] == keys[2:4] == keys[4:6]


def test_without_folding_full_width_forms_stay_apart():
    keys = ngram_keys(1, make_doc("Ｃ"), make_doc("C"))
    assert keys[0] != keys[1]


def test_orth_keeps_upper_and_lower_case_apart():
    keys = ngram_keys(1, make_doc("C"), make_doc("c"), make_doc("Ｃ"), attr="ORTH", fold_width=True)
    assert keys[0] != keys[1]
    assert keys[0] == keys[2]


def test_edges_are_three_prefixes_three_suffixes_and_the_shape():
    walking, walked, talking = edge_keys("walking", "walked", "talking")
    assert len(walking) == 7
    # spaCy's shape is xxxx for each of them: it cuts runs longer than four.
    assert [a == b for a, b in zip(walking, walked)] == [True] * 3 + [False] * 3 + [True]
    assert [a == b for a, b in zip(walking, talking)] == [False] * 3 + [True] * 4


def test_the_shape_shows_the_case_that_norm_hides():
    title, upper, lower = edge_keys("Paris", "PARIS", "paris")
    assert title[:6] == upper[:6] == lower[:6]
    assert len({title[6], upper[6], lower[6]}) == 3


def test_a_prefix_is_not_taken_for_a_suffix():
    (key,) = edge_keys("a")
    assert (
        len(set(key)) == 3
    )  # the prefix, the suffix, the shape; a short word fills up with itself


def test_edge_keys_of_no_token_are_empty():
    for docs in ([make_doc("")], []):
        assert EdgeKeys().predict(TokenBatch(docs, "NORM")).shape == (0, 7)


@pytest.mark.parametrize("options", [{}, {"edge_rows": 40}, {"rows": [0, 30]}], ids=str)
def test_a_docs_vectors_do_not_depend_on_its_batch(options):
    embed = CharNgramEmbed(6, **options)
    docs = [make_doc("高血壓"), make_doc(""), make_doc("咳"), make_doc(["walking", "fast"])]
    embed.initialize(X=docs)
    together = embed.predict(docs)
    assert [Y.shape for Y in together] == [(3, 6), (0, 6), (1, 6), (2, 6)]
    for doc, Y in zip(docs, together):
        np.testing.assert_allclose(embed.predict([doc])[0], Y, rtol=1e-5, atol=1e-7)


def tables(embed: Model) -> list[Model]:
    return [node for node in embed.walk() if node.name == "hashed_rows"]


@pytest.mark.parametrize(
    ["rows", "edge_rows", "sizes"],
    [
        ([5, 6, 7], 0, [5, 6, 7]),
        ([5], 0, [5]),
        ([0, 6], 0, [6]),
        ([0, 0, 0], 8, [8]),
        ([], 8, [8]),
        ([5, 0, 7], 8, [5, 7, 8]),
    ],
)
def test_each_size_that_is_not_zero_makes_one_table(rows, edge_rows, sizes):
    embed = CharNgramEmbed(4, rows, edge_rows).initialize(X=[make_doc("痛")])
    assert [table.get_param("E").shape for table in tables(embed)] == [(n, 4) for n in sizes]
    assert embed.get_dim("nO") == 4


def test_the_output_is_the_sum_of_the_rows_that_the_keys_hash_to():
    layer = HashedRows(3, 11, seed=5).initialize()
    keys = np.array([[7, 8], [9, 7]], dtype="uint64")
    rows = get_current_ops().hash(keys.reshape(-1), 5) % 11  # thinc's four rows a key
    E = layer.get_param("E")
    expected = [E[rows[0]].sum(0) + E[rows[1]].sum(0), E[rows[2]].sum(0) + E[rows[3]].sum(0)]
    np.testing.assert_allclose(layer.predict(keys), expected, rtol=1e-5, atol=1e-6)


def test_the_gradient_of_every_table_is_the_finite_difference():
    """The output is linear in the tables, so the difference is exact at any step."""
    embed = CharNgramEmbed(4, [13, 17, 19], edge_rows=23)
    docs = [make_doc("高血壓"), make_doc(""), make_doc("血高血")]
    embed.initialize(X=docs)
    generator = np.random.default_rng(0)
    Ys, backprop = embed.begin_update(docs)
    weights = [generator.standard_normal(Y.shape).astype("float32") for Y in Ys]
    backprop(weights)
    for table in tables(embed):
        E, dE = table.get_param("E").copy(), table.get_grad("E")
        step = generator.standard_normal(E.shape).astype("float32")
        losses = []
        for sign in (1, -1):
            table.set_param("E", E + sign * step)
            losses.append(sum(float((Y * W).sum()) for Y, W in zip(embed.predict(docs), weights)))
        table.set_param("E", E)
        assert (losses[0] - losses[1]) / 2 == pytest.approx(float((dE * step).sum()), rel=1e-3)


def test_an_update_moves_the_rows_of_the_tokens_seen_only():
    embed = CharNgramEmbed(4, [1000])
    seen, unseen = make_doc("痛"), make_doc("癢")
    embed.initialize(X=[seen])
    before = embed.predict([seen, unseen])
    Ys, backprop = embed.begin_update([seen])
    backprop([np.ones_like(Y) for Y in Ys])
    embed.finish_update(Adam(0.1, L2=0.0))
    after = embed.predict([seen, unseen])
    assert (after[0] < before[0]).all()
    np.testing.assert_array_equal(after[1], before[1])


def test_the_gradients_of_two_batches_add_up():
    embed = CharNgramEmbed(4, [13, 17, 19], edge_rows=23).initialize()
    docs = [make_doc("高血壓")], [make_doc("頭痛"), make_doc("痛")]
    gradients = [gradient_of_batches(embed, batches) for batches in ([docs[0]], [docs[1]], docs)]
    for first, second, both in zip(*gradients):
        np.testing.assert_allclose(both, first + second, rtol=1e-5, atol=1e-6)


def gradient_of_batches(embed: Model, batches) -> list[np.ndarray]:
    """The gradient of each table when every output of these batches has the gradient 1."""
    for table in tables(embed):
        table.set_grad("E", np.zeros_like(table.get_param("E")))
    for docs in batches:
        Ys, backprop = embed.begin_update(docs)
        backprop([np.ones_like(Y) for Y in Ys])
    return [table.get_grad("E").copy() for table in tables(embed)]


MIXED_DOCS = [
    make_doc("高血壓，高血糖"),
    make_doc(""),
    make_doc(["Walking", "walking", "ＣＴ", "CT"]),
    make_doc("咳"),
]
TABLES = pytest.mark.parametrize(
    "options",
    [
        {"rows": [11, 13, 17], "edge_rows": 19, "ngram_dropout": 0.5},
        {"rows": [0, 13, 0]},
        {"rows": [], "edge_rows": 19},
        {"rows": [11], "attr": "ORTH", "fold_width": False},
    ],
    ids=str,
)


@TABLES
@pytest.mark.parametrize("width", [1, 6, 33])
@pytest.mark.parametrize("docs", [MIXED_DOCS, [make_doc("")], []], ids=["mixed", "empty", "none"])
def test_the_kernels_give_what_the_layers_give(options, width, docs):
    embed = CharNgramEmbed(width, **options).initialize()
    tokens = TokenBatch(docs, embed.attrs["attr"], Folding(embed.attrs["fold_width"]))
    expected = embed.layers[0].predict(tokens)
    found = embed.predict(docs)
    assert [len(Y) for Y in found] == [len(doc) for doc in docs]
    np.testing.assert_allclose(
        np.concatenate([np.zeros((0, width)), *found]), expected, rtol=1e-5, atol=1e-6
    )


@TABLES
def test_the_kernels_learn_what_the_layers_learn(options):
    """With the same tokens dropped, the same output and the same gradient of each table."""
    embed = CharNgramEmbed(6, **options).initialize()
    layers = embed.layers[0].copy()
    tokens = TokenBatch(MIXED_DOCS, embed.attrs["attr"], Folding(embed.attrs["fold_width"]))
    dY = np.random.default_rng(0).standard_normal((len(tokens), 6)).astype("float32")
    fix_random_seed(3)
    expected, backprop = layers.begin_update(tokens)
    backprop(dY)
    fix_random_seed(3)
    found, backprop = embed.begin_update(MIXED_DOCS)
    backprop(np.split(dY, np.cumsum(tokens.lengths)[:-1]))
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(tables(embed), tables(layers)):
        np.testing.assert_allclose(ours.get_grad("E"), theirs.get_grad("E"), rtol=1e-5, atol=1e-6)


def test_a_batch_in_many_blocks_gives_what_it_gives_in_one(monkeypatch):
    embed = CharNgramEmbed(6, [11, 13, 17], edge_rows=19).initialize()
    expected = embed.predict(MIXED_DOCS)
    gradients = gradient_of_batches(embed, [MIXED_DOCS])
    monkeypatch.setattr(token_keys, "_BLOCK", 4)
    assert len(TokenBatch(MIXED_DOCS, "NORM", Folding(width=True)).blocks) == 3
    for found, Y in zip(embed.predict(MIXED_DOCS), expected):
        np.testing.assert_allclose(found, Y, rtol=1e-5, atol=1e-6)
    for found, dE in zip(gradient_of_batches(embed, [MIXED_DOCS]), gradients):
        np.testing.assert_allclose(found, dE, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", [0, 3, 2**32 - 1])
@pytest.mark.parametrize("size", [1, 20000, 2**31 + 11])
def test_a_key_has_the_rows_that_thincs_hash_gives(seed, size):
    from spacy_mamba_crf.pytorch.hashed_rows import hash_rows

    keys = np.random.default_rng(1).integers(0, 2**64, (500, 2), dtype="uint64")
    keys[0] = 0, 2**64 - 1
    expected = NumpyOps().hash(keys.reshape(-1), seed) % size
    np.testing.assert_array_equal(hash_rows(keys, seed, size), expected.reshape(500, 8))


def test_a_string_is_folded_the_same_when_it_is_met_again():
    first, again = (ngram_keys(1, make_doc("ＣＴ血"), fold_width=True) for _ in range(2))
    assert first == again == ngram_keys(1, make_doc("CT血"))


def test_a_saved_embedding_is_read_into_one_that_was_never_initialized():
    docs = [make_doc("高血壓")]
    embed = CharNgramEmbed(4, [50, 60], edge_rows=70).initialize(X=docs)
    other = CharNgramEmbed(4, [50, 60], edge_rows=70).from_bytes(embed.to_bytes())
    np.testing.assert_array_equal(other.predict(docs)[0], embed.predict(docs)[0])


def test_a_pipeline_saved_before_the_keys_were_shared_loads_and_gives_the_same():
    """thinc reads the nodes in the order of `walk`: these, with attr held by the layers of keys."""
    embed = CharNgramEmbed(4, [5, 6, 7], edge_rows=8).initialize()
    chains = ["ngram_keys>>hashed_rows"] * 3 + ["edge_keys>>hashed_rows"]
    leaves = ["ngram_keys", "hashed_rows"] * 3 + ["edge_keys", "hashed_rows"]
    message = embed.to_dict()
    assert [node["name"] for node in message["nodes"]] == ["split_by_doc", "add", *chains, *leaves]
    settings = message["attrs"][0]
    for node, attrs in zip(message["nodes"], message["attrs"]):
        if node["name"] in ("ngram_keys", "edge_keys"):
            attrs.update(settings)
    message["attrs"][0] = {}
    other = CharNgramEmbed(4, [5, 6, 7], edge_rows=8).from_dict(message)
    for found, Y in zip(other.predict(MIXED_DOCS), embed.predict(MIXED_DOCS)):
        np.testing.assert_array_equal(found, Y)


@pytest.mark.parametrize(
    ["options", "message"],
    [
        ({"attr": "NROM"}, r"CharNgramEmbed: attr = 'NROM' is no token attribute of spaCy"),
        ({"rows": [0, 0, 0]}, r"CharNgramEmbed: rows = \[0, 0, 0\] and edge_rows = 0 must be"),
        ({"rows": []}, r"rows = \[\] and edge_rows = 0 must be"),
        ({"rows": [5, 5, 5, 5]}, r"rows = \[5, 5, 5, 5\].* up to three"),
        ({"rows": [5, -1]}, r"rows = \[5, -1\].* none negative"),
        ({"edge_rows": -3}, r"edge_rows = -3 .* none negative"),
    ],
    ids=str,
)
def test_bad_options_are_sentences_that_name_the_config_key(options, message):
    with pytest.raises(ValueError, match=message):
        CharNgramEmbed(4, **options)
