"""Learning on with a trained crf_ner: `spacy train` with a source, and answers one by one."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.cli.train import train as spacy_train
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training import Example
from spacy.util import load_model_from_path, minibatch, registry
from thinc.api import Config, Optimizer
from toy_pipelines import (
    TRAIN_DATA,
    Annotated,
    embedder,
    encoder,
    found,
    found_with_probabilities,
    listener,
    make_examples,
    tagger_model,
    train,
)

OLD_TEXTS = [text for text, _ in TRAIN_DATA]
NEW_DATA: list[Annotated] = [
    ("Aspirin helps .", {"entities": [(0, 7, "DRUG")]}),
    ("Take some Aspirin now .", {"entities": [(10, 17, "DRUG")]}),
]
ADD_LABELS = "spacy_mamba_crf.add_labels.v1"


def write_docs(path: Path, data: list[Annotated]) -> Path:
    nlp = spacy.blank("xx")
    DocBin(docs=[example.reference for example in make_examples(nlp, data)]).to_disk(path)
    return path


def learn_on(
    source: Path,
    folder: Path,
    before_init: dict[str, Any] | None = None,
    components: tuple[str, ...] = ("ner",),
    data: list[Annotated] = NEW_DATA,
    **training: Any,
) -> Language:
    """What `spacy train` makes of a saved pipeline's components with the data."""
    data_file = str(write_docs(folder / "train.spacy", data))
    corpus = {"@readers": "spacy.Corpus.v1", "path": data_file}
    config = {
        "nlp": {"lang": "xx", "pipeline": list(components)},
        "components": {name: {"source": str(source)} for name in components},
        "corpora": {"train": corpus, "dev": corpus},
        "training": {
            "seed": 0,
            "gpu_allocator": None,
            "train_corpus": "corpora.train",
            "dev_corpus": "corpora.dev",
            "max_steps": 40,
            "eval_frequency": 20,
            "dropout": 0.0,
            "optimizer": {"@optimizers": "Adam.v1", "learn_rate": 0.003},
            **training,
        },
        "initialize": {"before_init": before_init},
    }
    Config(config).to_disk(folder / "config.cfg")
    spacy_train(folder / "config.cfg", folder / "out")
    return load_model_from_path(folder / "out" / "model-last")


def add_labels(**settings: Any) -> dict[str, Any]:
    return {"@callbacks": ADD_LABELS, "component": "ner", **settings}


def test_a_sourced_component_learns_a_new_label_and_keeps_the_old_ones(
    saved: Path, trained: Language, tmp_path: Path
):
    data = write_docs(tmp_path / "labels.spacy", NEW_DATA)
    nlp = learn_on(saved, tmp_path, add_labels(path=str(data)))
    assert nlp.get_pipe("ner").labels == ("LOC", "PERSON", "DRUG")
    for text, _ in NEW_DATA:
        assert found(nlp(text)) == [("Aspirin", "DRUG")]
    for text in OLD_TEXTS:
        assert found(nlp(text)) == found(trained(text))


def test_without_its_label_the_component_warns_and_learns_nothing_of_it(
    saved: Path, tmp_path: Path
):
    with pytest.warns(UserWarning, match=r"'DRUG'.*\.add_label\('DRUG'\)"):
        nlp = learn_on(saved, tmp_path)
    assert nlp.get_pipe("ner").labels == ("LOC", "PERSON")
    assert found(nlp("Aspirin helps .")) == []


