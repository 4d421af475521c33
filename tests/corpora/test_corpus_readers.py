"""The registered readers: what a config can ask of them, and the Examples they give."""

from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from spacy.util import load_config_from_str, registry

from spacy_mamba_crf.corpora import (
    create_bio_corpus,
    create_conll_corpus,
    create_healthner_corpus,
)

Write = Callable[..., Path]


@pytest.mark.parametrize("name", ["BIOCorpus.v1", "HealthNERCorpus.v1", "CoNLLCorpus.v1"])
def test_the_reader_is_registered(name: str) -> None:
    assert callable(registry.readers.get(f"spacy_mamba_crf.{name}"))


def test_a_config_can_name_the_reader(write: Write) -> None:
    path = write("a.txt", "腎 B-BODY\n")
    config = load_config_from_str(
        '[corpora]\n\n[corpora.train]\n@readers = "spacy_mamba_crf.BIOCorpus.v1"\n'
        f'path = "{path}"\n'
        "split = null\nseed = 0\nlimit = 0\nmax_length = 0\nshuffle = false\n"
    )
    corpus = registry.resolve(config["corpora"])["train"]
    [example] = corpus(spacy.blank("zh"))
    assert [ent.label_ for ent in example.reference.ents] == ["BODY"]


def test_an_example_is_predicted_from_the_text_alone(write: Write) -> None:
    path = write("a.txt", "腎 B-BODY\n臟 I-BODY\n  O\n痛 B-SYMP\n")
    [example] = create_bio_corpus(path)(spacy.blank("zh"))
    assert example.predicted.text == "腎臟 痛"
    assert not example.predicted.ents
    assert example.get_aligned_ner() == ["B-BODY", "L-BODY", "U-SYMP"]


def test_conll_words_are_not_tokenised_again(write: Write) -> None:
    path = write("eng.train", "Man. NNP I-NP I-ORG\nUtd's NNP I-NP I-ORG\n")
    [example] = create_conll_corpus(path)(spacy.blank("en"))
    assert example.get_aligned_ner() == ["B-ORG", "L-ORG"]


def test_the_three_splits_together_are_the_whole(write: Write, tmp_path: Path) -> None:
    write("a.txt", "\n\n".join(f"{chr(0x4E00 + i)} O" for i in range(30)))
    nlp = spacy.blank("zh")
    texts = {
        split: [eg.text for eg in create_bio_corpus(tmp_path, split=split)(nlp)]
        for split in (None, "train", "dev", "test")
    }
    assert [len(texts[part]) for part in ("train", "dev", "test")] == [24, 3, 3]
    assert sorted(texts["train"] + texts["dev"] + texts["test"]) == sorted(texts[None])


def test_in_a_folder_with_truth_files_predictions_are_not_read(
    write: Write, tmp_path: Path
) -> None:
    write("MultiNER-Health_truth_FT.txt", "腎 O\n")
    write("FT_result.txt", "腎 B-BODY\n")
    write("FT_result_Score.txt", "processed 151311 tokens\n")
    assert len(list(create_bio_corpus(tmp_path)(spacy.blank("zh")))) == 1


def test_one_genre_can_be_kept(write: Write, tmp_path: Path) -> None:
    write("MultiNER-Health_truth_FT.txt", "腎 O\n")
    write("MultiNER-Health_truth_SM.txt", "痛 O\n")
    examples = create_bio_corpus(tmp_path, genre="SM")(spacy.blank("zh"))
    assert [eg.text for eg in examples] == ["痛"]


def test_a_list_of_files_is_read_in_its_order(write: Write) -> None:
    paths = [write("b.txt", "腎 O\n"), write("a.txt", "痛 O\n")]
    assert [eg.text for eg in create_bio_corpus(paths)(spacy.blank("zh"))] == ["腎", "痛"]


def test_limit_and_max_length_count_examples_and_tokens(write: Write) -> None:
    path = write("a.txt", "一 O\n。 O\n二 O\n三 B-BODY\n四 I-BODY\n五 O\n")
    corpus = create_bio_corpus(path, limit=2, max_length=3)
    assert [eg.text for eg in corpus(spacy.blank("zh"))] == ["一。", "二三四"]


def test_every_call_yields_all_examples_again(write: Write) -> None:
    corpus = create_bio_corpus(write("a.txt", "腎 O\n\n痛 O\n"), shuffle=True)
    nlp = spacy.blank("zh")
    assert [sorted(eg.text for eg in corpus(nlp)) for _ in range(2)] == [["痛", "腎"]] * 2


def test_a_null_path_is_an_error_that_names_the_key() -> None:
    with pytest.raises(ValueError, match="BIOCorpus: `path` is null"):
        create_bio_corpus(None)


def test_an_unknown_split_is_an_error_that_names_the_key(write: Write) -> None:
    with pytest.raises(ValueError, match="HealthNERCorpus: split must be null, train, dev, test"):
        create_healthner_corpus(write("a.json", ""), split="valid")


def test_a_published_part_that_is_not_there_is_an_error(write: Write, tmp_path: Path) -> None:
    write("eng.train", "Ann NNP I-NP I-PER\n")
    write("eng.testa", "Ann NNP I-NP I-PER\n")
    corpus = create_conll_corpus(tmp_path, split="test")
    with pytest.raises(ValueError, match="has no test file"):
        list(corpus(spacy.blank("en")))
