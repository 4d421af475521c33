"""crf_ner over spacy-transformers: a tiny BERT, shared through a listener or within the model."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from numpy.testing import assert_allclose
from spacy.cli.train import train as spacy_train
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.util import load_model_from_path
from tiny_bert import (
    DATA,
    KINDS,
    PIECES,
    STRIDE,
    UNKNOWN,
    WIDTH,
    WINDOW,
    bert_of,
    make_bert,
    pipeline,
    trained_pipeline,
)
from toy_pipelines import found, found_with_probabilities, make_examples, train
from transformers import AutoModel, AutoTokenizer

from spacy_mamba_crf.configs import merge_configs

CONFIGS = Path(__file__).parents[2] / "configs"
TEXTS = [
    "患者有糖尿病，服用阿司匹林。" * 4,
    "",
    f"{UNKNOWN}头痛{UNKNOWN}",
    "   ",
    "likes  aspirin 和阿司匹林",
    "病",
]
FIND_ENTITIES = """
import json, sys, spacy
nlp = spacy.load(sys.argv[1])
docs = nlp.pipe(json.loads(sys.argv[2]))
print(json.dumps([[[e.start, e.end, e.label_, e._.prob] for e in doc.ents] for doc in docs]))
"""


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bert(tmp_path_factory.mktemp("model") / "bert")


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def trained(kind: str, bert: Path) -> Language:
    """Tests must leave it as it is."""
    return trained_pipeline(kind, bert)


@pytest.fixture(scope="module")
def saved(trained: Language, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "pipeline"
    trained.to_disk(folder)
    return folder


def assert_same_entities(docs: list[list[Any]], expected: list[list[Any]]) -> None:
    """The same spans and labels, and probabilities up to rounding."""
    for one, other in zip(docs, expected, strict=True):
        assert [list(entity[:3]) for entity in one] == [list(entity[:3]) for entity in other]
        probs = [entity[3] for entity in other]
        assert [entity[3] for entity in one] == pytest.approx(probs, abs=1e-5)


def test_it_learns_by_heart(trained: Language):
    for text, annotation in DATA:
        doc = trained(text)
        entities = [(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents]
        assert entities == annotation["entities"]


def test_a_fresh_process_finds_the_same_without_the_files_of_the_transformer(
    kind: str, tmp_path: Path
):
    bert = make_bert(tmp_path / "bert")
    nlp = trained_pipeline(kind, bert)
    nlp.to_disk(tmp_path / "pipeline")
    shutil.rmtree(bert)
    texts = [*TEXTS, *(text for text, _ in DATA)]
    command = [sys.executable, "-c", FIND_ENTITIES, str(tmp_path / "pipeline"), json.dumps(texts)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    entities = json.loads(result.stdout.splitlines()[-1])
    expected = [found_with_probabilities(nlp(text)) for text in texts]
    assert sum(map(len, expected)) >= 5
    assert_same_entities(entities, expected)


def test_a_text_gets_the_same_entities_alone_and_in_a_batch(trained: Language):
    alone = [found_with_probabilities(trained(text)) for text in TEXTS]
    batch = [found_with_probabilities(doc) for doc in trained.pipe(TEXTS, batch_size=4)]
    assert alone[0]
    assert_same_entities(batch, alone)


def test_texts_without_tokens_alone_are_fine(trained: Language, saved: Path):
    assert [len(doc.ents) for doc in trained.pipe(["", ""])] == [0, 0]
    nlp = load_model_from_path(saved)
    assert train(nlp, make_examples(nlp, [("", {})]), 2, nlp.resume_training())["ner"] == 0


def test_the_gradient_that_reaches_the_transformer_is_the_slope_of_the_loss(saved: Path):
    """Central differences, at a character's embedding and within the layer."""
    nlp = load_model_from_path(saved)
    examples = make_examples(nlp, [("患者头痛的。", {"entities": [(2, 3, "ILL")]})])

    def loss() -> float:
        losses: dict[str, float] = {}
        for _, component in nlp.pipeline:
            component.update(examples, losses=losses)
        return losses["ner"]

    model = bert_of(nlp)
    character = PIECES.index("头")
    weights = {
        "embedding": (model.embeddings.word_embeddings.weight, (character, 3)),
        "layer": (model.encoder.layer[0].intermediate.dense.weight, (5, 7)),
    }
    loss()
    slopes = {name: float(weight.grad[place]) for name, (weight, place) in weights.items()}
    step = 2e-3
    for name, (weight, place) in weights.items():
        value = weight.data[place].item()
        losses = []
        for moved in (value - step, value + step):
            weight.data[place] = moved
            losses.append(loss())
        weight.data[place] = value
        assert abs(slopes[name]) > 1e-3, name
        assert slopes[name] == pytest.approx((losses[1] - losses[0]) / (2 * step), rel=0.05), name


