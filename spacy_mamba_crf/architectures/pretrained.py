"""Architectures that stand on a published language model."""

from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from ..layers.pretrained_mamba import PretrainedMambaLayer, PretrainedShim
from ..layers.subwords import POOLINGS
from .checks import check_positive


def PretrainedMamba(
    path: str | None,
    tokenizer: str | None = None,
    bidirectional: bool = True,
    trainable: bool = False,
    pooling: str = "mean",
    block_size: int = 1024,
    mixed_precision: bool = False,
) -> Model[list[Doc], list[Floats2d]]:
    """spacy_mamba_crf.PretrainedMamba.v1: a published Mamba or Mamba-2 model over the docs' text.

    Fits the `embed` slot of spacy.Tok2Vec.v2 and every `tok2vec`. path: a checkpoint's folder in
    the state-spaces or the Hugging Face (`-hf`) format, read when the pipeline is initialized and
    saved with the model; null, or a folder that has gone, only where a trained pipeline is loaded.
    tokenizer: a folder or file with a tokenizer.json, or a name in the Hugging Face hub; null: in
    the checkpoint's folder. bidirectional: the same weights also read each text backwards, and both
    vectors are joined, (token, 2 width) a doc; false: a token knows what stands before it only,
    (token, width). trainable: fine-tune all weights; false: leave them as they are. pooling: a
    token's vector is the "mean" of the sub-words that overlap it, or the "last" or "first" that is
    read; white space without sub-words has zeros. Dropout falls on the result. Texts longer than
    block_size sub-words are predicted block by block with carried state; none is cut off.
    mixed_precision: half precision on CUDA. Raises ValueError for an unknown pooling, or a
    checkpoint that is not supported.
    """
    check_positive("PretrainedMamba", block_size=block_size)
    if pooling not in POOLINGS:
        raise ValueError(
            f"PretrainedMamba: pooling = {pooling!r} is unknown; choose one of "
            f"{', '.join(POOLINGS)}."
        )
    return PretrainedMambaLayer(
        path,
        tokenizer,
        bidirectional,
        pooling,
        lambda encoder: PretrainedShim(encoder, block_size, trainable, mixed_precision),
    )
