"""Variations of a config: which there are, and their table."""

import csv
from pathlib import Path

import pytest
import srsly
from spacy.util import load_model_from_config

from spacy_mamba_crf.comparison.ablations import Ablation, read_ablations, write_table
from spacy_mamba_crf.comparison.plan import Plan
from spacy_mamba_crf.configs import merge_configs

CONFIGS = Path(__file__).parents[2] / "configs"

VARIATIONS = sorted(
    path for folder in ("ablations", "objectives") for path in (CONFIGS / folder).glob("*.cfg")
)


@pytest.mark.parametrize("path", VARIATIONS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_each_variation_makes_a_pipeline_that_differs_from_the_base(path: Path):
    config = merge_configs([path])
    nlp = load_model_from_config(config, auto_fill=True)
    assert nlp.pipe_names == ["ner"]
    base = merge_configs([path.with_name("base.cfg")])
    assert (config == base) == (path.stem == "base")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "configs" / "ablations"
    path.mkdir(parents=True)
    (path / "base.cfg").write_text("# as it is\n\n[training]\ndropout = 0.3\n")
    (path / "less.cfg").write_text("# less dropout.\n\n[training]\ndropout = 0.1\n")
    (path / "more.cfg").write_text("# more dropout\n\n[training]\ndropout = 0.5\n")
    (tmp_path / "configs" / "devices").mkdir()
    (tmp_path / "configs" / "devices" / "cpu.cfg").write_text("[system]\nbatch_size = 1\n")
    for part in ("train", "dev"):
        (tmp_path / f"{part}.spacy").write_bytes(b"")
    return path


def plan_of(folder: Path, seeds: list[int]) -> Plan:
    root = folder.parents[1]
    systems = [f"ablations/{name}" for name in ("base", "less", "more")]
    return Plan("toy", systems, folder.parent, root, root / "out", seeds)


def finish(plan: Plan, system: str, seed: int, f1: float) -> None:
    """What a finished run leaves behind, with a made-up score."""
    folder = plan.folder(system, seed)
    result = {
        "key": plan.key(plan.config(system), seed, plan.hashes()),
        "dev": {"ents_f": f1},
        "parameters": 2_000_000,
        "training": {"seconds": 90.0},
    }
    folder.mkdir(parents=True)
    srsly.write_json(folder / "result.json", result)
    row = {"epoch": 0, "step": 1, "score": f1, "scores": {"ents_f": f1}, "losses": {"ner": 1.0}}
    srsly.write_jsonl(folder / "log.jsonl", [row])


def test_the_base_comes_first_and_comments_say_what_is_changed(folder):
    assert read_ablations(folder) == [
        Ablation("base", "as it is"),
        Ablation("less", "less dropout"),
        Ablation("more", "more dropout"),
    ]
    assert [a.name for a in read_ablations(folder, ["more"])] == ["base", "more"]


def test_one_that_is_not_there_is_named(folder):
    with pytest.raises(ValueError, match="There is no other in"):
        read_ablations(folder, ["other"])


def test_a_config_that_does_not_say_its_change_is_named(folder):
    (folder / "bare.cfg").write_text("[training]\n")
    with pytest.raises(ValueError, match=r"bare\.cfg:1: begin with a comment"):
        read_ablations(folder)


def test_the_table_has_means_deviations_and_differences(folder, tmp_path):
    plan = plan_of(folder, [0, 1])
    for seed, f1 in enumerate((0.70, 0.80)):
        finish(plan, "ablations/base", seed, f1)
    finish(plan, "ablations/less", 0, 0.73)
    write_table(plan, read_ablations(folder), tmp_path / "table.md")
    rows = list(csv.DictReader((tmp_path / "table.csv").open()))
    # 70 and 80: mean 75, sample deviation sqrt(50) = 7.07.
    assert [row["strict F1, dev"] for row in rows] == ["75.00 ± 7.07", "73.00", "not run"]
    # Of seed 0 alone, which both have: 73 - 70.
    assert [row["difference"] for row in rows] == ["", "+3.00", ""]
    assert [row["seeds"] for row in rows] == ["2", "1", ""]
    assert rows[0]["million parameters"] == "2.0" and rows[0]["minutes"] == "1.5"
    assert "| less dropout | 73.00 | +3.00 |" in (tmp_path / "table.md").read_text()


@pytest.mark.parametrize(
    "path", sorted((CONFIGS / "ablations").glob("*.cfg")), ids=lambda p: p.stem
)
def test_each_variation_of_the_project_changes_its_base_and_nothing_but_that(path):
    base = merge_configs([CONFIGS / "mamba_crf_pretrained.cfg"])
    assert (merge_configs([path]) == base) == (path.stem == "base")