def test_training_changes_every_part_of_the_transformer_that_is_used(kind: str, bert: Path):
    nlp = pipeline(kind, bert)
    examples = make_examples(nlp, DATA)
    optimizer = nlp.initialize(lambda: examples)
    before = {name: value.clone() for name, value in bert_of(nlp).named_parameters()}
    # The emissions start at 0, so the first gradient is 0, too; nlp.update takes a shared
    # transformer's step before the next batch reaches it.
    train(nlp, examples, 3, optimizer)
    for name, value in bert_of(nlp).named_parameters():
        if not name.startswith("pooler."):  # is for whole texts, and tokens have no use for it
            assert (value != before[name]).any(), name


def windows(doc: Doc) -> list[tuple[int, int]]:
    """First token and token after the last of each window: a new one every STRIDE tokens."""
    starts = [0]
    while starts[-1] + WINDOW < len(doc):
        starts.append(starts[-1] + STRIDE)
    return [(start, min(start + WINDOW, len(doc))) for start in starts]


def vectors_by_hand(bert: Path, doc: Doc) -> np.ndarray:
    """(token, WIDTH): the mean of all word pieces that share a character with the token.

    From the transformer itself, a window at a time; a token without pieces is 0.
    """
    tokenizer, model = AutoTokenizer.from_pretrained(bert), AutoModel.from_pretrained(bert)
    pieces: list[list[np.ndarray]] = [[] for _ in doc]
    for start, end in windows(doc):
        text = doc[start:end].text
        encoded = tokenizer(text, return_offsets_mapping=True, return_tensors="pt")
        offsets = encoded.pop("offset_mapping")[0].tolist()
        hidden = model.eval()(**encoded).last_hidden_state[0].detach().numpy()
        for token in doc[start:end]:
            first = token.idx - doc[start].idx
            for (left, right), vector in zip(offsets, hidden):
                if max(left, first) < min(right, first + len(token)):
                    pieces[token.i].append(vector)
    return np.stack([np.mean(own, 0) if own else np.zeros(WIDTH) for own in pieces])


@pytest.mark.parametrize(
    ("segmenter", "text"),
    [
        pytest.param("char", "患者服用阿司匹林", id="a piece a character"),
        pytest.param("char", f"头{UNKNOWN}痛{UNKNOWN[0]}", id="unknown characters"),
        pytest.param("char", "患者likes的", id="several characters in a piece"),
        pytest.param("char", "头  痛\n\n 病", id="white space"),
        pytest.param("char", "患者有糖尿病，服用阿司匹林。" * 3, id="several windows"),
        pytest.param("words", "likes aspirin like .", id="several pieces in a word"),
        pytest.param("words", "likes  阿司匹林   like 患者头痛 . " * 3, id="words in windows"),
    ],
)
def test_a_token_is_the_mean_of_its_word_pieces(kind: str, bert: Path, segmenter: str, text: str):
    nlp = pipeline(kind, bert, segmenter)
    nlp.get_pipe("ner").add_label("DRUG")
    nlp.initialize()
    doc = nlp.make_doc(text)
    expected = vectors_by_hand(bert, doc)
    for _, component in nlp.pipeline:
        doc = component(doc)
    (vectors,) = nlp.get_pipe("ner").model.get_ref("tok2vec").predict([doc])
    assert_allclose(vectors, expected, atol=1e-5)


def test_a_text_longer_than_what_the_transformer_reads_at_once_is_read_in_windows(
    trained: Language, bert: Path
):
    text = "患者头痛的和" * 20 + "患者服用阿司匹林。"
    assert len(text) > 3 * AutoModel.from_pretrained(bert).config.max_position_embeddings
    assert ("阿司匹林", "DRUG") in found(trained(text))


def test_white_space_and_unknown_characters_train_and_begin_no_entity(saved: Path):
    nlp = load_model_from_path(saved)
    text = f"  {UNKNOWN}  阿司匹林 \n"
    start = text.index("阿")
    examples = make_examples(nlp, [(text, {"entities": [(start, start + 4, "DRUG")]})])
    optimizer = nlp.resume_training()
    optimizer.learn_rate = 0.01
    train(nlp, examples, 40, optimizer)
    assert found(nlp(text)) == [("阿司匹林", "DRUG")]


