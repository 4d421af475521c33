"""Distillation: what teachers say together, and what a pipeline learns from them."""

from itertools import pairwise, product
from math import exp, log

import numpy as np
import pytest
from spacy.training import Example
from toy_pipelines import (
    TEXTS,
    blank_pipeline,
    found,
    found_with_probabilities,
    make_examples,
    tagger_model,
    train,
)

from spacy_mamba_crf.pipeline import teachers as teachers_module
from spacy_mamba_crf.pipeline.lattice import join_scores
from spacy_mamba_crf.pipeline.learning import agreement_loss, annotation_loss, mix_losses
from spacy_mamba_crf.pipeline.teachers import Teachers
from spacy_mamba_crf.pytorch.crf import Potentials


def unannotated(nlp, texts=TEXTS) -> list[Example]:
    return [Example(nlp.make_doc(text), nlp.make_doc(text)) for text in texts if text]


def log_p(scores: np.ndarray, potentials: Potentials) -> dict[tuple[int, ...], float]:
    """Of all tag sequences of a text that are possible, by enumeration."""
    transitions, start, end = (part.numpy() for part in potentials)
    totals = {}
    for tags in product(range(scores.shape[1]), repeat=len(scores)):
        total = start[tags[0]] + end[tags[-1]] + sum(scores[range(len(tags)), tags])
        total += sum(transitions[a, b] for a, b in pairwise(tags))
        if np.isfinite(total):
            totals[tags] = float(total)
    norm = log(sum(exp(total) for total in totals.values()))
    return {tags: total - norm for tags, total in totals.items()}


@pytest.fixture
def student(trained):
    """An untrained pipeline with the labels of the trained one."""
    nlp = blank_pipeline()
    nlp.initialize(lambda: make_examples(nlp))
    return nlp


def test_teachers_say_together_the_mean_of_their_scores(saved, student, tmp_path):
    other = blank_pipeline()
    train(other, make_examples(other), 3)
    other.get_pipe("ner").temperature = 2.0
    other.to_disk(tmp_path / "other")
    ner = student.get_pipe("ner")
    docs = [student.make_doc("Shaka Khan likes Berlin")]
    alone = [Teachers([str(path)]).scores(docs, ner.tagset) for path in (saved, tmp_path / "other")]
    together, potentials = Teachers([str(saved), str(tmp_path / "other")]).scores(docs, ner.tagset)
    mean = (alone[0][0].emissions + alone[1][0].emissions) / 2
    np.testing.assert_allclose(together.emissions, mean, rtol=1e-6)
    own = other.get_pipe("ner").lattice(docs)
    np.testing.assert_allclose(alone[1][0].emissions, own.emissions, rtol=1e-6)
    np.testing.assert_allclose(alone[1][1].transitions, own.potentials.transitions, rtol=1e-6)
    assert potentials.transitions.shape == own.potentials.transitions.shape


def test_the_loss_is_the_divergence_of_all_tag_sequences(saved, student):
    ner = student.get_pipe("ner")
    (example,) = unannotated(student, ["Khan sees Berlin"])
    scores = ner.model.predict([example.predicted])
    potentials = ner._potentials(ner.model, ner.tagset)
    own = annotation_loss([example], scores, potentials, ner.tagset, None)
    assert own.value == pytest.approx(0.0, abs=1e-6)
    teachers = Teachers([str(saved)], share=0.25)
    batch, taught = teachers.scores([example.predicted], ner.tagset)
    p = log_p(batch.emissions.numpy().astype("float64"), taught)
    q = log_p(np.asarray(scores[0], dtype="float64"), potentials)
    divergence = sum(exp(p[tags]) * (p[tags] - q[tags]) for tags in p)
    mixed = teachers.mix(own, [example.predicted], scores, potentials, ner.tagset)
    assert mixed.value == pytest.approx(0.25 * divergence, rel=1e-4)


def test_a_student_learns_from_its_teachers_alone(trained, saved):
    settings = {"@misc": "spacy_mamba_crf.Teachers.v1", "paths": [str(saved)], "share": 1.0}
    nlp = blank_pipeline(teachers=settings)
    optimizer = nlp.initialize(lambda: make_examples(nlp))
    optimizer.learn_rate = 0.005
    train(nlp, unannotated(nlp), 60, optimizer)
    for text in TEXTS:
        assert found(nlp(text)) == found(trained(text))


def test_a_student_is_loaded_without_its_teachers(saved, tmp_path):
    settings = {"@misc": "spacy_mamba_crf.Teachers.v1", "paths": [str(tmp_path / "none")]}
    nlp = blank_pipeline(teachers=settings)
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    nlp.to_disk(tmp_path / "student")
    again = blank_pipeline().from_config(nlp.config).from_disk(tmp_path / "student")
    for text in TEXTS:
        assert found_with_probabilities(again(text)) == found_with_probabilities(nlp(text))
    with pytest.raises(ValueError, match=r"there is no folder .*none of a trained pipeline"):
        nlp.update(examples)


def test_without_teachers_nothing_is_learnt():
    nlp = blank_pipeline(teachers={"@misc": "spacy_mamba_crf.Teachers.v1", "paths": []})
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    with pytest.raises(ValueError, match="names no pipeline to learn from"):
        nlp.update(examples)


