"""Token-level tables against scikit-learn and the equations of DATA.md."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, classification_report, precision_recall_fscore_support

from spacy_mamba_crf.evaluation.token_level import TokenScore, TokenTable, token_table

TAGS = ["O", "B-BODY", "I-BODY", "B-DISE", "I-DISE"]
pairs = st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS)), min_size=1, max_size=40)

GOLD = [["B-BODY", "I-BODY", "O", "O"], ["B-DISE", "O"]]
GUESS = [["B-BODY", "O", "O", "O"], ["B-BODY", "O"]]


def columns(tokens: list[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [pair[0] for pair in tokens], [pair[1] for pair in tokens]


def figures(score: TokenScore) -> tuple[float, float, float]:
    return score.precision, score.recall, score.f1


@given(tokens=pairs, include_o=st.booleans())
def test_each_tag_scores_as_in_scikit_learn(tokens: list[tuple[str, str]], include_o: bool) -> None:
    gold, guess = columns(tokens)
    table = token_table([gold], [guess], include_o=include_o)
    tags = sorted({*gold, *guess} - (set() if include_o else {"O"}))
    assert sorted(table.per_tag) == tags
    if tags:
        expected = precision_recall_fscore_support(gold, guess, labels=tags, zero_division=0)
        for tag, *row in zip(tags, *expected):
            score = table.per_tag[tag]
            assert [*figures(score), score.support] == pytest.approx(row)


@given(tokens=pairs, include_o=st.booleans())
def test_micro_and_weighted_averages_are_those_of_scikit_learn(
    tokens: list[tuple[str, str]], include_o: bool
) -> None:
    gold, guess = columns(tokens)
    table = token_table([gold], [guess], include_o=include_o)
    tags = list(table.per_tag)
    if tags:
        for average in ("micro", "weighted"):
            expected = precision_recall_fscore_support(
                gold, guess, labels=tags, average=average, zero_division=0
            )[:3]
            assert figures(getattr(table, average)) == pytest.approx(expected)


@given(tokens=pairs)
def test_macro_f1_is_the_harmonic_mean_of_macro_precision_and_recall(
    tokens: list[tuple[str, str]],
) -> None:
    gold, guess = columns(tokens)
    macro = token_table([gold], [guess]).macro
    precision, recall, _, _ = precision_recall_fscore_support(
        gold, guess, average="macro", zero_division=0
    )
    assert (macro.precision, macro.recall) == pytest.approx((precision, recall))
    harmonic = 2 * precision * recall / (precision + recall) if precision + recall else 0
    assert macro.f1 == pytest.approx(harmonic)


@given(tokens=pairs)
def test_the_mean_of_f1s_is_what_scikit_learn_calls_macro_f1(
    tokens: list[tuple[str, str]],
) -> None:
    gold, guess = columns(tokens)
    report = classification_report(gold, guess, output_dict=True, zero_division=0)
    table = token_table([gold], [guess])
    assert table.macro_mean_f1 == pytest.approx(report["macro avg"]["f1-score"])


@given(tokens=pairs)
def test_micro_with_o_is_the_accuracy(tokens: list[tuple[str, str]]) -> None:
    gold, guess = columns(tokens)
    accuracy = accuracy_score(gold, guess)
    assert figures(token_table([gold], [guess]).micro) == pytest.approx([accuracy] * 3)


def test_a_small_table_is_the_one_computed_by_hand() -> None:
    table = token_table(GOLD, GUESS)
    assert table.per_tag["B-BODY"] == TokenScore(1 / 2, 1.0, 2 / 3, 1)
    assert table.per_tag["I-BODY"] == TokenScore(0.0, 0.0, 0.0, 1)
    assert table.per_tag["O"] == TokenScore(3 / 4, 1.0, 6 / 7, 3)
    assert table.macro.precision == pytest.approx((1 / 2 + 3 / 4) / 4)
    assert table.macro.recall == pytest.approx(2 / 4)


def test_tags_are_listed_by_type_with_o_last() -> None:
    assert list(token_table(GOLD, GUESS).per_tag) == ["B-BODY", "I-BODY", "B-DISE", "O"]


def test_without_o_there_is_no_row_for_o() -> None:
    table = token_table(GOLD, GUESS, include_o=False)
    assert "O" not in table.per_tag
    assert figures(table.micro) == pytest.approx((1 / 2, 1 / 3, 2 / 5))


def test_a_table_survives_a_journey_through_a_dict() -> None:
    table = token_table(GOLD, GUESS)
    assert TokenTable.from_dict(table.to_dict()) == table


def test_markdown_names_each_average_for_what_it_is() -> None:
    text = token_table(GOLD, GUESS).to_markdown()
    assert "| micro (= accuracy) | 66.67 | 66.67 | 66.67 | 6 |" in text
    assert "| macro (F1 of mean P, R) | 31.25 | 50.00 | 38.46 | 6 |" in text
    assert "| macro (mean of F1s) |  |  | 38.10 |  |" in text


def test_no_tokens_score_zero() -> None:
    assert token_table([], []).micro == TokenScore(0.0, 0.0, 0.0, 0)


def test_sentences_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="Sentence 0 has 1 gold tags and 2 predicted"):
        token_table([["O"]], [["O", "O"]])
