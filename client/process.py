"""The only way to run child processes: always with a limit, never through a shell, and known again after a restart.

Three kinds: `run` waits for the end; `start` gives a long-lived child that either dies with this program or outlives
it; `talk` gives one that is spoken to in lines. A process is always named by an `Identity` (pid and start), so that a
pid which the system has given to somebody else in the meantime is never signalled.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from client.errors import CommandFailed, ToolMissing

#: How much of what a failing command said goes into its error.
_STDERR_TAIL_CHARS: Final = 4000
#: How long to sleep between two looks: short at first, for most ends are near.
_FIRST_POLL_S: Final = 0.001
_POLL_S: Final = 0.02
#: Children that may outlive this program; held so that nobody thinks them forgotten.
_outliving: Final[set["subprocess.Popen[bytes]"]] = set()


@dataclass(frozen=True)
class Completed:
    """How a command ended and what it wrote."""

    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text, line ends folded."""
        return self.stdout.decode(errors="replace").replace("\r\n", "\n")


@dataclass(frozen=True)
class Identity:
    """A process, and no other that may get its pid later.

    Attributes:
        started_at: opaque text that two processes of one pid do not share.
    """

    pid: int
    started_at: str


@dataclass(frozen=True)
class Usage:
    """What processes have used: CPU seconds so far, resident memory now."""

    cpu_s: float = 0.0
    rss_bytes: int = 0


async def run(
    command: Sequence[str],
    *,
    timeout_s: float,
    input: bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: bool = True,
    most_bytes: int | None = None,
) -> Completed:
    """Run a command to its end in its own session.

    Args:
        env: variables that are added to this program's own; messages are asked for in English always.
        check: whether an exit code other than 0 is an error.
        most_bytes: a command that writes more than this, on either stream, is ended; None: no limit.

    Raises:
        ToolMissing: there is no such program.
        CommandFailed: it failed, or was ended at one of its limits (exit code None).
    """
    child = await _spawn(command, env, cwd, None if input is None else subprocess.PIPE, subprocess.PIPE)
    try:
        async with asyncio.timeout(timeout_s):
            if most_bytes is None:
                stdout, stderr = await child.communicate(input)
            else:
                stdout, stderr = await _communicate(child, input, most_bytes)
    except TimeoutError:
        raise CommandFailed(tuple(command), None, f"not done within {timeout_s:g} s") from None
    finally:
        if child.returncode is None:
            await _kill_group(child)
        _close_pipes(child)
    if most_bytes is not None and max(len(stdout), len(stderr)) > most_bytes:
        raise CommandFailed(tuple(command), None, f"wrote more than {most_bytes} bytes")
    exit_code = child.returncode if child.returncode is not None else -1
    if check and exit_code:
        said = (stderr or stdout).decode(errors="replace")[-_STDERR_TAIL_CHARS:].strip()
        raise CommandFailed(tuple(command), exit_code, said)
    return Completed(exit_code, stdout, stderr)


async def start(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    output: Path | None = None,
    dies_with_us: bool = True,
) -> "Child":
    """Start a long-lived child without any pipe to this program.

    Args:
        output: file that gets what it writes; nowhere if None.
        dies_with_us: whether it is ended when this program ends, however that happens (a SIGKILL of this program
            reaches it on Linux only; elsewhere it is ended by `Child.stop`).

    Raises:
        ToolMissing: there is no such program.
    """
    _find(command[0])
    # In this very thread: the system ties "dies with its parent" to the thread that made the child.
    process = _popen(tuple(command), _environment(env), cwd, output, dies_with_us)
    if not dies_with_us:
        _outliving.difference_update([other for other in _outliving if other.poll() is not None])
        _outliving.add(process)
    return Child(tuple(command), process)


class Child:
    """A long-lived process started here."""

    def __init__(self, command: tuple[str, ...], process: "subprocess.Popen[bytes]") -> None:
        self.command = command
        self._process = process
        self.identity = identity(process.pid) or Identity(process.pid, "ended")

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    async def wait(self, timeout_s: float) -> int | None:
        """Its exit code, or None if it still runs after `timeout_s`."""
        await _until(lambda: self._process.poll() is not None, timeout_s)
        return self._process.poll()

    async def stop(self, timeout_s: float = 5.0) -> int:
        """Ask it to end, then kill it after `timeout_s`; returns its exit code."""
        for ask in (self._process.terminate, self._process.kill):
            if self._process.poll() is None:
                ask()
            if await self.wait(timeout_s) is not None:
                break
        return await asyncio.to_thread(self._process.wait, timeout_s)


