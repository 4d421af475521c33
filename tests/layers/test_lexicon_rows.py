"""Lexicon features: which rows a token has, their gradient, and the pipeline around them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Adam, Model, fix_random_seed

from spacy_mamba_crf.architectures import CharNgramEmbed, LexiconEmbed
from spacy_mamba_crf.layers.lexicon_rows import add_plainly, scatter_plainly, token_rows

VOCAB = spacy.blank("zh").vocab
WIDTH = 4
TERMS = {
    "高血壓": {"DISE", "TOP"},
    "血壓": {"TOP"},
    "高血": {"TOP"},
    "痛": {"", "SYMP"},
    "血壓高血壓高": {"DISE"},
}


def make_doc(text: str) -> Doc:
    return Doc(VOCAB, words=list(text), spaces=[False] * len(text))


DOCS = [make_doc("他血壓高血壓高痛"), make_doc(""), make_doc("無"), make_doc("頭痛高血壓")]


def write(path: Path, terms: dict[str, set[str]]) -> Path:
    lines = [f"{term}\t{label}" for term, labels in terms.items() for label in sorted(labels)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("lexicon") / "terms.tsv", TERMS)


def make(path: Path | None, inner: Model | None = None, **settings: Any) -> Model:
    embed = inner or CharNgramEmbed(WIDTH, [13, 17])
    return LexiconEmbed(embed, path and str(path), WIDTH, **settings)


def random_rows(model: Model) -> Model:
    """The rows start at 0: give them values, or no test could tell them apart."""
    E = model.get_param("E")
    values = np.random.default_rng(0).standard_normal(E.shape)
    model.set_param("E", values.astype("float32"))
    return model


@pytest.fixture
def model(path: Path) -> Model:
    return random_rows(make(path).initialize(X=DOCS))


def plain_rows(model: Model, doc: Doc) -> list[set[int]]:
    """SoftLexicon's sets by label and length, from their definition (Ma et al. 2020)."""
    labels = sorted({label for of_term in TERMS.values() for label in of_term})
    most = model.attrs["max_length"]
    rows: list[set[int]] = [set() for _ in doc]
    for start in range(len(doc)):
        for end in range(start + 1, len(doc) + 1):
            for label in TERMS.get(doc.text[start:end], ()):
                letters = "S" if end - start == 1 else "B" + "M" * (end - start - 2) + "E"
                for token, letter in zip(range(start, end), letters):
                    place = 4 * labels.index(label) + "BMES".index(letter)
                    rows[token].add(place * most + min(end - start, most) - 1)
    return rows


@pytest.mark.parametrize("max_length", [1, 2, 8])
@settings(deadline=None)
@given(texts=st.lists(st.text("高血壓痛無", max_size=20), max_size=4))
def test_a_token_has_each_row_of_its_label_letter_and_length_once(max_length, path, texts):
    model = make(path, max_length=max_length).initialize()
    docs = [make_doc(text) for text in texts]
    found = token_rows(model, docs)
    expected = [rows for doc in docs for rows in plain_rows(model, doc)]
    each = np.split(found.rows, found.ends[:-1]) if len(expected) else []
    assert [sorted(rows.tolist()) for rows in each] == [sorted(rows) for rows in expected]


def test_the_output_is_the_embedding_and_the_sum_of_the_rows(model):
    E = model.get_param("E")
    expected = [Y.copy() for Y in model.layers[0].predict(DOCS)]
    for doc, Y, found in zip(DOCS, expected, model.predict(DOCS)):
        for token, rows in enumerate(plain_rows(model, doc)):
            Y[token] += sum(E[row] for row in rows)
        np.testing.assert_allclose(found, Y, rtol=1e-5, atol=1e-6)


