"""CPU kernels of a lexicon: a compact trie of its terms, and all terms that stand in texts.

Importing this imports Numba. A node is a slot of one hash table; no pointers, no failure links.
"""

from typing import NamedTuple

import numpy as np

from .jit import inlined, kernel

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FREE = np.uint64(0)
_NO_BITS = np.uint64(0)


class Trie(NamedTuple):
    """Terms as paths of characters.

    alphabet: (code point,) int32, not empty, the number of each character of the terms from 1, 0
    for others; code points that count as the same character share a number. nodes: (slot,) uint64,
    a power of two of slots with at most half of them filled, 0 where free. A node is one number,
    since what takes time is waiting for memory: from its highest bit down, the slot of its parent
    (for the root: the number of slots), its character in character_bits, and in entry_bits 1 + the
    term that ends there, or 0.
    """

    alphabet: np.ndarray
    nodes: np.ndarray
    character_bits: np.uint64
    entry_bits: np.uint64

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return self.alphabet.nbytes + self.nodes.nbytes


class Strings(NamedTuple):
    """The strings of tokens, spelled once each.

    keys: (slot,) uint64, hash table of spaCy's numbers of the strings (ORTH), 0 where free;
    places: (slot,) int32, each one's place among the strings. The first string is the empty one.
    ends: (string,) int64, where each one's characters end in `characters`: (character,) int32,
    numbered as in a trie's alphabet.
    """

    keys: np.ndarray
    places: np.ndarray
    ends: np.ndarray
    characters: np.ndarray


class Texts(NamedTuple):
    """Texts with their tokens, side by side.

    strings: (token,) int32, places among Strings; spaced: (token,) bool, whether a space follows;
    ends: (text,) int64, where the tokens of each text end.
    """

    strings: np.ndarray
    spaced: np.ndarray
    ends: np.ndarray


def build_trie(codes: np.ndarray, ends: np.ndarray, alphabet: np.ndarray) -> Trie:
    """The trie of some terms, which are sorted and distinct; a term's entry is its place.

    codes: (character,) uint32, the terms' code points side by side; ends: (term,) int64, where each
    ends in them; alphabet: see Trie. Raises ValueError if a node does not fit in 64 bits, which
    takes more than a million terms.
    """
    slots = _slots_for(_count_nodes(codes, ends))
    character_bits, entry_bits = int(alphabet.max()).bit_length(), len(ends).bit_length()
    if slots.bit_length() + character_bits + entry_bits > 64:
        raise ValueError(f"A lexicon of {len(ends):,} terms is too large; split it in several.")
    bits = np.uint64(character_bits), np.uint64(entry_bits)
    trie = Trie(alphabet, np.zeros(slots, dtype="uint64"), *bits)
    _insert(codes, ends, *trie)
    return trie


def spell(keys: np.ndarray, lengths: np.ndarray, characters: np.ndarray) -> Strings:
    """Strings to be looked up. keys: (string,) uint64, distinct, the first 0 for the empty string;
    lengths: (string,) int64, in characters; characters: see Strings.
    """
    slots = _slots_for(len(keys))
    table, places = np.zeros(slots, dtype="uint64"), np.zeros(slots, dtype="int32")
    _insert_strings(keys, table, places)
    return Strings(table, places, np.cumsum(lengths, dtype="int64"), characters)


def look_up(strings: Strings, keys: np.ndarray) -> np.ndarray:
    """The places of strings, -1 for those that are not there: (token,) uint64 -> (token,) int32."""
    found = np.empty(len(keys), dtype="int32")
    _look_up(strings.keys, strings.places, keys, found)
    return found


def find_matches(trie: Trie, strings: Strings, texts: Texts) -> np.ndarray:
    """All terms that begin with a token's first and end with a token's last character.

    (match, 4) int64: text, first token and the token after the last (counted in the text), entry;
    sorted by text, first and last token. Takes time in proportion to the characters, times at most
    the length of the longest term.
    """
    space = trie.alphabet[ord(" ")] if len(trie.alphabet) > ord(" ") else np.int32(0)
    arguments = *trie[1:], strings.ends, strings.characters, space, *texts
    matches = np.empty((2 * len(texts.strings) + 16, 4), dtype="int64")
    count = _find(*arguments, matches)
    if count > len(matches):
        matches = np.empty((count, 4), dtype="int64")
        _find(*arguments, matches)
    return matches[:count]


