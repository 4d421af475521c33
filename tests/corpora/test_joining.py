"""Sentences joined into documents: tokens, entities, what a reader gives."""

import random
from collections.abc import Iterator

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from spacy_mamba_crf.corpora import create_joined_corpus, entity_tags, join_docs

NLP = spacy.blank("zh")
SENTENCES = [
    (list("患者有高血壓"), ["O", "O", "O", "B-DISE", "I-DISE", "I-DISE"]),
    (list("服用阿司匹林"), ["O", "O", "B-DRUG", "I-DRUG", "I-DRUG", "I-DRUG"]),
    (list("頭痛"), ["B-SYMP", "I-SYMP"]),
    (list("未知"), ["", "O"]),
    ([], []),
]


def make_doc(words: list[str], tags: list[str]) -> Doc:
    return Doc(NLP.vocab, words=words, spaces=[False] * len(words), ents=tags)


def docs() -> list[Doc]:
    return [make_doc(*sentence) for sentence in SENTENCES]


def reader(nlp: Language) -> Iterator[Example]:
    for _ in range(30):
        for words, tags in SENTENCES:
            yield Example(make_doc(words, ["O"] * len(words)), make_doc(words, tags))


@pytest.mark.parametrize("separator", ["", "\n"])
def test_tokens_and_entities_are_those_of_the_docs(separator):
    joined = join_docs(NLP.vocab, docs()[:3], separator)
    assert joined.text == separator.join(["患者有高血壓", "服用阿司匹林", "頭痛"])
    assert [(ent.text, ent.label_) for ent in joined.ents] == [
        ("高血壓", "DISE"),
        ("阿司匹林", "DRUG"),
        ("頭痛", "SYMP"),
    ]


def test_neighbouring_entities_of_two_docs_stay_two():
    joined = join_docs(NLP.vocab, [docs()[2], docs()[2]])
    assert [ent.text for ent in joined.ents] == ["頭痛", "頭痛"]


def test_what_is_not_known_stays_so():
    joined = join_docs(NLP.vocab, [docs()[3], docs()[0]])
    assert [token.ent_iob for token in joined][:3] == [0, 2, 2]


def test_spaces_stay_and_unknown_ones_stay_unknown():
    english = Doc(NLP.vocab, words=["a", "b"], spaces=[True, False])
    assert join_docs(NLP.vocab, [english, english]).text == "a ba b"
    unknown = Doc(NLP.vocab, words=["a", "b"])
    assert join_docs(NLP.vocab, [english, unknown]).has_unknown_spaces


def test_no_docs_make_an_empty_one():
    assert len(join_docs(NLP.vocab, [])) == 0


@settings(deadline=None)
@given(share=st.floats(0, 1), most=st.integers(2, 9), seed=st.integers(0, 99))
def test_each_sentence_is_read_once_and_no_document_is_longer_than_asked(share, most, seed):
    random.seed(seed)
    corpus = create_joined_corpus(reader, share, most, [""])
    examples = list(corpus(NLP))
    sentences = list(reader(NLP))
    for side in ("predicted", "reference"):
        found = [getattr(example, side) for example in examples]
        expected = [getattr(example, side) for example in sentences]
        assert "".join(doc.text for doc in found) == "".join(doc.text for doc in expected)
        tags = [tag for doc in found for tag in entity_tags(doc)]
        assert tags == [tag for doc in expected for tag in entity_tags(doc)]
    assert max(len(example.reference) for example in examples) <= 6 * most


@pytest.mark.parametrize(["share", "joined"], [(0.0, False), (1.0, True)])
def test_the_share_of_documents(share, joined):
    examples = list(create_joined_corpus(reader, share, 3)(NLP))
    assert (len(examples) < 30 * len(SENTENCES)) == joined


@pytest.mark.parametrize(
    ["arguments", "message"],
    [
        ({"share": 1.5}, r"share = 1.5 is not in \[0, 1\]"),
        ({"most": 1}, "most = 1 must be at least 2"),
        ({"separators": []}, "must be a list of strings"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_used_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        create_joined_corpus(reader, **arguments)


def test_a_config_can_name_it():
    config = {"@readers": "spacy_mamba_crf.JoinedCorpus.v1", "corpus": reader, "share": 0.5}
    assert list(spacy.registry.resolve({"train": config})["train"](NLP))
