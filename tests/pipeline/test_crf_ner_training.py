"""crf_ner learns: by heart, with every kind of model, from empty and badly aligned texts."""

import numpy as np
import pytest
import spacy
from numpy.testing import assert_allclose
from spacy.errors import Errors
from spacy.tokens import Span
from spacy.training import Example
from thinc.api import Adam
from toy_pipelines import (
    TEXTS,
    TRAIN_DATA,
    blank_pipeline,
    found,
    found_with_probabilities,
    make_examples,
    mamba_tok2vec,
    tagger_model,
    train,
)

HASH_EMBED_CNN = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "width": 32,
    "depth": 2,
    "embed_size": 500,
    "window_size": 1,
    "maxout_pieces": 2,
    "subword_features": True,
    "pretrained_vectors": None,
}
MODELS = {
    "BIO": tagger_model(),
    "BIOES": tagger_model(scheme="BIOES"),
    "BIO without CRF": tagger_model(crf=False),
    "BIOES without CRF": tagger_model(scheme="BIOES", crf=False),
    "mamba1": tagger_model(mamba_tok2vec(variant="mamba1")),
    "s4d": tagger_model(mamba_tok2vec(variant="s4d")),
    "HashEmbedCNN": tagger_model(HASH_EMBED_CNN),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
def test_it_learns_by_heart_and_survives_saving(model, tmp_path):
    nlp = blank_pipeline(model)
    losses = train(nlp, make_examples(nlp), 90)
    assert losses["ner"] < 0.1
    test_text = "I like London ."
    assert found(nlp(test_text)) == [("London", "LOC")]
    for text, annotation in TRAIN_DATA:
        offsets = [(ent.start_char, ent.end_char, ent.label_) for ent in nlp(text).ents]
        assert offsets == annotation["entities"]

    nlp.to_disk(tmp_path)
    from_disk = spacy.load(tmp_path)
    from_bytes = blank_pipeline(model).from_bytes(nlp.to_bytes())
    expected = [found_with_probabilities(nlp(text)) for text in TEXTS]
    assert [found_with_probabilities(from_disk(text)) for text in TEXTS] == expected
    assert [found_with_probabilities(from_bytes(text)) for text in TEXTS] == expected


def test_alone_and_in_a_batch_gives_the_same(trained):
    alone = [trained(text) for text in TEXTS]
    for batch_size in (1, 2, len(TEXTS)):
        batch = list(trained.pipe(TEXTS, batch_size=batch_size))
        for one, other in zip(alone, batch):
            assert [ent[:3] for ent in found_with_probabilities(one)] == [
                ent[:3] for ent in found_with_probabilities(other)
            ]
            assert_allclose(
                [ent._.prob for ent in one.ents], [ent._.prob for ent in other.ents], atol=1e-5
            )


def test_an_empty_text_in_the_batch_changes_nothing():
    runs = []
    for data in (TRAIN_DATA, [("", {"entities": []}), *TRAIN_DATA, ("", {})]):
        nlp = blank_pipeline()
        nlp.get_pipe("ner").add_label("LOC")
        nlp.get_pipe("ner").add_label("PERSON")
        train(nlp, make_examples(nlp, data), 5, nlp.initialize())
        runs.append(nlp.get_pipe("ner").model.predict([nlp.make_doc("I like London .")])[0])
    assert_allclose(runs[0], runs[1], atol=1e-5)


def test_a_batch_of_empty_texts_is_fine():
    nlp = blank_pipeline()
    nlp.get_pipe("ner").add_label("LOC")
    examples = make_examples(nlp, [("", {"entities": []}), ("", {})])
    losses = train(nlp, examples, 2, nlp.initialize())
    assert losses == {"ner": 0.0}
    value, gradient = nlp.get_pipe("ner").get_loss(
        examples, nlp.get_pipe("ner").model.predict([eg.predicted for eg in examples])
    )
    assert value == 0.0
    assert [len(part) for part in gradient] == [0, 0]


def test_no_example_at_all_is_fine():
    nlp = blank_pipeline()
    nlp.get_pipe("ner").add_label("LOC")
    nlp.initialize()
    assert nlp.get_pipe("ner").update([]) == {"ner": 0.0}
    assert list(nlp.pipe([])) == []


def test_update_needs_examples():
    nlp = blank_pipeline()
    nlp.get_pipe("ner").add_label("LOC")
    nlp.initialize()
    with pytest.raises(TypeError):
        nlp.get_pipe("ner").update([nlp.make_doc("I like London .")])


def test_a_loss_that_is_no_number_stops_the_training():
    nlp = blank_pipeline()
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    output = nlp.get_pipe("ner").model.get_ref("output_layer")
    output.set_param("b", output.get_param("b") * np.nan)
    with pytest.raises(ValueError) as raised:
        nlp.update(examples, sgd=Adam(0.001))
    assert str(raised.value) == Errors.E910.format(name="ner")


def test_update_without_an_optimizer_leaves_the_weights():
    nlp = blank_pipeline()
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    ner = nlp.get_pipe("ner")
    before = ner.model.predict([nlp.make_doc("I like London .")])[0]
    ner.update(examples)
    assert_allclose(ner.model.predict([nlp.make_doc("I like London .")])[0], before)


@pytest.mark.parametrize("crf", [True, False])
@pytest.mark.parametrize("scheme", ["BIO", "BIOES"])
def test_the_gradient_agrees_with_finite_differences(scheme, crf):
    nlp = blank_pipeline(tagger_model(scheme=scheme, crf=crf), incorrect_spans_key="wrong")
    examples = make_examples(nlp, [*TRAIN_DATA[:2], ("", {})])
    examples[0].reference.spans["wrong"] = [examples[0].reference[2:3]]
    train(nlp, examples, 3)
    examples = make_examples(nlp, [*TRAIN_DATA[:2], ("", {})])
    partly = examples[1].reference
    london = Span(partly, 2, 3, label="LOC")
    partly.set_ents([london], missing=[partly[3:6]], default="outside")
    partly.spans["wrong"] = [partly[4:5]]
    ner = nlp.get_pipe("ner")
    rng = np.random.default_rng(0)
    sizes = [len(example.predicted) for example in examples]
    scores = [rng.normal(size=(n, len(ner.tagset))).astype("float32") for n in sizes]
    _, gradient = ner.get_loss(examples, scores)
    n_docs = sum(size > 0 for size in sizes)
    step = 1e-2
    for number in (0, 1):
        for token, tag in zip(
            rng.integers(sizes[number], size=8), rng.permutation(len(ner.tagset))
        ):
            values = []
            for sign in (1, -1):
                moved = [array.copy() for array in scores]
                moved[number][token, tag] += sign * step
                values.append(ner.get_loss(examples, moved)[0])
            expected = (values[0] - values[1]) / (2 * step) / n_docs
            assert gradient[number][token, tag] == pytest.approx(expected, abs=1e-4)


def test_it_learns_from_texts_that_are_tokenised_differently():
    nlp = blank_pipeline()
    text = "Shaka Khan likes London."
    words = {
        "words": ["Shaka Khan", "likes", "Lon", "don", "."],
        "spaces": [True] * 2 + [False] * 3,
    }
    tags = {"entities": ["U-PERSON", "O", "B-LOC", "L-LOC", "O"]}
    examples = [Example.from_dict(nlp.make_doc(text), {**words, **tags})]
    assert train(nlp, examples, 60)["ner"] < 0.1
    assert found(nlp(text)) == [("Shaka Khan", "PERSON"), ("London", "LOC")]


def test_dropout_reaches_the_model():
    nlp = blank_pipeline()
    examples = make_examples(nlp)
    train(nlp, examples, 2)
    ner = nlp.get_pipe("ner")
    docs = [example.predicted for example in examples]
    quiet = ner.update(examples, drop=0.0)["ner"]
    assert ner.update(examples, drop=0.0)["ner"] == pytest.approx(quiet, rel=1e-6)
    assert ner.update(examples, drop=0.5)["ner"] != pytest.approx(quiet, rel=1e-6)
    assert_allclose(ner.model.predict(docs)[0], ner.model.predict(docs)[0])


def test_averaged_parameters_are_used_and_put_back():
    nlp = blank_pipeline()
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    optimizer = Adam(0.005, use_averages=True)
    train(nlp, examples, 10, optimizer)
    doc = nlp.make_doc("I like London .")
    ner = nlp.get_pipe("ner")
    last = ner.model.predict([doc])[0]
    with nlp.use_params(optimizer.averages):
        averaged = ner.model.predict([doc])[0]
    assert np.abs(averaged - last).max() > 1e-4
    assert_allclose(ner.model.predict([doc])[0], last)
