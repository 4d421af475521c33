"""The file of a pretrained tok2vec: precisions, what it is loaded into, the callback."""

from pathlib import Path

import numpy as np
import pytest
import spacy
from small_pipelines import pipeline, settings, tok2vec

from spacy_mamba_crf.layers.parameters import load_weights, weights
from spacy_mamba_crf.layers.tok2vec_file import read_file, write_tok2vec
from spacy_mamba_crf.layers.tok2vec_parts import load_to_extend, load_tok2vec
from spacy_mamba_crf.pipeline.pretrained_tok2vec import tok2vec_settings as settings_of

CALLBACK = "spacy_mamba_crf.pretrained_tok2vec.v1"
HASHED = {"width": 8, "depth": 1, "embed_size": 20, "pretrained_vectors": None}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tok2vec.safetensors"


def other_weights():
    """A pipeline of the same shape, whose weights are all 0."""
    nlp = pipeline()
    zeros = {name: np.zeros_like(values) for name, values in weights(tok2vec(nlp)).items()}
    load_weights(tok2vec(nlp), zeros)
    return nlp


# Half a unit in the last place: 2^-11 of a value; 1 / 254 of a row's largest value.
@pytest.mark.parametrize(
    ["precision", "error"], [("float32", 0.0), ("float16", 2**-11), ("int8", 1 / 254 + 1e-6)]
)
def test_each_precision_is_as_near_as_it_can_be(path, precision, error):
    nlp = pipeline()
    expected = weights(tok2vec(nlp))
    write_tok2vec(path, tok2vec(nlp), settings(nlp), {}, precision)
    other = other_weights()
    load_tok2vec(path, read_file(path), tok2vec(other), settings(other))
    for name, values in weights(tok2vec(other)).items():
        rows = expected[name].reshape(len(values), -1)
        largest = np.abs(rows).max(axis=1, keepdims=True)
        difference = np.abs(values.reshape(rows.shape) - rows)
        assert (difference <= error * largest + 1e-7).all(), name
        if values.ndim == 1:
            assert not difference.any(), name


def test_int8_takes_a_quarter_of_the_space(path):
    nlp = pipeline()
    sizes = {}
    for precision in ("float32", "int8"):
        write_tok2vec(path, tok2vec(nlp), settings(nlp), {}, precision)
        matrices = [v for v in read_file(path).weights.values() if v.ndim > 1]
        sizes[precision] = path.stat().st_size
    values = sum(matrix.size for matrix in matrices)
    assert sizes["float32"] - sizes["int8"] > 2.5 * values


@pytest.mark.parametrize("change", [{"ngram_dropout": 0.5}, {"cpu_precision": "float32"}], ids=str)
def test_settings_of_training_and_speed_may_differ(path, change):
    nlp = pipeline()
    write_tok2vec(path, tok2vec(nlp), settings(nlp), {}, "float32")
    here = settings(nlp)
    place = "embed" if "ngram_dropout" in change else "encode"
    here = {**here, place: {**here[place], **change}}
    load_tok2vec(path, read_file(path), tok2vec(nlp), here)


def test_another_setting_is_refused_by_name_and_nothing_changes(path):
    nlp = pipeline()
    write_tok2vec(path, tok2vec(nlp), settings(nlp), {}, "float32")
    other = pipeline(d_state=4)
    before = weights(tok2vec(other))
    with pytest.raises(ValueError, match=r"tok2vec\.encode\.d_state = 8, but the config has 4"):
        load_tok2vec(path, read_file(path), tok2vec(other), settings(other))
    assert all(np.array_equal(v, before[k]) for k, v in weights(tok2vec(other)).items())


def test_a_setting_that_an_earlier_version_did_not_know_has_its_default(path):
    nlp = pipeline()
    earlier = {name: dict(own) for name, own in settings(nlp).items() if isinstance(own, dict)}
    del earlier["encode"]["tied"]
    write_tok2vec(path, tok2vec(nlp), {**settings(nlp), **earlier}, {}, "float32")
    load_tok2vec(path, read_file(path), tok2vec(nlp), settings(nlp))
    other = pipeline(tied=True)
    with pytest.raises(ValueError, match="tied = False, but the config has True"):
        load_tok2vec(path, read_file(path), tok2vec(other), settings(other))


def test_the_embedding_alone_goes_into_a_tok2vec_with_another_encoder(path):
    nlp = other_weights()
    write_tok2vec(path, tok2vec(nlp), settings(nlp), {}, "float32")
    other = pipeline(d_state=4, depth=2)
    before = weights(tok2vec(other).get_ref("encode"))
    spacy.registry.callbacks.get(CALLBACK)(str(path), part="embed")(other)
    assert not any(values.any() for values in weights(tok2vec(other).get_ref("embed")).values())
    for name, values in weights(tok2vec(other).get_ref("encode")).items():
        np.testing.assert_array_equal(values, before[name])


def test_of_two_encoders_only_their_names_are_compared_and_the_way_out_is_named(path):
    nlp = pipeline()
    other = settings(nlp)
    recurrent = "spacy_mamba_crf.RecurrentEncoder.v1"
    encode = {"@architectures": recurrent, "width": 160, "depth": 1}
    write_tok2vec(path, tok2vec(nlp), {**other, "encode": encode}, {}, "float32")
    with pytest.raises(ValueError, match=r"encode\.@architectures = .*Recurrent.*part = \"embed\""):
        load_tok2vec(path, read_file(path), tok2vec(nlp), other)


