"""A whole project on this computer: prosody, chirp_server, key, job and storage manager, watched together.

`main.py site up|down|status --folder F [--appliance DIR]`. Everything listens on loopback only, lives in one folder
and ends with the program that started it, however that ends.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

from client.command_line import Parser
from client.errors import BadInput
from client.log import logger, remove, to_file
from client.paths import write_atomic
from client.service import site_files
from client.service.site_child import ChildSpec, SiteChild
from client.service.site_errors import ChildNotReady, SiteNotRunning, SiteRunning
from client.service.site_folder import SiteFolder
from client.service.site_plan import LOOPBACK, Ports, SitePlan, choose_ports, is_free, load_plan, save_plan
from client.service.site_status import SiteStatus, is_locked, read_status

log = logger("site")

MAIN: Final = Path(__file__).resolve().parents[2] / "main.py"
_READY_S: Final = 30.0
#: What an earlier run that was killed left behind is gone by then.
_PORTS_S: Final = 5.0
#: between two renewals of signatures that are good for weeks
_RENEW_S: Final = 86400.0
_LOG_TAIL_CHARS: Final = 1500


class Site:
    """One site in one folder.

    Args:
        appliance: folder with manifest.json; None: no VM can be started for this project.
        ports: to be used where they are free; the remembered ones by default.
        say: gets a sentence for people at each step.
    """

    def __init__(
        self,
        folder: Path,
        appliance: Path | None,
        ports: Ports | None = None,
        *,
        terms: site_files.SiteTerms | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.folder = SiteFolder(folder.absolute())
        self._appliance = appliance
        self._ports = ports
        self._terms = terms or site_files.SiteTerms()
        self._say = say
        self._lock: IO[bytes] | None = None
        self.children: dict[str, SiteChild] = {}

    async def up(self) -> SitePlan:
        """Start everything; returns when all of it serves.

        Raises:
            SiteRunning: another process runs this site.
            ToolMissing: prosody or chirp_server is not installed.
            ChildNotReady: a part does not begin to serve; the others are stopped again.
            OSError: the disk fails.
        """
        self.folder.make()
        self._take_lock()
        try:
            plan = await self._prepare()
            self.children = {spec.name: SiteChild(spec) for spec in self._specs(plan)}
            # Hashing and signing the appliance takes about as long as the others need to begin.
            project = asyncio.to_thread(self._write_project, plan)
            await asyncio.gather(project, *(self._start(child) for child in self.children.values()))
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

    async def down(self) -> None:
        """Stop everything; idempotent."""
        # Managers first, so that they can say goodbye to a server that is still there.
        for names in (("job-manager", "storage-manager", "key-manager"), ("chirp", "prosody")):
            await asyncio.gather(*(self.children[name].stop() for name in names if name in self.children))
        self.children = {}
        if self._lock is not None:
            self.folder.status.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    async def _prepare(self) -> SitePlan:
        plan = load_plan(self.folder.plan)
        wanted = self._ports or plan.ports
        await _until(lambda: all(is_free(port) for port in vars(wanted).values() if port), _PORTS_S)
        ports, changed = choose_ports(wanted)
        for sentence in changed:
            self._say(f"{sentence} Clients that are attached need the new project file.")
        plan = replace(plan, ports=ports)
        save_plan(self.folder.plan, plan)
        await asyncio.to_thread(self._write_files, plan)
        self._write_status(ready=False)
        return plan

    def _write_files(self, plan: SitePlan) -> None:
        for child in ("job-manager", "storage-manager"):
            self.folder.ready(child).unlink(missing_ok=True)
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

    def _specs(self, plan: SitePlan) -> list[ChildSpec]:
        folder = self.folder
        prosody = ["prosody", "-F", "--config", str(folder.run / site_files.PROSODY_CONFIG)]
        specs = [
            ChildSpec("prosody", prosody, folder.log("prosody.out"), lambda: _answers(plan.ports.xmpp)),
            ChildSpec(
                "chirp",
                site_files.chirp_command(folder, plan),
                folder.log("chirp.out"),
                lambda: _answers(plan.ports.chirp),
            ),
            ChildSpec(
                "key-manager",
                _ours("key-manager", folder),
                folder.log("key-manager.out"),
                lambda: _answers(plan.ports.key),
            ),
        ]
        specs += [
            ChildSpec(name, _ours(name, folder), folder.log(f"{name}.out"), folder.ready(name).exists)
            for name in ("job-manager", "storage-manager")
        ]
        return specs

    def _take_lock(self) -> None:
        lock = self.folder.lock.open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise SiteRunning(str(self.folder.base)) from error
        self._lock = lock

    def _write_status(self, *, ready: bool) -> None:
        pids = {name: child.pid for name, child in self.children.items()}
        said = {"pid": os.getpid(), "ready": ready, "children": pids}
        write_atomic(self.folder.status, json.dumps(said).encode())


def _renew_catalogue(folder: Path) -> None:
    from client.service import site_catalog

    try:
        site_catalog.renew(folder)
    except (BadInput, OSError) as error:
        log.error("The site's catalogue could not be renewed: %s", error)


async def _until(done: Callable[[], bool], timeout_s: float) -> bool:
    """Whether it came true in time; for states of the system that nobody announces."""
    end = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.05)
    return True


def _ours(role: str, folder: SiteFolder) -> list[str]:
    return [sys.executable, str(MAIN), role, "--config", str(folder.config(role))]


def _answers(port: int) -> bool:
    """Whether somebody listens there; the connection is closed at once."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=0.2):
            return True
    except OSError:
        return False


def _tail(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL_CHARS:].strip()
    except OSError:
        return ""


def main(argv: list[str]) -> int:
    """`main.py site`: up (until SIGTERM or SIGINT), down, status; returns the exit code."""
    parser = Parser(prog="main.py site", description="Runs a whole project on this computer.")
    parser.add_argument("verb", choices=("up", "down", "status"))
    parser.add_argument("--folder", type=Path, required=True, help="everything of the site is in there")
    parser.add_argument("--appliance", type=Path, help="up: folder of the appliance with its manifest.json")
    parser.add_argument("--json", action="store_true", help="status: as JSON")
    given = parser.parse_args(argv)
    if given.verb == "up":
        return asyncio.run(_up(Site(given.folder, given.appliance, say=_print)))
    if given.verb == "down":
        return asyncio.run(_down(SiteFolder(given.folder.absolute())))
    return _status(SiteFolder(given.folder.absolute()), as_json=given.json)


async def _up(site: Site) -> int:
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(_run(site))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work
    return 0


async def _run(site: Site) -> None:
    site.folder.make()
    handler = to_file(site.folder.log("site"))
    try:
        await site.up()
        await site.watch()
    finally:
        await asyncio.shield(site.down())
        remove(handler)
        _print("The site is down.")


async def _down(folder: SiteFolder) -> int:
    status = read_status(folder)
    if status is None:
        raise SiteNotRunning(str(folder.base))
    os.kill(status.pid, signal.SIGTERM)
    return 0 if await _until(lambda: not is_locked(folder), _READY_S) else 1


def _status(folder: SiteFolder, *, as_json: bool) -> int:
    status = read_status(folder) or SiteStatus(0, False, {})
    if as_json:
        _print(json.dumps({"running": status.pid > 0, "ready": status.ready, "children": status.children}))
    elif not status.pid:
        _print("The site does not run.")
    else:
        _print("The site is up." if status.ready else "The site is starting.")
        for name, pid in status.children.items():
            _print(f"  {name:16} {pid}")
    return 0 if status.ready else 1


def _print(sentence: str) -> None:
    print(sentence, flush=True)
