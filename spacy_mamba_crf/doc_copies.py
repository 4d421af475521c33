"""Docs with the tokens of another and nothing else of it."""

from collections.abc import Sequence
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from spacy.vocab import Vocab


def copy_tokens(
    vocab: Vocab,
    doc: Doc,
    *,
    words: Sequence[str] | None = None,
    ents: Sequence[str] | None = None,
) -> Doc:
    """A doc of the same tokens and spaces, known or not, without annotation.

    words: in place of the doc's own, one a token; ents: IOB tags, as Doc has them.
    """
    texts = [token.text for token in doc] if words is None else list(words)
    spaces = None if doc.has_unknown_spaces else [bool(token.whitespace_) for token in doc]
    return Doc(vocab, words=texts, spaces=spaces, ents=None if ents is None else list(ents))


def copies_for(nlp: Language, component: Any, docs: Sequence[Doc]) -> list[Doc]:
    """The docs' tokens as a pipeline gives them to one of its components."""
    copies = [copy_tokens(nlp.vocab, doc) for doc in docs]
    for _, pipe in nlp.pipeline:
        if pipe is component:
            break
        copies = list(pipe.pipe(copies)) if hasattr(pipe, "pipe") else list(map(pipe, copies))
    return copies
