"""Runs jobs: work directory, wrapper, confinement, limits, progress, archive.

    <root>/work/<job id>/     the job's files: input, `_wrapper_.sh`, `stdout`, `stderr`, `resources`, what it writes
    <root>/<job id>.tgz       its output, packed

The whole of the job is killed at its end. A job gets SOFTWARE_DIR (where the project's software is mounted),
VC_PROGRESS_FD, VC_PROGRESS_FILE, CVMFS_HTTP_PROXY (if there is one and it may use the network), and hardly anything
else, in its environment.
"""

import asyncio
import contextlib
import errno
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from client.copilot.checkpoint import JobRecord
from client.copilot.child import PROGRESS_FD, Child, kill_left, kill_user
from client.copilot.errors import NO_MEMORY, JobFailed
from client.copilot.last_lines import last_lines, last_printed
from client.copilot.memory import exceeds, is_kill, job_processes, kernel_kills
from client.copilot.pack import folder_size, pack_folder
from client.copilot.progress import ProgressPipe
from client.copilot.report import Progress
from client.copilot.runner import Outcome
from client.copilot.sandbox import Confinement, confine
from client.copilot.tail import LineListener, OutputTail
from client.copilot.token_file import VARIABLE, put_token, token_file

WRAPPER: Final = "_wrapper_.sh"
PROGRESS_FILE: Final = "progress.json"
_CHECK_INTERVAL_S: Final = 1.0
#: A look at the clock counts at most this much: a computer that was paused has not run the job.
_LONGEST_TICK_S: Final = 5.0
_MARGIN_BYTES: Final = 1024 * 1024
#: where a job may write besides its work directory; in a guest this is memory
_OPEN_TO_ALL: Final = ("/tmp", "/var/tmp", "/dev/shm")
#: names that the shell takes as they are
_PACKAGE: Final = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9_.,:/+-]{0,254}")


@dataclass(frozen=True)
class RunnerSettings:
    """How jobs are run here.

    Attributes:
        root: existing folder for work directories and archives.
        job_uid: user of the jobs and of nothing else, since all of its processes are killed after each job; None for
            the agent's own user, without namespaces.
        network: whether jobs may use the network.
        time_limit_s: of running time; a job's own shorter limit counts if it has one.
        share: of the processors' time that this computer gets now, above 0 and at most 1: an hour in which a job has
            a tenth of it counts as six minutes.
        output_limit_bytes: most that a work directory, input included, and the archive may hold.
        software_dir: where the project's software is.
        cvmfs_proxy: URL of a proxy for CVMFS, told to jobs that may use the network; empty: there is none.
    """

    root: Path
    job_uid: int | None = None
    network: bool = False
    time_limit_s: float = 3600.0
    output_limit_bytes: int = 100 * 1024 * 1024
    memory_limit_mib: int = 0
    software_dir: Path = Path("/software")
    cvmfs_proxy: str = ""
    share: Callable[[], float] = lambda: 1.0


