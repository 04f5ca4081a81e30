"""The store of appliances: one copy of each file for all VMs, within a limit, never without what a VM needs.

Docs: docs/architecture.md, "The way of an appliance". Every method may block for as long as the disk does; several
threads may call them at once.
"""

import contextlib
import shutil
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from client import filenames
from client.appliance.book import Book
from client.appliance.choice import Choice
from client.appliance.errors import DiskBudgetSmall, ImageNeeded, StoreTooSmall
from client.appliance.eviction import Kept, victims
from client.appliance.fault import SPARE_BYTES
from client.appliance.known import Known
from client.appliance.objects import Objects, is_digest
from client.appliance.own_images import OwnImages
from client.appliance.references import needed_by_vms
from client.appliance.target import Target
from client.clock import Clock
from client.log import logger

#: of the holder "work under way"
AT_WORK: Final = "work under way"


@dataclass(frozen=True)
class Census:
    """What is in the store, and why.

    Attributes:
        sizes: SHA-256 -> bytes, of each file and of what is unfinished of it.
        needed: SHA-256 -> who needs it, in words.
        choices: the appliances that are known.
        arrivals: the store's count of arrivals before anything was looked at.
    """

    sizes: dict[str, int]
    needed: dict[str, frozenset[str]]
    choices: tuple[Choice, ...]
    arrivals: int


