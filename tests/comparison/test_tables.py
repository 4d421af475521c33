"""Tables from made-up results, with figures worked out by hand, and the figures as files."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from spacy_mamba_crf.comparison.collect import SystemRuns
from spacy_mamba_crf.comparison.corpus_tables import corpus_section, count_parts
from spacy_mamba_crf.comparison.figures import FIGURES, validation_loss
from spacy_mamba_crf.comparison.layout import Section
from spacy_mamba_crf.comparison.page import write_comparison
from spacy_mamba_crf.comparison.plan import Plan
from spacy_mamba_crf.comparison.runs import run_all
from spacy_mamba_crf.comparison.systems import FAMILIES, family_of, in_order
from spacy_mamba_crf.comparison.tables import (
    average_section,
    conll_section,
    epoch_section,
    main_section,
    tag_section,
)
from spacy_mamba_crf.evaluation.published import CONLL_2003_TEST, ROCLING, THESIS_TOKENS

HEALTH = {kind: {"gold": 1} for kind in ("BODY", "SYMP", "DISE")}
CONLL = {kind: {"gold": 1} for kind in ("LOC", "MISC", "ORG", "PER")}
MakeSystem = Callable[..., SystemRuns]


def rows(section: Section, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(section.files[name].to_csv())))


def with_types(system: SystemRuns, types: dict, *, is_dev: bool = False) -> SystemRuns:
    for run in system.runs:
        run.result["test"]["ents_per_type"] = types
        run.result["test"]["test"]["is_dev"] = is_dev
    return system


def test_the_main_table_has_means_and_deviations_over_seeds(make_system: MakeSystem):
    section = main_section([make_system("mamba_crf", 0.6, 0.8)])
    (row,) = rows(section, "strict")
    # Mean and sample deviation of 60 and 80: 70 and sqrt(((-10)^2 + 10^2) / 1) = 14.1421.
    assert (row["F1"], row["F1 sd"], row["seeds"]) == ("70.0", "14.1421", "2")
    assert (row["F1 SM"], row["F1 macro over genres"], row["dev F1"]) == ("35.0", "52.5", "80.0")
    assert (row["parameters"], row["training minutes"], row["characters/s"]) == (
        "1000",
        "2.0",
        "2000",
    )
    assert "| 70.00 ± 14.14 |" in section.to_markdown()


def test_one_seed_has_no_deviation(make_system: MakeSystem):
    section = main_section([make_system("mamba_crf", 0.6)])
    assert rows(section, "strict")[0]["F1 sd"] == ""
    assert "±" not in section.tables[0].to_markdown()


def test_systems_that_failed_or_never_ran_are_named_with_the_reason(make_system: MakeSystem):
    failed, waiting = SystemRuns("bert_crf", 1, [], {0: "train: no network"}), make_system("bilstm")
    systems = [make_system("mamba", 0.5), failed, waiting]
    table = main_section(systems).to_markdown()
    assert "| failed: train: no network |" in table and "| not run |" in table
    for section in (tag_section(systems), epoch_section(systems)):
        assert "bert_crf (failed: train: no network), bilstm (not run)" in section.note


def test_some_failed_seeds_leave_the_mean_of_the_others(make_system: MakeSystem):
    system = make_system("mamba", 0.5)
    partly = SystemRuns("mamba", 2, system.runs, {1: "train: crash"})
    text = main_section([partly]).to_markdown()
    assert "seed 1 failed: train: crash" in text


def test_without_a_test_part_the_main_table_says_so(make_system: MakeSystem):
    system = with_types(make_system("mamba", 0.5), CONLL, is_dev=True)
    assert "the scores are of the dev part" in main_section([system]).note


def test_tags_have_token_scores_beside_strict_f1(make_system: MakeSystem):
    section = tag_section([make_system("mamba", 0.5), make_system("bilstm", 0.6)])
    first = rows(section, "tags")[0]
    assert (first["tag"], first["precision"], first["recall"], first["F1"], first["support"]) == (
        "B-PER",
        "50.0",
        "25.0",
        "33.3333",
        "4",
    )
    assert first["strict entity F1"] == "50.0"
    text = section.to_markdown()
    assert "| O | 95.00 | 95.00 |" in text
    assert "| **strict entity F1** | 50.00 | 60.00 |" in text


def test_averages_stand_beside_strict_f1_and_the_thesis(make_system: MakeSystem):
    system = with_types(make_system("mamba_crf", 0.5), HEALTH)
    section = average_section([system])
    row = rows(section, "tokens_with_o")[0]
    assert (row["strict entity F1"], row["micro F1"], row["macro R"]) == ("50.0", "90.0", "40.0")
    thesis = [row[f"thesis {name}"] for name in ("micro", "macro P", "macro R", "macro F1")]
    assert thesis == ["91.9", "66.3", "48.2", "55.1"]  # its tables 4-6 and 4-7
    assert "theirs: HealthNER" in row["what differs"] and "ours: tiny" in row["what differs"]
    assert "thesis micro" not in rows(section, "tokens_without_o")[0]


def test_other_corpora_have_no_figures_of_the_thesis(make_system: MakeSystem):
    section = average_section([make_system("mamba_crf", 0.5)])
    assert "thesis micro" not in rows(section, "tokens_with_o")[0]


def test_each_epoch_has_its_last_evaluation_meaned_over_seeds(make_system: MakeSystem):
    section = epoch_section([make_system("mamba", 0.5, 0.5)])
    # Logged F1: 10 + step and 12 + step; accuracy: 80 + step / 10; epochs end at 10, 20 and 30.
    table = [
        (row["epoch"], row["step"], row["token accuracy"], row["strict entity F1"])
        for row in rows(section, "epochs")
    ]
    assert table == [
        ("1", "10", "81.0", "21.0"),
        ("2", "20", "82.0", "31.0"),
        ("3", "30", "83.0", "41.0"),
    ]
    assert "| 2 | 82.00 / 31.00 |" in section.to_markdown()


def test_a_system_that_logs_no_accuracy_shows_its_f1(make_system: MakeSystem):
    system = make_system("spacy_ner", 0.5)
    del system.runs[0].log.scores["ents_tag_acc"]
    assert "| 1 | – / 20.00 |" in epoch_section([system]).to_markdown()


def test_conll_stands_beside_published_test_figures(make_system: MakeSystem):
    systems = [make_system("ma_hovy2016", 0.8), make_system("my_own", 0.7)]
    section = conll_section([with_types(system, CONLL, is_dev=True) for system in systems])
    assert section is not None
    theirs, own = rows(section, "conll2003")
    assert (theirs["published test F1"], theirs["source"]) == ("91.21", "Ma & Hovy 2016, ACL")
    assert (theirs["our dev F1"], theirs["our test F1"]) == ("90.0", "")
    assert "dev part" in theirs["what differs"] and "word vectors" in theirs["what differs"]
    assert "20 steps (budget of this comparison)" in theirs["what differs"]
    assert own["published test F1"] == ""


def test_other_types_and_languages_are_not_conll(make_system: MakeSystem):
    german = with_types(make_system("mamba", 0.5), CONLL)
    german.runs[0].result["test"]["model"]["lang"] = "de"
    assert conll_section([german]) is None
    assert conll_section([make_system("mamba", 0.5)]) is None


def test_published_figures_belong_to_systems_that_have_a_family():
    known = {system for systems in FAMILIES.values() for system in systems}
    assert {*CONLL_2003_TEST, *ROCLING, *THESIS_TOKENS} <= known


def test_systems_are_in_the_order_of_families_and_unknown_ones_last():
    assert in_order(["my_own", "hu2016", "bilstm", "mamba", "bilstm"]) == [
        "mamba",
        "bilstm",
        "hu2016",
        "my_own",
    ]
    assert family_of("my_own") == "other"


def test_the_corpus_is_counted(folder: Path):
    counts = count_parts(folder / "corpus")["train"]
    # Twice "Ann met Bob Lee ." with PER at 0-1 and 2-4; its genres hold one each.
    assert (counts[""].documents, counts[""].tokens, counts[""].types["PER"]) == (2, 10, 4)
    assert counts["SM"].tokens == 5
    sizes = {
        row[""]: row["train"] for row in rows(corpus_section(folder / "corpus"), "corpus_size")
    }
    assert sizes["tokens in entities (%)"] == "60.0"  # 6 of 10
    assert sizes["mean entity length (tokens)"] == "1.5"
    assert sizes["characters"] == str(2 * len("Ann met Bob Lee . "))


def test_files_stand_beside_their_publishers_counts(folder: Path):
    stats = '{"corpus": "conll2003", "files": {"eng.testa": {"chunks": 5942, "tokens": 1}}}'
    (folder / "corpus" / "stats.json").write_text(stats)
    (row,) = rows(corpus_section(folder / "corpus"), "corpus_published")
    assert (row["as read"], row["published"], row["what differs"]) == ("5942", "5942", "")


def test_validation_loss_is_in_nats_again(make_system: MakeSystem):
    log = make_system("mamba", 0.5).runs[0].log
    assert validation_loss(log) == [2.5] * 4  # logged as 250, as spaCy multiplies scores


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_for_many_systems_and_for_none(
    name: str, make_system: MakeSystem, tmp_path: Path
):
    known = [system for systems in FAMILIES.values() for system in systems]
    systems = [make_system(system, 0.5, 0.6) for system in known] + [make_system("waiting")]
    FIGURES[name](systems, tmp_path / "many.png")
    FIGURES[name](systems[-1:], tmp_path / "none.png")
    many, none = (tmp_path / f"{part}.png" for part in ("many", "none"))
    assert many.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert many.stat().st_size > 2 * none.stat().st_size > 0


def test_partial_results_give_the_whole_page(plan: Plan, stand_in, tmp_path: Path):
    run_all(plan, stages=stand_in(a="raise OSError('no weights')"))
    write_comparison(plan, tmp_path / "report")
    page = (tmp_path / "report" / "comparison.md").read_text("utf-8")
    assert "2, of which 1 have results" in page
    assert "failed: train: OSError: no weights" in page
    assert page.count("\n## ") == page.count("Metric: ") == 5
    files = {path.name for path in (tmp_path / "report").iterdir()}
    assert {"strict.csv", "tags.csv", "epochs.csv", "losses.png", "validation.png"} <= files
