"""Fakes of what surrounds the agent: managers behind a messenger, file servers, runner, report."""

import asyncio
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.copilot.checkpoint import JobRecord
from client.copilot.errors import JobFailed, TransferFailed
from client.copilot.messages import (
    ClaimJob,
    Command,
    ExtendLease,
    GetJob,
    GetJobOutputDir,
    HaveGetJob,
    HaveGetJobOutputDir,
    Info,
    JobClaimed,
    JobDescription,
    JobDone,
    JobVerdict,
    LeaseExtended,
    RunJob,
    StoreJobOutputDir,
    WantGetJob,
    WantGetJobOutputDir,
    build_info,
    parse_info,
)
from client.copilot.report import Progress
from client.copilot.runner import Outcome
from client.copilot.tail import LineListener

MANAGER = "jm@localhost"
JOBS = f"{MANAGER}/jobs-1"
STORAGE = f"{MANAGER}/storage-1"


@dataclass(frozen=True)
class FakeIncoming:
    sender: str
    info: Info
    message_id: str = "m"


def describe(job_id: str = "job-1", **more: Any) -> JobDescription:
    given = {"chirp_url": "files:9094", "input_dir": job_id, "input_files": ("run.sh",), "command": "run.sh", **more}
    return JobDescription(job_id, **given)


class FakeManagers:
    """A messenger with well-behaved managers behind it. Put entries in `answers` to have them misbehave.

    Attributes:
        jobs: descriptions still to be handed out.
        heard: (receiver, command) in order of sending.
        answers: kind of command -> function that replaces the usual answer; it gives a list of (sender, command).
        confirms: whether what they hear now is confirmed; what is not yet, is when it is set.
    """

    def __init__(self, *jobs: JobDescription, lease_s: int | None = 30, verdicts: bool = True) -> None:
        self.jobs = list(jobs)
        self.heard: list[tuple[str, Command]] = []
        self.heard_at: list[float] = []
        self.answers: dict[type[Any], Callable[[str, Any], list[tuple[str, Command]]]] = {}
        self.connected = True
        self.forgotten: list[str] = []
        self.confirms = asyncio.Event()
        self.confirms.set()
        self.resets = 0
        self.lease_s = lease_s
        self.verdicts = verdicts
        self.on_info: Callable[[Any], Any] | None = None
        self._ids = itertools.count(1)
        self._tasks: set[asyncio.Task[Any]] = set()

    def commands(self, kind: type[Any]) -> list[Any]:
        return [command for _, command in self.heard if isinstance(command, kind)]

    async def send(self, to: str, info: Info, *, noack: bool = False) -> str:
        command = parse_info(info)
        assert command is not None, info
        self.heard.append((to, command))
        self.heard_at.append(asyncio.get_running_loop().time())
        answer = self.answers.get(type(command), self.usual)
        for sender, said in answer(to, command):
            self.say(sender, said)
        return f"id-{next(self._ids)}"

    def say(self, sender: str, command: Command) -> None:
        assert self.on_info is not None
        task = asyncio.create_task(self.on_info(FakeIncoming(sender, build_info(command))))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self, message_id: str) -> None:
        self.forgotten.append(message_id)

    async def drained(self) -> None:
        await self.confirms.wait()

    async def confirmed(self, message_id: str) -> None:
        await self.confirms.wait()

    def reset(self) -> None:
        self.resets += 1

    def usual(self, to: str, command: Any) -> list[tuple[str, Command]]:
        match command:
            case WantGetJob():
                return [(JOBS, HaveGetJob())] if self.jobs else []
            case GetJob():
                return [(JOBS, self.hand_out())] if self.jobs else []
            case WantGetJobOutputDir():
                return [(STORAGE, HaveGetJobOutputDir())]
            case GetJobOutputDir():
                return [(STORAGE, StoreJobOutputDir(command.job_id, command.job_id, "files:9094"))]
            case JobDone() if self.verdicts and self.lease_s:
                return [(STORAGE, JobVerdict(command.job_id, True))]
            case ExtendLease():
                return [(JOBS, LeaseExtended(command.job_id, self.lease_s or 1))]
            case ClaimJob():
                return [(JOBS, JobClaimed(command.job_id, self.lease_s or 1, "lease-2"))]
        return []

    def hand_out(self) -> RunJob:
        job = self.jobs.pop(0)
        if self.lease_s is None:
            return RunJob(job, {"startedAt": "1"})
        return RunJob(job, {"startedAt": "1"}, self.lease_s, "lease-1")