def test_an_embedding_of_other_sizes_is_refused_by_name(path):
    nlp = pipeline()
    here = settings(nlp)
    write_tok2vec(
        path, tok2vec(nlp), {**here, "embed": {**here["embed"], "rows": [7]}}, {}, "float32"
    )
    with pytest.raises(
        ValueError, match=r"tok2vec\.embed\.rows = \[7\], but the config has \[100\]"
    ):
        spacy.registry.callbacks.get(CALLBACK)(str(path), part="embed")(nlp)


def test_a_lexicon_may_stand_around_the_embedding(path, tmp_path):
    terms = tmp_path / "terms.txt"
    terms.write_text("甲乙\n", encoding="utf-8")
    nlp = pipeline()
    write_tok2vec(path, tok2vec(nlp), settings(nlp), {}, "float32")
    with_terms = pipeline(lexicon=str(terms))
    spacy.registry.callbacks.get(CALLBACK)(str(path))(with_terms)
    for name in ("embed", "encode"):
        node = tok2vec(with_terms).get_ref(name)
        node = node.layers[0] if name == "embed" else node
        expected = weights(tok2vec(nlp).get_ref(name))
        found = weights(node)
        assert found.keys() == expected.keys()
        for key, values in found.items():
            np.testing.assert_array_equal(values, expected[key])


def test_a_part_that_is_none_is_named():
    with pytest.raises(
        ValueError, match="part = 'encode' is unknown; choose one of tok2vec, embed"
    ):
        spacy.registry.callbacks.get(CALLBACK)(None, part="encode")


def test_a_tok2vec_without_parts_is_refused(path):
    nlp = spacy.blank("zh")
    nlp.add_pipe("tok2vec", config={"model": {"@architectures": "spacy.HashEmbedCNN.v2", **HASHED}})
    model = nlp.get_pipe("tok2vec").model
    model.initialize(X=[nlp.make_doc("甲")])
    write_tok2vec(path, model, settings_of(nlp, "tok2vec"), {}, "float32")
    with pytest.raises(ValueError, match="do not both have a part `embed`"):
        spacy.registry.callbacks.get(CALLBACK)(str(path), "tok2vec", "embed")(nlp)


@pytest.mark.parametrize(
    ["content", "message"],
    [(None, "There is no file"), (b"nothing", "is damaged"), (b"", "is damaged")],
    ids=["missing", "damaged", "empty"],
)
def test_a_bad_file_is_named(path, content, message):
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_file(path)
    assert str(path) in str(caught.value)


def test_weights_of_something_else_are_refused(path):
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3)}, path)
    with pytest.raises(ValueError, match="is no file of a pretrained tok2vec"):
        read_file(path)


def test_the_callback_loads_the_weights(path):
    nlp = pipeline()
    write_tok2vec(path, tok2vec(nlp), settings(nlp), {}, "float32")
    other = other_weights()
    spacy.registry.callbacks.get(CALLBACK)(str(path))(other)
    expected = weights(tok2vec(nlp))
    assert all(np.array_equal(v, expected[k]) for k, v in weights(tok2vec(other)).items())


def test_without_a_path_the_callback_does_nothing():
    nlp = other_weights()
    assert spacy.registry.callbacks.get(CALLBACK)(None)(nlp) is nlp
    assert not any(values.any() for values in weights(tok2vec(nlp)).values())


def test_weights_of_another_language_are_left_aside(path, caplog):
    nlp = pipeline()
    write_tok2vec(path, tok2vec(nlp), settings(nlp), {"lang": "en"}, "float32")
    other = other_weights()
    spacy.registry.callbacks.get(CALLBACK)(str(path))(other)
    assert not any(values.any() for values in weights(tok2vec(other)).values())
    assert "is for the language en, and the pipeline's is zh" in caplog.text


def test_the_callback_names_a_component_that_is_not_there(path):
    nlp = pipeline()
    write_tok2vec(path, tok2vec(nlp), settings(nlp), {}, "float32")
    with pytest.raises(ValueError, match="There is no component 'tagger'"):
        spacy.registry.callbacks.get(CALLBACK)(str(path), "tagger")(nlp)


def test_a_table_of_radicals_may_be_new_where_a_pretraining_goes_on(path):
    nlp = pipeline()
    write_tok2vec(path, tok2vec(nlp), settings(nlp), {}, "float32")
    own = settings(nlp)
    own = {**own, "embed": {**own["embed"], "radical_rows": 50}}
    extended = spacy.registry.resolve({"tok2vec": own})["tok2vec"]
    docs = [nlp.make_doc("他有高血壓")]
    extended.initialize(X=docs)
    with pytest.raises(ValueError, match="radical_rows"):
        load_tok2vec(path, read_file(path), extended, own)
    load_to_extend(path, read_file(path), extended, own)
    np.testing.assert_array_equal(extended.predict(docs)[0], tok2vec(nlp).predict(docs)[0])
    write_tok2vec(path, extended, own, {}, "float32")
    with pytest.raises(ValueError, match="radical_rows = 50, but the config has 0"):
        load_to_extend(path, read_file(path), tok2vec(nlp), settings(nlp))