class LocalRunner:
    """JobRunner on this computer."""

    def __init__(self, settings: RunnerSettings) -> None:
        self._settings = settings
        self._work_root = settings.root / "work"
        self._child: Child | None = None
        self._cleaned = False
        self._tidying = asyncio.Lock()
        self._alone = False
        self._all_killed = False
        self._confine = confine(
            Confinement(
                uid=settings.job_uid,
                network=settings.network,
                # A little more than the limit, so that the end at it is seen as such.
                file_limit_bytes=settings.output_limit_bytes + _MARGIN_BYTES,
                memory_limit_mib=settings.memory_limit_mib,
            )
        )

    @property
    def input_limit_bytes(self) -> int:
        """See JobRunner."""
        return self._settings.output_limit_bytes

    def work_dir(self, job_id: str) -> Path:
        """See JobRunner."""
        return self._work_root / job_id

    async def prepare(self, job_id: str) -> Path:
        """See JobRunner."""
        await self._be_alone()
        async with self._tidying:
            if not self._cleaned:
                await self._clean()
            self._cleaned = False
        folder = self.work_dir(job_id)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    async def execute(
        self, record: JobRecord, on_progress: Callable[[Progress], None], on_output: LineListener | None = None
    ) -> Outcome:
        """See JobRunner."""
        await self._be_alone()
        folder = self.work_dir(record.job.id)
        try:
            self._furnish(folder, record)
        except OSError as failed:
            raise JobFailed(record.job.id, _cause(failed, "start"), str(failed)) from failed
        # The shell outlives a request to end, so that what it waits for has the time to save itself.
        command = f"trap : TERM; cd {shlex.quote(str(folder))} && . ./{WRAPPER}"
        pipe = ProgressPipe(on_progress, folder / PROGRESS_FILE)
        tail = OutputTail(folder / "stdout", on_output) if on_output is not None else None
        if tail is not None:
            tail.start()
        try:
            return await self._run(record, command, ("stdout", "stderr"), pipe)
        finally:
            try:
                await pipe.close()
            finally:
                if tail is not None:
                    await tail.close()

    async def validate(self, record: JobRecord) -> int:
        """See JobRunner."""
        await self._be_alone()
        self._take_over(self.work_dir(record.job.id))
        folder = shlex.quote(str(self.work_dir(record.job.id)))
        script = record.job.validation_script
        command = f"cd {folder} && chmod a+x {script} && ./{script}"
        outcome = await self._run(record, command, ("validate_stdout", "validate_stderr"), None)
        return outcome.status

    async def terminate(self, grace_s: float) -> None:
        """See JobRunner."""
        child = self._child
        if child is not None:
            child.signal_all(signal.SIGTERM)
            if not await child.wait(grace_s):
                await child.kill()

    async def pack(self, record: JobRecord) -> Path:
        """See JobRunner."""
        await self._be_alone()
        job_id = record.job.id
        archive = self._settings.root / f"{job_id}.tgz"
        try:
            size = await self._pack(self.work_dir(job_id), archive)
        except OSError as failed:
            raise JobFailed(job_id, _cause(failed, "upload"), str(failed)) from failed
        if size > self._settings.output_limit_bytes:
            raise JobFailed(job_id, "output-limit", f"archive of {size} bytes")
        return archive

    async def _pack(self, folder: Path, archive: Path) -> int:
        stop = threading.Event()
        thread = asyncio.ensure_future(asyncio.to_thread(pack_folder, folder, archive, stop))
        try:
            return await asyncio.shield(thread)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([thread])
            # Whatever it ended with is of no interest any more.
            thread.exception()
            raise

    async def last_printed(self, job_id: str) -> str:
        """See JobRunner."""
        return await asyncio.to_thread(last_printed, self.work_dir(job_id))

    async def clean(self) -> None:
        """See JobRunner."""
        async with self._tidying:
            await self._clean()

    async def _clean(self) -> None:
        put_token(self._settings.root, "", None)
        await asyncio.to_thread(self._remove_all)
        self._cleaned = True

    async def _be_alone(self) -> None:
        """An agent that was killed may have left its job running, in the folder that is taken up now."""
        if not self._alone and self._work_root.exists():
            await asyncio.to_thread(kill_left, self._work_root)
        self._alone = True

    def keep_pilot_token(self, token: str) -> None:
        """See JobRunner."""
        put_token(self._settings.root, token, self._settings.job_uid)

    def _remove_all(self) -> None:
        if self._settings.job_uid is not None and not self._all_killed:
            kill_user(self._settings.job_uid)
        shutil.rmtree(self._work_root, ignore_errors=True)
        for archive in self._settings.root.glob("*.tgz*"):
            archive.unlink(missing_ok=True)
        if self._settings.job_uid is not None:
            for place in _OPEN_TO_ALL:
                _remove_of_user(place, self._settings.job_uid)

    def _furnish(self, folder: Path, record: JobRecord) -> None:
        """Wrapper and empty output files; all of it belongs to the job's user."""
        if not folder.is_dir():
            raise FileNotFoundError(errno.ENOENT, "the work directory is gone", str(folder))
        text = build_wrapper(record, folder).encode("utf-8", "surrogateescape")
        wrapper = folder / WRAPPER
        wrapper.unlink(missing_ok=True)
        wrapper.write_bytes(text)
        wrapper.chmod(0o755)
        # Only to be there, as with the original; a link that the job left in its place leads nowhere.
        with contextlib.suppress(FileExistsError):
            (folder / "resources").open("xb").close()
        if self._settings.job_uid is not None:
            _give(folder, self._settings.job_uid)

    def _take_over(self, folder: Path) -> None:
        """A native agent that was started anew has another user for its jobs."""
        uid = self._settings.job_uid
        if uid is not None and folder.exists() and folder.stat().st_uid != uid:
            _give(folder, uid)

    def _environment(self, folder: Path) -> dict[str, str]:
        software = str(self._settings.software_dir)
        proxy = self._settings.cvmfs_proxy
        return {
            "PATH": f"{software}/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "SOFTWARE_DIR": software,
            **({"CVMFS_HTTP_PROXY": proxy} if proxy and self._settings.network else {}),
        }

    async def _run(
        self, record: JobRecord, command: str, outputs: tuple[str, str], pipe: ProgressPipe | None
    ) -> Outcome:
        folder = self.work_dir(record.job.id)
        environment = self._environment(folder)
        self._all_killed = False
        if record.job.pilot_service:
            environment[VARIABLE] = str(token_file(self._settings.root))
        if pipe is not None:
            environment["VC_PROGRESS_FD"] = str(PROGRESS_FD)
            environment["VC_PROGRESS_FILE"] = str(folder / PROGRESS_FILE)
        try:
            child = self._child = Child.start(
                ["/bin/sh", "-c", command],
                folder=folder,
                environment=environment,
                stdout=folder / outputs[0],
                stderr=folder / outputs[1],
                in_child=self._confine,
                uid=self._settings.job_uid,
                progress=pipe.write_end if pipe else None,
            )
        except (OSError, subprocess.SubprocessError) as failed:
            said = "".join(last_lines(folder / outputs[1])[-1:])
            raise JobFailed(record.job.id, "start", f"{failed} {said}".strip()) from failed
        if pipe is not None:
            pipe.start()
        kills = kernel_kills()
        try:
            elapsed_s = await self._watch(child, record)
        finally:
            await asyncio.shield(self._kill(child))
            self._child = None
        if is_kill(child.status or 0) and kernel_kills() > kills:
            raise JobFailed(record.job.id, "memory-limit", NO_MEMORY)
        await asyncio.to_thread(self._check_size, record)
        return Outcome(child.status or 0, child.cpu_s, elapsed_s)

    async def _kill(self, child: Child) -> None:
        await child.kill()
        self._all_killed = True
        if self._settings.job_uid is None:
            # What hides in a session of its own is not known by its user here, but by where it belongs.
            await asyncio.to_thread(kill_left, self._work_root, and_who_is_there=False)

    async def _watch(self, child: Child, record: JobRecord) -> float:
        """Waits for the end within the limits; returns the running time, as with the processor for itself."""
        loop = asyncio.get_running_loop()
        limit_s = min(self._settings.time_limit_s, record.job.time_limit_s or self._settings.time_limit_s)
        elapsed_s, seen_at = 0.0, loop.time()
        while True:
            ended = await child.wait(_CHECK_INTERVAL_S)
            now = loop.time()
            elapsed_s += min(_LONGEST_TICK_S, now - seen_at) * self._settings.share()
            seen_at = now
            if ended:
                return elapsed_s
            if record.elapsed_s + elapsed_s > limit_s:
                raise JobFailed(record.job.id, "time-limit", f"still running after {limit_s:.0f} s")
            await asyncio.to_thread(self._check_size, record)
            await asyncio.to_thread(self._check_memory, record, child.pid)

    def _check_memory(self, record: JobRecord, session: int) -> None:
        limit_mib = self._settings.memory_limit_mib
        if limit_mib and exceeds(job_processes(session, self._settings.job_uid), limit_mib * 1024 * 1024):
            raise JobFailed(record.job.id, "memory-limit", f"its processes have more than {limit_mib} MiB together")

    def _check_size(self, record: JobRecord) -> None:
        limit = self._settings.output_limit_bytes
        if folder_size(self.work_dir(record.job.id), limit + 1) > limit:
            raise JobFailed(record.job.id, "output-limit", f"more than {limit} bytes in its folder")