@dataclass
class FakeFiles:
    """Files in memory. `failures`: how often each path fails before it works; a negative number: for ever, for good."""

    stored: dict[str, bytes] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    closed: bool = False

    def _trouble(self, server: str, path: str) -> None:
        left = self.failures.get(path, 0)
        if left:
            self.failures[path] = left - 1
            raise TransferFailed(server, path, "no luck", permanent=left < 0)

    async def get(self, server: str, path: str, local: Path, *, limit_bytes: int) -> int:
        self._trouble(server, path)
        local.write_bytes(self.stored.get(path, b"#!/bin/sh\n"))
        return local.stat().st_size

    async def put(self, server: str, path: str, local: Path) -> int:
        self._trouble(server, path)
        self.stored[path] = local.read_bytes()
        return len(self.stored[path])

    async def close(self) -> None:
        self.closed = True


@dataclass
class FakeWeb:
    """An HTTPS server in memory. `failures`: as of FakeFiles, by address."""

    stored: dict[str, bytes] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    headers: list[tuple[tuple[str, str], ...]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    closed: bool = False

    def _trouble(self, url: str) -> None:
        self.asked.append(url)
        left = self.failures.get(url, 0)
        if left:
            self.failures[url] = left - 1
            raise TransferFailed("https", url, "no luck", permanent=left < 0)

    async def get(self, url: str, name: str, local: Path, *, limit_bytes: int) -> int:
        self._trouble(f"{url}/{name}")
        local.write_bytes(self.stored.get(f"{url}/{name}", b"#!/bin/sh\n"))
        return local.stat().st_size

    async def put(self, url: str, headers: Iterable[tuple[str, str]], local: Path) -> int:
        self._trouble(url)
        self.headers.append(tuple(headers))
        self.stored[url] = local.read_bytes()
        return len(self.stored[url])

    async def close(self) -> None:
        self.closed = True


class FakeRunner:
    """Takes `runs_s` seconds of the loop's time for a job, then gives `status`, or raises `fails`."""

    def __init__(self, root: Path, runs_s: float = 1.0, status: int = 0) -> None:
        self.root = root
        self.runs_s = runs_s
        self.status = status
        self.validation_status = 256
        self.fails: JobFailed | None = None
        self.executed: list[str] = []
        self.cleaned = 0
        self.terminated = asyncio.Event()

    input_limit_bytes = 1_000_000

    def work_dir(self, job_id: str) -> Path:
        return self.root / "work" / job_id

    async def prepare(self, job_id: str) -> Path:
        self.work_dir(job_id).mkdir(parents=True, exist_ok=True)
        return self.work_dir(job_id)

    async def execute(
        self, record: JobRecord, on_progress: Callable[[Progress], None], on_output: LineListener | None = None
    ) -> Outcome:
        self.executed.append(record.job.id)
        on_progress(Progress(1, 2, "events"))
        if on_output is not None:
            on_output(["begun"], 0)
        try:
            await asyncio.wait_for(self.terminated.wait(), self.runs_s)
        except TimeoutError:
            if self.fails:
                raise self.fails from None
            return Outcome(self.status, 0.5, self.runs_s)
        return Outcome(15, 0.1, 0.1)

    async def validate(self, record: JobRecord) -> int:
        return self.validation_status

    async def terminate(self, grace_s: float) -> None:
        self.terminated.set()

    async def pack(self, record: JobRecord) -> Path:
        archive = self.root / f"{record.job.id}.tgz"
        archive.write_bytes(b"archive")
        return archive

    async def last_printed(self, job_id: str) -> str:
        return "begun"

    async def clean(self) -> None:
        self.cleaned += 1


class FakeReport:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, str]] = []
        self.details: list[dict[str, Any]] = []
        self.lines: list[str] = []
        self.verdicts: list[tuple[str, bool, str]] = []
        self.sessions: list[bool] = []
        self.printed: list[tuple[str, list[str], int]] = []

    def output(self, job_id: str, lines: list[str], left_out: int) -> None:
        self.printed.append((job_id, lines, left_out))

    def job(self, job_id: str, state: str, **more: Any) -> None:
        self.jobs.append((job_id, state))
        self.details.append(more)

    def log(self, source: str, level: str, text: str) -> None:
        self.lines.append(text)

    def xmpp(self, connected: bool) -> None:
        self.sessions.append(connected)

    def verdict(self, job_id: str, accepted: bool, reason: str) -> None:
        self.verdicts.append((job_id, accepted, reason))
