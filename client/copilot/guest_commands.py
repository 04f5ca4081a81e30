"""Commands that the host has run in the guest: started once, watched, and ended as a whole (docs/guest-link.md).

A command runs as a user of its own, confined as a job is, unless the host wants root. What it has said and how it ended
is kept until the host says that it has it all (`exec_end`), or until too many have ended.
"""

import asyncio
import base64
import contextlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from client.copilot.child import Child
from client.copilot.guest_stream import Inflow, Outflow
from client.copilot.sandbox import Confinement, confine
from client.link import Message

#: The users of commands: one each, so that all that a command left behind can be ended by its user.
FIRST_UID: Final = 1001
MAX_RUNNING: Final = 4
MAX_ENDED: Final = 32
MAX_SEEN: Final = 1024
#: from the request to end to the end by force
GRACE_S: Final = 2.0
#: how long an output is waited for that something else still holds open
OUTPUT_PATIENCE_S: Final = 2.0
_TICK_S: Final = 0.2
#: A look at the clock counts at most this much: a computer that was paused has not run the command.
_LONGEST_TICK_S: Final = 5.0
_FILE_LIMIT_BYTES: Final = 1 << 40


class Say(Protocol):
    """Sends a message of the link."""

    def __call__(self, kind: str, **fields: Any) -> None:
        """See GuestLink.send."""


@dataclass(frozen=True)
class Ways:
    """How commands are run here.

    Attributes:
        users: whether there are users to run them as; without, all run as the agent's own.
        network: whether those of a user may use the network.
        software: where the project's software is.
        cvmfs_proxy: URL of a proxy for CVMFS, told to those that may use the network; empty: there is none.
    """

    users: bool
    network: bool
    software: Path
    cvmfs_proxy: str = ""


@dataclass(frozen=True)
class Order:
    """What is to be run. uid: None for the agent's own user; memory_limit_mib: 0 for none; time_limit_s: 0 for none."""

    argv: Sequence[str]
    cwd: str
    uid: int | None
    network: bool
    time_limit_s: float
    memory_limit_mib: int
    has_input: bool
    environment: dict[str, str]


class Commands:
    """All commands of this boot."""

    def __init__(self, say: Say, ways: Ways, boot_id: str) -> None:
        self._say = say
        self._ways = ways
        self._boot_id = boot_id
        self._known: dict[str, Command] = {}
        self._seen: deque[str] = deque(maxlen=MAX_SEEN)

    def take(self, message: Message) -> None:
        """Obeys a message of the host whose kind begins with `exec`."""
        said = message.fields
        exec_id = str(said.get("exec_id", ""))
        if message.kind == "exec":
            self._run(exec_id, said)
            return
        command = self._known.get(exec_id)
        if command is None:
            return
        match message.kind:
            case "exec_input":
                data = base64.b64decode(said.get("data", ""))
                command.input(int(said.get("offset", -1)), data, bool(said.get("end", False)))
            case "exec_room":
                command.room(int(said.get("stdout", 0)), int(said.get("stderr", 0)))
            case "exec_kill":
                command.end("killed")
            case "exec_end" if command.ended:
                del self._known[exec_id]
            case "exec_end":
                command.end("killed")

    async def close(self) -> None:
        """Ends all that runs."""
        for command in self._known.values():
            command.end("guest-ends")
        await asyncio.gather(*(command.wait() for command in self._known.values()))

    def _run(self, exec_id: str, said: Any) -> None:
        if exec_id in self._known:
            self._known[exec_id].tell_again()
        elif exec_id in self._seen:
            self._refuse(exec_id, "forgotten", "the guest has run it, and no longer knows how it ended")
        elif said.get("boot") != self._boot_id:
            self._refuse(exec_id, "guest-restarted", "it was meant for this guest before it was restarted")
        elif not said.get("argv") or not exec_id:
            self._refuse(exec_id, "not-started", "it has no words, or too many")
        else:
            self._begin(exec_id, said)

    def _begin(self, exec_id: str, said: Any) -> None:
        taken = {command.slot for command in self._known.values() if not command.ended}
        slot = next((number for number in range(MAX_RUNNING) if number not in taken), None)
        if slot is None:
            self._refuse(exec_id, "busy", f"{MAX_RUNNING} commands run already")
            return
        self._seen.append(exec_id)
        self._forget_oldest()
        self._known[exec_id] = command = Command(exec_id, slot, self._say)
        command.start(self._order(said, slot))

    def _order(self, said: Any, slot: int) -> Order:
        root = said.get("user") == "root"
        software, proxy = str(self._ways.software), self._ways.cvmfs_proxy
        network = self._ways.network or root
        return Order(
            argv=said["argv"],
            cwd=said.get("cwd") or "/",
            uid=FIRST_UID + slot if self._ways.users and not root else None,
            network=network,
            time_limit_s=float(said.get("time_limit_s", 0)),
            memory_limit_mib=int(said.get("memory_limit_mib", 0)),
            has_input=bool(said.get("input", False)),
            environment={
                "PATH": f"{software}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": "/root" if root else "/tmp",
                "LANG": "C.UTF-8",
                "SOFTWARE_DIR": software,
                **({"CVMFS_HTTP_PROXY": proxy} if proxy and network else {}),
            },
        )

    def _forget_oldest(self) -> None:
        ended = [exec_id for exec_id, command in self._known.items() if command.ended]
        for exec_id in ended[: max(0, len(ended) - MAX_ENDED + 1)]:
            del self._known[exec_id]

    def _refuse(self, exec_id: str, cause: str, text: str) -> None:
        self._say("exec_done", exec_id=exec_id, cause=cause, text=text, exit_code=0, stdout=0, stderr=0)