def test_a_frozen_transformer_that_annotates_stays_while_the_crf_learns(bert: Path):
    nlp = pipeline("shared", bert)
    examples = make_examples(nlp, DATA)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.05
    before = {name: value.clone() for name, value in bert_of(nlp).named_parameters()}
    train(nlp, examples, 150, optimizer, exclude=["transformer"], annotates=["transformer"])
    for name, value in bert_of(nlp).named_parameters():
        assert (value == before[name]).all(), name
    assert found(nlp(DATA[0][0])) == [("阿司匹林", "DRUG")]


def test_replace_listeners_gives_the_component_a_transformer_of_its_own(bert: Path, tmp_path: Path):
    nlp = trained_pipeline("shared", bert)
    expected = [found_with_probabilities(nlp(text)) for text in TEXTS]
    nlp.replace_listeners("transformer", "ner", ["model.tok2vec"])
    nlp.remove_pipe("transformer")
    architecture = nlp.config["components"]["ner"]["model"]["tok2vec"]["@architectures"]
    assert architecture == "spacy-transformers.Tok2VecTransformer.v3"
    nlp.to_disk(tmp_path)
    loaded = load_model_from_path(tmp_path)
    for one in (nlp, loaded):
        docs = [found_with_probabilities(one(text)) for text in TEXTS]
        assert_same_entities(docs, expected)
    train(loaded, make_examples(loaded, DATA), 2, loaded.resume_training())


def test_rehearsal_leads_a_component_with_its_own_transformer_back(bert: Path):
    nlp = trained_pipeline("own", bert)
    optimizer = nlp.resume_training()
    optimizer.learn_rate = 0.003
    train(nlp, make_examples(nlp, [(DATA[0][0], {"entities": []})]), 20, optimizer)
    old = make_examples(nlp, [(text, {}) for text, _ in DATA])
    losses = [nlp.rehearse(old, sgd=optimizer, losses={})["ner"] for _ in range(40)]
    assert losses[0] > 0.5
    assert losses[-1] < losses[0] / 5


def test_rehearsal_with_a_shared_transformer_that_does_not_annotate_is_an_error(bert: Path):
    nlp = trained_pipeline("shared", bert)
    optimizer = nlp.resume_training()
    with pytest.raises(ValueError, match="annotating components"):
        nlp.rehearse(make_examples(nlp, DATA), sgd=optimizer)


def doc_bin(path: Path) -> str:
    """Write DATA to a DocBin file."""
    nlp = spacy.blank("zh")
    DocBin(docs=[example.reference for example in make_examples(nlp, DATA)]).to_disk(path)
    return str(path)


def test_the_config_trains_with_the_transformer_of_a_local_folder(bert: Path, tmp_path: Path):
    data = doc_bin(tmp_path / "data.spacy")
    overrides = {
        "paths.train": data,
        "paths.dev": data,
        "paths.transformer": str(bert),
        "components.transformer.model.mixed_precision": False,
        "components.transformer.model.get_spans.window": 16,
        "components.transformer.model.get_spans.stride": 12,
        "training.max_steps": 4,
        "training.eval_frequency": 2,
        "training.optimizer.learn_rate.total_steps": 4,
        "training.optimizer.learn_rate.warmup_steps": 1,
    }
    config = tmp_path / "config.cfg"
    merge_configs([CONFIGS / "transformer_crf.cfg"]).to_disk(config, interpolate=False)
    spacy_train(config, tmp_path / "out", overrides=overrides)
    nlp = spacy.load(tmp_path / "out" / "model-last")
    assert nlp.get_pipe("ner").labels == ("DRUG", "ILL")
    assert nlp.get_pipe("transformer").listening_components == ["ner"]
    assert len(nlp("患者头痛。")) == 5


def test_the_config_names_a_transformer_for_chinese_and_a_learning_rate_to_fine_tune_it():
    config = merge_configs([CONFIGS / "transformer_crf.cfg"]).interpolate()
    assert config["components"]["transformer"]["model"]["name"] == "hfl/chinese-macbert-base"
    learn_rate = config["training"]["optimizer"]["learn_rate"]
    assert learn_rate["total_steps"] == config["training"]["max_steps"]
    spans = config["components"]["transformer"]["model"]["get_spans"]
    assert spans["stride"] < spans["window"] <= 510  # what BERT reads, less [CLS] and [SEP]