async def talk(command: Sequence[str], *, env: Mapping[str, str] | None = None, most_line_bytes: int) -> "Dialogue":
    """Start a child that is spoken to in lines. Its input ends when this program does, however that happens.

    Args:
        most_line_bytes: of a line that it writes.

    Raises:
        ToolMissing: there is no such program.
    """
    return Dialogue(await _spawn(command, env, None, subprocess.PIPE, subprocess.PIPE, most_line_bytes))


class Dialogue:
    """A child with pipes for its input and output. Who makes one must call `end`."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child
        self._said = b""
        self._listening = asyncio.create_task(self._listen())

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._child.pid

    @property
    def last_words(self) -> str:
        """The end of what it wrote to standard error; whole only after `end`."""
        return self._said.decode(errors="replace").strip()

    async def say(self, line: bytes) -> None:
        """Write one line to it; nothing happens if it has gone."""
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._child.stdin.write(line + b"\n")
            await self._child.stdin.drain()

    async def lines(self) -> AsyncIterator[bytes]:
        """What it writes, line by line, until it closes its output.

        Raises:
            ValueError: a line is longer than agreed.
        """
        assert self._child.stdout is not None
        while line := await self._child.stdout.readline():
            yield line

    async def end(self, timeout_s: float) -> int:
        """Close its input, and kill it if it has not gone after `timeout_s`; returns its exit code."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        try:
            with contextlib.suppress(TimeoutError, ValueError):
                async with asyncio.timeout(timeout_s):
                    # A child that still writes must not be stuck at a full pipe.
                    async for _ in self.lines():
                        pass
                    await self._child.wait()
        finally:
            if self._child.returncode is None:
                await _kill_group(self._child)
            # A grandchild may hold the pipe of the one that has gone.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._listening
            # A Process has no public way to let go of a pipe that somebody else holds open, and an open pipe is a
            # warning and a file less. Source: CPython 3.11, asyncio/subprocess.py and base_subprocess.py.
            self._child._transport.close()  # type: ignore[attr-defined]
        return self._child.returncode if self._child.returncode is not None else -1

    async def _listen(self) -> None:
        assert self._child.stderr is not None
        while part := await self._child.stderr.read(4096):
            self._said = (self._said + part)[-_STDERR_TAIL_CHARS:]


def identity(pid: int) -> Identity | None:
    """Who has this pid now; None when nobody does, or only a zombie."""
    if sys.platform == "linux":
        return _linux_identity(pid)
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return Identity(pid, f"{process.create_time():.2f}")
    except psutil.Error:
        return None


def alive(pid: int, started_at: str) -> bool:
    """Whether exactly that process still runs."""
    return identity(pid) == Identity(pid, started_at)


