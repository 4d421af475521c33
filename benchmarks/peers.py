"""The pipelines that are compared: their configs, and how each gets weights that find entities."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import spacy
from spacy.cli.init_config import init_config
from spacy.language import Language
from spacy.training import Example
from spacy.util import load_model_from_config, registry
from thinc.api import Config, Model, fix_random_seed

from spacy_mamba_crf.configs import merge_configs

from .results import REPOSITORY
from .texts import CACHE, examples

PEERS = {
    "mamba_crf": "ours, configs/mamba_crf.cfg",
    "mamba_crf_pretrained": "ours, configs/mamba_crf_pretrained.cfg, the project's default",
    "mamba_crf_small": "ours, with configs/mamba_crf_small.cfg over it",
    "bilstm_crf": "ours with torch's BiLSTM for the encoder, as many parameters",
    "torch_bilstm_crf": "BiLSTM-CRF of torch and pytorch-crf alone, without spaCy",
    "spacy_ner": "spaCy's default `ner` for Chinese (optimize: efficiency)",
    "bert": "BERT-base-shaped transformer (random weights) and `ner`, spacy-transformers",
}
# Steps of training for a peer that has not been trained by the project's workflow: enough to find
# about as many entities as there are.
STEPS = 160


def config_of(peer: str, device: str) -> Config:
    """The config that a peer's pipeline is made from, filled with defaults."""
    if peer == "spacy_ner":
        return init_config(lang="zh", pipeline=["ner"], optimize="efficiency", silent=True)
    if peer == "bert":
        return init_config(lang="zh", pipeline=["ner"], optimize="efficiency", gpu=True)
    files = ["mamba_crf.cfg"]
    if peer in ("mamba_crf_small", "mamba_crf_pretrained"):
        files.append(f"{peer}.cfg")
    if device == "cuda":
        files.append("devices/gpu.cfg")
    config = merge_configs([REPOSITORY / "configs" / file for file in files])
    if peer == "bilstm_crf":
        config["components"]["ner"]["model"]["tok2vec"]["encode"] = recurrent_settings(config)
    return load_model_from_config(config, auto_fill=True, validate=False).config


def recurrent_settings(config: Config) -> dict[str, Any]:
    """The encode block of a BiLSTM of the same depth with as many parameters, within 3 %.

    Raises ValueError if no width comes that close.
    """
    encode = config.interpolate()["components"]["ner"]["model"]["tok2vec"]["encode"]
    wanted = parameters_of(registry.resolve({"encode": encode})["encode"])
    depth, input_width = encode["depth"], encode["input_width"]
    width = min(
        range(2, 4 * encode["width"], 2),
        key=lambda width: abs(recurrent_parameters(width, depth, input_width) - wanted),
    )
    found = recurrent_parameters(width, depth, input_width)
    if abs(found / wanted - 1) > 0.03:
        raise ValueError(
            f"The encoder has {wanted:,} parameters; a BiLSTM of depth {depth} comes no closer "
            f"than {found:,}."
        )
    return {
        "@architectures": "spacy_mamba_crf.RecurrentEncoder.v1",
        "kind": "LSTM",
        "width": width,
        "depth": depth,
        "input_width": input_width,
    }


def recurrent_parameters(width: int, depth: int, input_width: int) -> int:
    """Of a bidirectional LSTM: four gates, from the input, from the state, and two biases."""
    hidden = width // 2
    widths = [input_width] + [width] * (depth - 1)
    return sum(2 * 4 * hidden * (size + hidden + 2) for size in widths)


def parameters_of(model: Any) -> int:
    """The number of parameters in the torch modules of a thinc model."""
    modules = [shim._model for node in model.walk() for shim in node.shims]
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def bilstm_settings(device: str) -> dict[str, Any]:
    """The encode block of the peer `bilstm_crf`."""
    config = config_of("bilstm_crf", device).interpolate()
    return config["components"]["ner"]["model"]["tok2vec"]["encode"]


