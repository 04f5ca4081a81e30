"""Which files give way when the store is full: pure."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Kept:
    """One file of the store.

    Attributes:
        used: grows with each use of any file; the least was used longest ago. No time, since clocks jump.
        is_needed: a VM, the project attached to, or work under way needs it.
        is_over: a newer version has taken its place, or nothing names it: it goes in any case.
    """

    sha256: str
    size_bytes: int
    used: int
    is_needed: bool = False
    is_over: bool = False


def victims(kept: Iterable[Kept], most_bytes: int) -> tuple[str, ...]:
    """What is to be removed so that at most `most_bytes` stay, as far as that can be without what is needed.

    Returns:
        SHA-256 of each, in the order in which they go: what is over, then what was used longest ago.
    """
    everything = list(kept)
    total = sum(one.size_bytes for one in everything)
    gone = []
    for one in sorted(everything, key=lambda one: (not one.is_over, one.used, one.sha256)):
        if one.is_needed or not (one.is_over or total > most_bytes):
            continue
        gone.append(one.sha256)
        total -= one.size_bytes
    return tuple(gone)
