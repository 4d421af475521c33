"""crf_ner as a pipe: adding it, its labels, its initialisation, its place in a pipeline."""

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import get_arg_names, load_model_from_config
from toy_pipelines import (
    TRAIN_DATA,
    blank_pipeline,
    found,
    make_examples,
    tagger_model,
    train,
    trained_pipeline,
)


def test_add_pipe_by_name_alone_gives_a_working_component():
    nlp = spacy.blank("xx")
    nlp.add_pipe("crf_ner", name="ner")
    examples = make_examples(nlp)
    assert train(nlp, examples, 2)["ner"] > 0
    assert nlp("I like London .").has_annotation("ENT_IOB")


def test_a_config_that_only_names_the_factory_gives_a_working_component():
    config = {
        "nlp": {"lang": "xx", "pipeline": ["ner"]},
        "components": {"ner": {"factory": "crf_ner"}},
    }
    nlp = load_model_from_config(config, auto_fill=True)
    model = nlp.config["components"]["ner"]["model"]
    assert model["@architectures"] == "spacy_mamba_crf.CRFTagger.v1"
    assert model["tok2vec"]["encode"]["@architectures"] == "spacy_mamba_crf.MambaEncoder.v1"
    train(nlp, make_examples(nlp), 1)


def test_the_default_width_suits_a_chinese_pipeline():
    nlp = spacy.blank("zh")
    nlp.add_pipe("crf_ner", name="ner")
    doc = nlp.make_doc("患者服用阿司匹林。")
    example = Example.from_dict(doc, {"entities": [(4, 8, "DRUG")]})
    train(nlp, [example], 20)
    assert found(nlp("患者服用阿司匹林。")) == [("阿司匹林", "DRUG")]


def test_the_component_says_what_it_assigns():
    nlp = blank_pipeline()
    meta = nlp.get_pipe_meta("ner")
    assert set(meta.assigns) == {"doc.ents", "token.ent_iob", "token.ent_type", "span._.prob"}
    assert meta.default_score_weights["ents_f"] == 1.0


def test_a_label_must_be_a_string():
    with pytest.raises(ValueError):
        blank_pipeline().get_pipe("ner").add_label(9)


def test_add_label_tells_whether_the_label_is_new():
    ner = blank_pipeline().get_pipe("ner")
    assert ner.add_label("A") == 1
    assert ner.add_label("A") == 0
    assert ner.labels == ("A",)


def test_initialize_requires_labels():
    with pytest.raises(ValueError, match="label"):
        blank_pipeline().initialize()


def test_initialize_with_examples_of_another_kind_raises():
    nlp = blank_pipeline()
    nlp.add_pipe("textcat")
    data = [
        ("I am so happy .", {"cats": {"POSITIVE": 1.0, "NEGATIVE": 0.0}}),
        ("I am so angry .", {"cats": {"POSITIVE": 0.0, "NEGATIVE": 1.0}}),
    ]
    with pytest.raises(ValueError):
        nlp.initialize(lambda: make_examples(nlp, data))


def test_labels_are_taken_from_the_examples():
    nlp = blank_pipeline()
    nlp.initialize(lambda: make_examples(nlp))
    assert nlp.get_pipe("ner").labels == ("LOC", "PERSON")


def test_initialize_without_examples_keeps_the_labels():
    nlp = blank_pipeline()
    nlp.get_pipe("ner").add_label("A")
    nlp.initialize()
    assert nlp.get_pipe("ner").labels == ("A",)


@pytest.mark.parametrize("scheme, n_tags", [("BIO", 1 + 2 * 2), ("BIOES", 1 + 4 * 2)])
def test_the_output_has_one_column_for_each_tag(scheme, n_tags):
    nlp = blank_pipeline(tagger_model(scheme=scheme))
    nlp.initialize(lambda: make_examples(nlp))
    ner = nlp.get_pipe("ner")
    assert ner.model.get_dim("nO") == n_tags
    assert ner.model.predict([nlp.make_doc("I like London .")])[0].shape == (4, n_tags)


def test_initialize_can_be_called_twice():
    nlp = blank_pipeline()
    nlp.get_pipe("ner").add_label("OTHER")
    nlp.initialize()
    nlp.initialize(lambda: make_examples(nlp))
    assert set(nlp.get_pipe("ner").labels) == {"OTHER", "LOC", "PERSON"}
    train(nlp, make_examples(nlp), 1)


@pytest.mark.parametrize("wrong", ["none", "one example", "no example", "a list"])
def test_initialize_wants_a_function_that_gives_examples(wrong):
    nlp = blank_pipeline()
    nlp.get_pipe("ner").add_label("LOC")
    examples = make_examples(nlp)
    argument = {
        "none": lambda: None,
        "one example": lambda: examples[0],
        "no example": lambda: [],
        "a list": examples,
    }[wrong]
    with pytest.raises(TypeError):
        nlp.initialize(argument)


