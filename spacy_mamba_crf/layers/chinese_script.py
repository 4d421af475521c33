"""Chinese scripts: Traditional characters as Simplified ones, by OpenCC's tables."""

import functools


def simplified(text: str) -> str:
    """Each Traditional character (of Taiwan's variants, too) as the Simplified one.

    By itself, not by the words around it, so that the text keeps its length, and two texts that
    differ in script only become the same: 頭髮 and 头发 are 头发. Raises ImportError without
    OpenCC.
    """
    return "".join(map(_simplified_character, text))


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
