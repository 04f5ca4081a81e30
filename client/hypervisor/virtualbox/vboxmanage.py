"""VBoxManage, called in one queue, with limits, and never believed by its exit code alone.

The queue is for the quick calls: a tenth of a second each. What writes or reads a VM's memory may take minutes: it
begins when it is its turn, and goes on beside the queue. VirtualBox itself lets only one of them at a VM, and so does
whoever calls here.
"""

import asyncio
from typing import Final

from client import process
from client.clock import Clock, SystemClock
from client.errors import ClientError, CommandFailed
from client.hypervisor.virtualbox.problems import (
    ServiceDead,
    SessionLocked,
    VirtualBoxBroken,
    VirtualBoxSilent,
    WrongState,
)
from client.hypervisor.virtualbox.verdict import classify, without_warning

#: What VirtualBox says while another of its processes is just opening, closing or ending something. A VM that it
#: cannot read (`VmInaccessible`) stays so, and is not asked for again. A query needs no state: the wrong one it is only
#: for one that comes in between while the VM ends.
_PASSING: Final = (SessionLocked, ServiceDead, WrongState)
#: A query is asked again after these pauses, seconds. Nothing else is tried twice here; who knows that a change may be
#: made twice does so itself (`Machine.insist`).
RETRY_PAUSES_S: Final = (0.1, 0.4, 1.0)
#: A call that takes longer than this, seconds, goes on beside those that wait behind it: VBoxManage 7.2 stands still
#: for ten seconds at its end now and then, with its work done.
TURN_S: Final = 2.0
_LONG_CONTROLS: Final = frozenset({"savestate"})
_LONG_SNAPSHOTS: Final = frozenset({"take", "restore", "delete"})
#: The longest honest output is a list of media, below 1 MB with thousands of them.
MOST_OUTPUT_BYTES: Final = 16 * 1024 * 1024


class VBoxManage:
    """VirtualBox's command.

    Attributes:
        calls: how many programs were started so far, for measuring.
        busy_s: seconds for which they ran, together.
    """

    def __init__(self, program: tuple[str, ...], *, clock: Clock | None = None) -> None:
        self.program = program
        self.calls = 0
        self.busy_s = 0.0
        self._clock = clock or SystemClock()
        self._turn = asyncio.Lock()

    async def read(self, *words: str, timeout_s: float = 20.0) -> str:
        """Ask for something that changes nothing; standard output, line ends folded.

        Asked again after `RETRY_PAUSES_S` while VirtualBox is just opening, closing or ending something.

        Args:
            timeout_s: for each try, from its turn in the queue.

        Raises:
            HypervisorError: one of `problems`.
            ToolMissing: the program is gone.
        """
        for pause_s in RETRY_PAUSES_S:
            try:
                return await self._in_turn(words, timeout_s)
            except _PASSING:
                await asyncio.sleep(pause_s)
        return await self._in_turn(words, timeout_s)

    async def change(self, *words: str, timeout_s: float = 60.0) -> str:
        """Do something, once; standard output, line ends folded.

        Raises:
            HypervisorError: one of `problems`; after `VirtualBoxSilent` it may be done nevertheless.
            ToolMissing: the program is gone.
        """
        return await self._in_turn(words, timeout_s)

    async def _in_turn(self, words: tuple[str, ...], timeout_s: float) -> str:
        async with self._turn:
            call = asyncio.create_task(self._call(words, timeout_s))
            try:
                await asyncio.wait((call,), timeout=0.0 if is_long(words) else TURN_S)
            except asyncio.CancelledError:
                await _end(call)
                raise
        return await call

    async def _call(self, words: tuple[str, ...], timeout_s: float) -> str:
        self.calls += 1
        began = self._clock.monotonic()
        try:
            done = await process.run(
                (*self.program, *words), timeout_s=timeout_s, check=False, most_bytes=MOST_OUTPUT_BYTES
            )
        except CommandFailed as error:
            raise VirtualBoxSilent(words, error.stderr) from error
        except OSError as error:
            # Not even started: no right to run it, or no program for this system.
            raise VirtualBoxBroken(str(error)) from error
        finally:
            self.busy_s += self._clock.monotonic() - began
        problem: ClientError | None = classify(words, done.exit_code, done.text, _folded(done.stderr))
        if problem is not None:
            raise problem
        return without_warning(done.text)


def is_long(words: tuple[str, ...]) -> bool:
    """Whether a call may honestly take minutes: it writes or reads a VM's memory, or merges its disks."""
    verb, word = words[0], words[2] if len(words) > 2 else ""
    is_state = verb == "controlvm" and word in _LONG_CONTROLS
    return verb == "startvm" or is_state or (verb == "snapshot" and word in _LONG_SNAPSHOTS)


async def _end(call: "asyncio.Task[str]") -> None:
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


def _folded(raw: bytes) -> str:
    return raw.decode(errors="replace").replace("\r\n", "\n")