def test_teachers_of_other_tags_are_refused(saved):
    settings = {"@misc": "spacy_mamba_crf.Teachers.v1", "paths": [str(saved)]}
    nlp = blank_pipeline(tagger_model(scheme="BIOES"), teachers=settings)
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    with pytest.raises(ValueError, match=r"has BIO tags of LOC, PERSON; .* has BIOES tags of LOC"):
        nlp.update(examples)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"paths": "folder"}, "paths = 'folder' must be a list"),
        ({"paths": ["a"], "share": 1.5}, r"share = 1.5 must be in \[0, 1\]"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Teachers(**settings)


def test_agreement_is_the_divergence_of_two_readings(student):
    ner = student.get_pipe("ner")
    random = np.random.default_rng(0)
    potentials = ner._potentials(ner.model, ner.tagset)
    first, second = (random.normal(size=(3, len(ner.tagset))).astype("float32") for _ in range(2))
    p, q = (log_p(scores.astype("float64"), potentials) for scores in (first, second))
    expected = sum(exp(p[tags]) * (p[tags] - q[tags]) for tags in p)
    expected += sum(exp(q[tags]) * (q[tags] - p[tags]) for tags in q)
    loss = agreement_loss([first, second], potentials, 1)
    assert loss.value == pytest.approx(expected, rel=1e-4)
    same = agreement_loss([first, first], potentials, 1)
    assert same.value == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(same.d_scores[0], 0, atol=1e-6)


def test_readings_are_paired_where_the_model_scores_each_of_them_more_than_once(student):
    """As an IDCNN does, block by block: both readings by its first block, then by its second."""
    ner = student.get_pipe("ner")
    potentials = ner._potentials(ner.model, ner.tagset)
    random = np.random.default_rng(2)
    first, second, other = (
        random.normal(size=(2, len(ner.tagset))).astype("float32") for _ in range(3)
    )
    alone = agreement_loss([first, second], potentials, 1).value
    together = agreement_loss([first, second, other, other], potentials, 1)
    assert together.value == pytest.approx(alone, rel=1e-5)


def test_each_doc_is_read_once_by_a_teacher(saved, student, monkeypatch):
    ner = student.get_pipe("ner")
    docs = [student.make_doc(text) for text in ("Shaka Khan", "I like London .")]
    teachers = Teachers([str(saved)])
    once, _ = teachers.scores(docs, ner.tagset)
    seen = []
    copies_for = teachers_module.copies_for
    monkeypatch.setattr(
        teachers_module, "copies_for", lambda *own: seen.append(len(own[2])) or copies_for(*own)
    )
    twice, _ = teachers.scores([*docs, *docs], ner.tagset)
    assert seen == [2]
    np.testing.assert_array_equal(twice.emissions[: len(once.emissions)], once.emissions)
    np.testing.assert_array_equal(twice.emissions[len(once.emissions) :], once.emissions)
    assert twice.offsets.tolist() == [0, 2, 6, 8, 12]


def test_a_teacher_without_crf_does_not_teach_one_with(tmp_path):
    teacher = blank_pipeline(tagger_model(crf=False))
    examples = make_examples(teacher)
    teacher.initialize(lambda: examples)
    teacher.to_disk(tmp_path / "teacher")
    settings = {"@misc": "spacy_mamba_crf.Teachers.v1", "paths": [str(tmp_path / "teacher")]}
    nlp = blank_pipeline(teachers=settings)
    nlp.initialize(lambda: examples)
    with pytest.raises(ValueError, match="teachers without CRF think tag sequences possible"):
        nlp.update(examples)
    alike = blank_pipeline(tagger_model(crf=False), teachers=settings)
    alike.initialize(lambda: examples)
    alike.update(examples)


def test_a_student_learns_on_with_a_new_label_without_its_teachers(saved):
    settings = {"@misc": "spacy_mamba_crf.Teachers.v1", "paths": [str(saved)]}
    nlp = blank_pipeline(teachers=settings)
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    nlp.update(examples, sgd=optimizer)
    ner = nlp.get_pipe("ner")
    ner.add_label("DRUG")
    with pytest.raises(ValueError, match="or set the component's teachers to null"):
        nlp.update(examples, sgd=optimizer)
    ner.teachers = None
    nlp.update(examples, sgd=optimizer)


def test_a_mix_of_losses_is_their_weighted_sum(student):
    ner = student.get_pipe("ner")
    potentials = ner._potentials(ner.model, ner.tagset)
    random = np.random.default_rng(1)
    scores = [random.normal(size=(2, len(ner.tagset))).astype("float32") for _ in range(2)]
    loss = agreement_loss(scores, potentials, 1)
    mixed = mix_losses(loss, loss, 2.0, -0.5)
    assert mixed.value == pytest.approx(1.5 * loss.value)
    np.testing.assert_allclose(mixed.d_scores[1], 1.5 * loss.d_scores[1], rtol=1e-5)
    np.testing.assert_allclose(
        mixed.d_potentials.transitions, 1.5 * loss.d_potentials.transitions, rtol=1e-5
    )
    assert len(join_scores(mixed.d_scores).emissions) == 4
