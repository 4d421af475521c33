"""The architectures that configs name; each puts together layers built elsewhere."""

from spacy.tokens import Doc
from thinc.api import Model, chain
from thinc.types import Floats2d

from .layers.char_ngrams import EdgeKeys, HashedRows, NgramKeys, SumOfTables, check_attr
from .layers.crf_output import Emissions, OverTexts, TransitionScores, resize_tagger
from .layers.lexicon_rows import LexiconRows
from .layers.torch_encoder import TorchEncoder
from .pytorch.bidirectional import BidirectionalEncoder
from .pytorch.linear import has_fast_bfloat16
from .pytorch.mamba import Mamba
from .pytorch.mamba2 import Mamba2
from .pytorch.mixer import Mixer
from .pytorch.recurrent import RecurrentEncoder as RecurrentModule
from .pytorch.s4d import S4D
from .pytorch.schemes import TagSet

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
) -> Model[list[Floats2d], list[Floats2d]]:
    """spacy_mamba_crf.MambaEncoder.v1: `depth` bidirectional layers over whole texts.

    Fits the `encode` slot of spacy.Tok2Vec.v2: one (token, input_width) array a text in, one
    (token, width) array out; input_width is width if not given. variant: "mamba1" (Gu & Dao 2023),
    "mamba2" (Dao & Gu 2024) or "s4d" (Gu et al. 2022). d_state, d_conv and expand (inner width over
    width) as there; headdim is Mamba-2's; s4d_init "hippo" | "real" and s4d_discretization
    "zoh" | "bilinear" are S4D's. Texts longer than block_size tokens are predicted block by block
    with carried state. mixed_precision: half precision on CUDA. cpu_precision: of the matrix
    products in predictions on a CPU, "float32", "bfloat16", or "auto": bfloat16 where the CPU
    multiplies it natively. Raises ValueError for an unknown variant or precision, or sizes that do
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
    _check_positive("MambaEncoder", input_width=input_width or width, **sizes)
    encoder = BidirectionalEncoder(
        width, depth, make_mixer, input_width=input_width, block_size=block_size, bf16=bf16
    )
    return TorchEncoder(encoder, input_width or width, width, mixed_precision=mixed_precision)


def RecurrentEncoder(
    width: int,
    depth: int,
    kind: str = "LSTM",
    input_width: int | None = None,
    cpu_precision: str = "auto",
) -> Model[list[Floats2d], list[Floats2d]]:
    """spacy_mamba_crf.RecurrentEncoder.v1: `depth` bidirectional LSTM or GRU layers.

    Takes the place of a MambaEncoder, for comparison: one (token, input_width) array a text in, one
    (token, width) array out; input_width is width if not given. kind: "LSTM" | "GRU". Each
    direction has half the width. cpu_precision: of predictions on a CPU, "float32", "bfloat16", or
    "auto": bfloat16 for an LSTM where the CPU multiplies it natively. Raises ValueError for an
    unknown kind or precision, or an odd width.
    """
    _check_positive("RecurrentEncoder", width=width, depth=depth, input_width=input_width or width)
    bf16 = _in_bfloat16("RecurrentEncoder", cpu_precision, gains=kind == "LSTM")
    encoder = RecurrentModule(width, depth, kind, input_width, bf16=bf16)
    return TorchEncoder(encoder, input_width or width, width)


def CharNgramEmbed(
    width: int,
    rows: list[int] = [5000, 10000, 10000],  # noqa: B006  (thinc fills configs from defaults)
    edge_rows: int = 0,
    attr: str = "NORM",
    fold_width: bool = True,
    ngram_dropout: float = 0.0,
) -> Model[list[Doc], list[Floats2d]]:
    """spacy_mamba_crf.CharNgramEmbed.v1: hashed n-grams of neighbouring tokens, summed.

    For Chinese, where a token is a character, these are the character and its left and right
    bigrams and trigrams. rows: table sizes for uni-, bi- and trigrams, 0 leaves an order out.
    edge_rows: table size for prefixes, suffixes (1-3 characters) and shape of a token, for
    languages whose tokens are words; 0 leaves them out. attr: the token attribute compared.
    fold_width: treat full-width forms as plain ones. ngram_dropout: in training, the share of
    tokens that see no bigrams, and that see no trigrams, so that single tokens carry their part.
    Output: (token, width) a doc. Raises ValueError if every table is left out, a size is negative,
    or attr is unknown.
    """
    check_attr(attr)
    _check_positive("CharNgramEmbed", width=width)
    if not 0 <= ngram_dropout < 1:
        raise ValueError(f"CharNgramEmbed: ngram_dropout = {ngram_dropout} is not in [0, 1).")
    if len(rows) > 3 or any(n < 0 for n in [*rows, edge_rows]) or not any([*rows, edge_rows]):
        raise ValueError(
            f"CharNgramEmbed: rows = {rows} and edge_rows = {edge_rows} must be up to three table "
            "sizes (uni-, bi-, trigrams) and one, none negative and not all 0."
        )
    tables: list[tuple[Model, Model]] = []
    for order, size in enumerate(rows, start=1):
        if size:
            dropout = ngram_dropout if order > 1 else 0.0
            tables.append((NgramKeys(order), HashedRows(width, size, order, dropout)))
    if edge_rows:
        tables.append((EdgeKeys(), HashedRows(width, edge_rows, 0)))
    return SumOfTables(tables, width, attr, fold_width)


def LexiconEmbed(
    embed: Model[list[Doc], list[Floats2d]],
    lexicon: str | None,
    width: int,
    max_length: int = 8,
    fold_width: bool = True,
    lower: bool = True,
) -> Model[list[Doc], list[Floats2d]]:
    """spacy_mamba_crf.LexiconEmbed.v1: an embedding, and what a user's lexicon says of each token.

    Added to embed's vectors is a trainable row for each label, place (beginning, middle, end of a
    term, or a term by itself) and length of the terms found around a token (SoftLexicon's sets, Ma
    et al. 2020, by label). lexicon: file of lines `term` or `term<TAB>label`, UTF-8, read when the
    pipeline is initialized and saved with the model; null only where a trained one is loaded.
    width: of the vectors, as embed's. max_length: longer terms, in tokens, count as that long.
    fold_width: full-width forms count as plain ones; lower: upper case as lower case. Terms are
    compared by character, and begin and end where tokens do. Output: (token, width) a doc. Raises
    ValueError if width is not that of embed, or a size is not positive.
    """
    _check_positive("LexiconEmbed", width=width, max_length=max_length)
    if embed.maybe_get_dim("nO") not in (None, width):
        raise ValueError(
            f"LexiconEmbed: width = {width} is not the width {embed.get_dim('nO')} of embed; "
            "set both to the same."
        )
    return LexiconRows(embed, lexicon, width, max_length, fold_width, lower)


def CRFTagger(
    tok2vec: Model[list[Doc], list[Floats2d]],
    scheme: str = "BIO",
    crf: bool = True,
    transition_scale: float = 5.0,
    nO: int | None = None,
) -> Model[list[Doc], list[Floats2d]]:
    """spacy_mamba_crf.CRFTagger.v1: a linear-chain CRF over any tok2vec.

    The output is one (token, tag) array of emissions a doc; transition scores are held beside, see
    `layers.crf_output`. scheme: "BIO" or "BIOES". crf = false takes transitions and constraints
    away, for comparison: each token is tagged by itself, by a softmax, and tag sequences that the
    scheme forbids are read as conlleval reads them. transition_scale: how much larger a step the
    transition scores take than the other parameters. nO, the number of tags, is set by the
    component. Raises ValueError for an unknown scheme.
    """
    _check_positive("CRFTagger", transition_scale=transition_scale)
    TagSet(scheme, ())  # an unknown scheme is an error here, where the config names it
    output_layer = Emissions(nO, tok2vec.maybe_get_dim("nO"))
    transitions = TransitionScores(nO, transition_scale, constrained=crf)
    emissions: Model[list[Floats2d], list[Floats2d]] = OverTexts(output_layer)
    model: Model[list[Doc], list[Floats2d]] = chain(tok2vec, emissions, transitions)
    model.set_ref("tok2vec", tok2vec)
    model.set_ref("output_layer", output_layer)
    model.set_ref("transition_scores", transitions)
    model.attrs["scheme"] = scheme
    model.attrs["resize_output"] = resize_tagger
    return model


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


def _check_positive(architecture: str, **settings: float) -> None:
    for name, value in settings.items():
        if value <= 0:
            raise ValueError(f"{architecture}: {name} = {value} must be larger than 0.")
