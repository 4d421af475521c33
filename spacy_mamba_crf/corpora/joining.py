"""Sentences put together into documents: entities keep their tokens."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab

Reader = Callable[[Language], Iterable[Example]]


def join_docs(vocab: Vocab, docs: Sequence[Doc], separator: str = "") -> Doc:
    """One doc of the tokens of several, with their entities, and gaps where nothing is known.

    No other annotation (tags, heads, span groups) is taken over.

    separator: a token between them, outside any entity; "" for none. The first doc's user_data is
    that of the result. Where the words of any doc have unknown spaces, so have those of the result.
    """
    words: list[str] = []
    spaces: list[bool] = []
    tags: list[str] = []
    for doc in docs:
        if separator and words:
            words.append(separator)
            spaces.append(False)
            tags.append("O")
        words += [token.text for token in doc]
        spaces += [bool(token.whitespace_) for token in doc]
        tags += entity_tags(doc)
    unknown = any(doc.has_unknown_spaces for doc in docs)
    joined = Doc(vocab, words=words, spaces=None if unknown else spaces, ents=tags)
    if docs:
        joined.user_data = dict(docs[0].user_data)
    return joined


class JoinedCorpus:
    """See `create_joined_corpus`."""

    def __init__(self, corpus: Reader, share: float, most: int, separators: Sequence[str]):
        self.corpus = corpus
        self.share = share
        self.most = most
        self.separators = separators

    def __call__(self, nlp: Language) -> Iterator[Example]:
        waiting: list[Example] = []
        wanted = 0
        for example in self.corpus(nlp):
            if not waiting:
                wanted = random.randint(2, self.most) if random.random() < self.share else 1
            waiting.append(example)
            if len(waiting) >= wanted:
                yield self._join(nlp.vocab, waiting)
                waiting = []
        if waiting:
            yield self._join(nlp.vocab, waiting)

    def _join(self, vocab: Vocab, examples: list[Example]) -> Example:
        if len(examples) == 1:
            return examples[0]
        separator = random.choice(self.separators)
        predicted, reference = (
            join_docs(vocab, [getattr(example, side) for example in examples], separator)
            for side in ("predicted", "reference")
        )
        return Example(predicted, reference)


def create_joined_corpus(
    corpus: Reader, share: float = 0.5, most: int = 8, separators: Sequence[str] = ("", "\n")
) -> Reader:
    """spacy_mamba_crf.JoinedCorpus.v1: the sentences of another reader, some of them in documents.

    For pipelines that are given whole documents, where the corpus has sentences. corpus: another
    reader. share: how often, rather than a sentence by itself, the next 2 to `most` are joined, so
    that each sentence is read once. separators: of which one stands between the sentences of a
    document, "" for nothing. Raises ValueError for numbers or separators that cannot be used.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"JoinedCorpus: share = {share} is not in [0, 1].")
    if most < 2:
        raise ValueError(f"JoinedCorpus: most = {most} must be at least 2.")
    if not separators or any(not isinstance(item, str) for item in separators):
        raise ValueError(
            f'JoinedCorpus: separators = {separators!r} must be a list of strings, such as [""].'
        )
    return JoinedCorpus(corpus, share, most, list(separators))


def entity_tags(doc: Doc) -> list[str]:
    """Each token's IOB tag, as Doc's argument `ents` has it; "" where nothing is known."""
    return [
        f"{token.ent_iob_}-{token.ent_type_}" if token.ent_type else token.ent_iob_ for token in doc
    ]
