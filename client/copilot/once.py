"""Says a thing once: hostile peers repeat themselves, and a log is not to be filled by them."""

from collections import OrderedDict
from typing import Final

#: Things remembered; one that was forgotten meanwhile is said again.
MAX_REMEMBERED: Final = 1000


class Once:
    """Remembers what was said, the latest last."""

    def __init__(self, limit: int = MAX_REMEMBERED) -> None:
        self._said: OrderedDict[tuple[str, ...], None] = OrderedDict()
        self._limit = limit

    def is_new(self, *what: str) -> bool:
        """Whether this has not been said; from now on it has."""
        if what in self._said:
            self._said.move_to_end(what)
            return False
        self._said[what] = None
        if len(self._said) > self._limit:
            self._said.popitem(last=False)
        return True
