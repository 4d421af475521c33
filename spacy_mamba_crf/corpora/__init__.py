"""Readers and converters of ROCLING, HealthNER and CoNLL-2003 files: text in, Docs out."""

from ..chunks import HEALTH_TYPES, chunks
from .bio import genre_of, read_bio
from .conll import read_conll
from .convert import character_doc, statistics, to_docbin, word_doc, write_corpus
from .healthner import read_healthner
from .joining import create_joined_corpus, entity_tags, join_docs
from .presets import CORPORA, Corpus, load_corpus
from .readers import create_bio_corpus, create_conll_corpus, create_healthner_corpus
from .records import Sentence
from .report import FileCounts, ReadReport, Repair
from .split import split_sentences

__all__ = [
    "CORPORA",
    "HEALTH_TYPES",
    "Corpus",
    "FileCounts",
    "ReadReport",
    "Repair",
    "Sentence",
    "character_doc",
    "chunks",
    "create_bio_corpus",
    "create_conll_corpus",
    "create_healthner_corpus",
    "create_joined_corpus",
    "entity_tags",
    "genre_of",
    "join_docs",
    "load_corpus",
    "read_bio",
    "read_conll",
    "read_healthner",
    "split_sentences",
    "statistics",
    "to_docbin",
    "word_doc",
    "write_corpus",
]
