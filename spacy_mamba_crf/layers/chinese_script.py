"""Chinese characters: Traditional ones as Simplified ones, by OpenCC's tables; their radicals."""

import bisect
import functools
import unicodedata

# The first character of each of the 214 Kangxi radicals' parts of Unicode's block of unified
# ideographs, which is ordered by radical; it is the radical itself, to which the block of Kangxi
# radicals is compatible (The Unicode Standard, chapter 18).
_FIRST_OF_RADICAL = [unicodedata.normalize("NFKC", chr(0x2F00 + n)) for n in range(214)]
_LAST_IDEOGRAPH = "\u9fa5"


def simplified(text: str) -> str:
    """Each Traditional character (of Taiwan's variants, too) as the Simplified one.

    By itself, not by the words around it, so that the text keeps its length, and two texts that
    differ in script only become the same: 頭髮 and 头发 are 头发. Raises ImportError without
    OpenCC.
    """
    return "".join(map(_simplified_character, text))


def radical(character: str) -> int:
    """The number of a Chinese character's Kangxi radical, 1 to 214, 0 of anything else.

    Rare characters of Unicode's extensions have 0, too.
    """
    if not _FIRST_OF_RADICAL[0] <= character[:1] <= _LAST_IDEOGRAPH:
        return 0
    return bisect.bisect_right(_FIRST_OF_RADICAL, character[0])


@functools.lru_cache(maxsize=1 << 16)
def _simplified_character(character: str) -> str:
    return _converter().convert(character) if character > "\u2e7f" else character


@functools.cache
def _converter():
    try:
        from opencc import OpenCC
    except ImportError as error:
        raise ImportError(
            "fold_script needs OpenCC; install it with `pip install opencc`."
        ) from error
    return OpenCC("tw2s")