def _slots_for(count: int) -> int:
    """The power of two that is at least twice as many."""
    return 1 << max(4, int(2 * count - 1).bit_length())


@kernel
def _count_nodes(codes, ends):
    """Sorted neighbours share the longest prefixes: each character after them is a node."""
    nodes = 0
    previous = 0
    start = 0
    for term in range(len(ends)):
        end = ends[term]
        shared = 0
        while (
            shared < start - previous
            and start + shared < end
            and codes[previous + shared] == codes[start + shared]
        ):
            shared += 1
        nodes += end - start - shared
        previous = start
        start = end
    return nodes


@kernel
def _insert(codes, ends, alphabet, nodes, character_bits, entry_bits):
    shift = _shift(len(nodes))
    start = 0
    for term in range(len(ends)):
        node = len(nodes)
        for place in range(start, ends[term]):
            key = _key(node, alphabet[codes[place]], character_bits)
            node = _slot(nodes, key, entry_bits, shift)
            if nodes[node] == _FREE:
                nodes[node] = key << entry_bits
        nodes[node] |= np.uint64(term + 1)
        start = ends[term]


@kernel
def _insert_strings(keys, table, places):
    shift = _shift(len(table))
    for place in range(1, len(keys)):  # the empty string is the key of free slots
        slot = _slot(table, keys[place], _NO_BITS, shift)
        table[slot] = keys[place]
        places[slot] = place


@kernel
def _look_up(table, places, keys, found):
    shift = _shift(len(table))
    for token in range(len(keys)):
        key = keys[token]
        slot = _slot(table, key, _NO_BITS, shift)
        known = table[slot] == key
        found[token] = places[slot] if known else -1


@kernel
def _find(
    nodes,
    character_bits,
    entry_bits,
    string_ends,
    characters,
    space,
    strings,
    spaced,
    text_ends,
    matches,
):
    """The number of matches; those that have room are written."""
    entry_mask = (np.uint64(1) << entry_bits) - np.uint64(1)
    shift = _shift(len(nodes))
    found = 0
    text_start = 0
    for text in range(len(text_ends)):
        text_end = text_ends[text]
        for token in range(text_start, text_end):
            if strings[token] == 0:
                continue
            node = len(nodes)
            for last in range(token, text_end):
                string = strings[last]
                first = string_ends[string - 1] if string > 0 else 0
                for place in range(first, string_ends[string]):
                    node = _child(nodes, node, characters[place], character_bits, entry_bits, shift)
                    if node < 0:
                        break
                if node < 0:
                    break
                entry = np.int64(nodes[node] & entry_mask) - 1
                if string > 0 and entry >= 0:
                    if found < len(matches):
                        matches[found, 0] = text
                        matches[found, 1] = token - text_start
                        matches[found, 2] = last + 1 - text_start
                        matches[found, 3] = entry
                    found += 1
                if spaced[last]:
                    node = _child(nodes, node, space, character_bits, entry_bits, shift)
                    if node < 0:
                        break
        text_start = text_end
    return found


@inlined
def _child(nodes, node, character, character_bits, entry_bits, shift):
    """The node that a character leads to, -1 if none; character 0 is in no term."""
    if character == 0:
        return -1
    slot = _slot(nodes, _key(node, character, character_bits), entry_bits, shift)
    return slot if nodes[slot] != _FREE else -1


@inlined
def _key(node, character, character_bits):
    return (np.uint64(node) << character_bits) | np.uint64(character)


@inlined
def _shift(slots):
    """The highest bits of a product number the slots, a power of two."""
    shift = 64
    while slots > 1:
        slots >>= 1
        shift -= 1
    return np.uint64(shift)


@inlined
def _slot(table, key, low_bits, shift):
    """The slot that holds a key above its low bits, or else the free one where it belongs."""
    slot = np.int64((key * _GOLDEN) >> shift)
    while table[slot] != _FREE and table[slot] >> low_bits != key:
        slot = (slot + 1) & (len(table) - 1)
    return slot
