"""The temperature of crf_ner: what it is fitted to, what it changes, and where it is kept."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from path_enumeration import enumerate_paths, read_entities
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training import Example
from spacy.util import load_model_from_path
from toy_pipelines import TRAIN_DATA, blank_pipeline, found, make_examples, train

from spacy_mamba_crf.pipeline.calibration import calibrate_pipeline
from spacy_mamba_crf.pipeline.callbacks import make_calibrate


@pytest.fixture
def coin() -> tuple[Language, list[Example]]:
    """A pipeline sure that "a" is X, and texts in which that holds for three of four."""
    nlp = blank_pipeline()
    certain = [("a", {"entities": [(0, 1, "X")]})]
    train(nlp, make_examples(nlp, certain), 40)
    data = [("a", {"entities": [(0, 1, "X")]})] * 30 + [("a", {"entities": []})] * 10
    return nlp, make_examples(nlp, data)


def test_the_fitted_probabilities_are_the_shares_that_are_right(coin):
    nlp, examples = coin
    assert nlp("a").ents[0]._.prob > 0.95
    result = nlp.get_pipe("ner").calibrate(examples)
    assert nlp("a").ents[0]._.prob == pytest.approx(0.75, abs=0.01)
    assert (result.entities, result.temperature) == (40, nlp.get_pipe("ner").temperature)
    assert result.after < 0.01 < result.before


def test_a_temperature_divides_every_score(uncertain: Language):
    layer = uncertain.get_pipe("ner").model.get_ref("transition_scores")
    paths = enumerate_paths(uncertain, uncertain.make_doc("a b c"))
    weights = [p ** (1 / 2.5) for _, p in paths]
    layer.attrs["temperature"] = 2.5
    try:
        doc = uncertain("a b c")
    finally:
        layer.attrs["temperature"] = 1.0
    assert doc.ents
    for ent in doc.ents:
        span = (ent.start, ent.end, ent.label_)
        own = (w for (tags, _), w in zip(paths, weights) if span in read_entities(tags))
        assert ent._.prob == pytest.approx(math.fsum(own) / math.fsum(weights), abs=1e-6)


def test_calibration_changes_no_entity(coin):
    nlp, examples = coin
    texts = ["a", "a b", "b a a", ""]
    before = [found(doc) for doc in nlp.pipe(texts)]
    nlp.get_pipe("ner").calibrate(examples)
    assert [found(doc) for doc in nlp.pipe(texts)] == before


def test_docs_that_the_component_has_seen_calibrate_just_as_well(coin):
    nlp, examples = coin
    first = nlp.get_pipe("ner").calibrate(examples)
    for example in examples:
        example.predicted = nlp(example.predicted)
    assert nlp.get_pipe("ner").calibrate(examples) == first


def test_entities_whose_truth_is_not_known_do_not_count(coin):
    nlp, examples = coin
    unknown = Example(nlp.make_doc("a"), nlp.make_doc("a"))
    result = nlp.get_pipe("ner").calibrate([*examples, *[unknown] * 50])
    assert result.entities == 40


def test_entities_set_by_others_do_not_count(coin):
    nlp, examples = coin
    given = make_examples(nlp, [("a", {"entities": [(0, 1, "X")]})] * 20)
    for example in given:
        example.predicted.set_ents([example.predicted.char_span(0, 1, "X")])
    assert nlp.get_pipe("ner").calibrate([*examples, *given]).entities == 40


def test_a_few_that_are_all_right_do_not_make_it_certain(coin):
    nlp, examples = coin
    result = nlp.get_pipe("ner").calibrate(examples[:2])
    assert 0.2 < result.temperature < 1.0


def test_without_anything_to_judge_the_temperature_stays(coin):
    nlp, _ = coin
    ner = nlp.get_pipe("ner")
    ner.model.get_ref("transition_scores").attrs["temperature"] = 1.5
    assert ner.calibrate(make_examples(nlp, [("", {})])) is None
    assert ner.calibrate(make_examples(nlp, [("b b", {"entities": []})][:0])) is None
    assert ner.temperature == 1.5


def test_the_temperature_is_saved_with_the_pipeline(coin, tmp_path: Path):
    nlp, examples = coin
    result = nlp.get_pipe("ner").calibrate(examples)
    nlp.to_disk(tmp_path)
    loaded = load_model_from_path(tmp_path)
    assert loaded.get_pipe("ner").temperature == result.temperature
    assert loaded("a").ents[0]._.prob == nlp("a").ents[0]._.prob


def test_the_temperature_survives_a_new_label(coin):
    nlp, examples = coin
    result = nlp.get_pipe("ner").calibrate(examples)
    nlp.get_pipe("ner").add_label("NEW")
    assert nlp.get_pipe("ner").temperature == result.temperature


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_must_be_larger_than_0(uncertain: Language, temperature: float):
    with pytest.raises(ValueError, match="must be larger than 0"):
        uncertain.get_pipe("ner").temperature = temperature


def test_learning_takes_no_notice_of_the_temperature(uncertain: Language):
    ner = uncertain.get_pipe("ner")
    examples = make_examples(uncertain, [("a b c d", {"entities": [(0, 7, "X")]})])
    scores = ner.model.predict([example.predicted for example in examples])
    before = ner.get_loss(examples, scores)
    ner.model.get_ref("transition_scores").attrs["temperature"] = 3.0
    after = ner.get_loss(examples, scores)
    ner.model.get_ref("transition_scores").attrs["temperature"] = 1.0
    assert after[0] == before[0]
    np.testing.assert_array_equal(after[1][0], before[1][0])


@pytest.fixture
def dev(coin, tmp_path: Path) -> Path:
    DocBin(docs=[example.reference for example in coin[1]]).to_disk(tmp_path / "dev.spacy")
    return tmp_path / "dev.spacy"


def test_a_pipeline_is_calibrated_on_a_file(coin, dev: Path):
    nlp, examples = coin
    results = calibrate_pipeline(nlp, dev)
    assert results == {"ner": nlp.get_pipe("ner").calibrate(examples)}


def test_components_before_it_prepare_the_docs(coin, dev: Path):
    """An entity ruler that decides every text leaves nothing to be calibrated."""
    nlp, _ = coin
    ruler = nlp.add_pipe("entity_ruler", before="ner")
    ruler.add_patterns([{"label": "OTHER", "pattern": "a"}])
    assert calibrate_pipeline(nlp, dev) == {}
    assert nlp.get_pipe("ner").temperature == 1.0


def test_the_callback_calibrates_what_is_saved(coin, dev: Path):
    nlp, _ = coin
    assert make_calibrate(str(dev), "ner")(nlp) is nlp
    assert nlp("a").ents[0]._.prob == pytest.approx(0.75, abs=0.01)
    nlp.get_pipe("ner").model.get_ref("transition_scores").attrs["temperature"] = 1.0
    make_calibrate(None)(nlp)
    assert nlp.get_pipe("ner").temperature == 1.0


def test_a_callback_for_what_is_not_there_says_so(coin, dev: Path):
    nlp, _ = coin
    with pytest.raises(ValueError, match="no component 'other' to calibrate; it has ner"):
        make_calibrate(str(dev), "other")(nlp)
    with pytest.raises(FileNotFoundError, match=r"nowhere.spacy"):
        make_calibrate(str(dev.with_name("nowhere.spacy")))(nlp)


def test_spacy_train_saves_a_calibrated_pipeline(tmp_path: Path):
    from spacy.cli.train import train as spacy_train

    nlp = blank_pipeline()
    docs = [example.reference for example in make_examples(nlp, TRAIN_DATA)]
    for part in ("train", "dev"):
        DocBin(docs=docs).to_disk(tmp_path / f"{part}.spacy")
    config = nlp.config.copy()
    config["paths"] |= {part: str(tmp_path / f"{part}.spacy") for part in ("train", "dev")}
    config["corpora"] = {
        part: {"@readers": "spacy.Corpus.v1", "path": f"${{paths.{part}}}"}
        for part in ("train", "dev")
    }
    config["training"] |= {"max_steps": 40, "eval_frequency": 20, "patience": 0}
    config["training"]["before_to_disk"] = {
        "@callbacks": "spacy_mamba_crf.calibrate.v1",
        "path": "${paths.dev}",
    }
    config.to_disk(tmp_path / "config.cfg", interpolate=False)
    spacy_train(tmp_path / "config.cfg", tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "model-last")
    trained = load_model_from_path(tmp_path / "out" / "model-best")
    (tmp_path / "dev.spacy").unlink()
    assert trained.get_pipe("ner").temperature < 1.0  # it knows its dev part by heart