def test_with_every_label_known_there_is_no_warning(saved: Path, tmp_path: Path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        learn_on(saved, tmp_path, data=TRAIN_DATA, max_steps=2)
    assert not [w for w in caught if "add_label" in str(w.message)]


def test_a_frozen_encoder_that_annotates_stays_while_the_sourced_component_learns(tmp_path: Path):
    source = shared_pipeline(tmp_path / "shared")
    before = load_model_from_path(source)
    nlp = learn_on(
        source,
        tmp_path,
        add_labels(labels=["DRUG"]),
        ("tok2vec", "ner"),
        [*TRAIN_DATA, *NEW_DATA],
        frozen_components=["tok2vec"],
        annotating_components=["tok2vec"],
        optimizer={"@optimizers": "Adam.v1", "learn_rate": 0.02},
    )
    encoder_before, encoder_after = (n.get_pipe("tok2vec").model for n in (before, nlp))
    assert encoder_after.to_bytes() == encoder_before.to_bytes()
    assert found(nlp("Aspirin helps .")) == [("Aspirin", "DRUG")]
    for text in OLD_TEXTS:
        assert found(nlp(text)) == found(before(text))


def shared_pipeline(folder: Path) -> Path:
    """Save a trained pipeline of a tok2vec and a crf_ner that listens to it."""
    nlp = spacy.blank("xx")
    tok2vec = {"@architectures": "spacy.Tok2Vec.v2", "embed": embedder(), "encode": encoder()}
    nlp.add_pipe("tok2vec", config={"model": tok2vec})
    nlp.add_pipe("crf_ner", name="ner", config={"model": tagger_model(listener())})
    train(nlp, make_examples(nlp), 60)
    nlp.to_disk(folder)
    return folder


def callback(**settings: Any) -> Any:
    """The callback as a config makes it."""
    return registry.resolve({"it": {"@callbacks": ADD_LABELS, **settings}})["it"]


def test_labels_come_from_the_list_then_from_every_file_of_a_folder(
    loaded: Language, tmp_path: Path
):
    (tmp_path / "part").mkdir()
    write_docs(tmp_path / "part" / "a.spacy", NEW_DATA)
    write_docs(tmp_path / "b.spacy", [("It aches", {"entities": [(3, 8, "ILL")]}), *TRAIN_DATA])
    callback(component="ner", labels=["LOC", "GENE"], path=str(tmp_path))(loaded)
    assert loaded.get_pipe("ner").labels == ("LOC", "PERSON", "GENE", "DRUG", "ILL")


def test_the_callback_adds_labels_to_spacys_own_recognizer(tmp_path: Path):
    nlp = spacy.blank("xx")
    nlp.add_pipe("ner").add_label("LOC")
    nlp.initialize()
    callback(component="ner", labels=["DRUG"])(nlp)
    assert set(nlp.get_pipe("ner").labels) == {"LOC", "DRUG"}


def test_neither_labels_nor_path_is_an_error():
    with pytest.raises(ValueError, match="neither labels nor path is set"):
        callback(component="ner")


def test_an_unknown_component_is_an_error_that_lists_the_pipeline(loaded: Language):
    expected = r"component = 'entities' in \[initialize.before_init\].* name one of ner\."
    with pytest.raises(ValueError, match=expected):
        callback(component="entities", labels=["DRUG"])(loaded)


def test_a_component_that_takes_no_labels_is_an_error(loaded: Language):
    loaded.add_pipe("sentencizer")
    with pytest.raises(ValueError, match=r"'sentencizer'.* has no add_label"):
        callback(component="sentencizer", labels=["DRUG"])(loaded)


@pytest.mark.parametrize("name", ["missing.spacy", ""])
def test_a_path_without_docs_is_an_error_that_names_it(loaded: Language, tmp_path: Path, name: str):
    path = str(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=f"path = {path!r}"):
        callback(component="ner", path=path)(loaded)


def test_a_file_that_is_no_doc_bin_is_an_error_that_names_it(loaded: Language, tmp_path: Path):
    path = tmp_path / "text.spacy"
    path.write_text("not a DocBin")
    with pytest.raises(ValueError, match=f"{path} cannot be read as a DocBin"):
        callback(component="ner", path=str(path))(loaded)


Question = tuple[str, str, str]  # text, part of it, label
ACCEPTED: list[Question] = [
    ("Aspirin helps Shaka Khan .", "Aspirin", "DRUG"),
    ("Take some Aspirin now .", "Aspirin", "DRUG"),
]
REJECTED: list[Question] = [
    ("London is his name .", "London", "LOC"),
    ("Ask London about it .", "London", "LOC"),
]


def answer(nlp: Language, question: Question, accepted: bool) -> Example:
    """A yes or a no to one span; nothing is said about the rest of the text."""
    text, part, label = question
    reference = nlp.make_doc(text)
    start = text.index(part)
    span = reference.char_span(start, start + len(part), label=label)
    if accepted:
        reference.set_ents([span], default="missing")
    else:
        reference.spans["rejected"] = [span]
    return Example(nlp.make_doc(text), reference)


def answered(saved: Path, rehearse: bool) -> Language:
    """A saved pipeline after some rounds of answers, with or without rehearsal on old texts."""
    settings = {"components": {"ner": {"incorrect_spans_key": "rejected"}}}
    nlp = load_model_from_path(saved, config=settings)
    nlp.get_pipe("ner").add_label("DRUG")
    optimizer: Optimizer = nlp.resume_training()
    optimizer.learn_rate = 0.005
    answers = [answer(nlp, question, True) for question in ACCEPTED]
    answers += [answer(nlp, question, False) for question in REJECTED]
    raw = [Example(nlp.make_doc(text), nlp.make_doc(text)) for text in OLD_TEXTS]
    for _ in range(30):
        for batch in minibatch(answers, 2):
            nlp.update(batch, sgd=optimizer)
            if rehearse:
                nlp.rehearse(raw, sgd=optimizer)
    return nlp


@pytest.fixture(scope="module")
def rehearsed(saved: Path) -> Language:
    return answered(saved, rehearse=True)


def test_accepted_entities_are_learnt(rehearsed: Language):
    for text, part, label in ACCEPTED:
        assert (part, label) in found(rehearsed(text))


def test_rejected_entities_are_unlearnt(trained: Language, rehearsed: Language):
    for text, part, label in REJECTED:
        assert (part, label) in found(trained(text))
        assert (part, label) not in found(rehearsed(text))


def test_old_entities_stay_with_rehearsal_on_raw_texts(trained: Language, rehearsed: Language):
    for text in OLD_TEXTS:
        assert found(rehearsed(text)) == found(trained(text))


def test_rehearsal_keeps_probabilities_nearer_to_what_they_were(
    saved: Path, trained: Language, rehearsed: Language
):
    def change(nlp: Language) -> float:
        """Summed over the old texts' entities; one that is not found any more counts as 0."""
        total = 0.0
        for text in OLD_TEXTS:
            after = {ent[:3]: ent[3] for ent in found_with_probabilities(nlp(text))}
            for *span, prob in found_with_probabilities(trained(text)):
                total += abs(prob - after.get(tuple(span), 0.0))
        return total

    assert change(rehearsed) < change(answered(saved, rehearse=False)) / 2