def test_an_untrained_component_sets_every_token_outside():
    nlp = blank_pipeline()
    nlp.get_pipe("ner").add_label("MY_LABEL")
    nlp.initialize()
    doc = nlp("John is watching the news about the elections")
    assert [token.ent_iob_ for token in doc] == ["O"] * 8


def test_a_second_component_can_use_tokens_that_the_first_left_outside(trained):
    nlp = blank_pipeline()
    nlp.get_pipe("ner").add_label("MY_LABEL")
    nlp.initialize()
    doc = nlp("I like London .")
    assert [token.ent_iob_ for token in doc] == ["O"] * 4
    fresh = Doc(trained.vocab, words=[token.text for token in doc])
    fresh.set_ents([], default="outside")
    assert found(trained.get_pipe("ner")(fresh)) == [("London", "LOC")]


@pytest.mark.parametrize("label", ["LARGE-ANIMAL", "B-BRAWLER", "I-I", "O", "疾病"])
def test_any_string_can_be_a_label(label):
    nlp = blank_pipeline()
    examples = make_examples(nlp, [("I like London .", {"entities": [(7, 13, label)]})])
    train(nlp, examples, 30)
    assert found(nlp("I like London .")) == [("London", label)]


def test_hundreds_of_labels_are_fine():
    nlp = blank_pipeline()
    for number in range(300):
        nlp.get_pipe("ner").add_label(str(number))
    optimizer = nlp.initialize()
    examples = make_examples(nlp, [("One sentence", {"entities": []})])
    train(nlp, examples, 2, optimizer, drop=0.5)


def test_the_labels_can_be_given_as_spacy_init_labels_stores_them():
    nlp = blank_pipeline()
    nlp.initialize(lambda: make_examples(nlp))
    stored = list(nlp.get_pipe("ner").label_data)
    again = blank_pipeline()
    again.config["initialize"]["components"]["ner"] = {"labels": stored}
    again.initialize(lambda: make_examples(again, TRAIN_DATA[:1]))
    assert again.get_pipe("ner").labels == tuple(stored) == ("LOC", "PERSON")
    assert "labels" in get_arg_names(again.get_pipe("ner").initialize)


def test_evaluate_gives_the_strict_entity_scores(trained):
    scores = trained.evaluate(make_examples(trained))
    assert {"ents_p", "ents_r", "ents_f", "ents_per_type"} <= set(scores)
    assert scores["ents_f"] == 1.0
    assert set(scores["ents_per_type"]) == {"LOC", "PERSON"}


def test_no_scorer_gives_no_scores():
    nlp = blank_pipeline(scorer=None)
    nlp.initialize(lambda: make_examples(nlp))
    assert "ents_f" not in nlp.evaluate(make_examples(nlp))


def test_a_disabled_component_sets_nothing(loaded):
    with loaded.select_pipes(disable="ner"):
        assert not loaded("I like London .").has_annotation("ENT_IOB")
    assert found(loaded("I like London .")) == [("London", "LOC")]


def test_the_component_can_be_renamed_and_removed(loaded):
    loaded.rename_pipe("ner", "entities")
    assert found(loaded("I like London .")) == [("London", "LOC")]
    loaded.remove_pipe("entities")
    assert loaded.pipe_names == []


def test_two_components_can_stand_in_one_pipeline(saved):
    nlp = spacy.load(saved)
    nlp.add_pipe("ner", name="second", source=trained_pipeline(steps=1))
    assert found(nlp("I like London .")) == [("London", "LOC")]


@pytest.mark.parametrize(
    "text, n_tokens", [("", 0), (" ", 1), ("\n\n", 1), ("a", 1), ("London", 1)]
)
def test_the_shortest_texts_are_fine(trained: Language, text: str, n_tokens: int):
    doc = trained(text)
    assert len(doc) == n_tokens
    assert found(doc) == ([("London", "LOC")] if text == "London" else [])


def test_a_text_of_twenty_thousand_characters_is_fine():
    nlp = spacy.blank("zh")
    nlp.add_pipe("crf_ner", name="ner", config={"model": tagger_model()})
    sentence = "患者服用阿司匹林。病情好轉。\n"
    annotated = make_examples(nlp, [(sentence, {"entities": [(4, 8, "DRUG")]})])
    train(nlp, annotated, 40)
    text = sentence * (20_000 // len(sentence) + 1)
    doc = nlp(text)
    assert len(doc) >= 20_000
    assert {ent.text for ent in doc.ents} == {"阿司匹林"}
    assert len(doc.ents) == text.count("阿司匹林")
