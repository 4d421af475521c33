"""crf_ner on a pretrained Mamba, frozen and fine-tuned: trained, saved, and loaded elsewhere."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.training import Example
from thinc.api import fix_random_seed
from tiny_mamba import WIDTH, make_checkpoints

DATA = [
    ("Patients like aspirin", {"entities": [(14, 21, "DRUG")]}),
    ("", {"entities": []}),
    ("Berlin and ibuprofen", {"entities": [(0, 6, "LOC"), (11, 20, "DRUG")]}),
    ("患者 服用 阿司匹林", {"entities": [(6, 10, "DRUG")]}),
]
NAME = "spacy_mamba_crf.PretrainedMamba.v1"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> dict[str, Path]:
    return make_checkpoints(tmp_path_factory.mktemp("checkpoints"))


def tok2vec(path: Path, encoder: bool, **settings: Any) -> dict[str, Any]:
    """The model alone, or as the embedding under a small Mamba encoder."""
    pretrained = {"@architectures": NAME, "path": str(path), **settings}
    if not encoder:
        return pretrained
    sizes = {"width": 16, "depth": 1, "d_state": 8, "headdim": 16, "input_width": 2 * WIDTH}
    encode = {"@architectures": "spacy_mamba_crf.MambaEncoder.v1", **sizes}
    return {"@architectures": "spacy.Tok2Vec.v2", "embed": pretrained, "encode": encode}


def trained_pipeline(config: dict[str, Any]) -> Language:
    """A pipeline that knows DATA by heart."""
    fix_random_seed(0)
    nlp = spacy.blank("xx")
    model = {"@architectures": "spacy_mamba_crf.CRFTagger.v1", "tok2vec": config}
    nlp.add_pipe("crf_ner", name="ner", config={"model": model})
    examples = [Example.from_dict(nlp.make_doc(text), gold) for text, gold in DATA]
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    for _ in range(40):
        nlp.update(examples, sgd=optimizer)
    return nlp


def found(nlp: Language) -> list[list[tuple[int, int, str]]]:
    docs = nlp.pipe(text for text, _ in DATA)
    return [[(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents] for doc in docs]


FIND = """
import json, sys, spacy
nlp = spacy.load(sys.argv[1])
docs = nlp.pipe(json.loads(sys.argv[2]))
print(json.dumps([[(e.start_char, e.end_char, e.label_) for e in doc.ents] for doc in docs]))
"""


@pytest.mark.parametrize(
    ("kind", "encoder", "trainable"),
    [
        ("mamba1", False, True),
        ("mamba2", False, False),
        ("mamba1", True, False),
        ("mamba2", True, True),
    ],
)
def test_crf_ner_on_it_gives_the_same_entities_in_a_fresh_process_without_the_folder(
    kind, encoder, trainable, checkpoints, tmp_path
):
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoints[kind], folder)
    nlp = trained_pipeline(tok2vec(folder, encoder, trainable=trainable))
    entities = found(nlp)
    assert entities == [[tuple(e) for e in gold["entities"]] for _, gold in DATA]
    nlp.to_disk(tmp_path / "pipeline")
    shutil.rmtree(folder)
    command = [sys.executable, "-c", FIND, str(tmp_path / "pipeline")]
    texts = json.dumps([text for text, _ in DATA])
    result = subprocess.run([*command, texts], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert [[tuple(e) for e in doc] for doc in json.loads(result.stdout)] == entities
