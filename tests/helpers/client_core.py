"""A core on the fake driver: real cache, journal, history and files; guests and tokens of the test's own."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from client.appliance.choice import from_manifest
from client.appliance.context import blank_image
from client.appliance.errors import DownloadFailed
from client.appliance.known import Known
from client.appliance.medium import write_image
from client.appliance.objects import Objects
from client.appliance.transfers import RunWorker
from client.clock import Clock, SystemClock
from client.core import VM_ID, Core, Make
from client.hypervisor.demo_guest import Pace, demo_guest
from client.hypervisor.driver import Driver, DriverReport
from client.hypervisor.fake import FakeDriver
from client.hypervisor.fake_link import Guest
from client.paths import Paths
from client.preferences.store import Preferences
from client.project.definition import Project
from client.project.enrolment import GuestToken
from client.regulator import Regulator
from client.snapshot import ClientSnapshot, VmView
from tests.helpers.regulation import FakeGovernor, FakeSensors

FILES = {"vmlinux": ("kernel", b"k" * 100), "initrd.img": ("initrd", b"i" * 50), "root.squashfs": ("system", b"hsqs")}
FAST = Pace(time_scale=50, job_s=10, heartbeat_s=0.2)


URL = "http://127.0.0.1:1/manifest.json"


def make_manifest() -> bytes:
    files = {
        name: {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "role": role}
        for name, (role, data) in FILES.items()
    }
    direct = {"kernel": "vmlinux", "initrd": "initrd.img", "system": "root.squashfs", "command_line": "quiet"}
    formats = [{"format": "direct", "files": sorted(files)}]
    said = {"schema": 1, "name": "tiny", "version": "1", "formats": formats, "files": files}
    return json.dumps(said | {"direct": direct | {"machine": {}}}).encode()


def write_appliance(folder: Path) -> str:
    """Put a tiny appliance into the store; returns its manifest's SHA-256."""
    manifest = make_manifest()
    sha256 = hashlib.sha256(manifest).hexdigest()
    objects = Objects(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in {"manifest.json": manifest, **{name: data for name, (_, data) in FILES.items()}}.items():
        part = folder / "new"
        part.write_bytes(data)
        objects.take_in(part, hashlib.sha256(data).hexdigest(), name)
    Known(folder / "known").add(from_manifest(URL, sha256, manifest))
    return sha256


async def no_network(kind: str, order: Mapping[str, Any], **_: Any) -> Mapping[str, Any]:
    """What workers do while the network is down."""
    raise DownloadFailed(URL, "Network is unreachable")


def write_project(path: Path, sha256: str) -> None:
    path.write_text(
        f"""
[project]
name = "Test"
[xmpp]
host = "127.0.0.1"
port = 5222
domain = "localhost"
job_manager = "jm@localhost"
[transfer]
chirp = "127.0.0.1:9094"
[enrolment]
url = "http://127.0.0.1:1/guest-token"
secret = "secret"
[appliance]
url = "{URL}"
sha256 = "{sha256}"
"""
    )


def quicken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the core turn twenty times a second, and nobody wait long for anything."""
    monkeypatch.setattr("client.core.TURN_S", 0.05)
    monkeypatch.setattr("client.core.LOOK_AGAIN_S", 0.05)
    monkeypatch.setattr("client.board.INTERVAL_S", 0.01)
    monkeypatch.setattr("client.supervisor.FIRST_WAIT_S", 0.1)


@dataclass
class Rig:
    """A base folder and what runs on it."""

    folder: Path
    guest: Guest = field(default_factory=lambda: demo_guest(FAST))
    clock: Clock = field(default_factory=SystemClock)
    token_life: timedelta = timedelta(days=1)
    tokens: int = 0
    token_error: Exception | None = None
    preferences: dict[str, bool | int | str] = field(default_factory=dict)
    worker: RunWorker = no_network
    #: whether the network is paid by the byte, as the system says when it is asked
    metered: bool | None = None
    driver: FakeDriver | None = None
    #: to be taken before fresh ones are made; while there are any, the one in use is not the fastest
    drivers: list[FakeDriver] = field(default_factory=list)
    core: Core | None = None
    run: "asyncio.Task[None] | None" = None
    last: ClientSnapshot | None = None
    #: what the rules go by; None: there are no rules
    sensors: FakeSensors | None = None
    governor: FakeGovernor = field(default_factory=FakeGovernor)
    #: codes of all problems ever shown, also of those that are over
    told: set[str] = field(default_factory=set)

    @property
    def paths(self) -> Paths:
        return Paths(self.folder)

    def prepare(self) -> None:
        self.paths.make()
        write_project(self.paths.project, write_appliance(self.paths.appliances))

    async def _find_driver(self, paths: Paths, _: Preferences) -> tuple[Driver, DriverReport]:
        self.driver = self.drivers.pop(0) if self.drivers else FakeDriver(paths.vms, self.guest)
        return self.driver, await self.driver.probe()

    def _make(self) -> Make:
        return Make(
            driver=self._find_driver,
            faster=self._has_faster,
            token=self._token,
            clock=self.clock,
            worker=self._work,
            is_metered=self._link,
            regulator=self._regulator if self.sensors is not None else None,
        )

    def _regulator(self, paths: Paths, preferences: Preferences, clock: Clock, wake: Callable[[], None]) -> Regulator:
        assert self.sensors is not None
        return Regulator(preferences, clock, self.sensors, self.governor, paths.base, wake)

    async def _link(self) -> bool | None:
        return self.metered

    async def _work(self, kind: str, order: Mapping[str, Any], **more: Any) -> Mapping[str, Any]:
        if kind != "context":
            return await self.worker(kind, order, **more)
        image, offset = blank_image(b"the agent")
        write_image(Path(order["path"]), image)
        return {"offset_bytes": offset}

    async def _has_faster(self, paths: Paths, _: Preferences, than: DriverReport) -> bool:
        return bool(self.drivers)

    async def _token(self, _: Project, vm_id: str) -> GuestToken:
        self.tokens += 1
        if self.token_error is not None:
            raise self.token_error
        return GuestToken(f"{vm_id}@localhost", "pw", datetime.now(UTC) + self.token_life)

    @asynccontextmanager
    async def running(self, limit_s: float = 20) -> AsyncIterator[Core]:
        """A core that runs; cancelled at the end, as by a kill, if it has not ended."""
        core = Core(self.paths, Preferences(self.preferences), self._make())
        core.load()
        core.board.subscribe(self._see)
        self.core, self.driver, self.last = core, None, None
        self.run = task = asyncio.create_task(core.run())
        try:
            async with asyncio.timeout(limit_s):
                yield core
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            # The fake's guests live in this process; a real one would outlive the client. Their folder stays as it is.
            driver: FakeDriver | None = self.driver
            for machine in driver._machines.values() if driver else ():
                await driver._stop(machine)

    def _see(self, snapshot: ClientSnapshot) -> None:
        self.last = snapshot
        self.told |= {problem.code for problem in snapshot.problems}

    @property
    def vm(self) -> VmView | None:
        return next((vm for vm in self.last.vms if vm.vm_id == VM_ID), None) if self.last else None

    async def ended(self) -> None:
        """Wait until the core has left by itself."""
        assert self.run is not None
        await asyncio.wait((self.run,))

    async def until(self, condition: Callable[[ClientSnapshot], object]) -> ClientSnapshot:
        """Wait for a snapshot that fits."""
        while self.last is None or not condition(self.last):
            await asyncio.sleep(0.01)
        return self.last
