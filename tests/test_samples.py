"""The embedded synthetic corpora: reproducible, well formed, and rich enough to train on."""

import importlib.util
import re
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT / "assets"
ZH_FILES = sorted((ASSETS / "sample_zh").glob("*.txt"))
ZH_LEXICON = ASSETS / "sample_zh" / "lexicon.tsv"
EN_FILES = sorted((ASSETS / "sample_en").glob("*.conll"))
ZH_TYPES = {"BODY", "SYMP", "INST", "EXAM", "CHEM", "DISE", "DRUG", "SUPP", "TREAT", "TIME"}
EN_TYPES = {"PER", "LOC", "ORG", "MISC"}
NOT_IN_BIG5 = "酶肽蟎"  # usual in Taiwan all the same
SIMPLIFIED = "们这药状疗对为时个来说会发现过还进医诊师护应该让认识问题间节肾肠胆脑肿痒黄体别内没"

each_zh = pytest.mark.parametrize("path", ZH_FILES, ids=lambda path: path.name)
each_en = pytest.mark.parametrize("path", EN_FILES, ids=lambda path: path.name)


def load_script() -> ModuleType:
    """Import scripts/make_samples.py, which is not part of the package."""
    spec = importlib.util.spec_from_file_location("make_samples", ROOT / "scripts/make_samples.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_sentences(path: Path) -> list[list[list[str]]]:
    """Sentences of rows of columns."""
    blocks = path.read_text(encoding="utf8").split("\n\n")
    return [[line.split(" ") for line in block.split("\n")] for block in blocks if block]


def read_zh() -> list[list[list[str]]]:
    """The sentences of all three Chinese files."""
    return [sentence for path in ZH_FILES for sentence in read_sentences(path)]


def test_generating_again_gives_the_same_bytes(tmp_path: Path):
    load_script().main(tmp_path, ASSETS / "templates")
    committed = [*ZH_FILES, *EN_FILES, ZH_LEXICON]
    assert len(committed) == 7
    for path in committed:
        again = tmp_path / path.relative_to(ASSETS)
        assert again.read_bytes() == path.read_bytes(), path


def test_no_temporary_file_is_left_behind(tmp_path: Path):
    load_script().main(tmp_path, ASSETS / "templates")
    assert not [
        path for path in tmp_path.rglob("*") if path.suffix not in ("", ".txt", ".conll", ".tsv")
    ]


def test_an_unknown_slot_is_reported_with_its_template():
    with pytest.raises(ValueError, match=r"NOPE.*看\{NOPE\}"):
        load_script().check_slots(["看{NOPE}"], [{"DISE": ["感冒"]}])


def test_adjacent_entities_of_one_type_are_told_apart_in_iob1():
    kinds = [("MISC", 1), ("MISC", 2), ("MISC", 2), ("", 3), ("PER", 4), ("PER", 4), ("LOC", 5)]
    expected = ["I-MISC", "B-MISC", "I-MISC", "O", "I-PER", "I-PER", "I-LOC"]
    assert load_script().iob1(kinds) == expected


@each_zh
def test_chinese_lines_are_one_character_and_one_tag(path: Path):
    text = path.read_bytes().decode("utf8")
    assert "\r" not in text and text.endswith("\n\n") and "\n\n\n" not in text
    for row in (row for sentence in read_sentences(path) for row in sentence):
        assert len(row) == 2 and len(row[0]) == 1 and not row[0].isspace(), row


@each_zh
def test_chinese_tag_sequences_are_legal(path: Path):
    for sentence in read_sentences(path):
        before = "O"
        for _, tag in sentence:
            assert tag == "O" or (tag[:2] in ("B-", "I-") and tag[2:] in ZH_TYPES), tag
            if tag.startswith("I-"):
                assert before[2:] == tag[2:], sentence
            before = tag


def test_there_are_about_600_chinese_texts_of_10_to_80_characters():
    lengths = [len(sentence) for sentence in read_zh()]
    assert 570 <= len(lengths) <= 650
    assert min(lengths) >= 10 and max(lengths) <= 80


def test_no_chinese_text_occurs_twice():
    texts = ["".join(row[0] for row in sentence) for sentence in read_zh()]
    assert len(set(texts)) == len(texts)


def test_each_type_has_at_least_60_entities():
    tags = Counter(tag for sentence in read_zh() for _, tag in sentence)
    assert {kind for kind in ZH_TYPES if tags[f"B-{kind}"] < 60} == set()


def test_a_tenth_to_a_seventh_of_the_texts_have_no_entity():
    sentences = read_zh()
    plain = sum(all(tag == "O" for _, tag in sentence) for sentence in sentences)
    assert 0.10 <= plain / len(sentences) <= 0.15


@each_zh
def test_chinese_text_is_traditional(path: Path):
    text = path.read_text(encoding="utf8")
    "".join(set(text) - set(NOT_IN_BIG5)).encode("cp950")  # raises for what Big5 does not know
    assert not set(text) & set(SIMPLIFIED)


def test_an_operating_theatre_is_no_treatment_but_an_operation_is():
    in_theatre, elsewhere = set(), set()
    for sentence in read_zh():
        text = "".join(row[0] for row in sentence)
        for match in re.finditer("手術(室|同意書)?", text):
            tags = in_theatre if match[1] else elsewhere
            tags.update(tag[2:] for _, tag in sentence[match.start() : match.end()])
    assert in_theatre == {""}
    assert elsewhere == {"TREAT"}


def test_the_lexicon_has_each_term_once_with_a_type_of_the_corpus():
    rows = [line.split("\t") for line in ZH_LEXICON.read_text(encoding="utf8").splitlines()]
    assert len({tuple(row) for row in rows}) == len(rows)
    assert {kind for _, kind in rows} == {"DISE", "DRUG", "EXAM", "TREAT"}


def test_the_lexicon_knows_some_but_not_all_of_the_diseases_in_the_texts():
    known = set(ZH_LEXICON.read_text(encoding="utf8").splitlines())
    diseases = set()
    for sentence in read_zh():
        text = "".join(row[0] for row in sentence)
        tags = "".join({"B-DISE": "B", "I-DISE": "I"}.get(row[1], "O") for row in sentence)
        diseases |= {text[slice(*match.span())] for match in re.finditer("BI*", tags)}
    share = sum(f"{disease}\tDISE" in known for disease in diseases) / len(diseases)
    assert 0.5 < share < 1


@each_en
def test_english_lines_have_four_columns_and_documents_a_first_line(path: Path):
    sentences = read_sentences(path)
    assert sentences[0] == [["-DOCSTART-", "-X-", "O", "O"]]
    assert all(len(row) == 4 and all(row) for sentence in sentences for row in sentence)


@each_en
@pytest.mark.parametrize("column", [2, 3], ids=["chunk", "entity"])
def test_english_tags_are_iob1(path: Path, column: int):
    for sentence in read_sentences(path):
        before = "O"
        for tag in (row[column] for row in sentence):
            assert tag == "O" or tag[:2] in ("B-", "I-"), tag
            if tag.startswith("B-"):
                assert before[2:] == tag[2:], sentence
            before = tag


def test_english_entities_are_of_the_four_types_and_some_are_adjacent():
    tags = Counter(row[3] for path in EN_FILES for sent in read_sentences(path) for row in sent)
    assert {tag[2:] for tag in tags if tag != "O"} == EN_TYPES
    assert tags["B-MISC"] > 0


def test_there_are_about_300_english_sentences():
    counts = [sum(len(s) > 1 for s in read_sentences(path)) for path in EN_FILES]
    assert 270 <= sum(counts) <= 330
