"""The Mamba encoder and the n-gram embedder inside spaCy's own components."""

from collections.abc import Callable
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import fix_random_seed
from toy_pipelines import make_examples, mamba_tok2vec, train

ENTITIES = [
    ("Shaka Khan is here", {"entities": [(0, 10, "PERSON")]}),
    ("I like London and Berlin", {"entities": [(7, 13, "LOC"), (18, 24, "LOC")]}),
]
SPANS = [
    ("I like London and Berlin", {"spans": {"sc": [(7, 13, "LOC"), (18, 24, "LOC")]}}),
    ("Shaka Khan is here", {"spans": {"sc": [(0, 10, "PERSON")]}}),
]
TAGS = [
    ("I like green eggs", {"tags": ["N", "V", "J", "N"]}),
    ("Eat blue ham", {"tags": ["V", "J", "N"]}),
]
TREES = [
    ("They trade loans", {"heads": [1, 1, 1], "deps": ["nsubj", "ROOT", "dobj"]}),
    ("I like eggs", {"heads": [1, 1, 1], "deps": ["nsubj", "ROOT", "dobj"]}),
]
CATEGORIES = [
    ("I am so happy .", {"cats": {"POSITIVE": 1.0, "NEGATIVE": 0.0}}),
    ("I am so angry", {"cats": {"POSITIVE": 0.0, "NEGATIVE": 1.0}}),
]


def transition_model(state_type: str) -> dict[str, Any]:
    return {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "state_type": state_type,
        "extra_state_tokens": False,
        "hidden_width": 32,
        "maxout_pieces": 2,
        "use_upper": True,
        "nO": None,
        "tok2vec": mamba_tok2vec(),
    }


TEXTCAT_MODEL = {
    "@architectures": "spacy.TextCatCNN.v2",
    "exclusive_classes": True,
    "nO": None,
    "tok2vec": mamba_tok2vec(),
}
SPANCAT_MODEL = {
    "@architectures": "spacy.SpanCategorizer.v1",
    "tok2vec": mamba_tok2vec(),
    "reducer": {"@layers": "spacy.mean_max_reducer.v1", "hidden_size": 32},
    "scorer": {"@layers": "spacy.LinearLogistic.v1", "nO": None, "nI": None},
}
TAGGER_MODEL = {"@architectures": "spacy.Tagger.v2", "tok2vec": mamba_tok2vec(), "nO": None}


def entities(doc: Doc) -> list[tuple[int, int, str]]:
    return [(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents]


def spans(doc: Doc) -> list[tuple[int, int, str]]:
    return sorted((span.start_char, span.end_char, span.label_) for span in doc.spans["sc"])


def tags(doc: Doc) -> list[str]:
    return [token.tag_ for token in doc]


def tree(doc: Doc) -> list[tuple[int, str]]:
    return [(token.head.i, token.dep_) for token in doc]


def category(doc: Doc) -> str:
    return max(doc.cats, key=doc.cats.__getitem__)


CASES = {
    "ner": (transition_model("ner"), ENTITIES, entities, [e["entities"] for _, e in ENTITIES]),
    "spancat": (SPANCAT_MODEL, SPANS, spans, [e["spans"]["sc"] for _, e in SPANS]),
    "tagger": (TAGGER_MODEL, TAGS, tags, [e["tags"] for _, e in TAGS]),
    "parser": (
        transition_model("parser"),
        TREES,
        tree,
        [list(zip(e["heads"], e["deps"])) for _, e in TREES],
    ),
    "textcat": (TEXTCAT_MODEL, CATEGORIES, category, ["POSITIVE", "NEGATIVE"]),
}


@pytest.mark.parametrize("name", CASES)
def test_it_learns_by_heart_and_survives_saving(name: str, tmp_path):
    model, data, read, expected = CASES[name]
    nlp = pipeline(name, model)
    train(nlp, make_examples(nlp, data), 60)
    texts = [text for text, _ in data]
    check(nlp, texts, read, expected)
    nlp.to_disk(tmp_path)
    check(spacy.load(tmp_path), texts, read, expected)


def pipeline(name: str, model: dict[str, Any]) -> Language:
    """An untrained pipeline of one component of spaCy's with a Mamba tok2vec."""
    fix_random_seed(0)
    nlp = spacy.blank("xx")
    settings = {"min_action_freq": 1} if name == "parser" else {}
    nlp.add_pipe(name, config={"model": model, **settings})
    return nlp


def check(nlp: Language, texts: list[str], read: Callable[[Doc], Any], expected: list) -> None:
    """The component finds what it has learnt, alone and in a batch with an empty text."""
    assert [read(nlp(text)) for text in texts] == expected
    batch = list(nlp.pipe([*texts, ""]))
    assert [read(doc) for doc in batch[:-1]] == expected
    assert len(batch[-1]) == 0
