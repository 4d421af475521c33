"""Callbacks that training configs name."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from spacy.language import Language
from spacy.tokens import DocBin
from spacy.util import logger
from spacy.vocab import Vocab

from .calibration import calibrate_pipeline

_NAME = "spacy_mamba_crf.add_labels.v1"
_FILE_TYPE = ".spacy"


def make_add_labels(
    component: str, labels: list[str] | None = None, path: str | None = None
) -> Callable[[Language], None]:
    """spacy_mamba_crf.add_labels.v1, for [initialize.before_init]: new labels for a component.

    `spacy train` does not initialize a component with a `source`, which then never learns what only
    the new data have. component: its name in the pipeline; labels: to be added; path: of a DocBin
    file or a folder of them, whose entities' labels are added, too. The callback raises ValueError
    without labels and path, without such a component, or if it cannot take labels or there are
    none, and FileNotFoundError if there is no file at the path.
    """
    if not labels and not path:
        raise ValueError(
            f"{_NAME}: neither labels nor path is set in [initialize.before_init]; set labels to a "
            "list, or path to a DocBin file such as ${paths.train}."
        )

    def add_labels(nlp: Language) -> None:
        if component not in nlp.component_names:
            raise ValueError(
                f"{_NAME}: component = {component!r} in [initialize.before_init] is not in the "
                f"pipeline; name one of {', '.join(nlp.component_names)}."
            )
        pipe = nlp.get_pipe(component)
        if not hasattr(pipe, "add_label"):
            raise ValueError(
                f"{_NAME}: component = {component!r} in [initialize.before_init] takes no labels "
                "(it has no add_label); name an entity recognizer."
            )
        found = dict.fromkeys([*(labels or ()), *(_labels_in(path) if path else ())])
        known = set(getattr(pipe, "labels", ()))
        added = [label for label in found if label not in known]
        for label in added:
            pipe.add_label(label)
        logger.info("Added labels to %s: %s", component, ", ".join(added) or "none that are new")

    return add_labels


def _labels_in(path: str) -> Iterable[str]:
    """The labels of the entities in DocBin files, sorted."""
    files = [Path(path)] if Path(path).is_file() else sorted(Path(path).rglob(f"*{_FILE_TYPE}"))
    if not files:
        raise FileNotFoundError(
            f"{_NAME}: path = {path!r} in [initialize.before_init] is no DocBin file and no folder "
            f"with {_FILE_TYPE} files; make one with `spacy convert`, or set labels instead."
        )
    return sorted({label for file in files for label in _labels_of(file)})


def _labels_of(file: Path) -> Iterator[str]:
    try:
        docs = DocBin().from_disk(file)
    except Exception as error:
        raise ValueError(f"{_NAME}: {file} cannot be read as a DocBin: {error}") from error
    for doc in docs.get_docs(Vocab()):
        yield from (ent.label_ for ent in doc.ents)


def make_calibrate(
    path: str | None, component: str | None = None
) -> Callable[[Language], Language]:
    """spacy_mamba_crf.calibrate.v1, for [training.before_to_disk]: fit the temperature.

    It runs whenever a pipeline is saved, on the weights that are. path: DocBin file or folder that
    training does not see, such as ${paths.dev}; None leaves the temperature. component: the name of
    a crf_ner, None for all. The callback raises ValueError without such a component, and
    FileNotFoundError if there is no file at the path.
    """

    def calibrate(nlp: Language) -> Language:
        if path is not None:
            calibrate_pipeline(nlp, path, component)
        return nlp

    return calibrate
