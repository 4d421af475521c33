"""Architectures over the vectors of whole texts: the `encode` slot of spacy.Tok2Vec.v2."""

from thinc.api import Model
from thinc.types import Floats2d

from ..layers.torch_encoder import TorchEncoder
from ..pytorch.bidirectional import BidirectionalEncoder
from ..pytorch.dilated import DilatedEncoder
from ..pytorch.linear import has_fast_bfloat16
from ..pytorch.mamba import Mamba
from ..pytorch.mamba2 import Mamba2
from ..pytorch.mixer import Mixer
from ..pytorch.recurrent import RecurrentEncoder as RecurrentModule
from ..pytorch.s4d import S4D
from .checks import check_positive

VARIANTS = ("mamba1", "mamba2", "s4d")
CPU_PRECISIONS = ("auto", "float32", "bfloat16")


def MambaEncoder(
    width: int,
    depth: int,
    variant: str = "mamba2",
    d_state: int = 32,
    expand: int = 1,
    d_conv: int = 4,
    headdim: int = 64,
    input_width: int | None = None,
    s4d_init: str = "hippo",
    s4d_discretization: str = "zoh",
    block_size: int = 4096,
    mixed_precision: bool = False,
    cpu_precision: str = "auto",
    tied: bool = False,
) -> Model[list[Floats2d], list[Floats2d]]:
    """spacy_mamba_crf.MambaEncoder.v1: `depth` bidirectional layers over whole texts.

    Fits the `encode` slot of spacy.Tok2Vec.v2: one (token, input_width) array a text in, one
    (token, width) array out; input_width is width if not given. variant: "mamba1" (Gu & Dao 2023),
    "mamba2" (Dao & Gu 2024) or "s4d" (Gu et al. 2022). d_state, d_conv and expand (inner width over
    width) as there; headdim is Mamba-2's; s4d_init "hippo" | "real" and s4d_discretization
    "zoh" | "bilinear" are S4D's. Texts longer than block_size tokens are predicted block by block
    with carried state. mixed_precision: half precision on CUDA. cpu_precision: of the matrix
    products in predictions on a CPU, "float32", "bfloat16", or "auto": bfloat16 where the CPU
    multiplies it natively. tied: both directions of a layer share their parameters, of which there
    are half as many then. Raises ValueError for an unknown variant or precision, or sizes that do
    not divide.
    """

    def make_mixer() -> Mixer:
        if variant == "mamba1":
            return Mamba(width, d_state=d_state, d_conv=d_conv, expand=expand)
        if variant == "mamba2":
            return Mamba2(width, d_state=d_state, d_conv=d_conv, expand=expand, headdim=headdim)
        return S4D(width, d_state=d_state, init=s4d_init, discretization=s4d_discretization)

    if variant not in VARIANTS:
        raise ValueError(
            f"MambaEncoder: variant = {variant!r} is unknown; choose one of {', '.join(VARIANTS)}."
        )
    bf16 = _in_bfloat16("MambaEncoder", cpu_precision)
    sizes = {"width": width, "depth": depth, "d_state": d_state, "expand": expand}
    sizes |= {"d_conv": d_conv, "headdim": headdim, "block_size": block_size}
    check_positive("MambaEncoder", input_width=input_width or width, **sizes)
    encoder = BidirectionalEncoder(
        width,
        depth,
        make_mixer,
        input_width=input_width,
        block_size=block_size,
        bf16=bf16,
        tied=tied,
    )
    return TorchEncoder(encoder, input_width or width, width, mixed_precision=mixed_precision)


def RecurrentEncoder(
    width: int,
    depth: int,
    kind: str = "LSTM",
    input_width: int | None = None,
    cpu_precision: str = "auto",
    variational_dropout: bool = False,
) -> Model[list[Floats2d], list[Floats2d]]:
    """spacy_mamba_crf.RecurrentEncoder.v1: `depth` bidirectional LSTM or GRU layers.

    Takes the place of a MambaEncoder, for comparison: one (token, input_width) array a text in, one
    (token, width) array out; input_width is width if not given. kind: "LSTM" | "GRU". Each
    direction has half the width. cpu_precision: of predictions on a CPU, "float32", "bfloat16", or
    "auto": bfloat16 for an LSTM where the CPU multiplies it natively. variational_dropout: drop the
    same channels at every step of a text (Gal & Ghahramani 2016). Raises ValueError for an unknown
    kind or precision, or an odd width.
    """
    check_positive("RecurrentEncoder", width=width, depth=depth, input_width=input_width or width)
    kind = kind.upper()
    bf16 = _in_bfloat16("RecurrentEncoder", cpu_precision, gains=kind == "LSTM")
    encoder = RecurrentModule(
        width, depth, kind, input_width, bf16=bf16, variational_dropout=variational_dropout
    )
    return TorchEncoder(encoder, input_width or width, width)


def IDCNNEncoder(
    width: int,
    depth: int = 2,
    blocks: int = 3,
    window_size: int = 1,
    input_width: int | None = None,
    block_losses: bool = False,
) -> Model[list[Floats2d], list[Floats2d]]:
    """spacy_mamba_crf.IDCNNEncoder.v1: iterated dilated convolutions (Strubell et al. 2017).

    Fits the `encode` slot of spacy.Tok2Vec.v2: one (token, input_width) array a text in, one
    (token, width) array out; input_width is width if not given. A block has `depth` convolutions of
    dilation 1, 2, 4 ... and one of dilation 1, over window_size tokens at each side; it is run
    `blocks` times with the same parameters, so that a token sees window_size * (1 + blocks *
    2 ** depth) tokens at each side. block_losses: in training, a loss on the output of each block,
    not only the last; for a tok2vec inside crf_ner's own model alone, since each doc then has
    several outputs. Raises ValueError for sizes that are not positive.
    """
    sizes = {"width": width, "depth": depth, "blocks": blocks, "window_size": window_size}
    check_positive("IDCNNEncoder", input_width=input_width or width, **sizes)
    encoder = DilatedEncoder(width, depth, blocks, window_size, input_width, block_losses)
    return TorchEncoder(encoder, input_width or width, width)


def _in_bfloat16(architecture: str, cpu_precision: str, gains: bool = True) -> bool:
    """Whether to predict in bfloat16; "auto": where the encoder gains by it and the CPU has it."""
    if cpu_precision not in CPU_PRECISIONS:
        raise ValueError(
            f"{architecture}: cpu_precision = {cpu_precision!r} is unknown; choose one of "
            f"{', '.join(CPU_PRECISIONS)}."
        )
    if cpu_precision == "auto":
        return gains and has_fast_bfloat16()
    return cpu_precision == "bfloat16"
