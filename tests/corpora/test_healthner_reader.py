"""The HealthNER reader on records in the form its authors publish."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from spacy_mamba_crf.corpora import ReadReport, read_healthner

Write = Callable[..., Path]

# Example 00002 of the corpus's own description, with the character columns its files have.
RECORD = {
    "id": "00002",
    "genre": "sm",
    "sentence": "如何治療胃食道逆流症？",
    "word": ["如何", "治療", "胃食道逆流症", "？"],
    "word_label": ["O", "O", "DISE", "O"],
    "character": list("如何治療胃食道逆流症？"),
    "character_label": ["O"] * 4 + ["B-DISE"] + ["I-DISE"] * 5 + ["O"],
}


def lines(*records: dict) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def changed(**values: object) -> dict:
    return {**RECORD, **values}


def test_a_record_keeps_its_id_and_genre(write: Write) -> None:
    sentence = next(read_healthner(write("test.json", lines(RECORD))))
    assert (sentence.id, sentence.genre, sentence.line) == ("00002", "sm", 1)
    assert sentence.entities == [(4, 10, "DISE")]


def test_a_record_without_character_labels_is_read_from_its_words(write: Write) -> None:
    words_only = {k: v for k, v in RECORD.items() if not k.startswith("character")}
    sentence = next(read_healthner(write("test.json", lines(words_only))))
    assert list(sentence.tags) == RECORD["character_label"]


def test_a_zip_is_read_without_unpacking(write: Write, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        archive.writestr("train.json", lines(RECORD, changed(id="00003")))
        archive.writestr("__MACOSX/._train.json", "junk")
    sentences = list(read_healthner(tmp_path / "train.zip"))
    assert [(s.id, s.source, s.line) for s in sentences] == [
        ("00002", "train.json", 1),
        ("00003", "train.json", 2),
    ]


def test_a_sentence_that_differs_from_its_characters_is_reported(write: Write) -> None:
    report = ReadReport()
    list(read_healthner(write("test.json", lines(changed(sentence="別的"))), report=report))
    assert report.counts == {"text-differs": 1}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{\n", "not a JSON record"),
        ("[]\n", "JSON list"),
        (lines({"id": "1"}), "lacks the list word or word_label"),
        (lines(changed(character_label=["O"])), "11 entries in character, 1 in character_label"),
        (lines(changed(character_label=["?"] * 11)), "not one of O, B-TYPE"),
        (lines(changed(character=[], character_label=[])), "has no characters"),
    ],
)
def test_a_record_that_does_not_fit_is_an_error_that_names_the_line(
    write: Write, text: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=rf"test\.json:2: .*{complaint}"):
        list(read_healthner(write("test.json", lines(RECORD) + text)))
