"""Soft logic rules: the teacher by enumeration, lists by hand, and both in a pipeline."""

from itertools import pairwise, product
from math import exp, log, sqrt

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc
from toy_pipelines import TEXTS, blank_pipeline, found, make_examples, tagger_model, train

from spacy_mamba_crf.pipeline.lattice import Batch
from spacy_mamba_crf.pipeline.learning import annotation_loss, divergence_loss
from spacy_mamba_crf.pipeline.soft_rules import SoftRules
from spacy_mamba_crf.pytorch.crf import Potentials
from spacy_mamba_crf.pytorch.schemes import TagSet

TAGSET = TagSet("BIO", ("X", "Y"))
NLP = spacy.blank("xx")
RULES = {"@misc": "spacy_mamba_crf.SoftRules.v1", "updates": 1}


def doc_of(*words: str) -> Doc:
    return Doc(NLP.vocab, words=list(words))


def no_potentials() -> Potentials:
    size = len(TAGSET)
    shapes = ((size, size), (size,), (size,))
    return Potentials(*(torch.zeros(shape, dtype=torch.float64) for shape in shapes))


def batch_of(*texts: list[list[float]]) -> Batch:
    offsets = np.cumsum([0, *map(len, texts)])
    return Batch(torch.tensor([row for text in texts for row in text]), offsets)


def score(tags: tuple[int, ...], emissions: torch.Tensor, potentials: Potentials) -> float:
    total = float(potentials.start[tags[0]] + potentials.end[tags[-1]])
    total += sum(float(emissions[place, tag]) for place, tag in enumerate(tags))
    return total + sum(float(potentials.transitions[a, b]) for a, b in pairwise(tags))


def broken_steps(tags: tuple[int, ...]) -> int:
    """I- tags without their entity before them, in BIO."""
    names = ["O", *(TAGSET.tags[tag] for tag in tags)]
    return sum(
        name.startswith("I-") and before not in (name, "B" + name[1:])
        for before, name in pairwise(names)
    )


def test_the_teacher_pays_for_each_step_that_the_scheme_forbids():
    torch.manual_seed(0)
    batch = batch_of(torch.randn(3, len(TAGSET)).tolist())
    rules = SoftRules(strength=2.5, lists=False)
    taught, potentials = rules.teacher([doc_of("a", "b", "c")], batch, no_potentials(), TAGSET)
    for tags in product(range(len(TAGSET)), repeat=3):
        expected = score(tags, batch.emissions, no_potentials()) - 2.5 * broken_steps(tags)
        assert score(tags, taught.emissions, potentials) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("words", "pairs"),
    [
        ("a b", set()),
        ("a 、 b", {(0, 2)}),
        ("see a1 a2 、 b1 b2", {(2, 5), (1, 4)}),  # the first two items from their ends
        ("a 、 b1 b2 、 c1 c2 d", {(0, 3), (2, 5), (3, 6)}),  # the others from their beginnings
        ("、 a", set()),
        ("a 、 b b b b", set()),  # more than max_item tokens
    ],
)
def test_counterparts_are_the_tokens_at_one_place_of_neighbouring_items(words, pairs):
    rules = SoftRules(max_item=3)
    assert {tuple(row) for row in rules.counterparts(doc_of(*words.split())).tolist()} == pairs


def test_a_token_pays_for_the_distance_to_the_labels_of_its_counterpart():
    """strength * |e_label - p(label of the counterpart)|, Hu et al. (2016), section 4.2."""
    even, sure = [0.0] * 5, [0.0, log(6.0), log(6.0), log(3.0), log(3.0)]
    batch = batch_of([even, even, sure])  # the second token is the separator
    rules = SoftRules(strength=2.0, transitions=False)
    taught, _ = rules.teacher([doc_of("a", "、", "b")], batch, no_potentials(), TAGSET)
    p = {"O": 1 / 19, "X": 12 / 19, "Y": 6 / 19}
    for tag, name in enumerate(TAGSET.tags):
        label = name.removeprefix("B-").removeprefix("I-")
        distance = sqrt(sum((float(other == label) - p[other]) ** 2 for other in p))
        assert float(taught.emissions[0, tag]) == pytest.approx(-2 * distance, abs=1e-5)
    assert torch.equal(taught.emissions[1], batch.emissions[1])


