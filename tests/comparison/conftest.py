"""A tiny corpus, tiny configs, stand-ins for the commands of a run, and made-up results."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span

from spacy_mamba_crf.comparison.collect import Run, SystemRuns
from spacy_mamba_crf.comparison.plan import Plan
from spacy_mamba_crf.comparison.runs import Stages
from spacy_mamba_crf.evaluation.training_log import read_training_log

SYSTEM = """
[nlp]
lang = "en"
pipeline = ["ner"]

[components]

[components.ner]
factory = "ner"

[training]
max_steps = 200
eval_frequency = 50

[training.optimizer]
@optimizers = "Adam.v1"

[training.optimizer.learn_rate]
@schedules = "warmup_linear.v1"
initial_rate = 0.01
warmup_steps = 20
total_steps = 200
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """configs/ with the systems a and b, corpus/ of two sentences a part."""
    (tmp_path / "configs" / "devices").mkdir(parents=True)
    (tmp_path / "configs" / "corpora").mkdir()
    (tmp_path / "configs" / "devices" / "cpu.cfg").write_text("[system]\nseed = 0\n")
    for name in ("a", "b"):
        (tmp_path / "configs" / f"{name}.cfg").write_text(SYSTEM)
    vocab = spacy.blank("en").vocab
    for part in ("train", "dev", "test"):
        docs = DocBin(store_user_data=True)
        for genre in ("FT", "SM"):
            doc = Doc(vocab, words="Ann met Bob Lee .".split(), sent_starts=[1, 0, 0, 0, 0])
            doc.set_ents([Span(doc, 0, 1, label="PER"), Span(doc, 2, 4, label="PER")])
            doc.user_data["genre"] = genre
            docs.add(doc)
        (tmp_path / "corpus").mkdir(exist_ok=True)
        docs.to_disk(tmp_path / "corpus" / f"{part}.spacy")
    return tmp_path


@pytest.fixture
def plan(folder: Path) -> Plan:
    return Plan(
        "tiny", ["a", "b"], folder / "configs", folder / "corpus", folder / "out", max_steps=20
    )


def token_scores(precision: float, recall: float, f1: float) -> dict[str, float]:
    return {"precision": precision, "recall": recall, "f1": f1, "support": 4}


def make_result(f1: float, **changes: Any) -> dict[str, Any]:
    """What result.json holds, as far as tables read it; `f1` strict on test in [0, 1]."""
    strict = {"ents_p": f1, "ents_r": f1, "ents_f": f1}
    averages = {
        "micro": token_scores(0.9, 0.9, 0.9),
        "macro": token_scores(0.8, 0.4, 0.533),
        "per_tag": {"B-PER": token_scores(0.5, 0.25, 1 / 3), "O": token_scores(0.9, 1.0, 0.95)},
    }
    test = {
        **strict,
        "ents_per_type": {"PER": {"gold": 4}},
        "per_genre": {"FT": strict, "SM": {**strict, "ents_f": f1 / 2}},
        "macro_over_genres": {**strict, "ents_f": 0.75 * f1},
        "token_level": {"with_o": averages, "without_o": averages},
        "test": {"is_dev": False},
        "model": {"lang": "en"},
    }
    result = {
        "corpus": "tiny",
        "jobs": 1,
        "parameters": 1000,
        "characters_per_second": 2000.0,
        "pretrained": {},
        "budget": {"max_steps": 20, "cut": True},
        "training": {"seconds": 120.0, "epochs": 2},
        "dev": {**strict, "ents_f": f1 + 0.1},
        "test": test,
    }
    return {**result, **changes}


def log_records(f1: float) -> list[dict[str, Any]]:
    """Evaluations at steps 0, 10, 20 and 30, in the epochs 0, 0, 1 and 2."""
    return [
        {
            "step": step,
            "epoch": epoch,
            "losses": {"ner": 40.0},
            "scores": {"ents_f": f1 + step, "ents_tag_acc": 80.0 + step / 10, "ents_loss": 250.0},
            "score": 0.5,
        }
        for step, epoch in ((0, 0), (10, 0), (20, 1), (30, 2))
    ]


@pytest.fixture
def make_system() -> Callable[..., SystemRuns]:
    """(name, strict F1 of each seed, changes to the results) -> its runs."""

    def make(name: str, *scores: float, **changes: Any) -> SystemRuns:
        logs = [read_training_log(log_records(10.0 + 2 * seed)) for seed in range(len(scores))]
        runs = [Run(i, make_result(f1, **changes), logs[i]) for i, f1 in enumerate(scores)]
        return SystemRuns(name, max(len(scores), 1), runs)

    return make


@pytest.fixture
def stand_in() -> Callable[..., Stages]:
    """(program of each system) -> stages that run it for `train`, with the run's folder.

    Other systems "train" at once, and score 0.5.
    """

    def make(**programs: str) -> Stages:
        measured = json.dumps(make_result(0.5))
        log = "\n".join(map(json.dumps, log_records(50.0)))
        writes = (
            "import pathlib, shutil, sys\nout = pathlib.Path(sys.argv[1])\n"
            f"out.joinpath('measured.json').write_text({measured!r})\n"
            f"out.joinpath('log.jsonl').write_text({log!r})\n"
            "shutil.copy(out / 'merged.cfg', out / 'config.cfg')\nprint('trained')\n"
        )

        def stages(plan: Plan, seed: int, folder: Path) -> list[tuple[str, list[str]]]:
            program = programs.get(folder.parent.name, writes)
            return [("train", [sys.executable, "-c", program, str(folder)])]

        return stages

    return make


@pytest.fixture
def changed(plan: Plan) -> Callable[..., Plan]:
    """The plan with other settings."""
    return lambda **settings: replace(plan, **settings)
