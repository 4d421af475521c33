"""Pretraining by masked tokens: what is learnt, resuming, several processes, the command."""

import lzma
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import spacy
from small_pipelines import CONFIG, LINES, SETTINGS, pipeline, settings, tok2vec, write_text

from spacy_mamba_crf.corpora.raw_texts import raw_docs
from spacy_mamba_crf.layers.parameters import weights
from spacy_mamba_crf.layers.tok2vec_file import read_file
from spacy_mamba_crf.pipeline.pretrained_tok2vec import tok2vec_of
from spacy_mamba_crf.pretraining import PretrainSettings, pretrain
from spacy_mamba_crf.pretraining import training as training_module
from spacy_mamba_crf.pretraining.card import card

COMMAND = [sys.executable, "-m", "spacy", "mamba-pretrain"]
OPTIONS = "--epochs 2 --batch-tokens 400 --piece-tokens 24 --vocab-size 50 --hidden 16".split()


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return write_text(tmp_path / "text.txt")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.cfg"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def run(text: Path, folder: Path, asked: PretrainSettings = SETTINGS, **options):
    """(what was found, the weights after it) of a pretraining in this process."""
    nlp = pipeline()
    docs = raw_docs([text], nlp)
    found = pretrain(nlp, tok2vec(nlp), settings(nlp), docs, folder, asked, **options)
    return found, weights(tok2vec(nlp))


