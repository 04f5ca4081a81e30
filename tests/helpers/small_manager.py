"""Managers in a few lines, over the real transport: they hand out one script and say yes to every output."""

import itertools
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from client.copilot.messages import (
    ClaimJob,
    ExtendLease,
    GetJob,
    GetJobOutputDir,
    HaveGetJob,
    HaveGetJobOutputDir,
    JobClaimed,
    JobDescription,
    JobDone,
    JobFailedReport,
    JobVerdict,
    LeaseExtended,
    RunJob,
    StoreJobOutputDir,
    WantGetJob,
    WantGetJobOutputDir,
    build_info,
    parse_info,
)
from client.copilot.transport import Account, Incoming, XmppTransport
from tests.helpers.servers import NOBODY, Chirp, Xmpp


class SmallManager:
    """Hands out the same script as many times as it is told, and says yes to every output."""

    def __init__(self, xmpp: Xmpp, chirp: Chirp, script: str, jobs: int) -> None:
        self.chirp = chirp
        self.left = jobs
        self.done: list[JobDone] = []
        self.failed: list[JobFailedReport] = []
        self.claims = 0
        self.described = ""
        self.wanted_at = 0.0
        self.latencies_ms: list[float] = []
        self._ids = itertools.count(1)
        account = Account("jm@localhost", "pw", "127.0.0.1", xmpp.port, xmpp.ca_pem, "jobs-1")
        self.transport = XmppTransport(account, self.on_info, resend=False)
        self.make_folder("input")
        (chirp.root / "input" / "run.sh").write_text(script)

    def make_folder(self, name: str) -> None:
        folder = self.chirp.root / name
        folder.mkdir(exist_ok=True)
        (folder / ".__acl").write_text("address:* rwl\n")
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)

    async def on_info(self, incoming: Incoming) -> None:
        command: Any = parse_info(incoming.info)
        for answer in self.answers(command):
            await self.transport.send(incoming.sender, build_info(answer))

    def answers(self, command: Any) -> list[Any]:
        match command:
            case WantGetJob() if self.left:
                self.wanted_at = time.perf_counter()
                return [HaveGetJob()]
            case GetJob() if self.left:
                self.left -= 1
                self.described = command.jdl
                self.latencies_ms.append((time.perf_counter() - self.wanted_at) * 1000)
                job_id = f"job-{next(self._ids)}"
                return [RunJob(JobDescription(job_id, self.chirp.address, "input", ("run.sh",), "run.sh"), {}, 60, "l")]
            case WantGetJobOutputDir():
                return [HaveGetJobOutputDir()]
            case GetJobOutputDir():
                self.make_folder(command.job_id)
                return [StoreJobOutputDir(command.job_id, command.job_id, self.chirp.address)]
            case ExtendLease():
                return [LeaseExtended(command.job_id, 60)]
            case ClaimJob():
                self.claims += 1
                return [JobClaimed(command.job_id, 60, "l2")]
            case JobDone():
                self.done.append(command)
                return [JobVerdict(command.job_id, True)]
            case JobFailedReport():
                self.failed.append(command)
        return []


@asynccontextmanager
async def managed(xmpp: Xmpp, chirp: Chirp, script: str, jobs: int) -> AsyncIterator[SmallManager]:
    manager = SmallManager(xmpp, chirp, script, jobs)
    await manager.transport.connect(60)
    try:
        yield manager
    finally:
        await manager.transport.close()