@dataclass
class Command:
    """One command, from its start until the host has all of it."""

    exec_id: str
    slot: int
    say: Say
    ended: bool = False
    _child: Child | None = None
    _input: Inflow | None = None
    _outputs: dict[str, Outflow] = field(default_factory=dict)
    _closed: asyncio.Event = field(default_factory=asyncio.Event)
    _cause: str = ""
    _done: dict[str, Any] = field(default_factory=dict)
    _task: "asyncio.Task[None] | None" = None

    def start(self, order: Order) -> None:
        """Starts it; one that cannot be started has ended, with 126 or 127 as in a shell."""
        try:
            self._child = self._spawn(order)
        except (OSError, subprocess.SubprocessError, ValueError) as failed:
            self._end_unstarted(failed)
            return
        self._tell_taken()
        self._task = asyncio.create_task(self._watch(self._child, order.time_limit_s))

    def input(self, offset: int, data: bytes, end: bool) -> None:
        """A piece of its input."""
        if self._input is not None:
            self._input.take(offset, data, end)

    def room(self, stdout: int, stderr: int) -> None:
        """How much of its outputs the host has."""
        for name, taken in (("stdout", stdout), ("stderr", stderr)):
            if name in self._outputs:
                self._outputs[name].room(taken)

    def end(self, cause: str) -> None:
        """Asks it to end, and makes it if it does not."""
        if not self.ended:
            self._cause = self._cause or cause

    def tell_again(self) -> None:
        """Another client asks: how far it is, what that one cannot have, and how it ended."""
        self._tell_taken()
        for output in self._outputs.values():
            output.again()
        if self.ended:
            self.say("exec_done", **self._done)

    async def wait(self) -> None:
        """Returns when it has ended."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def _tell_taken(self, _taken: int = 0) -> None:
        known = {name: output.taken for name, output in self._outputs.items()}
        self.say("exec_took", exec_id=self.exec_id, stdin=self._input.taken if self._input else 0, **known)

    def _spawn(self, order: Order) -> Child:
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            in_read, in_write = _pipe(theirs, ours)
            out_read, out_write = _pipe(ours, theirs)
            err_read, err_write = _pipe(ours, theirs)
            process = subprocess.Popen(
                list(order.argv),
                cwd=order.cwd,
                env=order.environment,
                stdin=in_read,
                stdout=out_write,
                stderr=err_write,
                start_new_session=True,
                preexec_fn=_confinement(order),
            )
            ours.pop_all()
        # From here on the process is ours alone; Popen must not wait for it too.
        process.returncode = 0
        child = Child(process.pid, order.uid)
        self._input = Inflow(in_write, self._tell_taken)
        if not order.has_input:
            self._input.close()
        self._outputs = {"stdout": self._outflow("stdout", out_read), "stderr": self._outflow("stderr", err_read)}
        return child

    def _outflow(self, stream: str, pipe: int) -> Outflow:
        def say(offset: int, data: bytes) -> None:
            text = base64.b64encode(data).decode()
            self.say("exec_output", exec_id=self.exec_id, stream=stream, offset=offset, data=text)

        return Outflow(pipe, say, self._note_closed)

    def _note_closed(self) -> None:
        if all(output.ended for output in self._outputs.values()):
            self._closed.set()

    async def _watch(self, child: Child, limit_s: float) -> None:
        await self._wait_within(child, limit_s)
        if child.status is None:
            child.signal_all(signal.SIGTERM)
            await child.wait(GRACE_S)
        await child.kill()
        await self._wait_for_outputs()
        for end in (*self._outputs.values(), self._input):
            if end is not None:
                end.close()
        code = os.waitstatus_to_exitcode(child.status or 0)
        self._finish(exit_code=max(0, code), signal=max(0, -code), cause=self._cause, cpu_s=child.cpu_s)

    async def _wait_within(self, child: Child, limit_s: float) -> None:
        loop = asyncio.get_running_loop()
        elapsed_s, seen_at = 0.0, loop.time()
        while not self._cause:
            left_s = limit_s - elapsed_s if limit_s else _TICK_S
            if await child.wait(max(0.01, min(_TICK_S, left_s))):
                return
            now = loop.time()
            elapsed_s += min(_LONGEST_TICK_S, now - seen_at)
            seen_at = now
            if limit_s and elapsed_s >= limit_s:
                self._cause = "time-limit"

    async def _wait_for_outputs(self) -> None:
        """Until they are read to their ends, or something else holds one open and says nothing."""
        idle_s = 0.0
        while not self._closed.is_set() and idle_s < OUTPUT_PATIENCE_S:
            before = [output.total for output in self._outputs.values()]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await self._closed.wait()
            held_back = any(output.full for output in self._outputs.values())
            quiet = before == [output.total for output in self._outputs.values()]
            idle_s = idle_s + _TICK_S if quiet and not held_back else 0.0

    def _end_unstarted(self, failed: Exception) -> None:
        missing = isinstance(failed, FileNotFoundError)
        self._finish(exit_code=127 if missing else 126, signal=0, cause="not-started", text=_reason(failed))

    def _finish(self, **fields: Any) -> None:
        totals = {name: self._outputs[name].total if name in self._outputs else 0 for name in ("stdout", "stderr")}
        self.ended = True
        self._done = {"exec_id": self.exec_id, **fields, **totals}
        self.say("exec_done", **self._done)


def _reason(failed: Exception) -> str:
    if isinstance(failed, OSError) and failed.strerror:
        return f"{failed.strerror}: {failed.filename}"[:1000] if failed.filename else failed.strerror
    return str(failed)[:1000]


def _pipe(read_owner: contextlib.ExitStack, write_owner: contextlib.ExitStack) -> tuple[int, int]:
    read, write = os.pipe()
    read_owner.callback(os.close, read)
    write_owner.callback(os.close, write)
    return read, write


def _confinement(order: Order) -> Callable[[], None]:
    return confine(
        Confinement(
            uid=order.uid,
            network=order.network,
            file_limit_bytes=_FILE_LIMIT_BYTES,
            memory_limit_mib=order.memory_limit_mib,
        )
    )
