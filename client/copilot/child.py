"""One process of a job and all that it started: run, watched, and ended as a whole.

The raw wait status and the CPU time come from wait4(2) on a pidfd, so no thread and no SIGCHLD handler is needed.
"""

import asyncio
import contextlib
import errno
import functools
import os
import re
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

#: Processes that are waited for here; the reaper of orphans must leave them alone.
awaited: Final[set[int]] = set()
#: The number of the progress pipe in a job: one digit, since some shells know no others.
PROGRESS_FD: Final = 3
#: state, real and effective user of a process
_STATUS: Final = re.compile(rb"^State:\s+(\S).*?^Uid:\s+(\d+)\s+(\d+)", re.MULTILINE | re.DOTALL)


class Child:
    """A started process, leader of its own session.

    Attributes:
        status: raw wait status; None while it runs.
        cpu_s: user and system time of it and of its waited-for children; 0 while it runs.
    """

    def __init__(self, pid: int, uid: int | None) -> None:
        self.pid = pid
        self.status: int | None = None
        self.cpu_s = 0.0
        self._uid = uid
        self._ended = asyncio.Event()
        self._pidfd = os.pidfd_open(pid)
        awaited.add(pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        stdout: Path,
        stderr: Path,
        in_child: Callable[[], None],
        uid: int | None,
        progress: int | None = None,
    ) -> "Child":
        """Starts a command; its output is appended to files that must not be links.

        Args:
            in_child: run before the command, in its process.
            uid: user that only jobs run as; all of its processes are killed with the child. None for no such user.
            progress: becomes PROGRESS_FD of the child.

        Raises:
            OSError, subprocess.SubprocessError: it could not be started.
        """
        with contextlib.ExitStack() as files:
            if progress is not None:
                files.enter_context(_number_taken(PROGRESS_FD))
            outputs = [files.enter_context(os.fdopen(_open_output(path, uid), "ab")) for path in (stdout, stderr)]
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=outputs[0],
                stderr=outputs[1],
                pass_fds=() if progress is None else (PROGRESS_FD,),
                start_new_session=True,
                preexec_fn=functools.partial(_prepare, in_child, progress),
            )
        # From here on the process is ours alone; Popen must not wait for it too.
        process.returncode = 0
        return cls(process.pid, uid)

    async def wait(self, timeout_s: float) -> bool:
        """Waits for its end; tells whether it has ended."""
        if self.status is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._ended.wait()
        return self.status is not None

    def signal_all(self, number: signal.Signals) -> None:
        """Sends a signal to the whole process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def kill(self) -> None:
        """Ends it and everything it started; returns when it is gone. Idempotent."""
        self.signal_all(signal.SIGKILL)
        if self._uid is not None:
            kill_user(self._uid)
        await self._ended.wait()

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        _pid, self.status, usage = os.wait4(self.pid, 0)
        self.cpu_s = usage.ru_utime + usage.ru_stime
        awaited.discard(self.pid)
        self._ended.set()


def kill_user(uid: int) -> None:
    """Kills all processes of a user that is used for jobs only, wherever they hid. Repeats until none is left."""
    for _round in range(100):
        pids = processes_of(uid)
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def kill_left(folder: Path, *, and_who_is_there: bool = True) -> None:
    """Kills what jobs left running below a folder, as when their agent was killed. Repeats until none is left.

    They are known by their HOME.

    Args:
        and_who_is_there: so are those that are in one of its folders; while an agent works, these may be people.
    """
    for _round in range(100):
        pids = [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and _is_at(entry, folder, and_who_is_there)
        ]
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _is_at(process: Path, folder: Path, and_who_is_there: bool) -> bool:
    home = b"HOME=" + os.fsencode(folder) + b"/"
    try:
        if process.name == str(os.getpid()) or (process / "stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z":
            return False
        is_at_home = any(word.startswith(home) for word in (process / "environ").read_bytes().split(b"\0"))
        return is_at_home or (and_who_is_there and (process / "cwd").readlink().is_relative_to(folder))
    except OSError:
        return False


def processes_of(uid: int) -> list[int]:
    """The living processes of a user.

    The owner of a folder in /proc is not enough: that of a process that hides from debuggers is root's.
    """
    found = []
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if entry.stat().st_uid in {uid, 0} and _is_of(Path(entry.path), uid):
                        found.append(int(entry.name))
    return found


def _is_of(process: Path, uid: int) -> bool:
    said = _STATUS.search((process / "status").read_bytes())
    return said is not None and said[1] not in b"ZX" and uid in {int(said[2]), int(said[3])}


def _prepare(in_child: Callable[[], None], progress: int | None) -> None:
    try:
        if progress is not None:
            os.dup2(progress, PROGRESS_FD)
        in_child()
    except (OSError, ValueError) as failed:
        # All that reaches the parent is that something failed; what, stands in the job's own error output.
        os.write(2, f"not started: {failed}\n".encode())
        raise


@contextlib.contextmanager
def _number_taken(number: int) -> Iterator[None]:
    """Holds a file number while a child is started, lest Popen uses it for a pipe of its own."""
    try:
        os.fstat(number)
    except OSError:
        spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        if spare != number:
            os.dup2(spare, number, inheritable=False)
            os.close(spare)
        try:
            yield
        finally:
            os.close(number)
    else:
        yield


def _open_output(path: Path, uid: int | None) -> int:
    """A file of the job's folder, where the job may have put anything by that name when it ran before."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    number = os.open(path, flags, 0o644)
    try:
        about = os.fstat(number)
        # A second name may be that of a file that is not the job's to write, or to own.
        if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1:
            raise OSError(errno.EINVAL, "not a file of the job's own", str(path))
        if uid is not None:
            os.fchown(number, uid, uid)
        os.set_blocking(number, True)
    except OSError:
        os.close(number)
        raise
    return number