class Store:
    """The store of one base folder.

    Attributes:
        limit_bytes: how much it may hold, if what is needed lets it.
        room_bytes: the same, as the volunteer's budget for the disk has it; None: only the other holds.
        objects, own, known, book: its parts.
        folder, vms: where it is, and where all VMs are.
    """

    def __init__(self, appliances: Path, vms: Path, clock: Clock, limit_bytes: int) -> None:
        """Args: appliances, vms: folders of the store and of all VMs; they need not be there."""
        self.limit_bytes = limit_bytes
        self.room_bytes: int | None = None
        self.objects = Objects(appliances)
        self.own = OwnImages(appliances)
        self.known = Known(appliances / filenames.KNOWN)
        self.book = Book(appliances / filenames.STORE, clock)
        self.folder = appliances
        self.vms = vms
        self._held: Counter[str] = Counter()
        self._arriving = 0
        #: how often an arrival began or ended
        self._arrivals = 0
        #: one removes at a time, and knows why
        self._lock = threading.RLock()
        #: taken for one file at a time, so that nobody who begins to hold one waits until all is tidied up
        self._guard = threading.Lock()

    @property
    def most_bytes(self) -> int:
        """How much it may hold, by whichever is the lower."""
        return self.limit_bytes if self.room_bytes is None else min(self.limit_bytes, self.room_bytes)

    @contextlib.contextmanager
    def holding(self, targets: Iterable[Target]) -> Iterator[None]:
        """As long as this lasts, nothing of it is removed: it is being fetched or checked."""
        files = [target.sha256 for target in targets]
        with self._guard:
            self._held.update(files)
        try:
            yield
        finally:
            with self._guard:
                self._held -= Counter(files)

    @contextlib.contextmanager
    def arriving(self) -> Iterator[None]:
        """As long as this lasts, nothing is removed for being nobody's or out of date: something is on its way in."""
        self._count_arrival(1)
        try:
            yield
        finally:
            self._count_arrival(-1)

    def has(self, targets: Iterable[Target]) -> bool:
        """Whether all are there with their right lengths; cheap."""
        return all(self.objects.has(target.sha256, target.size_bytes) for target in targets)

    def census(self) -> Census:
        """Look at everything.

        Raises:
            OSError, ValueError: what VMs or others need cannot be read, so that it is not known.
        """
        with self._guard:
            arrivals, held = self._arrivals, set(self._held)
        needed: dict[str, set[str]] = {}
        choices = self.known.choices()
        for who, files in self._holders().items():
            # Without its manifest nobody could tell what the files of a VM are.
            for sha256 in files | used_choices(choices, files):
                needed.setdefault(sha256, set()).add(who)
        for sha256 in held:
            needed.setdefault(sha256, set()).add(AT_WORK)
        by_file = {sha256: frozenset(names) for sha256, names in needed.items()}
        return Census(self.objects.sizes(), by_file, choices, arrivals)

    def make_room(self, coming_bytes: int, keep: Iterable[Target] = ()) -> int:
        """Remove what gives way for so many bytes more: to the limit, and to what the disk has room for.

        Args:
            keep: files that are not to be removed.

        Returns:
            How many bytes were freed; 0 as well if it cannot be told what is needed.
        """
        with self._lock, self.holding(keep):
            census = self._census_or_nothing()
            if census is None:
                return 0
            total = sum(census.sizes.values())
            missing = coming_bytes + SPARE_BYTES - _free_bytes(self.folder) if coming_bytes else 0
            return self._evict(census, min(self.most_bytes - coming_bytes, total - max(0, missing)), set())

    def tidy(self) -> int:
        """Bring the store within its limit, and remove what is over or nobody's. Returns the bytes that were freed."""
        with self._lock:
            self._remove_strangers()
            census = self._census_or_nothing()
            if census is None:
                return 0
            stay = self.known.standings()
            over = [one for one in census.choices if one.id not in stay and one.id not in census.needed]
            kept = [one for one in census.choices if one not in over]
            successors = {one.name for one in kept}
            gone = [one for one in over if one.name in successors]
            named = {target.sha256 for one in census.choices if one not in gone for target in one.targets}
            freed = self._evict(census, self.most_bytes, set(census.sizes) - named)
            sizes = self.objects.sizes()
            for choice in over:
                if choice in gone or not any(target.sha256 in sizes for target in choice.targets):
                    self._forget(choice)
            self.book.forget_but(sizes)
            return freed

    def check_fits(self, choice: Choice, targets: Iterable[Target]) -> None:
        """See that an appliance can be held at all.

        Raises:
            StoreTooSmall: it alone is more than the limit.
            DiskBudgetSmall: it is more than the budget for the disk leaves.
        """
        needed = sum({target.sha256: target.size_bytes for target in targets}.values())
        if needed > self.limit_bytes:
            raise StoreTooSmall(choice.name, needed, self.limit_bytes)
        if needed > self.most_bytes:
            raise DiskBudgetSmall(choice.name, needed, self.most_bytes)

    def remove(self, choice: Choice) -> int:
        """Remove an appliance's files that no other needs, as its user asked. Returns the bytes that were freed.

        Raises:
            ImageNeeded: somebody needs it now.
            OSError, ValueError: it cannot be told whether.
        """
        with self._lock:
            census = self.census()
            needed = frozenset().union(*(census.needed.get(target.sha256, frozenset()) for target in choice.targets))
            if choice.id in census.needed:
                raise ImageNeeded(f"{choice.name} {choice.version}", ", ".join(sorted(needed)))
            others = {target.sha256 for one in census.choices if one.id != choice.id for target in one.targets}
            mine = {target.sha256 for target in choice.targets} - others - census.needed.keys()
            freed = sum(self._remove(sha256, census, is_over=False) for sha256 in sorted(mine))
            self._forget(choice)
            logger("appliance").info("Removed %s %s: %.1f MB", choice.name, choice.version, freed / 1e6)
            return freed

    def _holders(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for sha256, ids in needed_by_vms(self.vms).items():
            for vm_id in ids:
                found.setdefault(f"the virtual machine {vm_id}", set()).add(sha256)
        for pin in self.known.pins().values():
            found.setdefault(pin.label, set()).update(pin.files)
        for who, files in self.own.holders().items():
            found.setdefault(who, set()).update(files)
        return found

    def _evict(self, census: Census, most_bytes: int, over: set[str]) -> int:
        kept = [
            Kept(sha256, size, self.book.entry(sha256).used, sha256 in census.needed, sha256 in over)
            for sha256, size in census.sizes.items()
        ]
        freed = 0
        for sha256 in victims(kept, most_bytes):
            try:
                freed += self._remove(sha256, census, is_over=sha256 in over)
            except OSError as error:
                logger("appliance").warning("%s stays, for it cannot be removed: %s", sha256[:16], error)
        return freed

    def _remove(self, sha256: str, census: Census, *, is_over: bool) -> int:
        """Remove a file, unless somebody has begun to need it since the census. Returns the bytes that were freed."""
        is_named = any(sha256 == target.sha256 for one in census.choices for target in one.targets)
        with self._guard:
            is_coming = self._is_arriving_since(census.arrivals) and (is_over or not is_named)
            if is_coming or sha256 in self._held:
                return 0
            freed = self.objects.remove(sha256)
        logger("appliance").info("Removed %s, which nothing needs", sha256[:16])
        return freed

    def _forget(self, choice: Choice) -> None:
        with self._guard:
            if choice.id not in self._held and not self._arriving:
                self.known.forget(choice.id)

    def _count_arrival(self, change: int) -> None:
        with self._guard:
            self._arriving += change
            self._arrivals += 1

    def _is_arriving_since(self, arrivals: int) -> bool:
        return self._arriving > 0 or self._arrivals != arrivals

    def _census_or_nothing(self) -> Census | None:
        try:
            return self.census()
        except (OSError, ValueError) as error:
            logger("appliance").warning("Nothing is removed, since what is needed is not known: %s", error)
            return None

    def _remove_strangers(self) -> None:
        with self._guard:
            arrivals = self._arrivals
        for path in list(self.objects.strangers()):
            with self._guard, contextlib.suppress(OSError):
                # Empty still, perhaps; a worker is about to put its file there.
                if not self._is_arriving_since(arrivals) and not any(one.startswith(path.name) for one in self._held):
                    logger("appliance").info("Removed %s, which is nobody's", path)
                    _remove_stranger(path)


def _remove_stranger(path: Path) -> None:
    """Raises: OSError: it stays."""
    if path.is_symlink() or not path.is_dir():
        path.unlink()
    elif is_digest(path.name.ljust(64, "0")):
        path.rmdir()
    else:
        shutil.rmtree(path)


def _free_bytes(folder: Path) -> int:
    place = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    return shutil.disk_usage(place).free


def used_choices(choices: Iterable[Choice], files: Set[str]) -> set[str]:
    """Which appliances somebody uses who needs these files: those that have the most of them; ids.

    Versions share files, so one file in common does not make a version used.
    """
    shares = {one.id: len(files & {target.sha256 for target in one.targets}) for one in choices}
    most = max(shares.values(), default=0)
    return {id for id, share in shares.items() if share == most and share}
