"""A whole project on this computer: prosody, chirp_server, key, job and storage manager, watched together.

Everything listens on loopback only, lives in one folder
and ends with the program that started it, however that ends.
"""

import asyncio
import fcntl
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final

from client.errors import BadInput
from client.log import logger
from client.paths import write_atomic
from client.service import open_files, site_files, site_redis
from client.service.site_child import SiteChild
from client.service.site_errors import ChildNotReady, SiteRunning
from client.service.site_folder import SiteFolder
from client.service.site_parts import MAIN, child_specs
from client.service.site_plan import Ports, SitePlan, SiteShape, load_plan, save_plan
from client.service.site_ports import HeldPorts

__all__ = ["MAIN", "Site", "until"]

log = logger("site")

_READY_S: Final = 30.0
#: What an earlier run that was killed left behind is gone by then.
_PORTS_S: Final = 5.0
#: between two renewals of signatures that are good for weeks
_RENEW_S: Final = 86400.0
#: between two looks at what of it runs
_STATUS_S: Final = 1.0
_LOG_TAIL_CHARS: Final = 1500


class Site:
    """One site in one folder.

    Args:
        appliance: folder with manifest.json; None: no VM can be started for this project.
        ports: to be used where they are free; the remembered ones by default.
        wishes: fields of `SiteShape` that are to be others than before.
        say: gets a sentence for people at each step.
    """

    def __init__(
        self,
        folder: Path,
        appliance: Path | None,
        ports: Ports | None = None,
        *,
        terms: site_files.SiteTerms | None = None,
        wishes: Mapping[str, Any] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.folder = SiteFolder(folder.absolute())
        self._appliance = appliance
        self._ports = ports
        self._terms = terms or site_files.SiteTerms()
        self._wishes = dict(wishes or {})
        self._say = say
        self._lock: IO[bytes] | None = None
        self._held = HeldPorts()
        self._started_at = time.time()
        self._status_said = b""
        self.children: dict[str, SiteChild] = {}

    async def up(self) -> SitePlan:
        """Start everything; returns when all of it serves.

        Raises:
            SiteRunning: another process runs this site.
            ToolMissing: prosody, chirp_server or redis-server is not installed.
            ChildNotReady: a part does not begin to serve; the others are stopped again.
            OSError: the disk fails.
        """
        self.folder.make()
        self._take_lock()
        open_files.raise_limit()
        try:
            plan = await self._prepare()
            self.children = {spec.name: SiteChild(spec) for spec in child_specs(self.folder, plan)}
            # Hashing and signing the appliance takes about as long as the others need to begin.
            project = asyncio.to_thread(self._write_project, plan)
            await asyncio.gather(
                project, *(self._start(child) for child in self.children.values() if child.spec.is_needed)
            )
            for child in self.children.values():
                if not child.spec.is_needed:
                    await child.start()
        except BaseException:
            await self.down()
            raise
        self._write_status(ready=True)
        self._say(f"The site is up; its project file is {self.folder.project}.")
        return plan

    async def watch(self) -> None:
        """Keep everything running; to be cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for child in self.children.values():
                tasks.create_task(child.keep())
            tasks.create_task(self._keep_catalogue())
            tasks.create_task(self._keep_status())

    async def down(self) -> None:
        """Stop everything; idempotent."""
        # Managers first, so that they can say goodbye to a server that is still there.
        for servers in (False, True):
            children = [child for child in self.children.values() if child.spec.is_server is servers]
            await asyncio.gather(*(child.stop() for child in children))
        self.children = {}
        # Held until now, so that a part that is started again finds its port.
        self._held.close()
        if self._lock is not None:
            self.folder.status.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    async def _prepare(self) -> SitePlan:
        plan = load_plan(self.folder.plan)
        wanted = self._ports or plan.ports
        await until(lambda: self._held.take_all(vars(wanted).values()), _PORTS_S)
        ports, changed = self._held.choose(wanted)
        for sentence in changed:
            self._say(f"{sentence} Clients that are attached need the new project file.")
        plan = replace(plan, ports=ports, shape=self._shape(plan))
        for sentence in site_redis.other_queue(self.folder, plan):
            self._say(sentence)
        save_plan(self.folder.plan, plan)
        await asyncio.to_thread(self._write_files, plan)
        self._write_status(ready=False)
        return plan

    def _shape(self, plan: SitePlan) -> SiteShape:
        try:
            return replace(plan.shape, **self._wishes)
        except (ValueError, TypeError) as error:
            raise BadInput("main.py site up", str(error), "give another one") from error

    def _write_files(self, plan: SitePlan) -> None:
        for left in self.folder.run.glob("*.ready"):
            left.unlink(missing_ok=True)
        site_files.write_children(self.folder, plan, self._terms, self._appliance)

    def _write_project(self, plan: SitePlan) -> None:
        site_files.write_project(self.folder, plan, self._terms, self._appliance, self._publish(plan))

    def _publish(self, plan: SitePlan) -> dict[str, dict[str, str]]:
        """Publish the appliance; the sections of the project file that name it in the catalogue, if it is in one."""
        # What signs is heavy, and `site status` is asked often.
        from client.service import site_catalog

        if self._appliance is None or not site_catalog.is_publishable(self._appliance):
            return {}
        found = site_catalog.publish_appliance(self.folder.catalogue, self._appliance, plan, self._terms)
        return {
            "catalogue": {"url": found.url, "root_sha256": found.root_sha256},
            "appliance": {"name": found.appliance, "version": found.version},
        }

    async def _start(self, child: SiteChild) -> None:
        began = time.monotonic()
        await child.start()
        if not await child.until_ready(_READY_S):
            raise ChildNotReady(child.spec.name, _tail(child.spec.output))
        self._say(f"{child.spec.name} serves after {time.monotonic() - began:.1f} s.")

    async def _keep_catalogue(self) -> None:
        """Renew the signatures of the site's catalogue, if it has one, while the site runs."""
        while True:
            await asyncio.sleep(_RENEW_S)
            if (self.folder.catalogue / "public").is_dir():
                await asyncio.to_thread(_renew_catalogue, self.folder.catalogue)

    def _take_lock(self) -> None:
        lock = self.folder.lock.open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise SiteRunning(str(self.folder.base)) from error
        self._lock = lock

    def _write_status(self, *, ready: bool) -> None:
        said = {
            "pid": os.getpid(),
            "ready": ready,
            "started_at": self._started_at,
            "children": {name: child.pid for name, child in self.children.items()},
            "restarts": {name: child.restarts for name, child in self.children.items()},
        }
        content = json.dumps(said).encode()
        if content != self._status_said:
            write_atomic(self.folder.status, content)
            self._status_said = content

    async def _keep_status(self) -> None:
        """Tell others what runs now, while the site runs."""
        was_written = True
        while True:
            await asyncio.sleep(_STATUS_S)
            try:
                self._write_status(ready=True)
                was_written = True
            except OSError as error:
                # Without it only those who ask know less; the next look may find space again.
                if was_written:
                    log.error("The site's status could not be written: %s", error)
                was_written = False


def _renew_catalogue(folder: Path) -> None:
    from client.service import site_catalog

    try:
        site_catalog.renew(folder)
    except (BadInput, OSError) as error:
        log.error("The site's catalogue could not be renewed: %s", error)


async def until(done: Callable[[], bool], timeout_s: float) -> bool:
    """Whether it came true in time; for states of the system that nobody announces."""
    end = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.05)
    return True


def _tail(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL_CHARS:].strip()
    except OSError:
        return ""
