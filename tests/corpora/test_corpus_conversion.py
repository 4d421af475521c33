"""Docs, .spacy files, named corpora and the convert script."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import DocBin
from spacy.training import Corpus as SpacyCorpus
from spacy.vocab import Vocab

from spacy_mamba_crf.chunks import bio_tags
from spacy_mamba_crf.corpora import (
    Sentence,
    character_doc,
    load_corpus,
    to_docbin,
    word_doc,
    write_corpus,
)
from spacy_mamba_crf.corpora.tags import trim_whitespace

Write = Callable[..., Path]
SCRIPT = Path(__file__).parents[2] / "scripts" / "convert.py"
CHINESE = spacy.blank("zh")
ROCLING_NAMES = (
    "ROCLING22_CHNER_truth.txt",
    "MultiNER-Health_truth_FT.txt",
    "MultiNER-Health_truth_SM.txt",
    "MultiNER-Health_truth_WA.txt",
)


def bio_text(n: int, prefix: str) -> str:
    return "\r\n".join(
        f"{prefix} O\r\n{i % 10} O\r\n{chr(0x4E00 + i)} B-BODY\r\n" for i in range(n)
    )


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(1, 12))
def test_gold_and_predicted_characters_are_the_same_tokens(data: st.DataObject, n: int) -> None:
    chars = st.lists(st.sampled_from("腎臟a \u3000\t\x08\x85𠀀"), min_size=n, max_size=n)
    tokens = tuple(data.draw(chars))
    cuts = sorted(data.draw(st.sets(st.integers(0, n), max_size=6)))
    tags = tuple(bio_tags(n, [(a, b, "BODY") for a, b in pairwise(cuts)]))
    sentence = Sentence(tokens, trim_whitespace(tokens, tags), "a.txt", 1, "FT")
    doc = character_doc(Vocab(), sentence)
    predicted = CHINESE.make_doc(doc.text)
    assert doc.text == "".join(tokens)
    assert [t.text_with_ws for t in doc] == [t.text_with_ws for t in predicted]
    assert [(e.start_char, e.end_char) for e in doc.ents] == [
        (a, b) for a, b, _ in sentence.entities
    ]


def test_every_token_is_annotated() -> None:
    doc = character_doc(Vocab(), Sentence(("腎", "痛"), ("B-BODY", "O"), "a.txt", 1, "FT"))
    assert [token.ent_iob_ for token in doc] == ["B", "O"]


def test_neighbouring_entities_of_one_type_stay_apart() -> None:
    doc = word_doc(Vocab(), Sentence(("A", "B"), ("B-PER", "B-PER"), "a.conll", 1, "news"))
    assert [ent.text for ent in doc.ents] == ["A", "B"]


def test_origin_and_entities_survive_the_file(tmp_path: Path) -> None:
    sentence = Sentence(("腎", " ", "痛"), ("B-BODY", "O", "O"), "a.txt", 7, "FT", "00002")
    to_docbin([sentence], "character").to_disk(tmp_path / "a.spacy")
    [doc] = DocBin().from_disk(tmp_path / "a.spacy").get_docs(Vocab())
    assert doc.user_data == {"genre": "FT", "source": "a.txt", "line": 7, "id": "00002"}
    assert [(e.text, e.label_) for e in doc.ents] == [("腎", "BODY")]


def test_spacys_corpus_predicts_on_the_conll_words(tmp_path: Path) -> None:
    sentence = Sentence(("Man.", "Utd's"), ("B-ORG", "I-ORG"), "a.conll", 1, "news")
    to_docbin([sentence], "word").to_disk(tmp_path / "a.spacy")
    [example] = SpacyCorpus(tmp_path / "a.spacy")(spacy.blank("en"))
    assert [t.text for t in example.predicted] == ["Man.", "Utd's"]


def test_rocling_is_found_flat_and_in_its_two_folders(write: Write, tmp_path: Path) -> None:
    for i, name in enumerate(ROCLING_NAMES):
        sub_folder = "rocling2022" if i == 0 else "rocling2023"
        text = bio_text(10, "甲乙丙丁"[i])
        write(f"flat/{name}", text)
        write(f"nested/{sub_folder}/{name}", text)
    flat = load_corpus("rocling", tmp_path / "flat")
    assert flat.parts == load_corpus("rocling", tmp_path / "nested").parts
    assert [len(flat.parts[part]) for part in ("train", "dev", "test")] == [32, 4, 4]


def test_a_missing_file_is_named_with_the_places_looked_at(write: Write, tmp_path: Path) -> None:
    write(ROCLING_NAMES[0], "腎 O\n")
    with pytest.raises(FileNotFoundError, match=r"rocling2023/MultiNER-Health_truth_FT\.txt"):
        load_corpus("rocling", tmp_path)


def test_an_unknown_corpus_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="known are sample, sample_en, rocling"):
        load_corpus("no", tmp_path)


def test_healthner_keeps_its_test_file_and_carves_dev_out_of_train(tmp_path: Path) -> None:
    def records(n: int, start: int) -> str:
        return "".join(
            json.dumps(
                {
                    "id": str(i),
                    "genre": "ft" if i % 2 else "sm",
                    "sentence": chr(0x4E00 + i),
                    "character": [chr(0x4E00 + i)],
                    "character_label": ["B-BODY"],
                }
            )
            + "\n"
            for i in range(start, start + n)
        )

    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        archive.writestr("train.json", records(40, 0))
    (tmp_path / "test.json").write_text(records(5, 100), encoding="utf-8")
    corpus = load_corpus("healthner", tmp_path)
    assert {part: len(found) for part, found in corpus.parts.items()} == {
        "train": 36,
        "dev": 4,
        "test": 5,
    }
    assert sorted(s.genre for s in corpus.parts["dev"]) == ["ft", "ft", "sm", "sm"]


@pytest.fixture
def conll_folder(write: Write, tmp_path: Path) -> Path:
    write("eng.train", "Ann NNP I-NP I-PER\n")
    write("eng.testa", "Bob NNP I-NP I-PER\n")
    return tmp_path


def test_conll_without_testb_has_no_test_part_and_removes_a_stale_one(conll_folder: Path) -> None:
    output = conll_folder / "out"
    write_corpus(load_corpus("conll2003", conll_folder, test_is_dev=True), output)
    assert (output / "test.spacy").exists()
    stats = write_corpus(load_corpus("conll2003", conll_folder), output)
    assert not (output / "test.spacy").exists()
    assert (stats["test_is_dev"], sorted(stats["parts"])) == (False, ["dev", "train"])


def test_a_test_part_that_repeats_dev_is_marked(conll_folder: Path) -> None:
    stats = write_corpus(
        load_corpus("conll2003", conll_folder, test_is_dev=True), conll_folder / "out"
    )
    assert stats["test_is_dev"] is True
    assert stats == json.loads((conll_folder / "out" / "stats.json").read_text(encoding="utf-8"))


def test_testb_is_used_if_it_is_there(write: Write, conll_folder: Path) -> None:
    write("eng.testb", "Eve NNP I-NP I-PER\n")
    corpus = load_corpus("conll2003", conll_folder, test_is_dev=True)
    assert (corpus.parts["test"][0].tokens, corpus.test_is_dev) == (("Eve",), False)


def test_statistics_count_by_part_genre_and_type(write: Write, tmp_path: Path) -> None:
    write("clinic.txt", "腎 B-BODY\n痛 B-SYMP\n。 O\n")
    stats = write_corpus(load_corpus("sample", tmp_path), tmp_path / "out")
    expected = {"sentences": 1, "tokens": 3, "entities": 2, "types": {"BODY": 1, "SYMP": 1}}
    assert stats["parts"]["train"] == {**expected, "genres": {"clinic": expected}}


def test_only_finished_files_are_left_behind(write: Write, tmp_path: Path) -> None:
    write("clinic.txt", bio_text(10, "甲"))
    write_corpus(load_corpus("sample", tmp_path), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "dev.spacy",
        "repairs.json",
        "stats.json",
        "test.spacy",
        "train.spacy",
    ]


def test_english_sample_files_named_by_part_are_kept_so(write: Write, tmp_path: Path) -> None:
    for i, part in enumerate(("train", "dev", "test")):
        write(f"{part}.conll", f"# synthetic\nw{i} NNP I-NP I-PER\n")
    corpus = load_corpus("sample_en", tmp_path)
    assert {part: s[0].tokens for part, s in corpus.parts.items()} == {
        "train": ("w0",),
        "dev": ("w1",),
        "test": ("w2",),
    }


def test_one_english_sample_file_is_split(write: Write, tmp_path: Path) -> None:
    write("news.conll", "\n\n".join(f"w{i} NNP I-NP I-PER" for i in range(20)))
    corpus = load_corpus("sample_en", tmp_path)
    assert [len(corpus.parts[part]) for part in ("train", "dev", "test")] == [16, 2, 2]


def run_script(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8")


def test_the_script_prints_the_repairs_and_writes_the_files(write: Write, tmp_path: Path) -> None:
    write("in/clinic.txt", "腎 I-BODY\n痛 B-SYMP\n")
    done = run_script("sample", tmp_path / "in", tmp_path / "out", "--seed", "1")
    assert done.returncode == 0, done.stderr
    assert "clinic.txt:1" in done.stdout
    assert json.loads((tmp_path / "out" / "stats.json").read_bytes())["seed"] == 1


def test_the_script_says_what_is_missing(tmp_path: Path) -> None:
    done = run_script("conll2003", tmp_path, tmp_path / "out")
    assert done.returncode == 1
    assert "eng.train" in done.stdout
