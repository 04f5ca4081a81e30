"""How much of the disk the program's files may take, and what of that appliances and the software cache get.

Virtual machines' disks, saved states and logs cannot be made smaller; what is left for the program goes to the two that
can, in proportion to what each may take at most.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from client.clock import Clock
from client.log import logger
from client.paths import Paths
from client.preferences.store import Preferences
from client.preferences.types import Disk

#: how often it is looked what there is
LOOK_S: Final = 60.0
#: a change of less is none: others write to the disk all the time
STEP_BYTES: Final = 32 << 20


@dataclass(frozen=True)
class Use:
    """What there is, in bytes.

    Attributes:
        volume, free: of the disk.
        fixed: of the program's files, those that cannot be made smaller.
        store, cache: of appliances, and of the software cache.
    """

    volume: int
    free: int
    fixed: int
    store: int
    cache: int


@dataclass(frozen=True)
class Room:
    """What the two may take, in bytes."""

    store: int
    cache: int


def room_bytes(disk: Disk, use: Use) -> int:
    """The most that all of the program's files may take: what the strictest of the three limits lets."""
    limits = [use.fixed + use.store + use.cache + use.free - (disk.least_free_mib << 20)]
    if disk.most_mib:
        limits.append(disk.most_mib << 20)
    if disk.most_percent:
        limits.append(use.volume * disk.most_percent // 100)
    return max(0, min(limits))


def divide(room: int, fixed: int, most: Room) -> Room:
    """What of the room is left for the two, in proportion to the most that each may take, and never more than that."""
    left, wanted = max(0, room - fixed), most.store + most.cache
    if left >= wanted:
        return most
    return Room(left * most.store // wanted, left * most.cache // wanted)


def measure(paths: Paths) -> Use:
    """Look what there is; blocks."""
    volume = shutil.disk_usage(paths.base)
    apart = {paths.appliances, paths.cvmfs}
    store, cache = _size(paths.appliances), _size(paths.cvmfs)
    return Use(volume.total, volume.free, _size(paths.base, apart), store, cache)


class Shrinks(Protocol):
    """Something that can be made smaller: appliances, or the software cache."""

    def set_room(self, most_bytes: int | None) -> None:
        """Take no more than this from now on, beside its own limit; None: only that holds."""


class DiskWarden:
    """Has appliances and the software cache keep to the room that there is."""

    def __init__(self, paths: Paths, preferences: Preferences, clock: Clock, appliances: Shrinks) -> None:
        """Build it; nothing is looked at."""
        self._paths = paths
        self._preferences = preferences
        self._clock = clock
        self._appliances = appliances
        self._looking: asyncio.Task[Use] | None = None
        self._look_at = 0.0
        self._seen: tuple[Use, Disk] | None = None
        self._room: Room | None = None
        self._told: tuple[Room, int] | None = None

    @property
    def room(self) -> Room | None:
        """As last told; None before the first look."""
        return self._room

    def attend(self, disk: Disk, cache: Shrinks | None = None) -> None:
        """Look now and then, and tell both. To be called at each turn, in a running loop; never waits.

        Args:
            cache: the one for software; None: there is none, and what lies of it cannot be made smaller.
        """
        now = self._clock.monotonic()
        if self._looking is None and now >= self._look_at:
            self._looking = asyncio.create_task(asyncio.to_thread(measure, self._paths))
        elif self._looking is not None and self._looking.done():
            self._look_at = now + LOOK_S
            looking, self._looking = self._looking, None
            if (error := looking.exception()) is not None:
                logger("core").warning("What the program takes of the disk cannot be told: %s", error)
            else:
                self._seen = (looking.result(), disk)
        if self._seen is not None:
            self._tell(self._seen[0], disk, cache)

    async def close(self) -> None:
        """End a look under way."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
            self._looking = None

    def _tell(self, use: Use, disk: Disk, cache: Shrinks | None) -> None:
        number = self._preferences.number
        most = Room(number("appliances.cache_mib") << 20, number("cvmfs.cache_mib") << 20 if cache is not None else 0)
        fixed = use.fixed if cache is not None else use.fixed + use.cache
        room = divide(room_bytes(disk, use), fixed, most)
        told = (room, id(cache))
        if self._told is not None and self._told[1] == id(cache) and _is_near(room, self._told[0], most):
            return
        self._told, self._room = told, room
        self._appliances.set_room(room.store if room.store < most.store else None)
        if cache is not None:
            cache.set_room(room.cache if room.cache < most.cache else None)


def _is_near(one: Room, other: Room, most: Room) -> bool:
    is_same = one == other
    # What is limited by nothing else any more is told that at once.
    is_whole = one in (most, Room(0, 0))
    return is_same or (not is_whole and max(abs(one.store - other.store), abs(one.cache - other.cache)) < STEP_BYTES)


def _size(folder: Path, apart: set[Path] | None = None) -> int:
    """Bytes on the disk of all in a folder; files that have several names count once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for entry in _entries(folder, apart or set()):
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        if found.st_nlink > 1 and (found.st_dev, found.st_ino) in seen:
            continue
        if found.st_nlink > 1:
            seen.add((found.st_dev, found.st_ino))
        # Files with holes, as disks of virtual machines are, take less than they are long.
        total += found.st_blocks * 512 if hasattr(found, "st_blocks") else found.st_size
    return total


def _entries(folder: Path, apart: set[Path]) -> Iterator[os.DirEntry[str]]:
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                found = list(entries)
        except OSError:
            continue
        for entry in found:
            if not entry.is_dir(follow_symlinks=False):
                yield entry
            elif Path(entry.path) not in apart:
                waiting.append(Path(entry.path))
