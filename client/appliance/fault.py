"""What can go wrong with one mirror, as data: whether to try it again, when, and in which words it is told."""

import errno
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from client.appliance.errors import ApplianceError
from client.errors import DiskFull

#: left free on the volunteer's disk
SPARE_BYTES: Final = 64 * 2**20


@dataclass(eq=False)
class Fault(Exception):
    """A mirror failed.

    Attributes:
        said: the cause, for people.
        wait_s: how long the mirror asked to be left alone.
        refusal: set if it shall not be asked again in this run: it has other bytes than it should.
        may_be_chance: the refusal counts the second time only; a bit may have flipped on the way.
        without_ranges: it cannot give parts of a file, or lies about them.
        without_tag: it gave the file another tag than before, though the bytes may be the same: behind one address
            there are often several servers.
    """

    said: str
    wait_s: float = 0.0
    refusal: ApplianceError | None = None
    may_be_chance: bool = False
    without_ranges: bool = False
    without_tag: bool = False


def cause_of(error: BaseException) -> str:
    """What a volunteer can read of a failed request: the system's own word for it, not the library's."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        inner = seen.args[0] if seen.args and isinstance(seen.args[0], BaseException) else getattr(seen, "reason", None)
        seen = inner if isinstance(inner, BaseException) else seen.__cause__ or seen.__context__
    return "no answer in time" if "Timeout" in type(error).__name__ else "the connection broke"


def need_space(folder: Path, size_bytes: int) -> None:
    """Refuse to begin what will not fit.

    Raises:
        DiskFull
    """
    free = shutil.disk_usage(folder).free
    if free < size_bytes + SPARE_BYTES:
        raise DiskFull(str(folder), size_bytes + SPARE_BYTES, free)


def is_full(error: OSError) -> bool:
    """Whether a write failed for lack of space."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}
