"""Plots: what is counted, what is read from a log, and that PNG files come out whole."""

from pathlib import Path

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from spacy_mamba_crf.evaluation.confusion import type_confusion
from spacy_mamba_crf.evaluation.conlleval import chunks, evaluate
from spacy_mamba_crf.evaluation.plots import plot_confusion, plot_reliability, plot_training_curve
from spacy_mamba_crf.evaluation.training_log import read_training_log
from spacy_mamba_crf.files import replacing, write_text

PNG = b"\x89PNG\r\n\x1a\n"
TAGS = ["O", "B-X", "I-X", "B-Y", "I-Y"]
pairs = st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS)), max_size=20)


def record(step: int, epoch: int, loss: float, f1: float) -> dict:
    scores = {"ents_f": f1, "ents_p": f1, "ents_r": f1}
    losses = {"tok2vec": 0.0, "ner": loss}
    return {"step": step, "epoch": epoch, "losses": losses, "scores": scores, "score": f1 / 100}


LOG = [record(0, 0, 8.0, 0.0), record(100, 1, 400.0, 60.0), record(150, 2, 50.0, 55.0)]


@pytest.fixture
def logged_by_spacy(tmp_path: Path) -> Path:
    """What spaCy's own logger writes for the entries of LOG."""
    nlp = spacy.blank("en")
    nlp.add_pipe("ner")
    nlp.config["training"]["score_weights"] = {"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0}
    path = tmp_path / "log.jsonl"
    setup = spacy.registry.loggers.get("spacy.ConsoleLogger.v3")
    log_step, finalize = setup(console_output=False, output_file=path)(nlp)
    for entry in LOG:
        fractions = {name: score / 100 for name, score in entry["scores"].items()}
        log_step({**entry, "other_scores": fractions})
        log_step(None)
    finalize()
    return path


def test_the_log_of_spacy_is_read_with_losses_per_step(logged_by_spacy: Path) -> None:
    log = read_training_log(logged_by_spacy)
    assert log.steps == [0, 100, 150]
    assert log.epochs == [0, 1, 2]
    assert log.losses == {"ner": [8.0, 4.0, 1.0]}
    assert log.scores["ents_f"] == pytest.approx([0.0, 60.0, 55.0])
    assert log.best == 1


def test_an_empty_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("")
    with pytest.raises(ValueError, match=r"log\.jsonl holds no evaluation"):
        read_training_log(tmp_path / "log.jsonl")


def test_a_file_that_is_no_log_is_refused_by_line(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1, "epoch": 0}\n')
    with pytest.raises(ValueError, match=r"log\.jsonl:1 has no losses, score, scores"):
        read_training_log(tmp_path / "log.jsonl")


def test_the_training_curve_is_a_png(logged_by_spacy: Path, tmp_path: Path) -> None:
    plot_training_curve(logged_by_spacy, tmp_path / "new" / "curve.png")
    assert (tmp_path / "new" / "curve.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    "log",
    [
        LOG[:1],
        [{**entry, "scores": {}} for entry in LOG],
        [{**entry, "losses": {}} for entry in LOG],
        [{**entry, "losses": {"ner": -1.0}} for entry in LOG],
    ],
    ids=["one entry", "no scores", "no losses", "negative losses"],
)
def test_a_poor_log_can_be_drawn(log: list[dict], tmp_path: Path) -> None:
    plot_training_curve(log, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(PNG)


def test_confusion_is_the_one_counted_by_hand() -> None:
    gold = [[(0, 1, "X"), (2, 4, "Y"), (5, 6, "Y")], []]
    guess = [[(0, 1, "X"), (2, 4, "X"), (5, 7, "Y")], [(0, 1, "Y")]]
    confusion = type_confusion(gold, guess)
    assert confusion.labels == ["X", "Y", "none"]
    assert confusion.counts == [[1, 0, 0], [1, 0, 1], [0, 2, 0]]


@given(tokens=pairs)
def test_confusion_agrees_with_conlleval_on_gold_found_and_correct(
    tokens: list[tuple[str, str]],
) -> None:
    gold, guess = [pair[0] for pair in tokens], [pair[1] for pair in tokens]
    confusion = type_confusion([chunks(gold)], [chunks(guess)])
    per_type = evaluate([gold], [guess]).per_type
    assert confusion.labels == [*per_type, "none"]
    for i, counts in enumerate(per_type.values()):
        assert confusion.counts[i][i] == counts.correct
        assert sum(confusion.counts[i]) == counts.gold
        assert sum(row[i] for row in confusion.counts) == counts.found


def test_confusion_of_unequal_numbers_of_texts_is_refused() -> None:
    with pytest.raises(ValueError, match="2 gold texts and 1 predicted"):
        type_confusion([[], []], [[]])


@pytest.mark.parametrize("gold", [[], [[(0, 1, "疾病")]]], ids=["no texts", "Chinese type"])
def test_the_confusion_plot_is_a_png(gold: list, tmp_path: Path) -> None:
    plot_confusion(gold, gold, tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").read_bytes().startswith(PNG)


def test_a_failed_write_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a.md", "earlier")
    with pytest.raises(RuntimeError), replacing(tmp_path / "a.md") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["a.md"]
    assert (tmp_path / "a.md").read_text() == "earlier"


BINS = [{"low": 0.8, "high": 1.0, "size": 2, "confidence": 0.9, "accuracy": 0.5}]


@pytest.mark.parametrize(("entities", "candidates"), [(BINS, BINS), ([], BINS), ([], [])])
def test_the_reliability_plot_is_a_png(entities: list, candidates: list, tmp_path: Path) -> None:
    parts = {"entities": entities, "candidates": candidates}
    measured = {key: {"size": 2, "ece": 0.4, "bins": bins} for key, bins in parts.items()}
    plot_reliability(measured, tmp_path / "new" / "reliability.png")
    assert (tmp_path / "new" / "reliability.png").read_bytes().startswith(PNG)
