"""The appliance that one project, or one own VM, wants: chosen, fetched, verified, mended, renewed, in the store.

What VMs boot is verified, all of it, just before. A newer version waits until a VM boots afresh.
"""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from client import __version__, filenames
from client.appliance.catalog_source import Source
from client.appliance.choice import Choice, Wish, from_manifest, read_choice
from client.appliance.errors import ApplianceError, ApplianceMissing, BadManifest, DownloadFailed, NotInCatalog
from client.appliance.fault import need_space
from client.appliance.known import Standing
from client.appliance.manifest import Appliance, parse_manifest
from client.appliance.needs import Offer, check_needs
from client.appliance.store import Store
from client.appliance.takeover import take_over
from client.appliance.target import Target
from client.appliance.transfers import SHOWN_NAME, ShowTransfer, Transfers
from client.appliance.verify import verify_file
from client.appliance.worker_words import error_from
from client.errors import ClientError
from client.log import logger
from client.snapshot import TransferView


class ApplianceCache:
    """One wish, and the store that fulfils it."""

    def __init__(
        self,
        store: Store,
        transfers: Transfers,
        wish: Wish,
        *,
        label: str,
        direct: bool,
        root: Path | None = None,
        holder: str = "project",
        offer: Callable[[], Offer | None] = lambda: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Build it; nothing is read.

        Args:
            label: who wishes it, for people: "the project Local site".
            direct: whether the hypervisor boots kernel files; else the ISO is what is needed.
            root: the root of the catalogue that trust begins with; None: the first one, by the hash in the wish.
            holder: names it among those who pin files.
            offer: what a VM could have here; None: it is not looked at.
            now: seconds since 1970.
        """
        self._store = store
        self._transfers = transfers
        self._wish = wish
        self._label = label
        self._direct = direct
        self._root = root
        self._holder = holder
        self._offer = offer
        self._now = now
        self._appliances: dict[str, Appliance] = {}
        self._standing: Standing | None = None
        self._turn = asyncio.Lock()
        self._renewal: asyncio.Task[bool] | None = None

    @property
    def current(self) -> str:
        """Id of the version that VMs boot; empty: none yet."""
        return self.standing.current

    @property
    def choice(self) -> Choice | None:
        """That version; None: none yet."""
        return self._store.known.choice(self.current)

    def knows(self, id: str) -> bool:
        """Whether that version can be had again if something of it is missing."""
        return not id or self._store.known.choice(id) is not None

    def is_ready(self, id: str = "") -> bool:
        """Whether all files that are needed are there with the right length; cheap, asked often.

        Args:
            id: of a version that a saved guest needs; empty: the one that VMs boot.
        """
        choice = self._store.known.choice(id or self.current)
        try:
            return choice is not None and self._store.has(self._needed(choice))
        except (OSError, ApplianceError):
            return False

    def place(self, name: str) -> Path:
        """Where a file lies of the version that VMs boot."""
        choice = self.choice
        if choice is None:
            raise ApplianceMissing(name)
        return self._store.objects.place(choice.files[name].sha256, name)

    async def fetch(self, show: ShowTransfer, id: str = "") -> None:
        """Have a version whole: look for it, fetch what is missing, mend what is damaged.

        Args:
            show: told how far it is; None at the end.
            id: of a version that a saved guest needs; empty: the newest, which is what VMs boot from then on.

        Raises:
            ClientError: with what is wrong; what was fetched so far stays.
        """
        if self._renewal is not None:
            self._renewal.cancel()
        async with self._turn:
            if id and id != self.current:
                await asyncio.to_thread(take_over, self._store)
                await self._have_again(id, show)
                return
            with contextlib.ExitStack() as held:
                with self._store.arriving():
                    await asyncio.to_thread(take_over, self._store)
                    choice, is_newest = await self._wanted(show)
                    held.enter_context(self._store.holding(choice.targets))
                await self._have_next(choice, show)
                stands = Standing(choice.id, "", self._now())
                self._stand(stands if is_newest else replace(self.standing, current=choice.id))

    async def renew(self, show: ShowTransfer) -> bool:
        """Look for a newer version and fetch it, to be used at the next fresh boot.

        Returns:
            Whether there is one. False as well if `fetch` was called meanwhile, which goes first.

        Raises:
            ClientError: the version that is there goes on being used.
        """
        if self._wish.is_fixed or not self.is_ready():
            return False
        self._renewal = asyncio.create_task(self._renew(show))
        try:
            return await self._renewal
        except asyncio.CancelledError:
            mine = asyncio.current_task()
            if mine is not None and mine.cancelling():
                raise
            return False

    async def verified(self, show: ShowTransfer, id: str = "") -> Appliance:
        """A version, every needed byte of it hashed just now. A damaged file loses its place, to be mended.

        Args:
            id: of the version that a saved guest needs; empty: what VMs boot, the newest that is whole.

        Raises:
            ApplianceMissing, ApplianceTruncated, ApplianceAltered, BadManifest
        """
        if not id and self.standing.coming and self.is_ready(self.standing.coming):
            self._stand(Standing(self.standing.coming, "", self.standing.looked_at))
        choice = self._store.known.choice(id) if id else None
        choice = choice or self.choice
        if choice is None:
            raise ApplianceMissing(id or self._wish.name)
        try:
            return await asyncio.to_thread(self._verify, choice, _in_loop(show))
        finally:
            show(None)

    def is_look_due(self, interval_s: float) -> bool:
        """Whether no catalogue was asked for so long, by a clock that may have jumped."""
        return not 0 <= self._now() - self.standing.looked_at < interval_s

    @property
    def standing(self) -> Standing:
        """How far the wish is fulfilled."""
        if self._standing is None:
            fixed = Standing(self._wish.manifest_sha256)
            self._standing = fixed if fixed.current else self._store.known.standing(self._wish.id)
            self._pin()
        return self._standing

    async def _renew(self, show: ShowTransfer) -> bool:
        async with self._turn:
            with contextlib.ExitStack() as held:
                with self._store.arriving():
                    choice, problem = await self._look(show)
                    held.enter_context(self._store.holding(choice.targets))
                if problem is not None:
                    raise problem
                if choice.id == self.current:
                    self._stand(Standing(choice.id, "", self._now()))
                    return False
                logger("appliance").info("There is %s %s; fetching it", choice.name, choice.version)
                await self._have_next(choice, show)
                self._stand(replace(self.standing, coming=choice.id, looked_at=self._now()))
                return True

    async def _have_again(self, id: str, show: ShowTransfer) -> None:
        """Mend a version that is only needed by a guest that was saved with it.

        Raises:
            ClientError: not now. If its catalogue says that it is gone for good, it is not known any more then.
        """
        choice = self._store.known.choice(id)
        if choice is None:
            raise ApplianceMissing(id)
        try:
            await self._have(choice, show)
        except DownloadFailed as failed:
            try:
                await self._look(show, replace(self._wish, manifest_sha256=id, version=""))
            except NotInCatalog:
                logger("appliance").warning("%s %s cannot be had any more", choice.name, choice.version)
                self._store.known.forget(id)
            except ApplianceError as error:
                logger("appliance").info("Where it lies now cannot be asked: %s", error)
            raise failed

    async def _wanted(self, show: ShowTransfer) -> tuple[Choice, bool]:
        """The version that is to be had: the newest that can be known of; and whether it is known to be the newest.

        Raises:
            ClientError: nothing is known.
        """
        known = self.choice or await asyncio.to_thread(self._by_manifest)
        if self._wish.is_fixed and known is not None:
            return known, True
        try:
            return (await self._look(show))[0], True
        except ApplianceError as error:
            if known is None:
                raise
            logger("appliance").warning("%s; going on with %s %s", error, known.name, known.version)
            return known, False

    def _by_manifest(self) -> Choice | None:
        """The version that the wish names, if its manifest is here already though nothing else is known of it."""
        wish = self._wish
        path = self._store.objects.place(wish.manifest_sha256, filenames.MANIFEST)
        if not wish.manifest_url or not path.is_file():
            return None
        try:
            choice = from_manifest(wish.manifest_url, wish.manifest_sha256, path.read_bytes())
        except BadManifest:
            self._store.objects.set_aside(wish.manifest_sha256)
            return None
        self._store.known.add(choice)
        return choice

    async def _look(self, show: ShowTransfer, wish: Wish | None = None) -> tuple[Choice, ClientError | None]:
        """What is there now, and why that may not be the newest."""
        wish = wish or self._wish
        with self._store.arriving():
            # The worker puts a manifest into the store that nothing here names before it has answered.
            said = await self._transfers.work(*_question(wish, self._store.folder, self._root), show)
            choice = read_choice(said.get("choice"), wish.catalogue_url or wish.manifest_url)
            self._store.known.add(choice)
        problem = said.get("problem")
        return choice, error_from(problem) if isinstance(problem, Mapping) else None

    async def _have_next(self, choice: Choice, show: ShowTransfer) -> None:
        """Have what VMs are to boot. From now on it is known to come, so what is here of it stays over a sudden end."""
        if not self._store.book.entry(choice.id).used:
            await self._check(choice)
        if choice.id != self.current:
            self._stand(replace(self.standing, coming=choice.id))
        await self._have(choice, show)

    async def _have(self, choice: Choice, show: ShowTransfer) -> None:
        """Fetch or mend what is missing of a version."""
        store = self._store
        with store.holding(choice.targets):
            # Who tidied up before this was held may have taken it for over.
            store.known.add(choice)
            if not store.has((choice.manifest,)):
                await self._get(choice, (choice.manifest,), show)
            needed = self._needed(choice)
            missing = [target for target in dict.fromkeys(needed) if not store.has((target,))]
            await asyncio.to_thread(store.objects.seal, choice.id)
            if not missing:
                return
            store.check_fits(choice, needed)
            total = sum(target.size_bytes for target in missing)
            await asyncio.to_thread(store.make_room, total, choice.targets)
            await asyncio.to_thread(need_space, store.folder, total)
            logger("appliance").info("Fetching %s %s (%.1f MB)", choice.name, choice.version, total / 1e6)
            await self._get(choice, missing, show)

    async def _check(self, choice: Choice) -> None:
        """See that a version can run here, before anything of it is fetched."""
        offer = await asyncio.to_thread(self._offer)
        if offer is not None and choice.facts is not None:
            check_needs(choice.facts, offer)

    async def _get(self, choice: Choice, targets: Sequence[Target], show: ShowTransfer) -> None:
        order = {"files": [self._order(choice, target) for target in targets]}
        said = await self._transfers.work("files", order, show, targets)
        await asyncio.to_thread(self._settle, targets, said)

    def _order(self, choice: Choice, target: Target) -> Mapping[str, Any]:
        objects = self._store.objects
        name = next((name for name, one in choice.files.items() if one == target), filenames.MANIFEST)
        older = {one.from_sha256: objects.place(one.from_sha256, "") for one in target.patches}
        return {
            "target": target.to_json(),
            "to": str(objects.place(target.sha256, name)),
            "part": str(objects.part(target.sha256)),
            "aside": str(objects.aside(target.sha256)),
            "from": {sha256: str(path) for sha256, path in older.items() if path.is_file()},
        }

    def _settle(self, fetched: Sequence[Target], said: Mapping[str, Any]) -> None:
        for target in fetched:
            self._store.objects.seal(target.sha256)
        self._store.book.checked(target.sha256 for target in fetched)
        self._store.book.used(target.sha256 for target in fetched)
        for one in said.get("files", ()):
            logger("appliance").info("Fetched %.1f MB (%s)", one.get("bytes_fetched", 0) / 1e6, one.get("kind", ""))

    def _stand(self, standing: Standing) -> None:
        self._standing = standing
        if not self._wish.is_fixed:
            self._store.known.stand(self._wish.id, standing)
        self._pin()

    def _pin(self) -> None:
        """Have what VMs boot stay, and what they will boot next."""
        files: set[str] = set()
        for id in (self.standing.current, self.standing.coming):
            choice = self._store.known.choice(id)
            if choice is not None:
                files.add(choice.id)
                with contextlib.suppress(OSError, ApplianceError):
                    files |= {target.sha256 for target in self._needed(choice)}
        self._store.known.pin(self._holder, self._label, files)

    def _needed(self, choice: Choice) -> tuple[Target, ...]:
        """The files of a version that a VM needs.

        Raises:
            OSError, BadManifest: its manifest is not there, or is damaged.
        """
        if choice.id not in self._appliances:
            path = self._store.objects.place(choice.id, filenames.MANIFEST)
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != choice.id:
                self._store.objects.set_aside(choice.id)
                raise BadManifest(str(path), "it was altered on this computer")
            self._appliances[choice.id] = _for_jobs(parse_manifest(content, str(path)), choice, self._direct)
        return choice.needed(self._appliances[choice.id], self._direct)

    def _verify(self, choice: Choice, show: Callable[[TransferView], None]) -> Appliance:
        store = self._store
        needed = self._needed(choice)
        meter = Meter(SHOWN_NAME, "verifying", sum(target.size_bytes for target in needed), show)
        with store.holding(needed):
            for target in needed:
                path = store.objects.place(target.sha256, target.name.rpartition("/")[2])
                try:
                    verify_file(path, target.size_bytes, target.sha256, meter.add)
                except ApplianceError:
                    store.objects.set_aside(target.sha256)
                    raise
            store.book.checked(target.sha256 for target in needed)
            store.book.used(target.sha256 for target in needed)
        return self._appliances[choice.id]


class Meter:
    """Counts bytes and shows how far it is. Used from one worker thread."""

    INTERVAL_S: Final = 0.2

    def __init__(self, name: str, step: str, total_bytes: int, show: Callable[[TransferView], None]) -> None:
        self._name = name
        self._step = step
        self._total = total_bytes
        self._show = show
        self._began = self._shown = time.monotonic()
        self._done = 0

    def add(self, count: int) -> None:
        """So many bytes more."""
        self._done += count
        now = time.monotonic()
        if now - self._shown < self.INTERVAL_S and self._done < self._total:
            return
        self._shown = now
        rate = self._done / max(now - self._began, 1e-3)
        left = (self._total - self._done) / rate if rate else None
        self._show(TransferView(self._name, self._step, self._done, self._total, rate, left))


def _for_jobs(appliance: Appliance, choice: Choice, direct: bool) -> Appliance:
    """The same, if the hypervisor can boot it to do jobs.

    Raises:
        BadManifest: it is a disk of somebody's own system, or has files for other hypervisors only.
    """
    if "system" in appliance.media(direct):
        return appliance
    what = "it has a kernel to boot and no CD (iso), and this hypervisor needs one"
    if appliance.disk:
        what = "it is a disk for virtual machines of your own (main.py image get), and not one for jobs"
    raise BadManifest(choice.manifest.name, what)


def _in_loop(show: ShowTransfer) -> Callable[[TransferView], None]:
    loop = asyncio.get_running_loop()
    return lambda view: (loop.call_soon_threadsafe(show, view), None)[1]


def _question(wish: Wish, folder: Path, root: Path | None) -> tuple[str, dict[str, Any]]:
    """What a worker is to do so that it is known what there is: its kind and its order."""
    if not wish.catalogue_url:
        return "manifest", {"url": wish.manifest_url, "sha256": wish.manifest_sha256, "folder": str(folder)}
    source = Source(wish.catalogue_url, wish.root_sha256, root)
    return "look", {
        "catalogue": source.order(folder) | ({"projects": [wish.project]} if wish.project else {}),
        "wish": vars(wish),
        "folder": str(folder),
        "client_version": __version__,
    }
