"""The appliances of this client: the store, what the project wants out of it, and what tends it while it runs."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Container
from pathlib import Path
from typing import Final

from client.appliance.cache import ApplianceCache
from client.appliance.choice import Wish
from client.appliance.needs import Offer
from client.appliance.store import Store
from client.appliance.transfers import BY_USER, METERED, RULES, RunWorker, Transfers, metered
from client.appliance.upkeep import Faces, Upkeep, find_image, is_bootable, store_views
from client.appliance.worker import run_worker
from client.board import Board
from client.clock import Clock
from client.commands import HoldFetching, RemoveImage, TendStore
from client.errors import ClientError
from client.host import computer
from client.host.metered import is_metered
from client.messages import code_of, fill, sentence
from client.paths import Paths
from client.preferences.store import Preferences
from client.project.definition import Project
from client.snapshot import Reason, Severity, StoreView

#: what problems with the appliance itself are about
_ABOUT: Final = "appliance"
#: how often it is asked whether the network is paid by the byte
LINK_S: Final = 120.0
#: what a problem with a removal is about
REMOVING: Final = "removing an appliance"


AskLink = Callable[[], Awaitable[bool | None]]


class Appliances:
    """All that a client has to do with appliances."""

    def __init__(
        self,
        paths: Paths,
        preferences: Preferences,
        clock: Clock,
        board: Board,
        run: RunWorker = run_worker,
        is_metered: AskLink = is_metered,
    ) -> None:
        """Build it.

        Args:
            run: has a worker do something.
            is_metered: whether the network is paid by the byte; None: not known.
        """
        self._is_metered = is_metered
        self._preferences = preferences
        self._clock = clock
        self._board = board
        self._vms = paths.vms
        limit = preferences.number("appliances.limit_kib_per_s") * 1024 or None
        room = preferences.number("appliances.cache_mib") << 20
        self.store = Store(paths.appliances, paths.vms, clock, room)
        self._transfers = Transfers(limit, is_held=self.store.book.held, run=metered(paths.meter, run))
        self._upkeep: Upkeep | None = None
        self._asked = {"check": False, "look": False}
        self._rules: Reason | None = None
        board.facts.fetching_held = self._transfers.held

    def cache_for(self, project: Project, *, direct: bool) -> ApplianceCache:
        """What the project wants. direct: whether the hypervisor boots kernel files."""
        cache = ApplianceCache(
            self.store,
            self._transfers,
            wish_of(project),
            label=f"the project {project.name}",
            direct=direct,
            root=project.root_file,
            offer=lambda: offer_of(self._preferences, self._vms),
            now=lambda: self._clock.now().timestamp(),
        )
        self._upkeep = self._upkeep_of(cache)
        return cache

    async def keep(self) -> None:
        """Tend the store until cancelled; for nobody's sake if `cache_for` was not called."""
        self._upkeep = upkeep = self._upkeep or self._upkeep_of(None)
        watching = asyncio.create_task(self._watch_link())
        try:
            await upkeep.run()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    def _upkeep_of(self, cache: ApplianceCache | None) -> Upkeep:
        faces = Faces(self._board.show_aside, self._show_store, self._show_failure)
        upkeep = Upkeep(self.store, self._transfers, cache, faces)
        upkeep.soon(**self._asked)
        self._asked = {"check": False, "look": self._asked["look"] and cache is None}
        return upkeep

    def soon(self, *, check: bool = False, look: bool = False) -> None:
        """Tidy up soon. check: read all files again too. look: look for a newer version too."""
        if self._upkeep is None or not self._upkeep.has_project:
            # Nobody knows yet which project it is for.
            self._asked["look"] = look or self._asked["look"]
        if self._upkeep is None:
            self._asked["check"] = check or self._asked["check"]
        else:
            self._upkeep.soon(check=check, look=look)

    async def obey(self, command: HoldFetching | TendStore | RemoveImage) -> None:
        """Do what somebody at a face wants; what cannot be done shows as a problem."""
        match command:
            case HoldFetching(undo):
                self.hold(not undo)
            case TendStore(check, look):
                self.soon(check=check, look=look)
            case RemoveImage(image_id):
                self._board.settle(about=REMOVING)
                try:
                    await self.remove(image_id)
                except (ClientError, OSError) as error:
                    said = sentence(error)
                    self._board.raise_problem(code_of(error), REMOVING, said.text, said.doing, Severity.WARNING)

    def hold(self, held: bool = True) -> None:
        """Fetch nothing until the user says so; or, with False, go on. Kept over restarts."""
        (self._transfers.hold if held else self._transfers.go_on)(BY_USER)
        self.store.book.held = held
        self.store.book.save()
        self._tell_held()

    def note_link(self, *, metered: bool) -> None:
        """The network is, or is not, paid by the byte; nothing is fetched then unless the preferences let it."""
        waits = metered and self._preferences.text("appliances.on_metered") == "wait"
        before = self._transfers.held
        (self._transfers.hold if waits else self._transfers.go_on)(METERED)
        if self._transfers.held != before:
            self._tell_held()

    def note_rules(self, reason: Reason | None) -> None:
        """The volunteer's rules let nothing over the network, for this reason; None: they do. Cheap to repeat."""
        if reason == self._rules:
            return
        self._rules = reason
        if reason is not None:
            self._transfers.hold(RULES, reason)
        else:
            self._transfers.go_on(RULES)
        self._tell_held()

    async def _watch_link(self) -> None:
        """Ask now and then whether the network is paid by the byte; what is not known holds nothing."""
        while True:
            self.note_link(metered=await self._is_metered() is True)
            await asyncio.sleep(LINK_S)

    def heed(self, keys: Container[str]) -> None:
        """Go by preferences that have changed. keys: which."""
        if "appliances.limit_kib_per_s" in keys:
            self._transfers.limit(self._preferences.number("appliances.limit_kib_per_s") * 1024 or None)
        if "appliances.cache_mib" in keys:
            self.set_limit(self._preferences.number("appliances.cache_mib"))

    def set_limit(self, mib: int) -> None:
        """Let all appliances together take so much, from now on."""
        self.store.limit_bytes = mib << 20
        self.soon()

    def set_room(self, most_bytes: int | None) -> None:
        """Let all appliances take no more than this beside their own limit; None: only that holds."""
        self.store.room_bytes = most_bytes
        self.soon()

    async def remove(self, words: str) -> int:
        """Remove an appliance by its id or its name and version. Returns the bytes that this gave.

        Raises:
            NoSuchImage, ImageNeeded
        """
        choices = await asyncio.to_thread(self.store.known.choices)
        freed = await asyncio.to_thread(self.store.remove, find_image(choices, words))
        self.soon()
        return freed

    def tell_end_of_life(self, cache: ApplianceCache) -> None:
        """Say it if the system in the appliance gets no more updates."""
        facts = cache.choice.facts if cache.choice else None
        if facts and facts.end_of_life and facts.end_of_life <= f"{self._clock.now():%Y-%m-%d}":
            said = fill("appliance-end-of-life", {"appliance": facts.name, "date": facts.end_of_life})
            self._board.raise_problem("appliance-end-of-life", _ABOUT, said.text, said.doing, said.severity)
        else:
            self._board.settle("appliance-end-of-life", about=_ABOUT)

    def _tell_held(self) -> None:
        self._board.facts.fetching_held = self._transfers.held
        self._board.changed()

    def _show_store(self, views: tuple[StoreView, ...], size_bytes: int) -> None:
        facts = self._board.facts
        facts.store, facts.store_bytes, facts.store_limit_bytes = views, size_bytes, self.store.most_bytes
        self._board.changed()

    def _show_failure(self, about: str, error: Exception | None) -> None:
        self._board.settle(about=about)
        if error is not None:
            said = sentence(error)
            # There is an appliance that works; nobody waits for this.
            severity = Severity.WARNING if said.severity is Severity.ERROR else said.severity
            self._board.raise_problem(code_of(error), about, said.text, said.doing, severity)


def views_of(store: Store) -> tuple[tuple[StoreView, ...], int]:
    """What a store holds when no client runs, and how many bytes that are. Blocks.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    census = store.census()
    return store_views(store, census, lambda id: is_bootable(store, id)), sum(census.sizes.values())


def wish_of(project: Project) -> Wish:
    """The appliance that a project file names."""
    return Wish(
        manifest_url=project.manifest_url,
        manifest_sha256=project.manifest_sha256,
        catalogue_url=project.catalogue_url,
        root_sha256=project.root_sha256,
        name=project.appliance_name,
        version=project.appliance_version,
        project=project.appliance_project,
    )


def offer_of(preferences: Preferences, vms: Path) -> Offer:
    """What a VM could have on this computer. Blocks."""
    return Offer(
        memory_mib=preferences.number("guest.memory_mib"),
        cpus=preferences.number("guest.cpus"),
        total_memory_mib=computer.total_memory_mib(),
        total_cpus=computer.processors(),
        free_disk_mib=shutil.disk_usage(vms).free >> 20,
        bits=computer.bits(),
        internet=preferences.flag("network.internet"),
    )
