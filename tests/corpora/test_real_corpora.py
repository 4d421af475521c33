"""The published counts, from the real files where they are at hand."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import spacy

from spacy_mamba_crf.corpora import (
    ReadReport,
    character_doc,
    load_corpus,
    read_bio,
    read_conll,
    split_sentences,
)
from spacy_mamba_crf.corpora.split import shared_texts

RealData = Callable[[str], Path]
TRUTH = "rocling2023/MultiNER-Health_truth_{}.txt"


# Sentences, characters and entities by the ROCLING-2023 overview; phrases by its score files.
@pytest.mark.parametrize(
    ("genre", "sentences", "characters", "entities", "phrases"),
    [
        ("FT", 2035, 149_276, 10_845, 10_849),
        ("SM", 2208, 98_317, 8_292, 8_292),
        ("WA", 2381, 92_498, 9_761, 9_761),
    ],
)
def test_rocling_2023_has_its_published_counts(
    real_data: RealData, genre: str, sentences: int, characters: int, entities: int, phrases: int
) -> None:
    report = ReadReport()
    read = list(read_bio(real_data(TRUTH.format(genre)), report=report))
    [counts] = report.files.values()
    assert (counts.sentences, counts.tokens) == (sentences, characters)
    assert (counts.begin_tags, counts.chunks) == (entities, phrases)
    assert sum(len(s.entities) for s in read) == phrases


def test_rocling_cross_trains_on_2022_and_tests_on_2023(real_data: RealData) -> None:
    root = real_data(TRUTH.format("FT")).parents[1]
    parts = load_corpus("rocling-cross", root).parts
    assert len(parts["train"]) + len(parts["dev"]) == 3205
    assert len(parts["dev"]) == 321
    assert len(parts["test"]) == 2035 + 2208 + 2381
    assert {sentence.genre for sentence in parts["test"]} == {"FT", "SM", "WA"}


# Table 2 of the ROCLING-2022 overview. Its file has three more B-TIME tags than its 194.
PUBLISHED_2022 = {
    "BODY": 5315,
    "SYMP": 1944,
    "INST": 250,
    "EXAM": 207,
    "CHEM": 1718,
    "DISE": 2609,
    "DRUG": 481,
    "SUPP": 183,
    "TREAT": 468,
    "TIME": 194,
}


@pytest.fixture(scope="module")
def rocling_2022(real_data: RealData) -> tuple[ReadReport, list]:
    report = ReadReport()
    return report, list(read_bio(real_data("rocling2022/ROCLING22_CHNER_truth.txt"), report=report))


def test_rocling_2022_has_its_published_size(rocling_2022: tuple[ReadReport, list]) -> None:
    [counts] = rocling_2022[0].files.values()
    assert (counts.sentences, counts.tokens) == (3205, 118_116)


def test_rocling_2022_has_the_published_entities_but_for_time(
    rocling_2022: tuple[ReadReport, list],
) -> None:
    report, sentences = rocling_2022
    assert sum(PUBLISHED_2022.values()) == 13_369
    found = Counter(label for s in sentences for _, _, label in s.entities)
    opened = Counter(r.new[2:] for r in report.repairs if r.kind == "inside-without-begin")
    begin_tags = found - opened
    assert begin_tags == {**PUBLISHED_2022, "TIME": 194 + 3}


# Found with grep in the file itself.
def test_rocling_2022_reports_its_known_dirt(rocling_2022: tuple[ReadReport, list]) -> None:
    places = {(r.line, r.old, r.new) for r in rocling_2022[0].repairs}
    assert {(11988, "O-SYMP", "O"), (39801, "i-CHEM", "I-CHEM")} <= places


# Tjong Kim Sang & De Meulder 2003, tables 1 and 2.
@pytest.mark.parametrize(
    ("name", "sentences", "tokens", "entities"),
    [
        (
            "eng.train",
            14_987,
            203_621,
            {"LOC": 7140, "MISC": 3438, "ORG": 6321, "PER": 6600},
        ),
        ("eng.testa", 3_466, 51_362, {"LOC": 1837, "MISC": 922, "ORG": 1341, "PER": 1842}),
    ],
)
def test_conll_2003_has_its_published_counts(
    real_data: RealData, name: str, sentences: int, tokens: int, entities: dict[str, int]
) -> None:
    report = ReadReport()
    read = list(read_conll(real_data(f"conll2003/{name}"), report=report))
    documents = len({str(s.id).split(".")[0] for s in read})
    # The published number of sentences counts the -DOCSTART- lines.
    assert len(read) + documents == sentences
    assert report.files[name].tokens == tokens
    assert Counter(label for s in read for _, _, label in s.entities) == entities
    assert not report.repairs


def test_rocling_half_has_half_the_training_part_and_the_same_others(
    real_data: RealData, rocling: dict[str, list]
) -> None:
    real_data("rocling2022")
    half = load_corpus("rocling-half", real_data("rocling2023").parent).parts
    assert half["train"] == rocling["train"][::2]
    assert {**half, "train": rocling["train"]} == rocling


@pytest.fixture(scope="module")
def rocling(real_data: RealData) -> dict[str, list]:
    real_data("rocling2022")
    return load_corpus("rocling", real_data("rocling2023").parent).parts


# round(n / 10), halves up, of 3,205, 2,035, 2,208 and 2,381 sentences.
@pytest.mark.parametrize("part", ["dev", "test"])
def test_the_rocling_split_has_its_documented_sizes(rocling: dict[str, list], part: str) -> None:
    sizes = Counter(s.genre for s in rocling[part])
    assert sizes == {"WA22": 321, "FT": 204, "SM": 221, "WA": 238}


def test_no_text_of_rocling_is_in_two_parts(rocling: dict[str, list]) -> None:
    assert shared_texts(rocling["train"], rocling["dev"] + rocling["test"]) == 0
    assert shared_texts(rocling["dev"], rocling["test"]) == 0


def test_the_rocling_split_can_be_found_again_from_shuffled_files(rocling: dict[str, list]) -> None:
    backwards = [s for part in ("test", "dev", "train") for s in reversed(rocling[part])]
    again = split_sentences(backwards)
    key = {(s.source, s.line) for s in again["test"]}
    assert key == {(s.source, s.line) for s in rocling["test"]}


def test_spacys_tokenizer_agrees_on_every_real_sentence(rocling: dict[str, list]) -> None:
    nlp = spacy.blank("zh")
    for sentence in rocling["dev"] + rocling["test"]:
        doc = character_doc(nlp.vocab, sentence)
        assert [t.text for t in nlp.make_doc(doc.text)] == list(sentence.tokens)
