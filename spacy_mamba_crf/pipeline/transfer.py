"""Beginning where a pipeline for another task or language ended: `spacy_mamba_crf.transfer.v1`."""

from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.util import logger
from thinc.api import Model

from .parts import model_of

_NAME = "spacy_mamba_crf.transfer.v1"
_WHERE = "[initialize.after_init]"


def make_transfer(
    path: str | None,
    component: str = "ner",
    source_component: str | None = None,
    parts: list[str] | None = None,
) -> Callable[[Language], Language]:
    """spacy_mamba_crf.transfer.v1, for [initialize.after_init]: weights of another pipeline.

    Transfer learning of Yang et al. (2017) as initialisation: what two tasks or languages share is
    copied, and trained further. path: a trained pipeline, which a config may leave to the command
    line (--paths.transfer in those of this project). component,
    source_component: names of the trainable components, the same if the second is None. parts: of
    the model, by reference ("tok2vec": all but the output, for another task with other labels) or
    by name of a layer ("char_encoder": the characters alone, for another language); ["tok2vec"] if
    None. The callback raises ValueError or OSError for a pipeline, component or part that is not
    there, or whose layers are not the same on both sides.
    """
    names = ["tok2vec"] if parts is None else parts

    def transfer(nlp: Language) -> Language:
        if path is None:
            raise ValueError(
                f"{_NAME}: path is null in {_WHERE}; set it to a trained pipeline, in this "
                "project's configs by --paths.transfer."
            )
        target = model_of(nlp, component)
        source = model_of(_load(path), source_component or component, path)
        for name in names:
            _copy(_part(source, name, path), _part(target, name, "the pipeline"), name, path)
        logger.info("Took %s of %s for %s", ", ".join(names), path, component)
        return nlp

    return transfer


def _load(path: str) -> Language:
    if not Path(path).is_dir():
        raise FileNotFoundError(
            f"{_NAME}: path = {path!r} in {_WHERE} is no folder; train that pipeline first."
        )
    return spacy.load(path)


def _part(model: Model, name: str, where: str) -> Model:
    if name in model.ref_names:
        return model.get_ref(name)
    found = [node for node in model.walk() if node.name == name]
    if len(found) != 1:
        known = sorted({*model.ref_names, *(node.name for node in model.walk())})
        raise ValueError(
            f"{_NAME}: parts names {name!r}, of which the model in {where} has {len(found)}; "
            f"choose of {', '.join(known)}."
        )
    return found[0]


def _copy(source: Model, target: Model, name: str, path: str) -> None:
    """Copy the weights of a part, all of them or, if one does not fit, none."""
    pairs = list(zip_longest(source.walk(), target.walk()))
    for theirs, ours in pairs:
        if ours is None or theirs is None or _shapes(ours) != _shapes(theirs):
            raise ValueError(
                f"{_NAME}: the part {name!r} of {path} does not fit the pipeline's at the layer "
                f"{getattr(theirs, 'name', 'none')!r}; both must have the same config."
            )
    for theirs, ours in pairs:
        for key in ours.param_names:
            if ours.has_param(key):
                values: Any = ours.ops.asarray(theirs.get_param(key))
                ours.set_param(key, values.copy())
        for own, shim in zip(ours.shims, theirs.shims):
            own.from_bytes(shim.to_bytes())


def _shapes(node: Model) -> list[Any]:
    """What must be the same of two layers: their names, and the shapes of their weights."""
    arrays = [(key, node.get_param(key)) for key in node.param_names if node.has_param(key)]
    for number, shim in enumerate(node.shims):
        state: Any = getattr(getattr(shim, "_model", None), "state_dict", dict)()
        arrays += [(f"{number}.{key}", value) for key, value in state.items()]
    return [node.name, *((key, tuple(array.shape)) for key, array in arrays)]
