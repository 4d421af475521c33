"""The record every reader yields: one sentence with its tags and where it came from."""

from dataclasses import dataclass

from ..chunks import chunks


@dataclass(frozen=True, slots=True)
class Sentence:
    """One annotated sentence.

    tokens: characters (Chinese corpora) or words (CoNLL).
    tags: one legal BIO tag a token ("O", "B-TYPE", or "I-TYPE" right after B-/I- of that type).
    source: name of the file; line: 1-based line of its first token (JSON: of its record).
    genre: a short name of the kind of text; id: the corpus's own identifier, if it has one.
    """

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    source: str
    line: int
    genre: str
    id: str | None = None

    @property
    def entities(self) -> list[tuple[int, int, str]]:
        """(first token, one past the last token, type) of each entity, in order."""
        return chunks(self.tags)
