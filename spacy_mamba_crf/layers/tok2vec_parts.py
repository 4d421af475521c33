"""Putting pretrained weights into a tok2vec: the whole of it, or its embedding alone."""

from pathlib import Path
from typing import Any, cast

from spacy.util import registry
from thinc.api import ConfigValidationError, Model

from .parameters import load_weights, weights
from .tok2vec_file import Tok2VecFile, differences

PARTS = ("tok2vec", "embed")
_LEXICON = "spacy_mamba_crf.LexiconEmbed.v1"


def load_tok2vec(
    path: str | Path,
    content: Tok2VecFile,
    tok2vec: Model,
    settings: dict[str, Any],
    part: str = "tok2vec",
) -> None:
    """Put the weights of a file into a tok2vec with the same settings.

    part: "embed" for its embedding alone, whatever encodes. A lexicon that the file does not know
    may stand beside the embedding. Raises ValueError, naming the file and the setting that differs,
    and then nothing is changed.
    """
    settings, original_settings = _with_defaults(settings), _with_defaults(content.settings)
    if part == "tok2vec" and not _adds_lexicon(settings, original_settings):
        _check_settings(path, original_settings, settings, "tok2vec")
        _load(path, tok2vec, content.weights)
        return
    names = ("embed",) if part == "embed" else ("embed", "encode")
    for name in names:
        if name not in settings or name not in original_settings:
            raise ValueError(
                f"{path} and the tok2vec of the config do not both have a part `{name}`, as "
                "spacy.Tok2Vec.v2 has."
            )
    pairs = []
    for name in names:
        node, own, theirs = tok2vec.get_ref(name), settings[name], original_settings[name]
        if _is_lexicon(own) and not _is_lexicon(theirs):
            node, own = node.layers[0], own["embed"]
        _check_settings(path, theirs, own, f"tok2vec.{name}")
        pairs.append((name, node))
    original = _tok2vec_of(path, content)
    for name, node in pairs:
        _load(path, node, weights(original.get_ref(name)))


def load_to_extend(
    path: str | Path, content: Tok2VecFile, tok2vec: Model, settings: dict[str, Any]
) -> None:
    """As load_tok2vec, but for a pretraining that goes on: a table of radicals may be new.

    The new table begins with zeros, so that the tok2vec gives at first what the file's gave.
    """
    theirs, ours = _with_defaults(content.settings), _with_defaults(settings)
    if _table_of_radicals(theirs) or not _table_of_radicals(ours):
        load_tok2vec(path, content, tok2vec, settings)
        return
    without = {**ours, "embed": {**ours["embed"], "radical_rows": 0}}
    _check_settings(path, theirs, without, "tok2vec")
    original = _tok2vec_of(path, content)
    _load(path, tok2vec.get_ref("encode"), weights(original.get_ref("encode")))
    *known, new = _tables(tok2vec)
    for layer, same in zip(known, _tables(original), strict=True):
        layer.set_param("E", same.get_param("E"))
    new.set_param("E", new.ops.alloc(new.get_param("E").shape))


def _table_of_radicals(settings: dict[str, Any]) -> int:
    """Its rows; 0 without one, and for an embedding of another kind."""
    embed = settings.get("embed")
    return embed.get("radical_rows", 0) if isinstance(embed, dict) else 0


def _tables(tok2vec: Model) -> list[Model]:
    """The layers of an embedding's tables, that of radicals last."""
    return [node for node in tok2vec.get_ref("embed").walk() if node.name == "hashed_rows"]


def _with_defaults(settings: dict[str, Any]) -> dict[str, Any]:
    """What is not set has its default, also where an earlier version did not know it.

    Settings that do not fit their functions stay as they are.
    """
    try:
        return registry.fill({"tok2vec": settings})["tok2vec"]
    except ConfigValidationError:
        return settings


def _adds_lexicon(settings: dict[str, Any], theirs: dict[str, Any]) -> bool:
    return _is_lexicon(settings.get("embed")) and not _is_lexicon(theirs.get("embed"))


def _is_lexicon(settings: Any) -> bool:
    return isinstance(settings, dict) and settings.get("@architectures") == _LEXICON


def _check_settings(path: str | Path, theirs: Any, ours: Any, key: str) -> None:
    for name, their, our in differences(theirs, ours, key):
        alone = name.startswith("tok2vec.encode")
        raise ValueError(
            f"{path} was pretrained with {name} = {their!r}, but the config has {our!r}; use the "
            "same settings of the tok2vec, or another file"
            + (', or take the embedding alone (part = "embed").' if alone else ".")
        )


def _load(path: str | Path, model: Model, values: dict[str, Any]) -> None:
    try:
        load_weights(model, values)
    except ValueError as error:
        raise ValueError(f"{path} does not fit the tok2vec of the config: {error}.") from error


def _tok2vec_of(path: str | Path, content: Tok2VecFile) -> Model:
    """The tok2vec that the file's weights were learnt with, and with them."""
    tok2vec = cast(Model, registry.resolve({"tok2vec": content.settings})["tok2vec"])
    tok2vec.initialize()
    _load(path, tok2vec, content.weights)
    return tok2vec
