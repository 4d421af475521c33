"""The model card: what a packaged pipeline says of its training and its scores."""

import pytest

from spacy_mamba_crf.evaluation.model_card import describe

META = {"lang": "zh", "name": "pipeline", "version": "0.0.0", "components": ["ner"]}
METRICS = {
    "ents_p": 0.5,
    "ents_r": 0.25,
    "ents_f": 1 / 3,
    "ents_per_type": {"DISE": {"p": 0.5, "r": 0.25, "f": 1 / 3}},
    "test": {"name": "test.spacy", "documents": 12, "is_dev": False},
}


def test_the_scores_of_the_test_part_are_the_cards():
    card = describe(META, METRICS, "rocling")
    assert card["performance"] == {key: METRICS[key] for key in METRICS if key.startswith("ents")}
    assert "33.3" in card["description"]
    assert "12 sentences" in card["notes"]


def test_what_the_pipeline_says_of_itself_stays():
    card = describe(META, METRICS, "rocling")
    assert {key: card[key] for key in META} == META


@pytest.mark.parametrize("corpus", ["sample", "sample_en"])
def test_a_pipeline_trained_on_the_sample_says_that_it_only_demonstrates(corpus):
    assert "SYNTHETIC" in describe(META, METRICS, corpus)["notes"]


def test_each_corpus_of_the_rocling_pipeline_is_named_with_its_authors():
    sources = describe(META, METRICS, "rocling")["sources"]
    assert [source["name"] for source in sources] == [
        "ROCLING-2022 CHNER",
        "ROCLING-2023 MultiNER-Health",
    ]
    assert all("Lung-Hao Lee" in source["author"] for source in sources)


def test_a_corpus_of_the_users_own_is_named_as_it_is():
    assert describe(META, METRICS, "mine")["sources"][0]["name"] == "mine"


def test_a_test_part_without_entities_has_no_score():
    empty = {**METRICS, "ents_p": None, "ents_r": None, "ents_f": None}
    assert "F1" not in describe(META, empty, "mine")["description"]


def test_scores_on_the_development_part_are_called_that():
    dev = {**METRICS, "test": {"documents": 12, "is_dev": True}}
    notes = describe(META, dev, "conll2003")["notes"]
    assert "the development part" in notes
    assert "took no part" not in notes


def test_the_licence_is_the_users_to_name():
    assert describe(META, METRICS, "mine")["license"] == ""
    assert describe(META, METRICS, "mine", licence="MIT")["license"] == "MIT"
