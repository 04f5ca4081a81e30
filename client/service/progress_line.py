"""How far the taking in of an image is, on one line of a terminal."""

import sys
from collections.abc import Mapping
from typing import Any, Final

_STEPS: Final = {
    "downloading": "Fetching",
    "waiting": "Waiting for a server",
    "checking": "Checking",
    "reading": "Adding",
    "unpacking": "Unpacking",
    "verifying": "Checking",
    "converting": "Converting",
}


class ProgressLine:
    """Shows what a worker tells; nothing where there is no terminal."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._is_shown = sys.stderr.isatty() and not quiet
        self._used = False

    def show(self, said: Mapping[str, Any]) -> None:
        """Draw the line anew. said: step, done_bytes, total_bytes."""
        if not self._is_shown or "done_bytes" not in said:
            return
        done, total = int(said["done_bytes"]), int(said["total_bytes"])
        step = _STEPS.get(str(said.get("step")), "Adding")
        much = f"{100 * done // total:3} % of {total / 1e6:,.0f} MB" if total else f"{done / 1e6:,.0f} MB"
        print(f"\r{step}: {much}\x1b[K", end="", file=sys.stderr, flush=True)
        self._used = True

    def end(self) -> None:
        """Take the line away."""
        if self._used:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
