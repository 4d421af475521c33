"""A tiny BERT with a vocabulary of its own, and pipelines in which crf_ner stands on it."""

from pathlib import Path
from typing import Any

from bert_files import SPECIAL, save_bert
from spacy.language import Language
from spacy.util import load_model_from_config
from thinc.api import fix_random_seed
from toy_pipelines import make_examples, tagger_model, train
from transformers import BertModel

WIDTH = 16
WINDOW, STRIDE = 8, 6
CHARACTERS = "患者服用阿司匹林有糖尿病头痛的和。，"
PIECES = [*SPECIAL, *CHARACTERS, "like", "##s", "aspirin", ".", "l", "a", "##i"]
UNKNOWN = "龘靐"  # in no vocabulary of the tests
DATA = [
    ("患者服用阿司匹林。", {"entities": [(4, 8, "DRUG")]}),
    ("", {"entities": []}),
    ("有糖尿病，头痛。", {"entities": [(1, 4, "ILL"), (5, 7, "ILL")]}),
    (f"{UNKNOWN} 患者 likes", {"entities": []}),
]


def make_bert(folder: Path) -> Path:
    """Write a BERT of one layer, without dropout."""
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 1, "intermediate_size": 32}
    return save_bert(folder, PIECES, 32, **sizes, **no_dropout)


def transformer_model(name: Path) -> dict[str, Any]:
    """The settings that TransformerModel and Tok2VecTransformer have in common."""
    spans = {"@span_getters": "spacy-transformers.strided_spans.v1"}
    return {
        "name": str(name),
        "tokenizer_config": {"use_fast": True},
        "get_spans": {**spans, "window": WINDOW, "stride": STRIDE},
    }


def shared_transformer(name: Path) -> dict[str, Any]:
    """A config with the components transformer and ner, which listens to it."""
    listener = {
        "@architectures": "spacy-transformers.TransformerListener.v1",
        "grad_factor": 1.0,
        "pooling": {"@layers": "reduce_mean.v1"},
        "upstream": "*",
    }
    model = {
        "@architectures": "spacy-transformers.TransformerModel.v3",
        **transformer_model(name),
    }
    return {
        "transformer": {"factory": "transformer", "model": model},
        "ner": {"factory": "crf_ner", "model": tagger_model(listener)},
    }


def own_transformer(name: Path) -> dict[str, Any]:
    """A config with the component ner, whose model contains a transformer."""
    tok2vec = {
        "@architectures": "spacy-transformers.Tok2VecTransformer.v3",
        **transformer_model(name),
        "pooling": {"@layers": "reduce_mean.v1"},
    }
    return {"ner": {"factory": "crf_ner", "model": tagger_model(tok2vec)}}


KINDS = {"shared": shared_transformer, "own": own_transformer}


def pipeline(kind: str, bert: Path, segmenter: str = "char") -> Language:
    """An untrained Chinese pipeline, for characters or ("words") tokens between spaces."""
    fix_random_seed(0)
    components = KINDS[kind](bert)
    config: dict[str, Any] = {
        "nlp": {"lang": "zh", "pipeline": list(components)},
        "components": components,
    }
    if segmenter == "char":
        tokenizer = {"@tokenizers": "spacy.zh.ChineseTokenizer", "segmenter": "char"}
    else:
        config["nlp"]["lang"] = "xx"
        tokenizer = {"@tokenizers": "spacy.Tokenizer.v1"}
    config["nlp"]["tokenizer"] = tokenizer
    return load_model_from_config(config, auto_fill=True, validate=True)


def trained_pipeline(kind: str, bert: Path) -> Language:
    """A pipeline that knows DATA by heart."""
    nlp = pipeline(kind, bert)
    examples = make_examples(nlp, DATA)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    train(nlp, examples, 50, optimizer)
    return nlp


def bert_of(nlp: Language) -> BertModel:
    """The transformer that a pipeline trains."""
    name = "transformer" if nlp.has_pipe("transformer") else "ner"
    model = nlp.get_pipe(name).model
    return next(node for node in model.walk() if node.name == "hf-pytorch").shims[0]._model