def test_a_token_of_more_matches_than_there_is_room_for_at_first_gets_all(tmp_path):
    """Each token lies in terms of every length: 30 rows a token and more."""
    path = write(tmp_path / "terms.tsv", {"a" * n: {"X"} for n in range(1, 31)})
    model = make(path, max_length=30).initialize()
    counts = np.diff(token_rows(model, [make_doc("a" * 60)]).ends, prepend=0)
    # The first token: S once, B of 29 lengths. A middle one: B, E of 2 to 30, M of 3 to 30, S.
    assert (counts[0], counts[30]) == (30, 1 + 29 + 29 + 28)


def test_the_embedding_is_at_first_unchanged(path):
    model = make(path).initialize(X=DOCS)
    expected = [Y.copy() for Y in model.layers[0].predict(DOCS)]
    for Y, found in zip(expected, model.predict(DOCS)):
        np.testing.assert_array_equal(found, Y)


def keeping(docs: list[Doc]) -> Model:
    """An embedding that returns the same arrays at each call, as a listener does."""
    arrays = [np.ones((len(doc), WIDTH), dtype="float32") for doc in docs]
    return Model("keeping", lambda model, X, is_train: (arrays, lambda dY: []), dims={"nO": WIDTH})


def test_what_the_embedding_holds_is_not_written_to(path):
    inner = keeping(DOCS)
    model = random_rows(make(path, inner).initialize(X=DOCS))
    assert any((Y != 1).any() for Y in model.predict(DOCS))
    assert all((Y == 1).all() for Y in inner.predict(DOCS))


