"""A test set as users write it: the other script, whole documents, full width, emoji, spaces."""

import unicodedata
from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab

from ..corpora.joining import entity_tags, join_docs
from ..doc_copies import copy_tokens
from .scorer import count_entities, summarise

# Sentences that make one document.
_SENTENCES = 20
_EMOJI = "🙂"
_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


class Robustness(NamedTuple):
    """name: how the texts were changed; f: strict entity F1 in [0, 1]; docs: how many."""

    name: str
    f: float
    docs: int


def measure_robustness(nlp: Language, docs: Sequence[Doc]) -> list[Robustness]:
    """Strict entity F1 of the docs as they are, and changed in each of the ways of `variants`."""
    results = []
    for name, change in variants().items():
        changed = change(nlp.vocab, docs)
        examples = [Example(copy_tokens(nlp.vocab, doc), doc) for doc in changed]
        predicted = nlp.pipe(example.predicted for example in examples)
        for example, doc in zip(examples, predicted):
            example.predicted = doc
        f = summarise(count_entities(examples))["ents_f"]
        results.append(Robustness(name, f or 0.0, len(changed)))
    return results


def variants() -> dict[str, Callable[[Vocab, Sequence[Doc]], list[Doc]]]:
    """Ways to change docs, by name; the entities of the result are those of the same tokens."""
    return {
        "as they are": lambda vocab, docs: list(docs),
        "Simplified characters": lambda vocab, docs: _words(vocab, docs, _converter("tw2s")),
        "Traditional characters": lambda vocab, docs: _words(vocab, docs, _converter("s2tw")),
        "full-width letters, digits, punctuation": lambda vocab, docs: _words(
            vocab, docs, _full_width
        ),
        "half-width letters, digits, punctuation": lambda vocab, docs: _words(
            vocab, docs, _half_width
        ),
        "20 sentences a doc": lambda vocab, docs: _documents(vocab, docs, ""),
        "20 sentences a doc, a line each": lambda vocab, docs: _documents(vocab, docs, "\n"),
        "an emoji before and after": lambda vocab, docs: _edged(vocab, docs, _EMOJI),
        "spaces before and after": lambda vocab, docs: _edged(vocab, docs, "   "),
    }


def _converter(config: str) -> Callable[[str], str]:
    """OpenCC's conversion of whole texts, by words, where it keeps the length."""
    from opencc import OpenCC

    convert = OpenCC(config).convert

    def keeping_length(text: str) -> str:
        converted = convert(text)
        return converted if len(converted) == len(text) else "".join(map(convert, text))

    return keeping_length


def _full_width(text: str) -> str:
    return text.translate(_FULL_WIDTH)


def _half_width(text: str) -> str:
    plain = (unicodedata.normalize("NFKC", character) for character in text)
    return "".join(new if len(new) == 1 else old for old, new in zip(text, plain))


def _words(vocab: Vocab, docs: Sequence[Doc], change: Callable[[str], str]) -> list[Doc]:
    """The same tokens of a text whose characters are changed one for one."""
    result = []
    for doc in docs:
        text = change(doc.text)
        words = [text[token.idx : token.idx + len(token)] for token in doc]
        result.append(copy_tokens(vocab, doc, words=words, ents=entity_tags(doc)))
    return result


def _documents(vocab: Vocab, docs: Sequence[Doc], separator: str) -> list[Doc]:
    rest = iter(docs)
    joined = []
    while group := list(islice(rest, _SENTENCES)):
        joined.append(join_docs(vocab, group, separator))
    return joined


def _edged(vocab: Vocab, docs: Sequence[Doc], edge: str) -> list[Doc]:
    outside = Doc(vocab, words=[edge], spaces=[False], ents=["O"])
    return [join_docs(vocab, [outside, doc, outside]) for doc in docs]
