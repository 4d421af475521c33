"""Architectures that make a token's vector from its characters: the `embed` slot of Tok2Vec."""

from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from ..layers.char_encoder import CharVectors
from ..pytorch.char_encoder import KINDS
from ..pytorch.char_encoder import CharEncoder as CharModule
from .checks import check_positive

ATTRS = ("ORTH", "NORM", "LOWER", "SHAPE")


def CharEncoder(
    width: int,
    kind: str = "cnn",
    char_width: int = 30,
    rows: int = 1000,
    window_size: int = 3,
    attr: str = "ORTH",
    max_length: int = 64,
) -> Model[list[Doc], list[Floats2d]]:
    """spacy_mamba_crf.CharEncoder.v1: a vector of each word from its characters.

    kind: "cnn", a convolution of `width` filters and their largest values (Chiu & Nichols 2016; Ma
    & Hovy 2016); "lstm", the last states of both directions (Lample et al. 2016); "gru", the same
    of a GRU (Yang et al. 2016). Each direction has half the width. char_width: of the characters'
    vectors; rows: of their table, where a character has the row of its code point modulo rows, so
    that no two characters below U+03E8 share one of the default's. window_size: of a filter, in
    characters, an odd number. attr: the token attribute that is spelled, one of ORTH, NORM, LOWER,
    SHAPE. max_length: of a longer word only the first and the last characters are read, this many
    together. Output: (token, width) a doc; put it beside the embedding of whole words with thinc's
    concatenate.v1. Raises ValueError for an unknown kind or attr, an even window_size, an odd width
    of a recurrent kind, or sizes that are not positive.
    """
    kind = kind.lower()
    sizes = {"width": width, "char_width": char_width, "rows": rows, "window_size": window_size}
    check_positive("CharEncoder", max_length=max_length, **sizes)
    _check_choice("kind", kind, KINDS)
    _check_choice("attr", attr, ATTRS)
    if kind == "cnn" and window_size % 2 == 0:
        raise ValueError(
            f"CharEncoder: window_size = {window_size} is even, but a filter reads as many "
            "characters on the left of one as on its right; use an odd number."
        )
    if kind != "cnn" and width % 2:
        raise ValueError(
            f"CharEncoder: width = {width} is odd, but each of the two directions makes half of it."
        )
    encoder = CharModule(width, kind, char_width, rows, window_size)
    return CharVectors(encoder, width, rows, attr, max_length)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(
            f"CharEncoder: {name} = {value!r} is unknown; choose one of {', '.join(choices)}."
        )