def command_line(pid: int) -> tuple[str, ...]:
    """The arguments of a process; empty when it is gone or not ours to see."""
    try:
        return tuple(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ()


def usage(pids: Iterable[int]) -> Usage:
    """CPU seconds and resident memory of processes together; those that are gone count as nothing."""
    cpu_s, rss_bytes = 0.0, 0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            times = process.cpu_times()
            cpu_s += times.user + times.system
            rss_bytes += process.memory_info().rss
        except psutil.Error:
            continue
    return Usage(cpu_s, rss_bytes)


async def terminate(who: Identity, timeout_s: float = 5.0) -> bool:
    """Ask a process to end, kill it after `timeout_s`, and see it gone.

    Returns:
        Whether it is gone; True as well if it was not there. False: the system does not let it go.
    """
    for send in (psutil.Process.terminate, psutil.Process.kill):
        with contextlib.suppress(psutil.Error):
            if alive(who.pid, who.started_at):
                wake(who)
                send(psutil.Process(who.pid))
        if await wait_gone(who, timeout_s):
            return True
    return False


def wake(who: Identity) -> None:
    """Let a process go on that was stopped by a signal; a throttle that was killed leaves such ones behind."""
    with contextlib.suppress(psutil.Error):
        if sys.platform != "win32" and alive(who.pid, who.started_at):
            psutil.Process(who.pid).resume()


async def wait_gone(who: Identity, timeout_s: float) -> bool:
    """Whether the process has ended within `timeout_s`."""
    with _told_end(who.pid) as told:
        return await _until(lambda: not alive(who.pid, who.started_at), timeout_s, told)


@contextlib.contextmanager
def _told_end(pid: int) -> Iterator[asyncio.Event | None]:
    """An event that the system sets when whoever has that pid now ends; None where it does not tell.

    Source: pidfd_open(2), Linux 5.3: readable when the process ends, whoever its parent is.
    """
    if sys.platform != "linux":
        yield None
        return
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        # It has gone already, there are no more handles, or the kernel is older.
        yield None
        return
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        loop.remove_reader(handle)
        told.set()

    loop.add_reader(handle, tell)
    try:
        yield told
    finally:
        loop.remove_reader(handle)
        os.close(handle)


async def _until(done: Any, timeout_s: float, told: asyncio.Event | None = None) -> bool:
    """Look again and again; at once when something that is `told` may have brought it about."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout_s
    pause_s = _FIRST_POLL_S
    while not done():
        if loop.time() >= end:
            return False
        if told is None or told.is_set():
            await asyncio.sleep(pause_s)
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await told.wait()
        pause_s = min(2 * pause_s, _POLL_S)
    return True


def _linux_identity(pid: int) -> Identity | None:
    # Ticks since boot do not move when somebody sets the clock; psutil's create_time does.
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:
        return None
    # The name in parentheses may hold anything, so count from its end.
    fields = stat[stat.rindex(b")") + 2 :].split()
    if fields[0] in (b"Z", b"X"):
        return None
    return Identity(pid, f"{boot_id}:{fields[19].decode()}")


def _find(tool: str) -> str:
    found = shutil.which(tool)
    if found is None:
        raise ToolMissing(tool, "")
    return found


def _environment(env: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C", **(env or {})}


async def _spawn(
    command: Sequence[str],
    env: Mapping[str, str] | None,
    cwd: Path | None,
    stdin: int | None,
    stdout: int,
    most_line_bytes: int = 2**16,
) -> asyncio.subprocess.Process:
    _find(command[0])
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=_environment(env),
        cwd=cwd,
        start_new_session=True,
        limit=most_line_bytes,
    )


async def _communicate(child: asyncio.subprocess.Process, input: bytes | None, most_bytes: int) -> tuple[bytes, bytes]:
    async def feed() -> None:
        if child.stdin is not None:
            # It need not read all, or anything, of what it is given.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                child.stdin.write(input or b"")
                await child.stdin.drain()
            child.stdin.close()

    async def collect(stream: asyncio.StreamReader | None) -> bytes:
        parts, size = [], 0
        while stream is not None and (part := await stream.read(65536)):
            parts.append(part)
            size += len(part)
            if size > most_bytes:
                await _kill_group(child)
                break
        return b"".join(parts)

    stdout, stderr, _ = await asyncio.gather(collect(child.stdout), collect(child.stderr), feed())
    await child.wait()
    return stdout, stderr


async def _kill_group(child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        if sys.platform == "win32":
            child.kill()
        else:
            os.killpg(child.pid, signal.SIGKILL)
    await child.wait()
    _close_pipes(child)


def _close_pipes(child: asyncio.subprocess.Process) -> None:
    """Close what a grandchild in another session may hold open, though the child has gone."""
    child._transport.close()  # type: ignore[attr-defined]


def _popen(
    command: tuple[str, ...], env: dict[str, str], cwd: Path | None, output: Path | None, dies_with_us: bool
) -> "subprocess.Popen[bytes]":
    with contextlib.ExitStack() as files:
        sink: Any = subprocess.DEVNULL
        if output is not None:
            sink = files.enter_context(output.open("ab"))
        return subprocess.Popen(
            _with_parent(command) if dies_with_us else command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            start_new_session=True,
            close_fds=True,
        )


def _with_parent(command: tuple[str, ...]) -> tuple[str, ...]:
    """The command, told to end when this program ends.

    Source: setpriv(1) of util-linux 2.33 and later, `--pdeathsig`; kept across exec. A `preexec_fn` would do the
    same but is not safe in a program with threads.
    """
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return (setpriv, "--pdeathsig", "TERM", *command) if setpriv else command
