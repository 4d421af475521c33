"""The registered scorer against spaCy's own and against conlleval."""

import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise

import pytest
import spacy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.scorer import get_ner_prf
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_mamba_crf.chunks import bio_tags
from spacy_mamba_crf.evaluation.conlleval import evaluate
from spacy_mamba_crf.evaluation.scorer import make_ner_scorer, ner_scorer
from spacy_mamba_crf.evaluation.spans import align_entity, tag_pair

MakeExample = Callable[..., Example]
LENGTH = 12
kinds = st.sampled_from(["BODY", "DISE", "DRUG"])
fixture_is_stateless = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def chunk_lists(draw: st.DrawFn) -> list[tuple[int, int, str]]:
    cuts = sorted(draw(st.sets(st.integers(0, LENGTH), max_size=8)))
    spans = list(pairwise(cuts))
    keep = draw(st.lists(st.booleans(), min_size=len(spans), max_size=len(spans)))
    return [(start, end, draw(kinds)) for (start, end), kept in zip(spans, keep) if kept]


cases = st.lists(st.tuples(chunk_lists(), chunk_lists(), chunk_lists()), max_size=4)


def without_overlap(missing: list, gold: list) -> list:
    return [m for m in missing if all(m[1] <= g[0] or g[1] <= m[0] for g in gold)]


@fixture_is_stateless
@given(texts=cases)
def test_scores_are_those_of_spacy_also_where_annotation_is_missing(
    make_example: MakeExample, texts: list
) -> None:
    examples = [
        make_example(LENGTH, gold, guess, without_overlap(missing, gold))
        for gold, guess, missing in texts
    ]
    scores = ner_scorer(examples)
    macro = scores.pop("ents_macro_f")
    assert scores == get_ner_prf(examples)
    assert macro is None or 0 <= macro <= 1


@fixture_is_stateless
@given(texts=cases)
def test_scores_are_those_of_conlleval(make_example: MakeExample, texts: list) -> None:
    scores = ner_scorer([make_example(LENGTH, gold, guess) for gold, guess, _ in texts])
    official = evaluate(
        [bio_tags(LENGTH, gold) for gold, _, _ in texts],
        [bio_tags(LENGTH, guess) for _, guess, _ in texts],
    )
    if scores["ents_f"] is None:
        assert official.phrases.gold == official.phrases.found == 0
    else:
        found = [100 * scores[key] for key in ("ents_p", "ents_r", "ents_f")]
        assert found == pytest.approx([official.precision, official.recall, official.f1])


def test_macro_f_is_the_mean_over_types(make_example: MakeExample) -> None:
    gold = [(0, 1, "BODY"), (2, 3, "DISE")]
    guess = [(0, 1, "BODY"), (2, 4, "DISE")]
    scores = ner_scorer([make_example(6, gold, guess)])
    assert scores["ents_macro_f"] == pytest.approx((1 + 0) / 2)


def test_macro_f_passes_over_a_type_that_was_only_predicted_where_annotation_is_missing(
    make_example: MakeExample,
) -> None:
    example = make_example(6, [(0, 1, "BODY")], [(0, 1, "BODY"), (3, 4, "DISE")], [(3, 5, "")])
    assert ner_scorer([example])["ents_macro_f"] == pytest.approx(1)


def test_without_annotation_every_score_is_none(vocab: spacy.vocab.Vocab) -> None:
    doc = Doc(vocab, words=["a", "b"])
    scores = ner_scorer([Example(doc.copy(), doc)])
    assert set(scores.values()) == {None}


def test_no_examples_score_none() -> None:
    assert ner_scorer([])["ents_f"] is None


def test_other_tokens_score_as_in_spacy(vocab: spacy.vocab.Vocab) -> None:
    gold = Doc(vocab, words=["ab", "cd", "e"], spaces=[False, False, False])
    guess = Doc(vocab, words=["a", "b", "cde"], spaces=[False, False, False])
    gold.set_ents([Span(gold, 0, 1, "X"), Span(gold, 1, 2, "Y")])
    guess.set_ents([Span(guess, 0, 2, "X"), Span(guess, 2, 3, "Y")])
    example = Example(guess, gold)
    scores = ner_scorer([example])
    assert scores["ents_per_type"] == get_ner_prf([example])["ents_per_type"]
    assert align_entity(example, guess.ents[0]) == (0, 1, "X")


def test_tags_leave_out_tokens_without_annotation(make_example: MakeExample) -> None:
    example = make_example(5, [(0, 2, "X")], [(1, 2, "X"), (3, 4, "X")], [(3, 5, "")])
    assert tag_pair(example) == (["B-X", "I-X", "O"], ["O", "B-X", "O"])


def test_the_registered_name_gives_the_scorer() -> None:
    make = spacy.registry.scorers.get("spacy_mamba_crf.ner_scorer.v1")
    assert make is make_ner_scorer
    assert make() is ner_scorer


def test_importing_the_scorer_loads_nothing_heavy_beyond_spacy() -> None:
    code = (
        "import sys, spacy; before = set(sys.modules)\n"
        "import spacy_mamba_crf.evaluation.scorer\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "assert not new & {'torch', 'thinc', 'matplotlib', 'numba'}, new"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
