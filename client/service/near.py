"""The known word that was probably meant."""

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], *, alike: float = 0.6) -> str:
    """The known word that is most like this one; empty when none is.

    Args:
        alike: how much it must be, up to 1; ids of random digits are always a little.
    """
    words = list(known)
    found = difflib.get_close_matches(word, words, 1, alike)
    if not found:
        folded = {name.casefold(): name for name in words}
        found = [folded[near] for near in difflib.get_close_matches(word.casefold(), folded, 1, alike)]
    return found[0] if found else ""
