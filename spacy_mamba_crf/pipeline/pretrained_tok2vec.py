"""Beginning with a tok2vec learnt from raw text: `spacy_mamba_crf.pretrained_tok2vec.v1`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.pipeline.tok2vec import Tok2VecListener
from spacy.util import logger
from thinc.api import Model

from ..layers.tok2vec_file import read_file
from ..layers.tok2vec_parts import PARTS, load_tok2vec
from .parts import model_of

_NAME = "spacy_mamba_crf.pretrained_tok2vec.v1"


def make_pretrained_tok2vec(
    path: str | None, component: str = "ner", part: str = "tok2vec"
) -> Callable[[Language], Language]:
    """spacy_mamba_crf.pretrained_tok2vec.v1, for [initialize.after_init]: pretrained weights.

    path: file that `python -m spacy mamba-pretrain` wrote for the same tok2vec; None begins with
    random weights, and so does, with a warning, a pipeline of another language than the file's.
    component: the one whose tok2vec takes them. part: "embed" takes its embedding alone, "tok2vec"
    all of it; a LexiconEmbed may stand around the embedding. Raises ValueError for another part;
    the callback does, naming what is wrong, if there is no such component, or the file is missing,
    damaged or of another tok2vec.
    """
    if part not in PARTS:
        raise ValueError(f"{_NAME}: part = {part!r} is unknown; choose one of {', '.join(PARTS)}.")

    def load(nlp: Language) -> Language:
        if path is None:
            return nlp
        tok2vec, settings = tok2vec_of(nlp, component), tok2vec_settings(nlp, component)
        file = read_file(Path(path))
        lang = file.facts.get("lang", nlp.lang)
        if lang != nlp.lang:
            logger.warning(
                "%s: %s is for the language %s, and the pipeline's is %s: %s begins with random "
                "weights.",
                *(_NAME, path, lang, nlp.lang, component),
            )
            return nlp
        load_tok2vec(path, file, tok2vec, settings, part)
        logger.info("%s begins with the weights of %s", component, path)
        return nlp

    return load


def tok2vec_of(nlp: Language, component: str) -> Model:
    """The tok2vec in a component's model, or the model of a tok2vec component itself."""
    model = model_of(nlp, component)
    tok2vec = model.get_ref("tok2vec") if "tok2vec" in model.ref_names else model
    if isinstance(tok2vec, Tok2VecListener):
        raise ValueError(
            f"The component {component!r} listens to {tok2vec.upstream_name!r}, whose tok2vec it "
            "shares; name that component instead."
        )
    return tok2vec


def tok2vec_settings(nlp: Language, component: str) -> dict[str, Any]:
    """The part of the pipeline's config that describes the component's tok2vec."""
    model = nlp.config.interpolate()["components"][component]["model"]
    return model.get("tok2vec", model)
