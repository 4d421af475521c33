"""Cutting sentences that are too long, without cutting an entity and without losing a token."""

from dataclasses import replace

from .records import Sentence

_SENTENCE_FINAL = frozenset("。！？!?；;…")
_CLAUSE_FINAL = frozenset("，,、：:")


def split_long(sentence: Sentence, max_length: int) -> list[Sentence]:
    """Pieces of at most `max_length` tokens (0: no limit) that join to the sentence.

    A cut falls after sentence-final punctuation if the window of `max_length` tokens has any, else
    after a comma, else between any two tokens, always as far right as possible and never inside an
    entity; an entity longer than `max_length` stays whole in a longer piece. Pieces keep the
    sentence's source, line and id.
    """
    if max_length < 0:
        raise ValueError(f"max_length must be 0 (no limit) or more, not {max_length}.")
    if not max_length or len(sentence.tokens) <= max_length:
        return [sentence]
    pieces = []
    start = 0
    while start < len(sentence.tokens):
        end = _cut(sentence, start, max_length)
        pieces.append(
            replace(sentence, tokens=sentence.tokens[start:end], tags=sentence.tags[start:end])
        )
        start = end
    return pieces


def _cut(sentence: Sentence, start: int, max_length: int) -> int:
    """Where the piece that begins at `start` ends (one past its last token)."""
    tokens, tags = sentence.tokens, sentence.tags
    limit = start + max_length
    if limit >= len(tokens):
        return len(tokens)
    allowed = [end for end in range(limit, start, -1) if not tags[end].startswith("I-")]
    for marks in (_SENTENCE_FINAL, _CLAUSE_FINAL):
        for end in allowed:
            if tokens[end - 1] in marks:
                return end
    if allowed:
        return allowed[0]
    while limit < len(tokens) and tags[limit].startswith("I-"):
        limit += 1
    return limit
