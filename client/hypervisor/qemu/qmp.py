"""The control connection to a running QEMU: commands with time limits, and its events."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from qemu.qmp import ExecuteError, QMPClient, QMPError, Runstate

from client.hypervisor import socket_path
from client.hypervisor.errors import HypervisorError

COMMAND_LIMIT_S: Final = 5.0
_RETRY_S: Final = 0.02
#: A QEMU that has come up listens for good: one that does not is not going to.
_REFUSED_LIMIT_S: Final = 0.5
# Whatever goes wrong is raised to us as well; the library would print it a second time.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


@dataclass(eq=False)
class MonitorGone(HypervisorError):
    """QEMU does not answer on its control socket, or not in time."""

    code: ClassVar[str] = "monitor-gone"
    vm_id: str
    said: str


@dataclass(eq=False)
class MonitorRefused(HypervisorError):
    """QEMU answered that it cannot do a command."""

    code: ClassVar[str] = "monitor-refused"
    vm_id: str
    command: str
    said: str


class Monitor:
    """One connection to one QEMU.

    Args:
        on_event: called with each event, a dict with `event` and `data`, in order.
        on_gone: called once when the connection ends by itself.
    """

    def __init__(self, vm_id: str, on_event: Callable[[dict[str, Any]], None], on_gone: Callable[[], None]) -> None:
        self.vm_id = vm_id
        self._on_event = on_event
        self._on_gone = on_gone
        self._client = QMPClient(vm_id)
        self._let_go = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether commands can be given."""
        return bool(self._client.runstate is Runstate.RUNNING)

    async def open(self, socket: Path, timeout_s: float = COMMAND_LIMIT_S) -> None:
        """Connect, trying again until the limit: QEMU serves one client at a time and may just be starting.

        Raises:
            MonitorGone: nobody answered in time.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        refused_until = loop.time() + _REFUSED_LIMIT_S
        while True:
            try:
                async with asyncio.timeout_at(end):
                    await self._client.connect(socket_path.connect(socket))
                break
            except (FileNotFoundError, ConnectionRefusedError) as error:
                if loop.time() >= refused_until:
                    raise MonitorGone(self.vm_id, repr(error)) from error
            except (OSError, EOFError, QMPError) as error:
                # OSError holds TimeoutError.
                if loop.time() + _RETRY_S >= end:
                    raise MonitorGone(self.vm_id, repr(error)) from error
            await asyncio.sleep(_RETRY_S)
        self._watcher = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Let go of the connection; QEMU runs on."""
        self._on_gone = _nothing
        self._let_go.set()
        if self._watcher is not None:
            # Not cancelled: the library would be left half disconnected.
            await asyncio.wait([self._watcher])

    async def execute(self, command: str, timeout_s: float = COMMAND_LIMIT_S, **arguments: Any) -> Any:
        """Give a command and wait for its answer.

        Args:
            arguments: as QMP names them; `_` stands for `-`, but not in old commands, which have a `_` themselves.

        Raises:
            MonitorGone: no answer in time; the connection is then closed.
            MonitorRefused: an answer, but an error.
        """
        dash = "_" if "_" in command else "-"
        named = {name.replace("_", dash): value for name, value in arguments.items()}
        return await self._guarded(command, self._client.execute(command, named or None), timeout_s)

    async def send_file(self, name: str, descriptor: int) -> None:
        """Give QEMU an open file under a name, for the next command that wants one."""
        try:
            self._client.send_fd_scm(descriptor)
        except (OSError, QMPError) as error:
            raise MonitorGone(self.vm_id, repr(error)) from error
        await self.execute("getfd", fdname=name)

    async def _guarded(self, command: str, answer: Coroutine[Any, Any, object], timeout_s: float) -> Any:
        try:
            # Not `wait_for`: before Python 3.12 it can swallow a cancellation.
            async with asyncio.timeout(timeout_s):
                return await answer
        except ExecuteError as error:
            raise MonitorRefused(self.vm_id, command, str(error)) from error
        except (OSError, EOFError, QMPError) as error:
            if isinstance(error, TimeoutError):
                await self.close()
            raise MonitorGone(self.vm_id, f"{command}: {error!r}") from error

    async def _pass_events(self) -> None:
        async for event in self._client.events:
            self._on_event(dict(event))

    async def _watch(self) -> None:
        passing = asyncio.create_task(self._pass_events())
        ends = {asyncio.create_task(self._until_disconnected()), asyncio.create_task(self._let_go.wait())}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*ends, passing):
                task.cancel()
            with contextlib.suppress(OSError, EOFError, QMPError):
                await self._client.disconnect()
        for event in self._client.events.clear():
            self._on_event(dict(event))
        self._on_gone()

    async def _until_disconnected(self) -> None:
        while self.is_open:
            await self._client.runstate_changed()


def _nothing() -> None:
    return None
