"""Architectures that give each token of a doc its vector: the `embed` slot of spacy.Tok2Vec.v2."""

from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from ..layers.char_ngrams import (
    EdgeKeys,
    HashedRows,
    NgramKeys,
    RadicalKeys,
    SumOfTables,
    check_attr,
)
from ..layers.lexicon_rows import LexiconRows
from ..layers.token_keys import Folding
from .checks import check_positive


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
    folding = Folding(width=fold_width)
    return _ngram_tables(width, rows, edge_rows, attr, folding, ngram_dropout)


def CharNgramEmbedFolded(
    width: int,
    rows: list[int] = [5000, 10000, 10000],  # noqa: B006  (thinc fills configs from defaults)
    edge_rows: int = 0,
    attr: str = "NORM",
    fold_width: bool = True,
    fold_script: bool = False,
    fold_emoji: bool = False,
    ngram_dropout: float = 0.0,
    mask_rate: float = 0.0,
    radical_rows: int = 0,
) -> Model[list[Doc], list[Floats2d]]:
    """spacy_mamba_crf.CharNgramEmbed.v2: as v1, but what is folded is folded in all tables.

    width, rows, edge_rows, attr, ngram_dropout: as in v1. fold_width: full-width forms count as
    plain ones, in prefixes, suffixes and shapes, too. fold_script: Traditional Chinese characters
    count as the Simplified one (OpenCC's tw2s, one by one), so that a pipeline trained on either
    script reads both. fold_emoji: all emoji count as one, so that a pipeline that has seen some
    knows any. mask_rate: in training, the share of tokens that are hidden, with all n-grams that
    they are part of, as mamba-pretrain hides them. radical_rows: table size for the radicals of a
    token's first and last (folded) Chinese characters; 0 leaves them out. The docs stay as they
    are. Output: (token, width) a doc. Raises ValueError as v1 does, if mask_rate is not in
    [0, 1), or if radical_rows is negative.
    """
    folding = Folding(width=fold_width, script=fold_script, edges=True, emoji=fold_emoji)
    return _ngram_tables(
        width, rows, edge_rows, attr, folding, ngram_dropout, mask_rate, radical_rows
    )


def _ngram_tables(
    width: int,
    rows: list[int],
    edge_rows: int,
    attr: str,
    folding: Folding,
    ngram_dropout: float,
    mask_rate: float = 0.0,
    radical_rows: int = 0,
) -> Model[list[Doc], list[Floats2d]]:
    check_attr(attr)
    check_positive("CharNgramEmbed", width=width)
    for name, share in {"ngram_dropout": ngram_dropout, "mask_rate": mask_rate}.items():
        if not 0 <= share < 1:
            raise ValueError(f"CharNgramEmbed: {name} = {share} is not in [0, 1).")
    if len(rows) > 3 or any(n < 0 for n in [*rows, edge_rows]) or not any([*rows, edge_rows]):
        raise ValueError(
            f"CharNgramEmbed: rows = {rows} and edge_rows = {edge_rows} must be up to three table "
            "sizes (uni-, bi-, trigrams) and one, none negative and not all 0."
        )
    if radical_rows < 0:
        raise ValueError(f"CharNgramEmbed: radical_rows = {radical_rows} must be 0 or more.")
    tables: list[tuple[Model, Model]] = []
    for order, size in enumerate(rows, start=1):
        if size:
            dropout = ngram_dropout if order > 1 else 0.0
            tables.append((NgramKeys(order), HashedRows(width, size, order, dropout)))
    if edge_rows:
        tables.append((EdgeKeys(), HashedRows(width, edge_rows, 0)))
    if radical_rows:
        tables.append((RadicalKeys(), HashedRows(width, radical_rows, 4)))
    return SumOfTables(tables, width, attr, folding, mask_rate)


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
    check_positive("LexiconEmbed", width=width, max_length=max_length)
    if embed.maybe_get_dim("nO") not in (None, width):
        raise ValueError(
            f"LexiconEmbed: width = {width} is not the width {embed.get_dim('nO')} of embed; "
            "set both to the same."
        )
    return LexiconRows(embed, lexicon, width, max_length, fold_width, lower)