def encoder_of(nlp: Language) -> Any:
    """The encode layer in front of `ner`, where the tok2vec is spacy.Tok2Vec.v2; or None."""
    return model_of(nlp).get_ref("tok2vec").maybe_get_ref("encode")


def model_of(nlp: Language) -> Model:
    """The model of the component `ner`."""
    component: Any = nlp.get_pipe("ner")
    return component.model


def load(peer: str, corpus: str, device: str, quick: bool) -> tuple[Language, str]:
    """A peer's pipeline, and where its weights come from. Raises ImportError if a package lacks."""
    if peer == "bert":
        return _bert(corpus, device, quick), "random weights"
    config = config_of(peer, device)
    project = REPOSITORY / "training" / corpus / peer / "model-best"
    if not quick and _same_model(project, config):
        return _loaded(project, config), f"training/{corpus}/{peer}/model-best"
    steps = 2 if quick else STEPS
    text = f"{corpus} {steps} {config.to_str()}"
    folder = CACHE / f"{peer}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
    if folder.exists():
        try:
            return _loaded(folder, config), f"{steps} steps of training on {corpus}"
        except (ValueError, OSError, KeyError):  # made by an older version of the code
            shutil.rmtree(folder)
    nlp = _trained(config, corpus, steps)
    nlp.to_disk(folder)
    return nlp, f"{steps} steps of training on {corpus}"


def _same_model(folder: Path, config: Config) -> bool:
    """Whether a trained pipeline is there, made from the same components."""
    path = folder / "config.cfg"
    if not path.exists():
        return False
    saved = Config().from_disk(path, interpolate=False)
    saved = load_model_from_config(saved, auto_fill=True, validate=False).config
    return saved.interpolate()["components"] == config.interpolate()["components"]


def _loaded(folder: Path, config: Config) -> Language:
    nlp = spacy.load(folder)
    nlp.batch_size = config["nlp"]["batch_size"]
    return nlp


def _trained(config: Config, corpus: str, steps: int) -> Language:
    """A pipeline after a few steps of Adam at the config's batches, without warm-up."""
    fix_random_seed(0)
    nlp = load_model_from_config(config, auto_fill=True)
    data = examples(nlp, corpus)
    optimizer = nlp.initialize(lambda: data)
    rate = config.interpolate()["training"]["optimizer"]["learn_rate"]
    optimizer.learn_rate = rate["initial_rate"] if isinstance(rate, dict) else rate
    for batch in islice(endless_batches(config, data), steps):
        nlp.update(batch, sgd=optimizer, drop=config["training"]["dropout"])
    return nlp


def endless_batches(config: Config, data: list[Example]) -> Iterator[list[Example]]:
    """Batches by the config's batcher, the data from the start again where it ends."""
    batcher = registry.resolve(config.interpolate()["training"])["batcher"]
    while True:
        yield from batcher(data)


def _bert(corpus: str, device: str, quick: bool) -> Language:
    """12 layers of 768 as bert-base-chinese, made here, in the config of `spacy init config`."""
    import spacy_transformers  # noqa: F401  (names the missing package)
    from transformers import BertConfig, BertModel, BertTokenizerFast

    sizes = {"num_hidden_layers": 1, "hidden_size": 48, "intermediate_size": 96} if quick else {}
    fix_random_seed(0)
    config = config_of("bert", device)
    data = examples(spacy.blank("zh"), corpus, limit=20)
    characters = sorted({character for example in data for character in example.text})
    with tempfile.TemporaryDirectory() as folder:
        vocab = Path(folder) / "vocab.txt"
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters]
        vocab.write_text("\n".join(words), encoding="utf-8")
        BertTokenizerFast(vocab_file=str(vocab)).save_pretrained(folder)
        BertModel(BertConfig(vocab_size=21128, **sizes)).save_pretrained(folder)
        config["components"]["transformer"]["model"]["name"] = folder
        nlp = load_model_from_config(config, auto_fill=True)
        data = examples(nlp, corpus, limit=20)
        nlp.initialize(lambda: data)
    return nlp
