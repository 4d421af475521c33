"""Training language models: what is read, what is learnt, resuming, the command."""

import json
import lzma
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import spacy
import torch
from spacy.tokens import DocBin

from spacy_mamba_crf.language_model_training import LMSettings, LMTexts, train_language_models
from spacy_mamba_crf.language_model_training import training as training_module
from spacy_mamba_crf.layers.static_lm import TrainedLM

SCRIPT = Path(__file__).parent.parent / "scripts" / "train_lm.py"
# Each token follows from the one before it, and from the one after it.
ALPHABET = "甲乙丙丁戊己庚辛"
LINES = [(ALPHABET * 2)[start : start + 8] for start in range(8)] * 25
SETTINGS = LMSettings(
    width=16, embedding_width=8, epochs=30, batch_tokens=200, learn_rate=0.03, dropout=0.0
)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


def read(*paths: Path, lang: str = "zh", **settings) -> LMTexts:
    return LMTexts(paths, lang, "NORM", **settings)


def strings(texts: LMTexts) -> list[str]:
    return ["".join(texts.nlp.vocab.strings[int(n)] for n in piece) for piece in texts.training()]


def weights(trained: TrainedLM) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trained.module.state_dict().items()}


def test_both_directions_learn_what_follows_and_what_comes_before(text, tmp_path):
    trained = train_language_models(read(text), tmp_path / "lm", SETTINGS)
    found = trained.facts["perplexity"]
    # Only where a text begins is a choice of eight: 8 ** (1 / 9) = 1.26 for each of nine tokens.
    assert 1.2 < found["forward"] < 2
    assert 1.2 < found["backward"] < 2
    config = json.loads((tmp_path / "lm" / "config.json").read_text())
    assert config["perplexity"] == pytest.approx(found)
    assert sorted(path.name for path in (tmp_path / "lm").iterdir()) == [
        "config.json",
        "model.safetensors",
        "vocab.json",
    ]


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_an_interrupted_training_resumes_to_the_same_weights(text, tmp_path, monkeypatch, stop):
    monkeypatch.setattr(training_module, "_BUFFER", 600)  # three buffers in each of two epochs
    settings = replace(SETTINGS, epochs=2, dropout=0.3)
    expected = weights(train_language_models(read(text), tmp_path / "whole", settings))
    save, saved = training_module.save_checkpoint, []

    def interrupted(*arguments):
        save(*arguments)
        saved.append(arguments)
        if len(saved) == stop:
            raise KeyboardInterrupt

    monkeypatch.setattr(training_module, "save_checkpoint", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_language_models(read(text), tmp_path / "lm", settings)
    assert not (tmp_path / "lm" / "config.json").exists()
    monkeypatch.setattr(training_module, "save_checkpoint", lambda *_: saved.append(_) or save(*_))
    resumed = train_language_models(read(text), tmp_path / "lm", settings, resume=True)
    for name, value in weights(resumed).items():
        assert torch.equal(value, expected[name]), name
    assert len(saved) == 6  # no buffer was trained on twice
    assert not (tmp_path / "lm" / "checkpoint.safetensors").exists()


def test_a_finished_training_is_not_repeated_but_for_other_settings(text, tmp_path):
    settings = replace(SETTINGS, epochs=1)
    train_language_models(read(text), tmp_path / "lm", settings)
    written = (tmp_path / "lm" / "config.json").stat().st_mtime_ns
    train_language_models(read(text), tmp_path / "lm", settings, resume=True)
    assert (tmp_path / "lm" / "config.json").stat().st_mtime_ns == written
    train_language_models(read(text), tmp_path / "lm", replace(settings, seed=1), resume=True)
    assert (tmp_path / "lm" / "config.json").stat().st_mtime_ns != written


def interrupt_once(text: Path, folder: Path, monkeypatch) -> None:
    """Leave a checkpoint in the folder."""
    with monkeypatch.context() as patch:
        patch.setattr(training_module, "perplexities", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train_language_models(read(text), folder, replace(SETTINGS, epochs=1))


def test_resuming_with_other_settings_is_an_error_that_names_them(text, tmp_path, monkeypatch):
    interrupt_once(text, tmp_path, monkeypatch)
    other = replace(SETTINGS, epochs=1, width=17)
    with pytest.raises(ValueError, match=r"other settings: width = 17 \(was 16\)\."):
        train_language_models(read(text), tmp_path, other, resume=True)


def test_a_damaged_checkpoint_is_an_error_that_names_it(text, tmp_path, monkeypatch):
    interrupt_once(text, tmp_path, monkeypatch)
    (tmp_path / "checkpoint.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match=r"checkpoint.safetensors is damaged"):
        train_language_models(read(text), tmp_path, replace(SETTINGS, epochs=1), resume=True)


def test_all_formats_give_the_same_tokens(text, tmp_path):
    compressed = tmp_path / "text.txt.xz"
    compressed.write_bytes(lzma.compress(text.read_bytes()))
    records = tmp_path / "text.jsonl"
    records.write_text("".join(json.dumps({"text": line}) + "\n\n" for line in LINES))
    packed = tmp_path / "text.jsonl.xz"
    packed.write_bytes(lzma.compress(records.read_bytes()))
    docs = tmp_path / "text.spacy"
    DocBin(docs=map(spacy.blank("zh").make_doc, LINES)).to_disk(docs)
    expected = [line for number, line in enumerate(LINES, start=1) if number % 50]
    for path in (text, compressed, records, packed, docs):
        assert strings(read(path)) == expected, path


def test_every_fiftieth_text_is_held_out(text):
    texts = read(text)
    held_out = [len(piece) for piece in texts.held_out()]
    assert held_out == [8] * (200 // 50)


def test_no_more_than_max_tokens_are_read_up_to_the_end_of_a_text(text):
    texts = read(text, max_tokens=805)  # 100 texts of 8, and one more
    assert len(strings(texts)) + len(list(texts.held_out())) == 101


def test_long_texts_are_trained_on_in_pieces(tmp_path):
    (tmp_path / "long.txt").write_text("甲" * 450)
    assert [len(piece) for piece in read(tmp_path / "long.txt").training()] == [200, 200, 50]


def test_the_vocabulary_has_the_most_frequent_tokens_by_count_and_code_point(tmp_path):
    lines = ["the cat", "The mat", "a cat sat"] + ["zzz"] * 47
    (tmp_path / "words.txt").write_text("\n".join(lines))
    vocabulary, tokens = read(tmp_path / "words.txt", lang="en").vocabulary(4)
    assert vocabulary == ["zzz", "cat", "the", "a"]
    assert tokens == 7 + 46  # the fiftieth line is held out


@pytest.mark.parametrize(
    ["name", "content", "message"],
    [
        ("few.txt", "甲\n" * 49, "few.txt: fewer than 50 texts"),
        ("bad.jsonl", '{"text": "甲"}\n{"txt": 1}', 'bad.jsonl:2: .* a key "text"'),
        ("bad.jsonl", '{"text": 1}', 'bad.jsonl:1: the value of "text" is no string'),
        ("bad.jsonl", "甲", "bad.jsonl:1: the line is no JSON object"),
        ("text.csv", "甲", "text.csv is of an unknown format"),
    ],
)
def test_a_bad_file_is_an_error_that_says_where(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / name).vocabulary(10)


def test_an_unknown_attribute_or_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="attr = 'NROM' is no token attribute"):
        LMTexts([], "zh", "NROM")
    with pytest.raises(ValueError, match=r"There is no text file .*none.txt"):
        read(tmp_path / "none.txt")


@pytest.mark.parametrize(
    ["settings", "message"],
    [
        ({"kind": "RNN"}, "kind = 'RNN' is unknown; choose one of LSTM, GRU"),
        ({"width": 0}, "width = 0 must be larger than 0"),
        ({"dropout": 1.0}, r"dropout = 1.0 is not in \[0, 1\)"),
    ],
)
def test_settings_that_cannot_be_used_are_named(text, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        train_language_models(read(text), tmp_path / "lm", replace(SETTINGS, **settings))


def run(*arguments: str | Path) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_command_writes_a_folder_and_prints_the_perplexities(text, tmp_path):
    output = tmp_path / "new" / "lm"
    done = run(
        text, text, output, "--width", "6", "--kind", "GRU", "--vocab-size", "5", "--dropout", "0"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Perplexity on held-out text") == 2
    trained = TrainedLM.from_folder(output)
    assert (trained.width, len(trained.vocabulary), trained.attr) == (12, 5, "NORM")


def test_the_command_ends_with_a_sentence_if_a_text_is_missing(tmp_path):
    done = run(tmp_path / "none.txt", tmp_path / "lm")
    assert done.returncode == 1
    assert "There is no text file" in done.stdout
    assert "Traceback" not in done.stderr
