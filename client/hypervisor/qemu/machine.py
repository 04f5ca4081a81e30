"""One VM under QEMU, as this run of the client sees it: its folder, its process, its control connection."""

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from client import filenames, process
from client.clock import Clock
from client.hypervisor import socket_path
from client.hypervisor.driver import VmInfo
from client.hypervisor.errors import LinkUnavailable
from client.hypervisor.qemu import console
from client.hypervisor.qemu.cmdline import TCG
from client.hypervisor.qemu.folder import RESTORING, RUNNING, SAVING, STARTING, STOPPED, Record, VmFolder
from client.hypervisor.qemu.qmp import Monitor, MonitorGone, MonitorRefused
from client.process import Identity
from client.snapshot import VmState

QUIT_LIMIT_S: Final = 3.0
KILL_LIMIT_S: Final = 5.0
#: Largest read from the guest link at once.
_LINK_BUFFER_BYTES: Final = 65536
_ENDING_S: Final = 0.5
_ONE_RESET_S: Final = 1.0
#: QEMU's words for what a VM does, to ours. Source: QMP reference, RunState.
_STATES: Final = {
    "running": VmState.RUNNING,
    "paused": VmState.PAUSED,
    "suspended": VmState.PAUSED,
    "io-error": VmState.PAUSED,
    "watchdog": VmState.PAUSED,
    "prelaunch": VmState.STARTING,
    "inmigrate": VmState.STARTING,
    "restore-vm": VmState.STARTING,
    "save-vm": VmState.SAVING,
    "finish-migrate": VmState.SAVING,
    # Its state has been written, for a snapshot, and it is held as it was before.
    "postmigrate": VmState.PAUSED,
    "shutdown": VmState.PAUSED,
    "internal-error": VmState.FAILED,
    "guest-panicked": VmState.FAILED,
}
_NO_ANSWER: Final = "the program that runs it does not answer"
_DISK_FULL_NOTE: Final = "The disk is full, so the virtual machine waits until there is space again."


