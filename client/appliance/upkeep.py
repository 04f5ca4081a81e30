"""Keeps the store in order while the program runs: newer versions, the monthly check, what is over, what is shown.

Nothing of this is waited for by anybody; all of it can be ended at any moment and is gone on with at the next start.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from client.appliance.book import moment
from client.appliance.cache import ApplianceCache
from client.appliance.choice import Choice
from client.appliance.errors import ApplianceError, NoSuchImage
from client.appliance.manifest import parse_manifest
from client.appliance.own_catalog import forget_old
from client.appliance.own_check import CHECKING_OWN, OwnCheck
from client.appliance.store import Census, Store
from client.appliance.takeover import remove_old
from client.appliance.target import Target
from client.appliance.transfers import ShowTransfer, Transfers
from client.errors import ClientError
from client.filenames import MANIFEST
from client.log import logger
from client.snapshot import StoreView

DAY_S: Final = 86400.0
#: all bytes are read again after so long
CHECK_S: Final = 30 * DAY_S
#: a catalogue is asked for newer versions after so long
LOOK_S: Final = DAY_S / 4
#: the program has better things to do when it has just been started
FIRST_S: Final = 300.0
ROUND_S: Final = 3600.0
#: pieces after which a check notes how far it is
_NOTE_EVERY: Final = 64
#: what came of an image of the user's own is kept so long for who may go on with it
_ABANDONED_S: Final = 14 * DAY_S
#: what failed, for those who show it
LOOKING: Final = "newer appliance"
CHECKING: Final = "check of appliances"


@dataclass(frozen=True)
class Faces:
    """Where the upkeep shows what it does.

    Attributes:
        transfer: how far something is.
        store: what the store holds now, and how many bytes that are.
        failed: what went wrong with one of LOOKING, CHECKING, CHECKING_OWN; None: that is over.
    """

    transfer: ShowTransfer
    store: Callable[[tuple[StoreView, ...], int], None]
    failed: Callable[[str, Exception | None], None]


class Upkeep:
    """The upkeep of one store."""

    def __init__(self, store: Store, transfers: Transfers, cache: ApplianceCache | None, faces: Faces) -> None:
        """Args: cache: what the project wants; None: there is no project."""
        self._store = store
        self._transfers = transfers
        self._cache = cache
        self._faces = faces
        self._own = OwnCheck(store, transfers, faces.transfer)
        self._asked = asyncio.Event()
        self._check_all = False
        self._look_now = False

    def soon(self, *, check: bool = False, look: bool = False) -> None:
        """Something changed, or the user wants it: begin a round now. check: all files, due or not. look: likewise."""
        self._check_all = self._check_all or check
        self._look_now = self._look_now or look
        self._asked.set()

    @property
    def has_project(self) -> bool:
        """Whether it is for a project."""
        return self._cache is not None

    async def run(self) -> None:
        """Go round until cancelled."""
        began = asyncio.get_running_loop().time()
        while True:
            left_s = began + FIRST_S - asyncio.get_running_loop().time()
            await self.round(is_early=left_s > 0)
            await self._wait(left_s if left_s > 0 else ROUND_S)

    async def round(self, *, is_early: bool = False) -> None:
        """Tidy up; look for a newer version and check files if that is due, and not early, or was asked for."""
        check_all, self._check_all = self._check_all, False
        look_now, self._look_now = self._look_now, False
        await self.tidy()
        cache = self._cache
        if cache is not None and (look_now or (not is_early and cache.is_look_due(LOOK_S))):
            await self._attempt(LOOKING, lambda: cache.renew(self._faces.transfer))
        if check_all or not is_early:
            await self._attempt(CHECKING, lambda: self._check(check_all))
            await self._attempt(CHECKING_OWN, lambda: self._own.run(CHECK_S, every=check_all))
        if look_now or check_all or not is_early:
            await self.tidy()

    async def tidy(self) -> None:
        """Remove what is over, and show what is there."""
        found = await asyncio.to_thread(self._tidy)
        if found is not None:
            self._faces.store(*found)

    def _tidy(self) -> tuple[tuple[StoreView, ...], int] | None:
        try:
            remove_old(self._store)
            forget_old(self._store.own, time.time() - _ABANDONED_S)
            self._store.tidy()
            census = self._store.census()
            is_ready = self._cache.is_ready if self._cache else lambda id: is_bootable(self._store, id)
            return store_views(self._store, census, is_ready), sum(census.sizes.values())
        except (OSError, ValueError) as error:
            logger("appliance").warning("What the store holds cannot be told: %s", error)
            return None

    async def _check(self, every: bool) -> None:
        todo = await asyncio.to_thread(self._due, every)
        if not todo:
            return
        book, objects = self._store.book, self._store.objects
        logger("appliance").info("Checking %d files of appliances", len(todo))
        with self._store.holding(todo):
            order = {"files": [self._order(target, every) for target in todo]}
            said = await self._transfers.work("verify", order, self._faces.transfer, todo, self._note())
        book.checked(said.get("good", ()))
        for sha256 in said.get("bad", ()):
            logger("appliance").warning("A file of an appliance is damaged: %s", sha256[:16])
            await asyncio.to_thread(objects.set_aside, sha256)
        if said.get("bad") and self._cache is not None and not self._cache.is_ready():
            await self._cache.fetch(self._faces.transfer)

    def _due(self, every: bool) -> list[Target]:
        found: dict[str, Target] = {}
        for choice in self._store.known.choices():
            for target in choice.targets:
                if self._store.has((target,)) and (every or self._store.book.is_due(target.sha256, CHECK_S)):
                    found.setdefault(target.sha256, target)
        return list(found.values())

    def _order(self, target: Target, every: bool) -> Mapping[str, Any]:
        path = self._store.objects.place(target.sha256, "")
        first = 0 if every else self._store.book.entry(target.sha256).pieces
        return {"path": str(path), "target": target.to_json(), "from_piece": first}

    def _note(self) -> Callable[[Mapping[str, Any]], None]:
        """Note how far a check is, now and then."""
        file, noted = "", 0

        def heard(said: Mapping[str, Any]) -> None:
            nonlocal file, noted
            if "file" in said:
                file, noted = str(said["file"]), 0
            elif int(said.get("pieces", 0)) >= noted + _NOTE_EVERY:
                noted = int(said["pieces"])
                self._store.book.reached(file, noted)

        return heard

    async def _attempt(self, what: str, task: Callable[[], Any]) -> None:
        try:
            await task()
        except (ClientError, OSError) as error:
            logger("appliance").warning("%s: %s", what, error)
            self._faces.failed(what, error)
        else:
            self._faces.failed(what, None)

    async def _wait(self, longest_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._asked.wait()
        self._asked.clear()


def is_bootable(store: Store, id: str) -> bool:
    """Whether all is here that one kind of hypervisor needs of a version."""
    choice, path = store.known.choice(id), store.objects.place(id, MANIFEST)
    try:
        appliance = parse_manifest(path.read_bytes(), str(path))
        kinds = [direct for direct in (True, False) if appliance.media(direct)]
        return choice is not None and any(store.has(choice.needed(appliance, direct)) for direct in kinds)
    except (OSError, KeyError, ApplianceError):
        return False


def store_views(store: Store, census: Census, is_ready: Callable[[str], bool]) -> tuple[StoreView, ...]:
    """What the store holds, for people: by name, the newest use first."""
    found = [_view(store, census, choice, is_ready(choice.id)) for choice in census.choices]
    present = [view for view in found if view.size_bytes or view.needed_by]
    return tuple(sorted(present, key=lambda one: (one.name, -(one.used_at.timestamp() if one.used_at else 0))))


def find_image(choices: tuple[Choice, ...], words: str) -> Choice:
    """The appliance that a person means by its id, the beginning of it, or its name and version.

    Raises:
        NoSuchImage: none, or more than one.
    """
    fits = [one for one in choices if words in (one.id, f"{one.name} {one.version}", one.name)]
    fits = fits or [one for one in choices if len(words) >= 6 and one.id.startswith(words)]
    if len(fits) != 1:
        known = ", ".join(f"{one.id[:12]} ({one.name} {one.version})" for one in fits or choices)
        raise NoSuchImage(words, known or "none")
    return fits[0]


def _view(store: Store, census: Census, choice: Choice, is_whole: bool) -> StoreView:
    files = {target.sha256 for target in choice.targets}
    others = {target.sha256 for one in census.choices if one.id != choice.id for target in one.targets}
    entries = [store.book.entry(sha256) for sha256 in files & census.sizes.keys()]
    return StoreView(
        image_id=choice.id,
        name=choice.name,
        version=choice.version,
        size_bytes=sum(census.sizes.get(sha256, 0) for sha256 in files),
        own_bytes=sum(census.sizes.get(sha256, 0) for sha256 in files - others - census.needed.keys()),
        is_whole=is_whole,
        needed_by=tuple(sorted(census.needed.get(choice.id, ()))),
        used_at=moment(max((one.used_at for one in entries), default=0.0)),
        checked_at=moment(min((one.checked_at for one in entries), default=0.0)),
    )
