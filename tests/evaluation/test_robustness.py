"""Test sets as users write them: the changed texts, and F1 on them."""

import pytest
import spacy
from spacy.tokens import Doc, Span

from spacy_mamba_crf.evaluation.robustness import measure_robustness, variants

NLP = spacy.blank("zh")


def make_docs() -> list[Doc]:
    docs = []
    for text, entity in [("頭髮乾燥ＣＴ", (0, 2)), ("服用 CT12", (3, 7))] * 30:
        doc = Doc(NLP.vocab, words=list(text), spaces=[False] * len(text))
        doc.ents = [Span(doc, *entity, label="BODY")]
        docs.append(doc)
    return docs


def changed(name: str) -> list[Doc]:
    return variants()[name](NLP.vocab, make_docs())


@pytest.mark.parametrize(
    ["name", "texts"],
    [
        ("as they are", ["頭髮乾燥ＣＴ", "服用 CT12"]),
        ("Simplified characters", ["头发干燥ＣＴ", "服用 CT12"]),
        ("Traditional characters", ["頭髮乾燥ＣＴ", "服用 CT12"]),
        ("full-width letters, digits, punctuation", ["頭髮乾燥ＣＴ", "服用 ＣＴ１２"]),
        ("half-width letters, digits, punctuation", ["頭髮乾燥CT", "服用 CT12"]),
        ("an emoji before and after", ["🙂頭髮乾燥ＣＴ🙂", "🙂服用 CT12🙂"]),
        ("spaces before and after", ["   頭髮乾燥ＣＴ   ", "   服用 CT12   "]),
    ],
)
def test_texts_change_and_entities_stay_on_their_tokens(name, texts):
    docs = changed(name)
    assert [doc.text for doc in docs[:2]] == texts
    assert len(docs) == 60
    moved = 1 if "before" in name else 0
    assert [(ent.start - moved, ent.end - moved) for doc in docs[:2] for ent in doc.ents] == [
        (0, 2),
        (3, 7),
    ]


@pytest.mark.parametrize(
    ["name", "between"], [("20 sentences a doc", ""), ("20 sentences a doc, a line each", "\n")]
)
def test_twenty_sentences_make_a_document(name, between):
    docs = changed(name)
    assert len(docs) == 3
    assert docs[0].text == between.join(["頭髮乾燥ＣＴ", "服用 CT12"] * 10)
    assert [len(doc.ents) for doc in docs] == [20, 20, 20]


def test_f1_is_of_what_the_pipeline_finds_in_the_changed_text():
    nlp = spacy.blank("zh")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "BODY", "pattern": [{"ORTH": "頭"}, {"ORTH": "髮"}]}])
    found = {result.name: result for result in measure_robustness(nlp, make_docs())}
    # One of two entities is found, and nothing else: P 1, R 1/2.
    assert found["as they are"].f == pytest.approx(2 / 3)
    assert found["Simplified characters"].f == 0
    assert found["20 sentences a doc"].f == pytest.approx(2 / 3)
    assert found["20 sentences a doc"].docs == 3
