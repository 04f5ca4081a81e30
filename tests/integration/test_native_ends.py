"""The native agent as a process of its own: killed in each of its states, and asked to end."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from client.copilot.messages import GetJob, GetJobOutputDir, JobDescription, RunJob, WantGetJob, WantGetJobOutputDir
from tests.helpers.program import MAIN, TOP
from tests.helpers.servers import Chirp, Xmpp, xmpp_server
from tests.helpers.small_manager import SmallManager

pytestmark = pytest.mark.integration

LIMIT_S = 120
STATES = ("getting input", "executing", "validating", "wanting output place", "putting output")
#: waits for leave to go on, and counts its starts
SCRIPT = """#!/bin/sh
echo start >> starts
trap 'echo saved > checkpoint; exit 0' TERM
until [ -e {root}/go ]; do sleep 0.05; done
"""


@pytest.fixture
def xmpp() -> Iterator[Xmpp]:
    with xmpp_server("agent", "jm", modules=("smacks", "volunteer_cloud_resumption")) as server:
        yield server


class HoldingManager(SmallManager):
    """Holds the job of a native agent in one state until `let_go`; its one job has a validation script."""

    def __init__(self, xmpp: Xmpp, chirp: Chirp, root: Path, state: str) -> None:
        super().__init__(xmpp, chirp, SCRIPT.format(root=root), 1)
        self.state = state
        self.root = root
        self.free = False
        self.wanted = 0
        check = f"#!/bin/sh\nuntil [ -e {root}/go-validation ]; do sleep 0.05; done\n"
        (chirp.root / "input" / "check.sh").write_text(check)

    def answers(self, command: Any) -> list[Any]:
        held = "" if self.free else self.state
        self.wanted += isinstance(command, WantGetJob)
        if isinstance(command, GetJob) and self.left:
            self.left -= 1
            files = ("run.sh", "check.sh")
            if held == "getting input":
                self.hold_files(True)
            description = JobDescription(
                "job-1", self.chirp.address, "input", files, "run.sh", validation_script="check.sh"
            )
            return [RunJob(description, {}, 60, "lease-1")]
        if isinstance(command, WantGetJobOutputDir) and held == "wanting output place":
            return []
        if isinstance(command, GetJobOutputDir) and held == "putting output":
            self.hold_files(True)
        return super().answers(command)

    def hold_files(self, hold: bool) -> None:
        process = self.chirp.server._process
        assert process is not None
        os.killpg(process.pid, signal.SIGSTOP if hold else signal.SIGCONT)

    def prepare(self) -> None:
        """The states before the one that it is held in go by."""
        order = STATES.index(self.state)
        if order > STATES.index("executing"):
            (self.root / "go").touch()
        if order > STATES.index("validating"):
            (self.root / "go-validation").touch()

    def let_go(self) -> None:
        self.free = True
        self.hold_files(False)
        for name in ("go", "go-validation"):
            (self.root / name).touch()


@asynccontextmanager
async def holding(xmpp: Xmpp, chirp: Chirp, root: Path, state: str) -> AsyncIterator[HoldingManager]:
    manager = HoldingManager(xmpp, chirp, root, state)
    manager.prepare()
    await manager.transport.connect(60)
    try:
        yield manager
    finally:
        manager.hold_files(False)
        await manager.transport.close()


@pytest.fixture
def start(xmpp: Xmpp, root: Path) -> Iterator[Any]:
    """Starts the agent; whatever is left of it ends with the test."""
    settings = root.parent / f"{root.name}.json"
    agent = {"jid": "agent@localhost", "password": "pw", "host": "127.0.0.1", "port": xmpp.port}
    agent |= {"ca_pem": xmpp.ca_pem, "job_manager": "jm@localhost"}
    settings.write_text(json.dumps({"root": str(root), "agent": agent}))
    started: list[subprocess.Popen[bytes]] = []

    def begin(*words: str) -> "subprocess.Popen[bytes]":
        started.append(subprocess.Popen([*MAIN, "agent", str(settings), *words], cwd=TOP, stderr=sys.stderr))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()
    settings.unlink()


def state_in(root: Path) -> str:
    try:
        return str(json.loads((root / "job.json").read_text())["state"])
    except OSError:
        return ""


def processes_at(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink().is_relative_to(folder):
                    found.append((entry / "cmdline").read_text())
    return found


async def reach(root: Path, state: str) -> None:
    async with asyncio.timeout(LIMIT_S):
        while state_in(root) != state:
            await asyncio.sleep(0.02)


async def ended(process: "subprocess.Popen[bytes]") -> int:
    async with asyncio.timeout(LIMIT_S):
        while process.poll() is None:
            await asyncio.sleep(0.02)
    return int(process.returncode)


@pytest.mark.parametrize("state", STATES)
async def test_a_job_is_taken_up_again_after_a_kill_in_any_state(
    xmpp: Xmpp, chirp: Chirp, root: Path, start: Any, state: str
) -> None:
    async with holding(xmpp, chirp, root, state) as manager:
        first = start("--jobs", "1")
        await reach(root, state)
        first.kill()
        await ended(first)
        assert manager.done == []
        manager.let_go()
        assert await ended(start("--jobs", "1")) == 0
        assert [(done.job_id, done.exit_code, done.validate_exit_code) for done in manager.done] == [("job-1", 0, 0)]
        assert manager.claims >= 1
        # Whatever ran when the agent was killed is not running beside its second start.
        assert processes_at(root) == []
        assert not (root / "job.json").exists()


async def test_one_signal_ends_the_agent_after_its_job(xmpp: Xmpp, chirp: Chirp, root: Path, start: Any) -> None:
    async with holding(xmpp, chirp, root, "executing") as manager:
        agent = start()
        await reach(root, "executing")
        agent.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
        assert agent.poll() is None
        manager.let_go()
        assert await ended(agent) == 0
        assert [done.job_id for done in manager.done] == ["job-1"]


async def test_two_signals_keep_the_job_for_the_next_start(xmpp: Xmpp, chirp: Chirp, root: Path, start: Any) -> None:
    async with holding(xmpp, chirp, root, "executing") as manager:
        agent = start()
        folder = root / "work" / "job-1"
        async with asyncio.timeout(LIMIT_S):
            while not (folder / "starts").exists():
                await asyncio.sleep(0.02)
        agent.send_signal(signal.SIGTERM)
        agent.send_signal(signal.SIGINT)
        assert await ended(agent) == 0
        assert (manager.done, state_in(root)) == ([], "executing")
        assert (folder / "checkpoint").read_text() == "saved\n"
        manager.let_go()
        assert await ended(start("--jobs", "1")) == 0
        assert [done.job_id for done in manager.done] == ["job-1"]


async def test_without_a_job_one_signal_is_enough(xmpp: Xmpp, chirp: Chirp, root: Path, start: Any) -> None:
    async with holding(xmpp, chirp, root, "executing") as manager:
        manager.left = 0
        agent = start("--verbose")
        async with asyncio.timeout(LIMIT_S):
            while not manager.wanted:
                await asyncio.sleep(0.02)
        agent.send_signal(signal.SIGTERM)
        assert await ended(agent) == 0
