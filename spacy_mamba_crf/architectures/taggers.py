"""Architectures that a recogniser component takes as its model."""

from spacy.tokens import Doc
from thinc.api import Model, chain
from thinc.types import Floats2d

from ..layers.crf_output import Emissions, OverTexts, TransitionScores, resize_tagger
from ..pytorch.schemes import TagSet
from .checks import check_positive


def CRFTagger(
    tok2vec: Model[list[Doc], list[Floats2d]],
    scheme: str = "BIO",
    crf: bool = True,
    transition_scale: float = 5.0,
    emission_scale: float = 1.0,
    nO: int | None = None,
) -> Model[list[Doc], list[Floats2d]]:
    """spacy_mamba_crf.CRFTagger.v1: a linear-chain CRF over any tok2vec.

    The output is one (token, tag) array of emissions a doc; transition scores are held beside, see
    `layers.crf_output`. scheme: "BIO" or "BIOES". crf = false takes transitions and constraints
    away, for comparison: each token is tagged by itself, by a softmax, and tag sequences that the
    scheme forbids are read as conlleval reads them. transition_scale: how much larger a step the
    transition scores take than the other parameters; emission_scale: the same of the weights that
    give each tag its score, to be larger where a pretrained tok2vec shall change little. nO, the
    number of tags, is set by the component. Raises ValueError for an unknown scheme.
    """
    scales = {"transition_scale": transition_scale, "emission_scale": emission_scale}
    check_positive("CRFTagger", **scales)
    TagSet(scheme, ())  # an unknown scheme is an error here, where the config names it
    output_layer = Emissions(nO, tok2vec.maybe_get_dim("nO"), emission_scale)
    transitions = TransitionScores(nO, transition_scale, constrained=crf)
    emissions: Model[list[Floats2d], list[Floats2d]] = OverTexts(output_layer)
    model: Model[list[Doc], list[Floats2d]] = chain(tok2vec, emissions, transitions)
    model.set_ref("tok2vec", tok2vec)
    model.set_ref("output_layer", output_layer)
    model.set_ref("transition_scores", transitions)
    model.attrs["scheme"] = scheme
    model.attrs["resize_output"] = resize_tagger
    return model
