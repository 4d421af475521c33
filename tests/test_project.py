"""The spaCy project: project.yml and the configs it merges."""

from pathlib import Path

import pytest
from spacy.util import load_model_from_config
from thinc.api import Config
from weasel.util import load_project_config

from spacy_mamba_crf.configs import merge_configs
from spacy_mamba_crf.corpora import CORPORA

ROOT = Path(__file__).parent.parent
CONFIGS = ROOT / "configs"
DEVICES = sorted(path.stem for path in (CONFIGS / "devices").glob("*.cfg"))


def merged(*names: str) -> Config:
    return merge_configs([CONFIGS / f"{name}.cfg" for name in names or ("mamba_crf",)])


@pytest.fixture(scope="module")
def project() -> dict:
    return load_project_config(ROOT)


def test_every_corpus_has_a_config():
    assert {path.stem for path in (CONFIGS / "corpora").glob("*.cfg")} == set(CORPORA)


@pytest.mark.parametrize("corpus", sorted(CORPORA))
def test_a_model_can_be_built_for_each_corpus(corpus):
    config = merged("mamba_crf", f"corpora/{corpus}", "devices/cpu")
    nlp = load_model_from_config(config, auto_fill=True)
    assert nlp.get_pipe_meta("ner").factory == "crf_ner"


@pytest.mark.parametrize("device", DEVICES)
def test_each_device_config_merges(device):
    config = merged("mamba_crf", "corpora/sample", f"devices/{device}")
    assert load_model_from_config(config, auto_fill=True).config["training"]


@pytest.mark.parametrize("corpus", sorted(CORPORA))
def test_the_learning_rate_falls_until_the_last_step(corpus):
    training = merged("mamba_crf", f"corpora/{corpus}")["training"]
    assert training["optimizer"]["learn_rate"]["total_steps"] == training["max_steps"]


def test_the_config_without_a_crf_differs_only_there():
    with_crf, without = merged(), merged("mamba")
    assert with_crf["components"]["ner"]["model"].pop("crf") is True
    assert without["components"]["ner"]["model"].pop("crf") is False
    assert with_crf == without


def test_the_config_with_a_lexicon_wraps_the_plain_embedding_and_changes_nothing_else():
    overlays = [["mamba_crf_lexicon"], ["mamba_crf"]]
    configs = [load_model_from_config(merged(*names), auto_fill=True).config for names in overlays]
    with_lexicon, plain = (config.interpolate() for config in configs)
    assert with_lexicon["paths"].pop("lexicon") is None
    tok2vec = with_lexicon["components"]["ner"]["model"]["tok2vec"]
    assert tok2vec["embed"]["@architectures"] == "spacy_mamba_crf.LexiconEmbed.v1"
    tok2vec["embed"] = tok2vec["embed"]["embed"]
    assert with_lexicon == plain


@pytest.mark.parametrize("command", ["debug", "train"])
def test_the_lexicon_of_the_project_reaches(command, project):
    scripts = {command["name"]: command["script"] for command in project["commands"]}
    assert project["vars"]["lexicon"] == "null"
    assert "--paths.lexicon null" in scripts[command][-1]


@pytest.mark.parametrize("workflow", ["all", "compare", "distil"])
def test_what_each_command_needs_is_there_or_made_by_an_earlier_one(project, workflow):
    commands = {command["name"]: command for command in project["commands"]}
    made = {project["vars"]["raw"]}
    for name in project["workflows"][workflow]:
        command = commands[name]
        for dep in command.get("deps", []):
            assert dep in made or (ROOT / dep).is_file(), f"{name} needs {dep}"
        made.update(command.get("outputs", []))


def test_each_script_that_a_command_runs_exists(project):
    for command in project["commands"]:
        for line in command["script"]:
            words = line.split()
            if words[0] == "python" and words[1].endswith(".py"):
                assert (ROOT / words[1]).is_file(), line


def test_a_student_learns_from_the_teachers_of_the_project(project):
    """The settings that the command `student` gives on the command line are those of its config."""
    config = merged("mamba_crf_pretrained", "corpora/sample", "devices/cpu", "tasks/distil")
    teachers = ["training/sample/teachers/mamba_crf_pretrained/seed-0/model-best"]
    config["paths"]["teachers"] = teachers
    ner = load_model_from_config(config, auto_fill=True).get_pipe("ner")
    assert (ner.teachers.paths, ner.teachers.share) == (teachers, 0.5)
    (student,) = (own for own in project["commands"] if own["name"] == "student")
    assert any(teachers[0] in line for line in student["script"])
