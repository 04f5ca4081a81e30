"""Two ways to boot the same guest: by the program's own boot step, and by QEMU alone on the same files."""

import asyncio
import contextlib
import subprocess
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from pathlib import Path

from client import filenames
from client.actions import Actions
from client.appliance.blank import BlankMedium
from client.appliance.worker import run_worker
from client.appliances import Appliances
from client.board import Board
from client.clock import SystemClock
from client.guest.channel import LinkChannel
from client.guest.tracker import GuestTracker
from client.history import History
from client.hypervisor import socket_path
from client.hypervisor.driver import Feature, VmSpec
from client.hypervisor.qemu.cmdline import TCG, Launch, build_command
from client.hypervisor.qemu.disk import make_scratch, scratch_template
from client.hypervisor.qemu.driver import QemuDriver
from client.hypervisor.qemu.find import find_qemu
from client.hypervisor.qemu.folder import VmFolder
from client.journal import Journal
from client.link import Message
from client.parts import Parts
from client.paths import Paths
from client.preferences.store import load
from client.process import terminate
from client.project.definition import load_project
from client.project.enrolment import fetch_guest_token
from client.reconcile import Step
from client.service.relay_command import relay_command

VM_ID = "work-1"
LIMIT_S = 60.0


class TimedDriver(QemuDriver):
    """Notes when it is first asked for a VM, and which."""

    began = 0.0
    spec: VmSpec | None = None

    async def define(self, spec: VmSpec) -> None:
        self.began, self.spec = time.perf_counter(), spec
        await super().define(spec)


class Session:
    """Hears from a guest that it has its XMPP session."""

    def __init__(self) -> None:
        self._begun = asyncio.get_running_loop().create_future()

    def hear(self, message: Message) -> None:
        if message.kind == "boot" and message.fields.get("step") == "xmpp" and not self._begun.done():
            self._begun.set_result(time.perf_counter())

    async def wait(self) -> float:
        return float(await asyncio.wait_for(self._begun, LIMIT_S))


class Pair:
    """Boots the VM of one base folder, either way; seconds from power-on to session."""

    def __init__(self, base: Path, project: Path) -> None:
        self.paths = Paths(base)
        self.paths.make()
        self.driver = TimedDriver(self.paths.vms, relay_command(), accelerators=(TCG,))
        self._clock = SystemClock()
        self._bare = base / "bare"
        preferences = load(self.paths.preferences, ("hypervisor.accelerator=tcg",))
        board, wanted = Board(self._clock), load_project(project)
        appliances = Appliances(self.paths, preferences, self._clock, board)
        self.parts = Parts(
            paths=self.paths,
            clock=self._clock,
            preferences=preferences,
            board=board,
            journal=Journal(self.paths.journal),
            history=History(self.paths.history),
            appliances=appliances,
            cache=appliances.cache_for(wanted, direct=True),
            driver=self.driver,
            features=frozenset(Feature),
            project=wanted,
            blank=BlankMedium(self.paths.blank_context, run_worker),
            fetch_token=lambda project, vm_id: asyncio.to_thread(fetch_guest_token, project, vm_id),
        )

    async def fetch(self) -> None:
        """Have the appliance in the cache."""
        session = Session()
        await self._actions(session).take(Step.FETCH)

    async def ours(self) -> float:
        """By the boot step: a fresh VM each time, from its definition on (overlay, routes and relays included)."""
        await self.driver.destroy(VM_ID)
        session = Session()
        actions = self._actions(session)
        await actions.take(Step.BOOT)
        try:
            async with self._listening(lambda: self.driver.open_link(VM_ID), session):
                return await session.wait() - self.driver.began
        finally:
            await self.driver.power_off(VM_ID)

    async def bare(self) -> float:
        """By QEMU itself, on the files and with the devices of the last VM of `ours`, from its start on."""
        spec = self.driver.spec
        assert spec is not None
        qemu, folder = await find_qemu(), VmFolder(self._bare)
        folder.remove()
        folder.traffic.mkdir(parents=True)
        template = scratch_template(spec)
        assert template is not None
        await make_scratch(qemu, folder, template)
        folder.write_routes(spec.routes)
        command = build_command(spec, Launch(qemu.system, TCG, folder.path, relay_command()))
        session = Session()
        began = time.perf_counter()
        await asyncio.to_thread(subprocess.run, command, cwd=folder.path, check=True)
        try:
            async with self._listening(lambda: _open(folder.path / filenames.VM_LINK_SOCKET), session):
                return await session.wait() - began
        finally:
            if who := folder.running():
                await terminate(who)

    def _actions(self, session: Session) -> Actions:
        channel = LinkChannel(lambda: self.driver.open_link(VM_ID), session.hear, self._clock)
        return Actions(self.parts, VM_ID, channel, GuestTracker())

    @contextlib.asynccontextmanager
    async def _listening(self, open_link: object, session: Session) -> AsyncIterator[None]:
        channel = LinkChannel(open_link, session.hear, self._clock)  # type: ignore[arg-type]
        task = asyncio.create_task(channel.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _open(path: Path) -> tuple[StreamReader, StreamWriter]:
    return await asyncio.open_connection(sock=socket_path.connect(path))
