"""Small pipelines and texts that the tests of the pipeline package build on."""

from collections.abc import Iterable
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Optimizer, fix_random_seed

WIDTH = 32

Annotated = tuple[str, dict[str, Any]]

TRAIN_DATA: list[Annotated] = [
    ("Who is Shaka Khan ?", {"entities": [(7, 17, "PERSON")]}),
    ("I like London and Berlin .", {"entities": [(7, 13, "LOC"), (18, 24, "LOC")]}),
    ("Shaka Khan lives in New York City .", {"entities": [(0, 10, "PERSON"), (20, 33, "LOC")]}),
    ("This is a sentence about nothing .", {"entities": []}),
]
TEXTS = [
    "Just a sentence .",
    "Then one more sentence about London .",
    "",
    "Shaka Khan and Berlin and New York City .",
    "London",
    "   ",
    "I like London , Berlin and New York City . " * 5,
]


def embedder(width: int = WIDTH) -> dict[str, Any]:
    """The config of a small character n-gram embedder."""
    return {
        "@architectures": "spacy_mamba_crf.CharNgramEmbed.v1",
        "width": width,
        "rows": [500, 500, 500],
        "edge_rows": 500,
    }


def encoder(width: int = WIDTH, variant: str = "mamba2") -> dict[str, Any]:
    """The config of a small Mamba encoder."""
    return {
        "@architectures": "spacy_mamba_crf.MambaEncoder.v1",
        "width": width,
        "depth": 1,
        "variant": variant,
        "d_state": 8,
        "headdim": 16,
    }


def mamba_tok2vec(width: int = WIDTH, variant: str = "mamba2") -> dict[str, Any]:
    """The config of a small tok2vec with a Mamba encoder."""
    return {
        "@architectures": "spacy.Tok2Vec.v2",
        "embed": embedder(width),
        "encode": encoder(width, variant),
    }


def listener(width: int = WIDTH) -> dict[str, Any]:
    """The config of a layer that listens to a shared tok2vec component."""
    return {"@architectures": "spacy.Tok2VecListener.v1", "width": width}


def tagger_model(
    tok2vec: dict[str, Any] | None = None,
    scheme: str = "BIO",
    crf: bool = True,
) -> dict[str, Any]:
    """The config of a CRF tagger over a tok2vec, the small one with Mamba if none is given."""
    return {
        "@architectures": "spacy_mamba_crf.CRFTagger.v1",
        "scheme": scheme,
        "crf": crf,
        "tok2vec": tok2vec or mamba_tok2vec(),
    }


def blank_pipeline(model: dict[str, Any] | None = None, **settings: Any) -> Language:
    """An untrained multi-language pipeline with a small crf_ner, whose name is "ner"."""
    fix_random_seed(0)
    nlp = spacy.blank("xx")
    nlp.add_pipe("crf_ner", name="ner", config={"model": model or tagger_model(), **settings})
    return nlp


def make_examples(nlp: Language, data: Iterable[Annotated] = TRAIN_DATA) -> list[Example]:
    """One example of each text."""
    return [Example.from_dict(nlp.make_doc(text), annotation) for text, annotation in data]


def train(
    nlp: Language,
    examples: list[Example],
    steps: int,
    optimizer: Optimizer | None = None,
    **settings: Any,
) -> dict[str, float]:
    """Update on all examples at once, `steps` times; initialise first if without an optimizer.

    The last step's losses.
    """
    if optimizer is None:
        optimizer = nlp.initialize(lambda: examples)
        optimizer.learn_rate = 0.005
    losses: dict[str, float] = {}
    for _ in range(steps):
        losses = {}
        nlp.update(examples, sgd=optimizer, losses=losses, **settings)
    return losses


def trained_pipeline(steps: int = 60, **settings: Any) -> Language:
    """A pipeline that has learnt TRAIN_DATA by heart."""
    nlp = blank_pipeline(**settings)
    train(nlp, make_examples(nlp), steps)
    return nlp


def found(doc: Doc) -> list[tuple[str, str]]:
    """Text and label of each entity."""
    return [(ent.text, ent.label_) for ent in doc.ents]


def found_with_probabilities(doc: Doc) -> list[tuple[int, int, str, float | None]]:
    """First token, token after the last, label and probability of each entity."""
    return [(ent.start, ent.end, ent.label_, ent._.prob) for ent in doc.ents]
