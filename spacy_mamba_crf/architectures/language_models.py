"""Architectures with language models: states of trained ones as features, or a loss beside."""

from spacy.ml.models.tok2vec import build_Tok2Vec_model
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from ..layers.lm_loss import WithNeighbourLoss
from ..layers.static_lm import LanguageModelStates
from .checks import check_positive


def StaticLM(path: str | None) -> Model[list[Doc], list[Floats2d]]:
    """spacy_mamba_crf.StaticLM.v1: states of two frozen language models (Peters et al. 2017).

    Each token gets the forward model's state when it has read the text up to and with the token,
    and the backward model's when it has read the text from its end down to and with the token.
    path: folder written by scripts/train_lm.py, read when the pipeline is initialized and saved
    with the model; null only where a trained one is loaded. Output: (token, 2 * width) a doc, with
    the width of each language model; put it beside a trained embedding with thinc's concatenate.v1.
    A missing or damaged folder is a ValueError when the pipeline is initialized.
    """
    return LanguageModelStates(path)


def LMLoss(
    embed: Model[list[Doc], list[Floats2d]],
    encode: Model[list[Floats2d], list[Floats2d]],
    rows: int = 7500,
    hidden: int = 50,
    weight: float = 0.1,
) -> Model[list[Doc], list[Floats2d]]:
    """spacy_mamba_crf.LMLoss.v1: Tok2Vec.v2 that also learns to predict words (Rei 2017, sec. 4).

    In training, weight * (-log p(next word | forward half of a token's vector) - log p(previous
    word | backward half)) is added to the loss, summed over a doc's tokens and averaged over the
    docs that have tokens. Each p is a softmax over `rows` words and the doc's edge, on a tanh
    layer of `hidden` units; a word is the hash of its NORM modulo rows. What is predicted is that
    of embed and encode alone, in the same time. The last loss, without its weight, is kept in the
    model's attrs["lm_loss"].

    encode must be bidirectional, of one layer, with forward states in the first half of its output
    and backward ones in the second: spacy_mamba_crf.RecurrentEncoder.v1 of depth 1, or spaCy's
    TorchBiLSTMEncoder. embed must not show it the neighbours of a token, or the loss is learnt by
    copying: CharNgramEmbed with rows for single tokens only, no window. Raises ValueError for an
    encode of unknown or odd width, sizes that are not positive, or a negative weight.
    """
    check_positive("LMLoss", rows=rows, hidden=hidden)
    if weight < 0:
        raise ValueError(f"LMLoss: weight = {weight} must not be negative.")
    width = encode.maybe_get_dim("nO")
    if width is None or width % 2:
        raise ValueError(
            f"LMLoss: the width of encode is {width or 'not known before training'}, but it must "
            "be an even number, half of it for each direction; use an encoder such as "
            "spacy_mamba_crf.RecurrentEncoder.v1 of depth 1."
        )
    return WithNeighbourLoss(build_Tok2Vec_model(embed, encode), rows, hidden, weight)