def build_wrapper(record: JobRecord, folder: Path) -> str:
    """The shell script that sets the environment and runs the command; `environment` and `arguments` are shell text."""
    job = record.job
    return (
        "#!/bin/sh\n"
        + "".join(_package_lines(name) for name in package_names(job.packages))
        + "# Environment variables needed by the job\n"
        f"{job.environment}\n\n"
        "# Job command execution\n"
        f"cd {shlex.quote(str(folder))}\n"
        f"chmod a+x {job.command}\n"
        f"./{job.command} {job.arguments}\n"
    )


def package_names(packages: str) -> list[str]:
    """Packages as `alienv` is asked for them: `VO_ALICE@AliRoot::v4-16` is AliRoot/v4-16. Other text is left out."""
    names = [word.rpartition("@")[2] or word for word in packages.split()]
    return [name.replace("::", "/", 1) for name in names if _PACKAGE.fullmatch(name)]


def _package_lines(name: str) -> str:
    # The job's own shell asks, so that whatever `alienv` prints is confined as the job is.
    return (
        f"# Environment variables for {name}\n"
        "if command -v alienv >/dev/null 2>&1; then\n"
        f'  eval "$(alienv print {name})"\n'
        "else\n"
        f"  echo 'package {name} is not set up: there is no alienv here' >&2\n"
        "fi\n\n"
    )


def _give(folder: Path, uid: int) -> None:
    """All of a work directory to a user, but for a second name of a file that was never of the job's user before."""
    before = folder.stat().st_uid
    for top, folders, files in os.walk(folder):
        for name in [top, *(f"{top}/{entry}" for entry in (*folders, *files))]:
            about = os.lstat(name)
            if stat.S_ISDIR(about.st_mode) or about.st_nlink == 1 or about.st_uid == before:
                os.chown(name, uid, uid, follow_symlinks=False)


def _remove_of_user(place: str, uid: int) -> None:
    """What a user who is no more has left in a folder of all."""
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.stat(follow_symlinks=False).st_uid != uid:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    Path(entry.path).unlink()


def _cause(failed: OSError, otherwise: str) -> str:
    return "disk-full" if failed.errno in {errno.ENOSPC, errno.EDQUOT} else otherwise
