"""Runs: configs and their keys, what is skipped and run again, and what failures leave behind."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from thinc.api import Config

from spacy_mamba_crf.comparison.collect import collect
from spacy_mamba_crf.comparison.plan import Plan, read_override, read_seeds, read_system_override
from spacy_mamba_crf.comparison.processes import error_in
from spacy_mamba_crf.comparison.runs import DONE, FAILED, SKIPPED, run_all

REPOSITORY = Path(__file__).parents[2]
CRASH = "raise ValueError('no such thing')"


def states(outcomes) -> dict[str, str]:
    return {outcome.system: outcome.status for outcome in outcomes}


def test_a_finished_run_is_skipped_the_next_time(plan: Plan, stand_in):
    assert states(run_all(plan, stages=stand_in())) == {"a": DONE, "b": DONE}
    outcomes = run_all(plan, stages=stand_in(a=CRASH, b=CRASH))
    assert states(outcomes) == {"a": SKIPPED, "b": SKIPPED}
    assert outcomes[0].f1 == 0.5


def test_a_finished_run_is_run_again_when_asked(plan: Plan, stand_in):
    run_all(plan, stages=stand_in())
    assert states(run_all(plan, again=True, stages=stand_in())) == {"a": DONE, "b": DONE}


def test_a_failing_system_does_not_stop_the_others_and_its_error_is_kept(plan: Plan, stand_in):
    outcomes = run_all(plan, stages=stand_in(a=CRASH))
    assert states(outcomes) == {"a": FAILED, "b": DONE}
    failure = json.loads((plan.folder("a", 0) / "failure.json").read_text("utf-8"))
    assert failure["stage"] == "train"
    assert failure["reason"] == "ValueError: no such thing"
    assert "Traceback" in failure["tail"]
    assert not (plan.folder("a", 0) / "result.json").exists()


def test_a_failed_system_is_tried_again_and_its_failure_forgotten(plan: Plan, stand_in):
    run_all(plan, stages=stand_in(a=CRASH))
    assert states(run_all(plan, stages=stand_in())) == {"a": DONE, "b": SKIPPED}
    assert not (plan.folder("a", 0) / "failure.json").exists()


def test_a_killed_system_is_called_killed(plan: Plan, stand_in):
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    outcome = run_all(plan, stages=stand_in(a=killed))[0]
    assert (outcome.status, outcome.reason) == (FAILED, "train: killed by SIGKILL (out of memory?)")


def test_a_system_without_a_config_fails_by_itself(changed, stand_in):
    outcomes = run_all(changed(systems=["nosuch", "b"]), stages=stand_in())
    assert states(outcomes) == {"nosuch": FAILED, "b": DONE}
    assert "nosuch.cfg" in outcomes[0].reason


def test_a_command_that_ends_well_but_leaves_no_log_is_a_failure(plan: Plan, stand_in):
    outcomes = run_all(plan, stages=stand_in(a="pass"))
    assert states(outcomes) == {"a": FAILED, "b": DONE}


@pytest.mark.parametrize(
    "settings", [{"max_steps": 30}, {"overrides": [("training.dropout", 0.3)]}, {"gpu": 0}]
)
def test_other_settings_replace_a_finished_run_only_when_asked(
    plan: Plan, changed, stand_in, settings: dict
):
    run_all(plan, stages=stand_in())
    outcomes = run_all(changed(**settings), stages=stand_in())
    assert states(outcomes) == {"a": FAILED, "b": FAILED}
    assert "--again" in outcomes[0].reason and "--out" in outcomes[0].reason
    assert states(run_all(plan, stages=stand_in())) == {"a": SKIPPED, "b": SKIPPED}
    again = run_all(changed(**settings), again=True, stages=stand_in())
    assert states(again) == {"a": DONE, "b": DONE}


def test_settings_of_one_system_leave_the_others_finished(plan: Plan, changed, stand_in):
    run_all(plan, stages=stand_in())
    other = changed(system_overrides={"a": [("training.dropout", 0.3)]})
    assert states(run_all(other, stages=stand_in())) == {"a": FAILED, "b": SKIPPED}


def test_a_run_on_another_corpus_file_is_another_run(plan: Plan, stand_in):
    run_all(plan, stages=stand_in())
    with plan.part("dev").open("ab") as stream:
        stream.write(b"more")
    assert states(run_all(plan, stages=stand_in())) == {"a": FAILED, "b": FAILED}
    assert {system.problem for system in collect(plan)} == {"finished with other settings"}


def test_a_run_with_a_changed_folder_that_a_config_names_is_another_run(
    plan: Plan, changed, stand_in
):
    model = plan.out.parent / "model"
    model.mkdir()
    (model / "weights").write_text("1")
    named = changed(overrides=[("paths.model", str(model))])
    run_all(named, stages=stand_in())
    (model / "weights").write_text("2")
    assert states(run_all(named, stages=stand_in())) == {"a": FAILED, "b": FAILED}


def test_a_path_that_no_system_has_is_refused_at_once(changed, stand_in):
    with pytest.raises(ValueError, match=r"No config of these systems has lexicn under \[paths\]"):
        run_all(changed(paths=[("lexicn", "file")]), stages=stand_in())


def test_two_at_once_with_two_seeds_finish_all(changed, stand_in):
    both = changed(jobs=2, seeds=[0, 1])
    outcomes = run_all(both, stages=stand_in(a=CRASH))
    assert sorted((o.system, o.seed, o.status) for o in outcomes) == [
        ("a", 0, FAILED),
        ("a", 1, FAILED),
        ("b", 0, DONE),
        ("b", 1, DONE),
    ]


def test_an_interruption_ends_the_runs_and_keeps_what_is_finished(plan: Plan, stand_in):
    def interrupt(outcome) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all(plan, stages=stand_in(b="import time; time.sleep(600)"), report=interrupt)
    a, b = collect(plan)
    assert (len(a.runs), a.problem) == (1, "")
    assert (len(b.runs), b.problem) == (0, "not run")


def test_only_results_of_the_same_settings_are_collected(plan: Plan, changed, stand_in):
    run_all(plan, stages=stand_in(a=CRASH))
    a, b = collect(plan)
    assert (a.problem, len(b.runs)) == ("failed: train: ValueError: no such thing", 1)
    assert not collect(changed(max_steps=30))[1].runs


def test_the_step_budget_scales_schedule_and_evaluations(plan: Plan):
    training = plan.config("a")["training"]
    assert (training["max_steps"], training["eval_frequency"]) == (20, 5)
    rate = training["optimizer"]["learn_rate"]
    assert (rate["total_steps"], rate["warmup_steps"], rate["initial_rate"]) == (20, 2, 0.01)


def test_without_a_budget_the_configs_steps_stay(changed):
    training = changed(max_steps=0).config("a")["training"]
    assert (training["max_steps"], training["eval_frequency"]) == (200, 50)


def test_the_corpus_config_cannot_give_half_a_schedule_to_a_system_without_one(plan: Plan):
    (plan.configs / "a.cfg").write_text(SYSTEM_WITHOUT_SCHEDULE)
    overlay = "[training]\n\n[training.optimizer]\n\n[training.optimizer.learn_rate]\n"
    (plan.configs / "corpora" / "tiny.cfg").write_text(f"{overlay}total_steps = 9\n")
    assert "learn_rate" not in plan.config("a")["training"]["optimizer"]


def test_a_schedule_of_another_kind_gets_none_of_the_corpus_configs_settings(plan: Plan):
    constant = '[training.optimizer.learn_rate]\n@schedules = "constant.v1"\nrate = 0.003\n'
    head = f"{SYSTEM_WITHOUT_SCHEDULE}\n[training]\n\n[training.optimizer]\n\n"
    (plan.configs / "a.cfg").write_text(head + constant)
    overlay = "[training]\n\n[training.optimizer]\n\n[training.optimizer.learn_rate]\n"
    (plan.configs / "corpora" / "tiny.cfg").write_text(f"{overlay}total_steps = 9\n")
    rate = plan.config("a")["training"]["optimizer"]["learn_rate"]
    assert rate == {"@schedules": "constant.v1", "rate": 0.003}


SYSTEM_WITHOUT_SCHEDULE = '[nlp]\nlang = "en"\npipeline = ["ner"]\n'


def test_only_crf_ner_gets_the_settings_of_curves(plan: Plan):
    curves = "[components]\n\n[components.ner]\nscore_loss = true\n"
    (plan.configs / "curves.cfg").write_text(curves)
    config = Config().from_disk(plan.configs / "b.cfg")
    config["components"]["ner"]["factory"] = "crf_ner"
    config.to_disk(plan.configs / "b.cfg")
    assert "score_loss" not in plan.config("a")["components"]["ner"]
    assert plan.config("b")["components"]["ner"]["score_loss"] is True


def test_overrides_win_and_a_missing_section_is_named(changed):
    set_twice = changed(
        overrides=[("training.dropout", 0.3)], system_overrides={"a": [("training.dropout", 0.4)]}
    )
    assert set_twice.config("a")["training"]["dropout"] == 0.4
    assert set_twice.config("b")["training"]["dropout"] == 0.3
    with pytest.raises(ValueError, match=r"config of a has no section \[training\.nothing\]"):
        changed(overrides=[("training.nothing.x", 1)]).config("a")


@pytest.mark.parametrize(
    ("text", "override"),
    [("a.b=1", ("a.b", 1)), ("a.b=x=y", ("a.b", "x=y")), ("a.b=null", ("a.b", None))],
)
def test_settings_are_json_where_they_can_be(text: str, override: tuple):
    assert read_override(text) == override
    assert read_system_override(f"s:{text}") == ("s", override)


@pytest.mark.parametrize("text", ["a.b", "=1", ""])
def test_settings_without_key_or_value_are_refused(text: str):
    with pytest.raises(ValueError, match="KEY=VALUE"):
        read_override(text)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"systems": []}, "nothing to run"),
        ({"jobs": 0}, "jobs is 0"),
        ({"device": "tpu"}, "tpu.cfg"),
        ({"corpus_dir": Path("nowhere")}, "Convert the corpus 'tiny' first"),
        ({"system_overrides": {"c": []}}, "settings for c"),
    ],
)
def test_what_would_fail_every_run_is_refused_at_once(
    changed: Callable[..., Plan], settings: dict, message: str
):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run_all(changed(**settings))


def test_without_a_test_part_dev_stands_in(plan: Plan):
    plan.part("test").unlink()
    assert plan.part("test") == plan.part("dev")


@pytest.mark.parametrize(
    ("printed", "status", "reason"),
    [
        ("\x1b[38;5;1m✘ Config error\x1b[0m\nno such key\n", 1, "Config error no such key"),
        ("Traceback\n  File\nOSError: no network\n", 1, "OSError: no network"),
        ("10%|#\r20%|##\rtorch.cuda.OutOfMemoryError: full\n", 1, "OutOfMemoryError: full"),
        ("only words\n", 2, "only words"),
        ("", 3, "exit status 3"),
        ("Saving\n", -15, "killed by SIGTERM"),
    ],
)
def test_the_error_is_found_in_what_a_command_printed(printed: str, status: int, reason: str):
    assert error_in(printed, status)[0].endswith(reason)


def test_the_command_trains_reports_and_says_what_failed(folder: Path):
    (folder / "configs" / "b.cfg").unlink()
    command = [sys.executable, str(REPOSITORY / "scripts" / "compare.py"), "tiny"]
    command += ["--systems", "a b", "--corpus-dir", "corpus", "--max-steps", "4", "--jobs", "2"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "a, seed 0: strict F1" in done.stdout and "b, seed 0: " in done.stdout
    result = json.loads((folder / "comparison/tiny/a/seed-0/result.json").read_text("utf-8"))
    assert result["parameters"] > 10_000
    assert result["characters_per_second"] > 0
    assert result["test"]["test"]["entities"] == result["dev"]["test"]["entities"] == 4
    page = (folder / "reports/tiny/comparison/comparison.md").read_text("utf-8")
    assert "4 for every system" in page
    assert "failed: " in page


def test_seeds_are_different_whole_numbers():
    assert read_seeds("2 0 2  1") == [2, 0, 1]
    with pytest.raises(ValueError, match="seeds = '0 one' must be whole numbers"):
        read_seeds("0 one")