@dataclass
class Machine:
    """A VM and what this run of the client holds of it.

    Attributes:
        lock: verbs on one VM come one after the other.
        verb: what is being done now: STARTING, SAVING or nothing.
        saw_life: set once the guest has been heard of under its present accelerator.
        runs_since: monotonic seconds at which this client first saw the process.
    """

    folder: VmFolder
    clock: Clock
    changed: Callable[[str], None]
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    verb: str = ""
    saw_life: asyncio.Event = field(default_factory=asyncio.Event)
    runs_since: float | None = None
    monitor: Monitor | None = None
    tender: asyncio.Task[None] | None = None
    _last_reset: float | None = None
    _link: StreamWriter | None = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def vm_id(self) -> str:
        """Its id."""
        return self.folder.vm_id

    async def connect(self) -> Monitor:
        """The control connection, opened when it is not.

        Raises:
            MonitorGone: no process, or it does not answer.
        """
        async with self._opening:
            if self.monitor is not None and self.monitor.is_open:
                return self.monitor
            who = self.folder.running()
            if who is None:
                raise MonitorGone(self.vm_id, "no process")
            # A throttle that was killed may have left it stopped.
            process.wake(who)
            monitor = Monitor(self.vm_id, self._on_event, self._on_gone)
            await monitor.open(self.folder.path / filenames.VM_CONTROL_SOCKET)
            self.monitor = monitor
            if self.runs_since is None:
                self.runs_since = self.clock.monotonic()
            return monitor

    async def status(self) -> str:
        """QEMU's own word for what the VM does.

        Raises:
            MonitorGone, MonitorRefused: it does not say.
        """
        said = await (await self.connect()).execute("query-status")
        return str(said.get("status", "")) if isinstance(said, dict) else ""

    async def info(self) -> VmInfo:
        """Its state now."""
        if not self.folder.path.is_dir():
            return VmInfo(self.vm_id, VmState.ABSENT)
        record, who = self.folder.record(), self.folder.running()
        if self.verb == STARTING:
            return self._info(VmState.STARTING, record, who)
        if self.folder.spec() is None:
            return self._info(VmState.FAILED, record, who, cause="its folder is not complete")
        if who is None:
            return self._info_without_process(record)
        return await self._info_of_process(record, who)

    async def open_link(self) -> tuple[StreamReader, StreamWriter]:
        """A new stream to the guest's end of the link; the former one is closed.

        Raises:
            LinkUnavailable: nobody listens.
        """
        await self.close_link()
        try:
            connection = socket_path.connect(self.folder.path / filenames.VM_LINK_SOCKET)
            reader, writer = await asyncio.open_connection(sock=connection, limit=_LINK_BUFFER_BYTES)
        except OSError as error:
            raise LinkUnavailable(self.vm_id, str(error)) from error
        self._link = writer
        return reader, writer

    async def close_link(self) -> None:
        """Let go of the link."""
        writer, self._link = self._link, None
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def end_process(self) -> None:
        """End its QEMU, if there is one: by its own command, else by signals; and see it gone."""
        who = self.folder.running()
        if who is not None:
            process.wake(who)
            await self._quit()
            if not await process.wait_gone(who, QUIT_LIMIT_S):
                await process.terminate(who, KILL_LIMIT_S)
        await self.release()
        self.runs_since = None
        self.folder.pidfile.unlink(missing_ok=True)
        self.folder.write_record(phase=STOPPED, pid=0, started_at="")

    async def release(self) -> None:
        """Let go of connections and tasks; the VM runs on."""
        tender, self.tender = self.tender, None
        if tender is not None and tender is not asyncio.current_task():
            tender.cancel()
            await asyncio.wait([tender])
        await self.close_link()
        monitor, self.monitor = self.monitor, None
        if monitor is not None:
            await monitor.close()

    async def attempt(self, deed: Callable[[Monitor], Awaitable[Any]]) -> bool:
        """Do something with the control connection if it answers; returns whether that went well."""
        try:
            await deed(await self.connect())
        except (MonitorGone, MonitorRefused):
            return False
        return True

    async def _quit(self) -> None:
        async def say_quit(monitor: Monitor) -> None:
            await console.drain(monitor, self.folder)
            await monitor.execute("quit", QUIT_LIMIT_S)

        await self.attempt(say_quit)

    def _info_without_process(self, record: Record) -> VmInfo:
        if self.folder.has_saved_state():
            return self._info(VmState.SAVED, record, None)
        if record.phase in (STARTING, RESTORING, RUNNING, SAVING) and self.folder.ended_badly():
            return self._info(VmState.FAILED, record, None, cause="its process ended unexpectedly")
        return self._info(VmState.DEFINED, record, None)

    async def _info_of_process(self, record: Record, who: Identity) -> VmInfo:
        try:
            word = await self.status()
        except (MonitorGone, MonitorRefused):
            # One that ends, in whatever way, closes its connections a little before it is gone.
            if await process.wait_gone(who, _ENDING_S):
                return self._info_without_process(self.folder.record())
            return self._info(VmState.FAILED, record, who, cause=_NO_ANSWER)
        state = _STATES.get(word, VmState.UNKNOWN)
        if self.verb == SAVING:
            state = VmState.SAVING
        elif record.phase == SAVING:
            # The client that saved it was killed: it is held, and both `resume` and `save` go on from there.
            state = VmState.PAUSED
        elif record.phase == RESTORING or (state is VmState.RUNNING and not self._is_proven(record)):
            state = VmState.STARTING
        cause = f"QEMU says: {word}" if state is VmState.FAILED else ""
        note = _DISK_FULL_NOTE if word == "io-error" else record.note
        return self._info(state, record, who, cause=cause, note=note)

    def _is_proven(self, record: Record) -> bool:
        return record.proven or record.accelerator == TCG or self.saw_life.is_set()

    def _info(
        self, state: VmState, record: Record, who: Identity | None, *, cause: str = "", note: str | None = None
    ) -> VmInfo:
        return VmInfo(
            vm_id=self.vm_id,
            state=state,
            cause=cause,
            accelerator=record.accelerator,
            note=record.note if note is None else note,
            pids=(who.pid,) if who else (),
            runs_since=self.runs_since if who else None,
            guest_resets=record.guest_resets,
        )

    def _on_event(self, event: dict[str, Any]) -> None:
        name, data = event.get("event"), event.get("data") or {}
        if name == "RESET" and data.get("guest"):
            self._count_reset()
        if name in ("STOP", "RESUME", "RESET", "SHUTDOWN", "BLOCK_IO_ERROR"):
            self.changed(self.vm_id)

    def _count_reset(self) -> None:
        # The firmware resets the machine again, up to three times within 0.1 s, before it boots.
        now = self.clock.monotonic()
        if self._last_reset is None or now - self._last_reset > _ONE_RESET_S:
            self.folder.write_record(guest_resets=self.folder.record().guest_resets + 1)
        self._last_reset = now

    def _on_gone(self) -> None:
        self.runs_since = None
        self.changed(self.vm_id)
