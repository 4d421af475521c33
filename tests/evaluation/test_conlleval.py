"""conlleval against the score files shipped with ROCLING-2023 and against enumerated cases."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_mamba_crf.evaluation.conlleval import (
    PhraseCounts,
    chunks,
    evaluate,
    evaluate_files,
    format_overall,
    format_score,
    split_tag,
)
from spacy_mamba_crf.evaluation.tagged_files import read_tag_pairs

ROOT = Path(__file__).resolve().parents[2]
GENRES = ("FT", "SM", "WA")
TYPES = ("BODY", "DISE", "DRUG")
TAGS = ["O", *(f"{prefix}-{kind}" for prefix in "BIES" for kind in TYPES)]

tag_sequences = st.lists(st.sampled_from(TAGS), max_size=12)
tag_pairs = st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS)), max_size=12)


@st.composite
def entities(draw: st.DrawFn) -> tuple[int, list[tuple[int, int, str]]]:
    """A length and entities within it that do not overlap."""
    position, found = 0, []
    for gap, length, kind in draw(
        st.lists(
            st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from(TYPES)), max_size=6
        )
    ):
        found.append((position + gap, position + gap + length, kind))
        position += gap + length
    return position + draw(st.integers(0, 2)), found


def write_tags(length: int, spans: list[tuple[int, int, str]], scheme: str) -> list[str]:
    """Tags in a scheme of four letters: first, middle, last, single."""
    first, middle, last, single = list(scheme)
    tags = ["O"] * length
    for start, end, kind in spans:
        letters = [single] if end - start == 1 else [first, *middle * (end - start - 2), last]
        tags[start:end] = [f"{letter}-{kind}" for letter in letters]
    return tags


def result_files(data: Path, genre: str) -> tuple[Path, Path]:
    folder = data / "rocling2023"
    return folder / f"MultiNER-Health_truth_{genre}.txt", folder / f"{genre}_result.txt"


@pytest.mark.parametrize("genre", GENRES)
def test_the_official_score_file_is_reproduced_byte_for_byte(data: Path, genre: str) -> None:
    score = format_score(evaluate_files(*result_files(data, genre)))
    expected = (data / "rocling2023" / f"{genre}_result_Score.txt").read_text("utf-8")
    assert score == expected


def test_the_official_overall_score_is_reproduced_line_by_line(data: Path) -> None:
    scores = {genre: evaluate_files(*result_files(data, genre)) for genre in GENRES}
    expected = (data / "rocling2023" / "Overall_Score.txt").read_text("utf-8")
    assert format_overall(scores).splitlines() == expected.rstrip("\n").splitlines()


def test_blank_lines_are_what_separates_official_tokens_from_characters(data: Path) -> None:
    score = evaluate_files(*result_files(data, "FT"), count_blank_lines=False)
    assert score.tokens == 149_276
    assert score.phrases == PhraseCounts(gold=10_849, found=9_075, correct=6_085)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("eng.train", {"LOC": 7140, "MISC": 3438, "ORG": 6321, "PER": 6600}),
        ("eng.testa", {"LOC": 1837, "MISC": 922, "ORG": 1341, "PER": 1842}),
    ],
)
def test_iob1_phrases_of_conll_2003_have_their_published_counts(
    data: Path, name: str, expected: dict[str, int]
) -> None:
    path = data / "conll2003" / name
    score = evaluate_files(path, path)
    assert {kind: counts.gold for kind, counts in score.per_type.items()} == expected


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("", []),
        ("O O", []),
        ("B-X", [(0, 1, "X")]),
        ("B-X I-X O", [(0, 2, "X")]),
        ("B-X B-X", [(0, 1, "X"), (1, 2, "X")]),
        ("I-X I-X", [(0, 2, "X")]),  # opens without B-
        ("O I-X", [(1, 2, "X")]),
        ("B-X I-Y I-Y", [(0, 1, "X"), (1, 3, "Y")]),  # another type opens
        ("I-X B-X I-X", [(0, 1, "X"), (1, 3, "X")]),  # IOB1: B- only between neighbours
        ("B-X I-X E-X S-X", [(0, 3, "X"), (3, 4, "X")]),
        ("E-X I-X", [(0, 1, "X"), (1, 2, "X")]),  # nothing continues after an end
        ("S-X I-X", [(0, 1, "X"), (1, 2, "X")]),
        ("B-X M-X E-X", [(0, 3, "X")]),
        ("B-X I-X L-X U-X", [(0, 3, "X"), (3, 4, "X")]),
        ("B-X O-X I-X", [(0, 1, "X"), (2, 3, "X")]),  # O-SYMP is O
        ("B-CHEM i-CHEM", [(0, 2, "CHEM")]),  # i-CHEM is I-CHEM
        ("B-A-B I-A-B", [(0, 2, "A-B")]),  # a type may hold a hyphen
    ],
)
def test_chunks_are_those_enumerated_by_hand(
    tags: str, expected: list[tuple[int, int, str]]
) -> None:
    assert chunks(tags.split()) == expected


@pytest.mark.parametrize("scheme", ["BIIB", "BIES", "BMES", "BILU"])
@given(case=entities())
def test_every_scheme_reads_back_the_entities_it_wrote(
    scheme: str, case: tuple[int, list[tuple[int, int, str]]]
) -> None:
    length, spans = case
    assert chunks(write_tags(length, spans, scheme)) == spans


@given(tag_sequences)
def test_chunks_are_ordered_and_cover_each_tag_but_o_exactly_once(tags: list[str]) -> None:
    found = chunks(tags)
    covered = [i for start, end, _ in found for i in range(start, end)]
    assert covered == [i for i, tag in enumerate(tags) if tag != "O"]


@pytest.mark.parametrize("tag", ["PER", "X-PER", "B-", "", "BPER"])
def test_what_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="is not a tag"):
        split_tag(tag)


@given(st.lists(tag_sequences, min_size=1))
def test_a_perfect_prediction_scores_100(gold: list[list[str]]) -> None:
    score = evaluate(gold, gold)
    has_phrases = any(chunks(tags) for tags in gold)
    assert score.f1 == (100 if has_phrases else 0)
    assert score.correct_tokens == score.tokens


@given(st.lists(tag_pairs))
def test_precision_and_recall_change_places_when_truth_and_guess_do(
    sentences: list[list[tuple[str, str]]],
) -> None:
    gold = [[pair[0] for pair in sentence] for sentence in sentences]
    guess = [[pair[1] for pair in sentence] for sentence in sentences]
    one, other = evaluate(gold, guess), evaluate(guess, gold)
    assert (one.precision, one.recall, one.f1) == (other.recall, other.precision, other.f1)
    assert one.accuracy == other.accuracy


@given(st.lists(tag_pairs))
def test_phrases_of_each_type_add_up_to_the_total(
    sentences: list[list[tuple[str, str]]],
) -> None:
    score = evaluate(
        [[pair[0] for pair in sentence] for sentence in sentences],
        [[pair[1] for pair in sentence] for sentence in sentences],
    )
    for name in ("gold", "found", "correct"):
        total = sum(getattr(counts, name) for counts in score.per_type.values())
        assert total == getattr(score.phrases, name)


def test_scores_are_those_counted_by_hand() -> None:
    gold = [["B-X", "I-X", "O", "B-Y"], ["O", "B-X"]]
    guess = [["B-X", "I-X", "O", "B-X"], ["B-Y", "B-X"]]
    score = evaluate(gold, guess)
    assert score.phrases == PhraseCounts(gold=3, found=4, correct=2)
    assert score.per_type["X"] == PhraseCounts(gold=2, found=3, correct=2)
    assert score.per_type["Y"] == PhraseCounts(gold=1, found=1, correct=0)
    assert score.f1 == pytest.approx(100 * 2 * 2 / 7)
    assert score.accuracy == pytest.approx(100 * 4 / 6)
    assert score.non_o_accuracy == pytest.approx(100 * 3 / 4)


def test_a_phrase_does_not_cross_a_sentence_end() -> None:
    assert evaluate([["B-X"], ["I-X"]], [["O"], ["O"]]).phrases.gold == 2


def test_sentences_of_unequal_length_are_refused_by_their_index() -> None:
    with pytest.raises(ValueError, match="Sentence 1 has 2 gold tags and 1 predicted"):
        evaluate([["O"], ["O", "O"]], [["O"], ["O"]])


def test_an_unequal_number_of_sentences_is_refused() -> None:
    with pytest.raises(ValueError, match="2 gold sentences and 1 predicted"):
        evaluate([["O"], ["O"]], [["O"]])


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def test_line_ends_and_blank_lines_at_the_end_may_differ(tmp_path: Path) -> None:
    truth = write(tmp_path, "t", "肺 B-BODY\r\n炎 O\r\n\r\n痛 O\r\n\r\n")
    result = write(tmp_path, "r", "肺 B-BODY\n炎 O\n\n痛 O")
    assert evaluate_files(truth, result).tokens == 5


def test_a_bare_carriage_return_ends_a_line(tmp_path: Path) -> None:
    truth = write(tmp_path, "t", "肺 B-BODY\r炎 O\r\n\r\n痛 O\r\n")
    pairs = read_tag_pairs(truth, truth, check=split_tag)
    assert pairs.gold == [["B-BODY", "O"], ["O"]]


def test_an_ideographic_space_is_a_token(tmp_path: Path) -> None:
    truth = write(tmp_path, "t", "肺 B-BODY\n\u3000 I-BODY\n")
    assert evaluate_files(truth, truth).phrases == PhraseCounts(1, 1, 1)


def test_a_file_with_another_token_is_refused_by_file_and_line(tmp_path: Path) -> None:
    truth = write(tmp_path, "truth.txt", "肺 O\n炎 O\n")
    result = write(tmp_path, "result.txt", "肺 O\n痛 O\n")
    with pytest.raises(ValueError, match=r"result\.txt:2 has the token '痛' where .*truth\.txt:2"):
        evaluate_files(truth, result)


def test_a_file_that_ends_early_is_refused_by_file_and_line(tmp_path: Path) -> None:
    truth = write(tmp_path, "truth.txt", "肺 O\n炎 O\n")
    result = write(tmp_path, "result.txt", "肺 O\n")
    with pytest.raises(ValueError, match=r"result\.txt:2 has no token"):
        evaluate_files(truth, result)


def test_a_missing_sentence_end_is_refused_by_file_and_line(tmp_path: Path) -> None:
    truth = write(tmp_path, "truth.txt", "肺 O\n\n炎 O\n")
    result = write(tmp_path, "result.txt", "肺 O\n炎 O\n")
    with pytest.raises(ValueError, match=r"result\.txt:2 has the token '炎' where .* no token"):
        evaluate_files(truth, result)


@pytest.mark.parametrize(("line", "message"), [("肺", "one column"), ("肺 PER", "is not a tag")])
def test_a_line_that_cannot_be_read_is_refused_by_file_and_line(
    tmp_path: Path, line: str, message: str
) -> None:
    truth = write(tmp_path, "truth.txt", f"炎 O\n{line}\n")
    with pytest.raises(ValueError, match=rf"truth\.txt:2.*{message}"):
        evaluate_files(truth, truth)


def test_the_mean_over_no_genre_is_refused() -> None:
    with pytest.raises(ValueError, match="no score to average"):
        format_overall({})


def run_script(*paths: Path) -> subprocess.CompletedProcess[str]:
    script = str(ROOT / "scripts" / "conlleval.py")
    command = [sys.executable, script, *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_the_script_prints_the_score(tmp_path: Path) -> None:
    truth = write(tmp_path, "truth.txt", "肺 B-BODY\n炎 O\n")
    result = run_script(truth, truth)
    assert result.stdout == format_score(evaluate_files(truth, truth))


def test_a_file_that_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    truth, result = tmp_path / "truth.txt", tmp_path / "result.txt"
    truth.write_text("a O\n", encoding="utf-8")
    result.write_bytes(b"a O\n\xff\xfe O\n")
    with pytest.raises(ValueError, match=r"result\.txt is not UTF-8 .* at byte 4"):
        evaluate_files(truth, result)


def test_the_script_fails_with_the_line_that_disagrees(tmp_path: Path) -> None:
    truth = write(tmp_path, "truth.txt", "肺 O\n")
    other = write(tmp_path, "other.txt", "炎 O\n")
    result = run_script(truth, other)
    assert result.returncode == 1
    assert "other.txt:1" in result.stdout + result.stderr