def test_a_docs_vectors_do_not_depend_on_its_batch(model):
    for doc, Y in zip(DOCS, model.predict(DOCS)):
        np.testing.assert_allclose(model.predict([doc])[0], Y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("docs", [[], [make_doc("")]], ids=["none", "empty"])
def test_nothing_in_gives_nothing_out(model, docs):
    assert [Y.shape for Y in model.predict(docs)] == [(0, WIDTH)] * len(docs)


def test_an_empty_doc_has_no_gradient(model):
    Ys, backprop = model.begin_update([make_doc("")])
    backprop(Ys)
    assert not model.get_grad("E").any()


def gradient_nodes(model: Model) -> list[Model]:
    return [node for node in model.walk() if node.has_param("E")]


def test_the_gradient_of_rows_and_embedding_is_the_finite_difference(model):
    """The output is linear in all tables, so the difference is exact at any step."""
    generator = np.random.default_rng(1)
    Ys, backprop = model.begin_update(DOCS)
    weights = [generator.standard_normal(Y.shape).astype("float32") for Y in Ys]
    backprop(weights)
    nodes = gradient_nodes(model)
    assert len(nodes) == 3
    for node in nodes:
        E, dE = node.get_param("E").copy(), node.get_grad("E")
        step = generator.standard_normal(E.shape).astype("float32")
        losses = []
        for sign in (1, -1):
            node.set_param("E", E + sign * step)
            losses.append(sum(float((Y * W).sum()) for Y, W in zip(model.predict(DOCS), weights)))
        node.set_param("E", E)
        assert (losses[0] - losses[1]) / 2 == pytest.approx(float((dE * step).sum()), rel=1e-3)


def test_the_gradients_of_two_batches_add_up(model):
    def gradient(batches: list[list[Doc]]) -> np.ndarray:
        model.set_grad("E", np.zeros_like(model.get_param("E")))
        for docs in batches:
            Ys, backprop = model.begin_update(docs)
            backprop([np.ones_like(Y) for Y in Ys])
        return model.get_grad("E").copy()

    both = gradient([DOCS[:1], DOCS[1:]])
    np.testing.assert_allclose(both, gradient([DOCS[:1]]) + gradient([DOCS[1:]]), atol=1e-6)


def test_the_operations_of_a_gpu_give_what_the_kernels_give(model):
    found = token_rows(model, DOCS)
    embedded = np.concatenate(model.layers[0].predict(DOCS))
    Ys, backprop = model.begin_update(DOCS)
    add_plainly(model, found, embedded)
    np.testing.assert_allclose(embedded, np.concatenate(Ys), rtol=1e-5, atol=1e-6)
    dY = np.random.default_rng(2).standard_normal(embedded.shape).astype("float32")
    backprop(np.split(dY, np.cumsum([len(doc) for doc in DOCS])[:-1]))
    expected = model.get_grad("E").copy()
    model.set_grad("E", np.zeros_like(expected))
    scatter_plainly(model, found, dY)
    np.testing.assert_allclose(model.get_grad("E"), expected, rtol=1e-5, atol=1e-6)


def same(model: Model, other: Model) -> None:
    for Y, found in zip(model.predict(DOCS), other.predict(DOCS), strict=True):
        np.testing.assert_array_equal(found, Y)


def test_a_copy_gives_the_same(model):
    expected = [Y.copy() for Y in model.predict(DOCS)]
    other = model.copy()
    model.get_param("E")[:] = 0
    for Y, found in zip(expected, other.predict(DOCS)):
        np.testing.assert_array_equal(found, Y)


def test_a_saved_model_is_read_into_one_that_was_never_initialized(model):
    other = make(None).from_bytes(model.to_bytes())
    assert other.get_dim("nV") == model.get_dim("nV") == 4 * 4 * 8
    same(model, other)


def test_initializing_anew_takes_another_lexicon(tmp_path):
    path = write(tmp_path / "terms.tsv", {"無": {"X"}})
    model = make(path).initialize()
    write(path, {"痛": {"X", "Y"}})
    model.initialize()
    assert model.get_param("E").shape == (2 * 4 * 8, WIDTH)
    assert token_rows(model, DOCS).tokens.tolist() == [7, 7, 10, 10]  # each 痛, with two labels


def test_other_values_can_be_used_for_a_while(model):
    before = [Y.copy() for Y in model.predict(DOCS)]
    zeros = {(model.id, "E"): np.zeros_like(model.get_param("E"))}
    with model.use_params(zeros):
        same(model, model.layers[0])
    for Y, found in zip(before, model.predict(DOCS)):
        np.testing.assert_array_equal(found, Y)


def test_an_update_moves_the_rows_that_were_seen_only(model):
    before = model.get_param("E").copy()
    doc = make_doc("痛")
    Ys, backprop = model.begin_update([doc])
    backprop([np.ones_like(Y) for Y in Ys])
    model.finish_update(Adam(0.1, L2=0.0))
    (rows,) = plain_rows(model, doc)
    moved = np.flatnonzero((model.get_param("E") != before).any(axis=1))
    assert set(moved.tolist()) == rows and len(rows) == 2


@pytest.mark.parametrize(
    ["settings", "message"],
    [
        ({"width": 5}, r"LexiconEmbed: width = 5 is not the width 4 of embed; set both"),
        ({"width": 0}, r"LexiconEmbed: width = 0 must be larger than 0"),
        ({"width": 4, "max_length": 0}, r"LexiconEmbed: max_length = 0 must be larger than 0"),
    ],
    ids=str,
)
def test_bad_settings_are_sentences_that_name_the_config_key(settings, message):
    with pytest.raises(ValueError, match=message):
        LexiconEmbed(CharNgramEmbed(4, [5]), None, **settings)


def test_no_path_is_an_error_of_initialize_that_names_the_config_key():
    with pytest.raises(ValueError, match=r"--paths\.lexicon\) is null; set it to"):
        make(None).initialize()


def test_a_path_of_no_file_is_an_error_of_initialize_that_names_the_config_key(tmp_path):
    with pytest.raises(ValueError, match=r"--paths\.lexicon\) is .*no\.tsv, which is no file"):
        make(tmp_path / "no.tsv").initialize()


# A toy language: an entity is a word of the lexicon, and no neighbour says so.
KNOWN = ["甲乙", "丙丁", "戊己", "庚辛"]
UNSEEN = ["壬癸", "子丑"]


def toy_data(words: list[str]) -> list[tuple[str, dict[str, Any]]]:
    others = ["天地", "玄黃"]
    texts = [f"見{first}與{second}了" for first in words for second in others]
    texts += [f"見{second}與{first}了" for first in words for second in others]
    found = []
    for text in texts:
        (start,) = [text.index(word) for word in words if word in text]
        found.append((text, {"entities": [(start, start + 2, "DISE")]}))
    return found


def toy_config(path: Path) -> dict[str, Any]:
    tok2vec = {
        "@architectures": "spacy.Tok2Vec.v2",
        "embed": {
            "@architectures": "spacy_mamba_crf.LexiconEmbed.v1",
            "embed": {
                "@architectures": "spacy_mamba_crf.CharNgramEmbed.v1",
                "width": 16,
                "rows": [200],
            },
            "lexicon": str(path),
            "width": 16,
        },
        "encode": {
            "@architectures": "spacy_mamba_crf.MambaEncoder.v1",
            "width": 16,
            "depth": 1,
            "d_state": 8,
            "headdim": 16,
        },
    }
    return {"@architectures": "spacy_mamba_crf.CRFTagger.v1", "tok2vec": tok2vec}


def train(nlp: Language, steps: int = 40) -> Language:
    data = [Example.from_dict(nlp.make_doc(text), facts) for text, facts in toy_data(KNOWN)]
    optimizer = nlp.initialize(lambda: data)
    optimizer.learn_rate = 0.01
    for _ in range(steps):
        nlp.update(data, sgd=optimizer)
    return nlp


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Language:
    """A trained pipeline; the file of its lexicon is gone."""
    path = tmp_path_factory.mktemp("toy") / "terms.tsv"
    write(path, {word: {"DISE"} for word in KNOWN + UNSEEN})
    fix_random_seed(0)
    nlp = spacy.blank("zh")
    nlp.add_pipe("crf_ner", name="ner", config={"model": toy_config(path)})
    train(nlp)
    path.unlink()
    return nlp


TEXTS = [text for text, _ in toy_data(UNSEEN)]


def entities(doc: Doc) -> list[tuple[int, int, str]]:
    return [(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents]


def test_a_term_that_was_in_no_training_text_is_found(trained):
    for (_, facts), doc in zip(toy_data(UNSEEN), trained.pipe(TEXTS)):
        assert entities(doc) == facts["entities"]


def test_a_saved_pipeline_finds_the_same_in_a_fresh_process_without_the_file(trained, tmp_path):
    trained.to_disk(tmp_path / "saved")
    code = """
import sys, spacy
nlp = spacy.load(sys.argv[1])
print([[(e.start_char, e.end_char, e.label_) for e in d.ents] for d in nlp.pipe(sys.argv[2:])])
"""
    command = [sys.executable, "-c", code, str(tmp_path / "saved"), *TEXTS]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str([entities(doc) for doc in trained.pipe(TEXTS)])


def test_two_processes_find_what_one_finds(trained):
    one = [entities(doc) for doc in trained.pipe(TEXTS)]
    assert [entities(doc) for doc in trained.pipe(TEXTS, n_process=2, batch_size=2)] == one


def test_replaced_listeners_find_the_same(tmp_path):
    path = write(tmp_path / "terms.tsv", {word: {"DISE"} for word in KNOWN + UNSEEN})
    fix_random_seed(0)
    nlp = spacy.blank("zh")
    model = toy_config(path)
    nlp.add_pipe("tok2vec", config={"model": model.pop("tok2vec")})
    model["tok2vec"] = {"@architectures": "spacy.Tok2VecListener.v1", "width": 16}
    nlp.add_pipe("crf_ner", name="ner", config={"model": model})
    train(nlp)
    expected = [entities(doc) for doc in nlp.pipe(TEXTS)]
    assert any(expected)
    nlp.replace_listeners("tok2vec", "ner", ["model.tok2vec"])
    path.unlink()
    nlp.to_disk(tmp_path / "saved")
    loaded = spacy.load(tmp_path / "saved", exclude=["tok2vec"])
    assert [entities(doc) for doc in loaded.pipe(TEXTS)] == expected