def command(*arguments: object, processes: int = 1) -> subprocess.CompletedProcess:
    start: Sequence[str] = COMMAND
    if processes > 1:
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        start = [*torchrun, f"--nproc-per-node={processes}", *COMMAND[1:]]
    return subprocess.run(
        [*start, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def leave_unfinished(text: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch that is interrupted when all is done but the writing."""

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(training_module, "_CHECKPOINT_SECONDS", 0.0)
        patched.setattr(training_module, "write_tok2vec", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(text, folder, replace(SETTINGS, epochs=1))


def test_masked_tokens_are_learnt_from_their_surroundings(text, tmp_path):
    found, _ = run(text, tmp_path / "out")
    # Eight tokens are equally frequent; what stands around a masked one gives it away.
    assert found.perplexity < 1.5
    before, _ = run(text, tmp_path / "none", replace(SETTINGS, epochs=1, learn_rate=1e-9))
    assert 6 < before.perplexity < 10


def test_what_is_written_are_the_weights_and_how_they_were_made(text, tmp_path):
    found, expected = run(text, tmp_path / "out", facts={"texts": ["text.txt"]})
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["tok2vec.safetensors"]
    file = read_file(found.path)
    assert file.weights.keys() == expected.keys()
    assert all(np.array_equal(file.weights[name], expected[name]) for name in expected)
    assert file.settings == settings(pipeline())
    assert file.facts["texts"] == ["text.txt"]
    assert file.facts["perplexity"] == pytest.approx(found.perplexity)
    assert file.facts["settings"]["learn_rate"] == SETTINGS.learn_rate


@pytest.mark.parametrize("stop", [1, 7, 30])
def test_an_interrupted_training_resumes_to_the_same_weights(text, tmp_path, monkeypatch, stop):
    monkeypatch.setattr(training_module, "_CHECKPOINT_SECONDS", 0.0)
    asked = replace(SETTINGS, epochs=4, dropout=0.2)
    _, expected = run(text, tmp_path / "whole", asked)
    save, saved = training_module.save_checkpoint, []

    def interrupted(*arguments):
        save(*arguments)
        saved.append(arguments)
        if len(saved) == stop:
            raise KeyboardInterrupt

    monkeypatch.setattr(training_module, "save_checkpoint", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(text, tmp_path / "out", asked)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["checkpoint.safetensors"]
    monkeypatch.setattr(training_module, "save_checkpoint", save)
    _, resumed = run(text, tmp_path / "out", asked, resume=True)
    assert all(np.array_equal(expected[name], resumed[name]) for name in expected)


@pytest.fixture
def usual_signals():
    """Signals as in a shell's foreground: in its background SIGINT is ignored."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield usual
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_stop_leaves_a_whole_step_to_resume_from(
    text, tmp_path, monkeypatch, usual_signals, number
):
    asked = replace(SETTINGS, epochs=4)
    _, expected = run(text, tmp_path / "whole", asked)
    add, seen = training_module.MaskedModel.learn, []

    def learn(*arguments):
        loss = add(*arguments)
        seen.append(loss)
        if len(seen) == 5:
            signal.raise_signal(number)  # in the middle of a step
        return loss

    with monkeypatch.context() as patched:
        patched.setattr(training_module.MaskedModel, "learn", learn)
        with pytest.raises(KeyboardInterrupt):
            run(text, tmp_path / "out", asked)
    assert len(seen) == 5
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["checkpoint.safetensors"]
    assert {own: signal.getsignal(own) for own in usual_signals} == usual_signals
    _, resumed = run(text, tmp_path / "out", asked, resume=True)
    assert all(np.array_equal(expected[name], resumed[name]) for name in expected)


def test_a_signal_that_is_ignored_stays_ignored(text, tmp_path, monkeypatch, usual_signals):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    add = training_module.MaskedModel.learn

    def learn(*arguments):
        signal.raise_signal(signal.SIGINT)
        return add(*arguments)

    monkeypatch.setattr(training_module.MaskedModel, "learn", learn)
    run(text, tmp_path / "out", replace(SETTINGS, epochs=1))
    assert (tmp_path / "out" / "tok2vec.safetensors").is_file()
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_the_command_says_that_it_was_stopped_and_goes_on(text, config, tmp_path):
    out = tmp_path / "out"
    arguments = [config, text, out, *OPTIONS, "--epochs", "200"]
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    while "perplexity" not in process.stderr.readline(80):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate()
    assert process.returncode == 130
    assert "--resume goes on from here" in printed
    done = command(config, text, out, *OPTIONS, "--epochs", "200", "--resume")
    assert done.returncode == 0 and "There is no checkpoint" not in done.stdout


def test_a_finished_training_is_not_overwritten(text, config, tmp_path):
    done = command(config, text, tmp_path / "out", *OPTIONS, "--resume")
    assert "There is no checkpoint in" in done.stdout
    before = (tmp_path / "out" / "tok2vec.safetensors").read_bytes()
    for options in ([], ["--resume"]):
        again = command(config, text, tmp_path / "out", *OPTIONS, *options)
        assert again.returncode == 1
        printed = " ".join((again.stdout + again.stderr).split())
        assert "is of a finished training" in printed and "There is no checkpoint" not in printed
    assert (tmp_path / "out" / "tok2vec.safetensors").read_bytes() == before


def test_an_unfinished_training_is_not_overwritten(text, tmp_path, monkeypatch):
    leave_unfinished(text, tmp_path / "out", monkeypatch)
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors is of an unfinished training"):
        run(text, tmp_path / "out", replace(SETTINGS, epochs=1))


def test_resuming_on_another_text_is_refused(text, tmp_path, monkeypatch):
    leave_unfinished(text, tmp_path / "out", monkeypatch)
    content = text.read_text(encoding="utf-8")
    text.write_text(content[::-1].strip() + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"text = .*crc32"):
        run(text, tmp_path / "out", replace(SETTINGS, epochs=1), resume=True)


def test_resuming_with_other_settings_is_refused(text, tmp_path, monkeypatch):
    leave_unfinished(text, tmp_path / "out", monkeypatch)
    with pytest.raises(ValueError, match=r"epochs = 2 \(was 1\)"):
        run(text, tmp_path / "out", replace(SETTINGS, epochs=2), resume=True)


def test_bfloat16_learns_as_well(text, tmp_path):
    plain, _ = run(text, tmp_path / "float32")
    reduced, _ = run(text, tmp_path / "bfloat16", replace(SETTINGS, bf16=True))
    assert reduced.perplexity == pytest.approx(plain.perplexity, abs=0.2)


@pytest.mark.parametrize(
    ["changes", "message"],
    [
        ({"mask_rate": 1.0}, r"mask_rate = 1.0 is not in \[0, 1\)"),
        ({"mask_rate": 0.0}, "mask_rate = 0 leaves nothing"),
        ({"batch_tokens": 0}, "batch_tokens = 0 must be larger than 0"),
        ({"max_tokens": 0}, "max_tokens = 0 must be larger than 0"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_used_are_named(text, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        run(text, tmp_path / "out", replace(SETTINGS, **changes))


def test_a_damaged_compressed_text_is_named(tmp_path):
    path = tmp_path / "text.txt.xz"
    for content in (b"not compressed", lzma.compress(b"a line\n" * 1000)[:-20]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"text\.txt\.xz is no \.xz file, or is damaged"):
            list(raw_docs([path], spacy.blank("zh")))


def test_too_little_text_is_refused_and_leaves_nothing_behind(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text(LINES[0], encoding="utf-8")
    with pytest.raises(ValueError, match="The text has 16 tokens, too few"):
        run(text, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_command_writes_a_file_of_the_asked_precision(text, config, tmp_path):
    done = command(config, text, tmp_path / "out", *OPTIONS, "--precision", "int8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Perplexity of masked tokens in held-out text" in done.stdout
    found = read_file(tmp_path / "out" / "tok2vec.safetensors")
    assert found.facts["texts"] == ["text.txt"]


def test_a_pretraining_goes_on_from_the_weights_of_another(text, config, tmp_path):
    first, then = tmp_path / "first", tmp_path / "then"
    assert command(config, text, first, *OPTIONS, "--precision", "float32").returncode == 0
    weights_path = first / "tok2vec.safetensors"
    options = ["--start", weights_path, "--learn-rate", "1e-9", "--precision", "float32"]
    done = command(config, text, then, *OPTIONS, *options)
    assert done.returncode == 0, done.stderr
    before, after = read_file(weights_path), read_file(then / "tok2vec.safetensors")
    for name, values in before.weights.items():
        np.testing.assert_allclose(after.weights[name], values, atol=1e-5)
    assert after.facts["start"].items() >= before.facts.items()
    told = card(weights_path, after, "float32", "our own", "mamba_crf")
    rates = f"| `learn_rate` | {before.facts['settings']['learn_rate']} | 1e-09 |"
    assert rates in told
    assert f"| perplexity after it | {before.facts['perplexity']:.2f} |" in told


def test_weights_of_another_tok2vec_are_no_start(text, config, tmp_path):
    first = tmp_path / "first"
    run(text, first, replace(SETTINGS, epochs=1))
    width = "--components.ner.model.tok2vec.encode.depth"
    weights_path = first / "tok2vec.safetensors"
    done = command(config, text, tmp_path / "b", *OPTIONS, "--start", weights_path, width, "2")
    assert done.returncode == 1
    assert "was pretrained with tok2vec.encode.depth = 1" in " ".join(done.stdout.split())


def test_two_processes_learn_what_one_learns(text, config, tmp_path):
    for processes in (1, 2):
        done = command(
            config, text, tmp_path / str(processes), *OPTIONS, "--precision", "float32",
            processes=processes,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    alone, together = (read_file(tmp_path / n / "tok2vec.safetensors").weights for n in ("1", "2"))
    for name in alone:
        np.testing.assert_allclose(together[name], alone[name], atol=2e-4, err_msg=name)


@pytest.mark.parametrize(
    ["arguments", "message"],
    [
        (["--component", "tagger"], "There is no component 'tagger'"),
        (["--precision", "int4"], "precision = 'int4' is unknown"),
        (["--mask-rate", "2"], "mask_rate = 2.0 is not in"),
        (["--nlp.lang", "--mask-rate", "2"], "mask_rate = 2.0 is not in"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_command_says_what_is_wrong(text, config, tmp_path, arguments, message):
    done = command(config, text, tmp_path / "out", *OPTIONS, *arguments)
    assert done.returncode == 1
    assert message in " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "tok2vec.safetensors").exists()


def test_an_option_that_is_none_is_named(text, config, tmp_path):
    done = command(config, text, tmp_path / "out", "--epoch", "2")
    assert done.returncode == 2
    assert "No such option: --epoch" in done.stderr


def test_resuming_from_another_start_is_refused(text, tmp_path, monkeypatch):
    leave_unfinished(text, tmp_path / "out", monkeypatch)
    with pytest.raises(ValueError, match=r"other settings: start = '1' \(was None\)"):
        facts = {"start": {"crc32": "1"}}
        run(text, tmp_path / "out", replace(SETTINGS, epochs=1), resume=True, facts=facts)


def test_weights_for_another_language_are_a_warning(text, config, tmp_path):
    run(text, tmp_path / "first", replace(SETTINGS, epochs=1), facts={"lang": "en"})
    options = ["--start", tmp_path / "first" / "tok2vec.safetensors", *OPTIONS]
    done = command(config, text, tmp_path / "then", *options)
    assert done.returncode == 0
    assert "is for the language en" in " ".join(done.stdout.split())


def test_an_embeddings_own_masks_are_off_in_pretraining_and_back_after_it(text, tmp_path):
    weights_by_rate = []
    for rate in (0.0, 0.5):
        nlp = pipeline()
        embed = tok2vec(nlp).get_ref("embed")
        embed.attrs["mask_rate"] = rate
        docs = raw_docs([text], nlp)
        asked = replace(SETTINGS, epochs=1)
        pretrain(nlp, tok2vec(nlp), settings(nlp), docs, tmp_path / str(rate), asked)
        assert embed.attrs["mask_rate"] == rate
        weights_by_rate.append(weights(tok2vec(nlp)))
    first, second = weights_by_rate
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_listener_is_refused_by_the_name_of_what_it_listens_to():
    nlp = spacy.blank("xx")
    nlp.add_pipe("tok2vec")
    model = {"@architectures": "spacy.Tok2VecListener.v1", "width": 96, "upstream": "*"}
    tagger = {"@architectures": "spacy_mamba_crf.CRFTagger.v1", "tok2vec": model}
    nlp.add_pipe("crf_ner", name="ner", config={"model": tagger})
    with pytest.raises(ValueError, match="The component 'ner' listens to"):
        tok2vec_of(nlp, "ner")
