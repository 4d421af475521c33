"""Sentences to spaCy: Docs with entities, .spacy files, and the statistics beside them."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from spacy.tokens import Doc, DocBin, Span
from spacy.util import get_words_and_spaces
from spacy.vocab import Vocab
from tqdm import tqdm

from ..files import write_bytes, write_text
from .presets import Corpus
from .records import Sentence
from .split import PARTS, shared_texts


def character_doc(vocab: Vocab, sentence: Sentence) -> Doc:
    """A Doc of one token a character, tokenised exactly as spaCy's Chinese `char` segmenter does.

    That segmenter attaches a single space to the character before it and joins longer runs of
    whitespace to one token; every other character is a token. The text is the sentence's, unless
    it ends in one space, which the last token carries as its `whitespace_`.
    """
    words, spaces = get_words_and_spaces(sentence.tokens, "".join(sentence.tokens))
    doc = Doc(vocab, words=words, spaces=spaces)
    token_at = {token.idx: token.i for token in doc}
    spans = []
    for start, end, label in sentence.entities:
        first, last = token_at[start], token_at[end - 1]
        spans.append(Span(doc, first, last + 1, label=label))
    return _annotated(doc, spans, sentence)


def word_doc(vocab: Vocab, sentence: Sentence) -> Doc:
    """A Doc of the sentence's own words with single spaces between them.

    It is marked `has_unknown_spaces`, so that `spacy.Corpus.v1` predicts on the same words
    instead of tokenising the text again.
    """
    doc = Doc(vocab, words=list(sentence.tokens))
    spans = [Span(doc, start, end, label=label) for start, end, label in sentence.entities]
    return _annotated(doc, spans, sentence)


def make_doc(vocab: Vocab, sentence: Sentence, unit: str) -> Doc:
    """`character_doc` for unit "character", `word_doc` for unit "word"."""
    return character_doc(vocab, sentence) if unit == "character" else word_doc(vocab, sentence)


def _annotated(doc: Doc, spans: list[Span], sentence: Sentence) -> Doc:
    doc.set_ents(spans, default="outside")
    doc.user_data["genre"] = sentence.genre
    doc.user_data["source"] = sentence.source
    doc.user_data["line"] = sentence.line
    doc.user_data["id"] = sentence.id
    return doc


def to_docbin(sentences: Sequence[Sentence], unit: str, *, progress: str = "") -> DocBin:
    """A DocBin with tokens, entities and user_data (genre, source, line, id) of each sentence.

    unit: "character" or "word". progress: title of a progress bar on a terminal; "" for none.
    """
    docbin = DocBin(attrs=["ORTH", "SPACY", "ENT_IOB", "ENT_TYPE"], store_user_data=True)
    vocab = Vocab()
    silent = not progress or not sys.stderr.isatty()
    for sentence in tqdm(sentences, desc=progress, unit=" sentences", disable=silent):
        docbin.add(make_doc(vocab, sentence, unit))
    return docbin


def statistics(corpus: Corpus) -> dict[str, Any]:
    """Plain data for stats.json: counts by part, genre and type, by file as read, and repairs."""
    parts = corpus.parts
    return {
        "corpus": corpus.name,
        "seed": corpus.seed,
        "test_is_dev": corpus.test_is_dev,
        "parts": {part: _count_with_genres(parts[part]) for part in PARTS if part in parts},
        "files": corpus.report.to_dict()["files"],
        "repairs": corpus.report.counts,
        "shared_with_train": {
            part: shared_texts(parts["train"], parts[part])
            for part in ("dev", "test")
            if part in parts
        },
    }


def _count_with_genres(sentences: Sequence[Sentence]) -> dict[str, Any]:
    genres = sorted({sentence.genre for sentence in sentences})
    by_genre = {
        genre: _count(sentence for sentence in sentences if sentence.genre == genre)
        for genre in genres
    }
    return {**_count(sentences), "genres": by_genre}


def _count(sentences: Iterable[Sentence]) -> dict[str, Any]:
    n_sentences = n_tokens = 0
    types: Counter[str] = Counter()
    for sentence in sentences:
        n_sentences += 1
        n_tokens += len(sentence.tokens)
        types.update(label for _, _, label in sentence.entities)
    return {
        "sentences": n_sentences,
        "tokens": n_tokens,
        "entities": types.total(),
        "types": dict(sorted(types.items())),
    }


def write_corpus(corpus: Corpus, output_dir: Path) -> dict[str, Any]:
    """Write train.spacy, dev.spacy, test.spacy, repairs.json and stats.json; return the statistics.

    Each file is replaced in one step. A corpus without a test part leaves no test.spacy: one from
    an earlier run is removed, lest it be taken for this corpus's.
    """
    for part in PARTS:
        path = output_dir / f"{part}.spacy"
        if part in corpus.parts:
            docbin = to_docbin(corpus.parts[part], corpus.unit, progress=path.name)
            write_bytes(path, docbin.to_bytes())
        else:
            path.unlink(missing_ok=True)
    corpus.report.write_json(output_dir / "repairs.json")
    stats = statistics(corpus)
    text = json.dumps(stats, ensure_ascii=False, indent=2)
    write_text(output_dir / "stats.json", text + "\n")
    return stats