def test_the_teachers_share_grows_as_in_the_paper():
    rules = SoftRules(imitation=0.3, decay=0.9, updates=100)
    shares = []
    for rules.seen in (0, 100, 200, 1000):
        shares.append(rules.share)
    assert shares == pytest.approx([0.0, 0.1, 0.19, 0.3])


def test_the_loss_is_that_of_the_annotation_and_that_of_the_teacher_by_their_shares():
    rules = SoftRules(imitation=0.25, decay=0.1, updates=1)
    rules.seen = 10
    examples = make_examples(NLP, [("a 、 b", {"entities": [(0, 1, "X")]})])
    torch.manual_seed(0)
    scores = [torch.randn(len(eg.predicted), len(TAGSET)).numpy() for eg in examples]
    docs = [eg.predicted for eg in examples]
    own = annotation_loss(examples, scores, no_potentials(), TAGSET, None)
    batch = batch_of(*(array.tolist() for array in scores))
    teacher = rules.teacher(docs, batch, no_potentials(), TAGSET)
    taught = divergence_loss(batch, no_potentials(), *teacher)
    mixed = rules.mix(own, docs, scores, no_potentials(), TAGSET)
    assert mixed.value == pytest.approx(0.75 * own.value + 0.25 * taught.value)
    expected = 0.75 * own.d_scores[0] + 0.25 * taught.d_scores[0]
    np.testing.assert_allclose(mixed.d_scores[0], expected, atol=1e-6)
    assert rules.seen == 10  # an update is counted by the component


def test_a_strict_teacher_makes_a_tagger_without_crf_predict_whole_entities():
    """What otherwise only transition scores know: an I- after O is as good as any tag."""
    settings = {**RULES, "strength": 50.0, "lists": False}
    nlp = blank_pipeline(tagger_model(crf=False), rules=settings)
    examples = make_examples(nlp)
    train(nlp, examples, 2)
    ner = nlp.get_pipe("ner")
    ner.model.get_ref("output_layer").get_param("b")[2::2] = 3.0  # all I- tags
    tags = ner.lattice([nlp.make_doc(text) for text in TEXTS]).best()
    assert (tags != 0).any()
    lattice = ner.lattice([nlp.make_doc("one two three")])
    assert ner.tagset.tags[lattice.best()[0]][0] != "I"
    ner.rules.decode = "student"
    assert ner.tagset.tags[ner.lattice([nlp.make_doc("one two three")]).best()[0]][0] == "I"


@pytest.mark.parametrize("crf", [True, False])
def test_a_pipeline_with_rules_learns_and_is_the_same_after_it_was_saved(tmp_path, crf):
    nlp = blank_pipeline(tagger_model(crf=crf), rules=RULES)
    train(nlp, make_examples(nlp), 60)
    doc = nlp("I like London and Berlin .")
    assert found(doc) == [("London", "LOC"), ("Berlin", "LOC")]
    nlp.to_disk(tmp_path / "model")
    again = spacy.load(tmp_path / "model")
    assert again.get_pipe("ner").rules.strength == 6.0
    for text in TEXTS:
        one, other = nlp(text), again(text)
        assert found(one) == found(other)
        assert [ent._.prob for ent in one.ents] == [ent._.prob for ent in other.ents]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decode": "both"}, r"decode = 'both' is unknown; choose one of teacher, student"),
        ({"imitation": 2.0}, r"imitation = 2\.0 must be in \[0, 1\]"),
        ({"updates": 0}, r"updates = 0"),
        ({"separator": "["}, r"separator = '\[' is no regular expression"),
    ],
)
def test_bad_settings_are_errors_that_name_them(settings, message):
    with pytest.raises(ValueError, match=message):
        SoftRules(**settings)


def test_strength_0_leaves_the_model_as_it_is():
    torch.manual_seed(0)
    batch = batch_of(torch.randn(3, len(TAGSET)).tolist())
    taught, potentials = SoftRules(strength=0.0).teacher(
        [doc_of("a", "、", "b")], batch, no_potentials(), TAGSET
    )
    torch.testing.assert_close(taught.emissions, batch.emissions)
    assert exp(float(potentials.transitions.abs().sum())) == 1.0
