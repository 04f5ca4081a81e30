"""The play: a real site, agents as processes, many small jobs, and a hand that kills any of them at any moment.

What happens is drawn from a seed; when it happens is the machine's affair, so that two plays of one seed are alike and
not the same. At the end the queue and the results on the disk are compared, job by job.
"""

import asyncio
import collections
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from client.copilot.managers.config import Config
from client.copilot.queue.errors import QueueError
from client.copilot.queue.open import open_queue
from client.copilot.queue.queue import Job, JobQueue, JobState, Replication
from client.project.definition import load_project
from client.project.enrolment import fetch_guest_token
from client.service import site_child
from client.service.operator import JobOrder, submit
from client.service.site import Site
from client.service.site_files import SiteTerms
from tests.helpers.program import APPLIANCE

_TOP: Final = Path(__file__).resolve().parents[2]
#: up to a second, so that some are killed in the middle
_SCRIPT: Final = "#!/bin/sh\nsleep 0.$(($1 % 10))\necho $1 > out.txt\n"
_LOOK_S: Final = 0.5
#: how long what was killed last has to start again
_REST_S: Final = 30.0


@dataclass(frozen=True)
class Plan:
    """What is played.

    Attributes:
        kill_every_s: mean time between two kills.
        lose_disk: part of the agents' deaths in which their disk is lost too.
        limit_s: a play that has not ended then has failed.
    """

    seed: int
    jobs: int
    agents: int
    managers: int = 2
    queue: str = "sqlite"
    kill_every_s: float = 1.5
    lose_disk: float = 0.25
    lease_s: int = 8
    limit_s: float = 600


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        faults: sentences on jobs that are not as they must be; empty when all is well.
        kills: how often each kind of part was killed.
    """

    done: int = 0
    dead: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)
    kills: collections.Counter[str] = field(default_factory=collections.Counter)

    def __str__(self) -> str:
        killed = ", ".join(f"{name} {number}" for name, number in sorted(self.kills.items()))
        return f"{self.done} done, {self.dead} dead letters in {self.seconds:.0f} s; killed: {killed}"


class _Agent:
    """A native agent, started again whenever it has ended."""

    def __init__(self, number: int, folder: Path, site: Site, chance: random.Random, lose_disk: float) -> None:
        self._folder = folder / f"agent-{number}"
        self._settings = self._folder / "settings.json"
        self._root = self._folder / "root"
        self._site = site
        self._chance = chance
        self._lose_disk = lose_disk
        self._process: asyncio.subprocess.Process | None = None
        self._folder.mkdir()

    async def keep(self) -> None:
        """Start it again and again; to be cancelled, then it is killed."""
        try:
            while True:
                self._root.mkdir(exist_ok=True)
                with (self._folder / "log").open("ab") as log:
                    words = (str(_TOP / "main.py"), "agent", str(self._settings))
                    self._process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=log, stderr=log)
                await self._process.wait()
                if self._chance.random() < self._lose_disk:
                    shutil.rmtree(self._root)
        finally:
            self.kill()
            if self._process is not None:
                await self._process.wait()

    async def enrol(self) -> None:
        """Get its account, which is good for longer than the play."""
        project = load_project(self._site.folder.project)
        token = await asyncio.to_thread(fetch_guest_token, project, self._folder.name)
        agent = {"jid": token.jid, "password": token.password, "host": project.xmpp_host, "port": project.xmpp_port}
        agent |= {"ca_pem": project.ca_pem, "job_manager": project.job_manager}
        self._settings.write_text(json.dumps({"root": str(self._root), "agent": agent}))

    def kill(self) -> bool:
        """Kill it; whether there was anything to be killed."""
        if self._process is None or self._process.returncode is not None:
            return False
        self._process.kill()
        return True


async def play(plan: Plan) -> Outcome:
    """Play to the end. Where something was lost, all files stay, and a fault names their folder."""
    folder = Path(tempfile.mkdtemp(prefix="vc-chaos-", dir="/tmp"))
    # Jobs run as other users, who must reach their work directories.
    folder.chmod(0o755)
    outcome = await _play(plan, folder)
    if outcome.faults:
        outcome.faults.insert(0, f"looked for in {folder}")
    else:
        shutil.rmtree(folder)
    return outcome


async def _play(plan: Plan, folder: Path) -> Outcome:
    outcome = Outcome()
    began = time.monotonic()
    # What dies every few seconds here dies once a year elsewhere, and need not be spared.
    with patch.object(site_child, "_LONGEST_PAUSE_S", 1.0):
        async with _running(plan, folder) as site:
            ids = await asyncio.to_thread(_submit, plan, site.folder.base)
            chance = random.Random(plan.seed)
            agents = [_Agent(number, folder, site, chance, plan.lose_disk) for number in range(plan.agents)]
            await asyncio.gather(*(agent.enrol() for agent in agents))
            duties = [*(agent.keep() for agent in agents), _kill(plan, chance, site, agents, outcome)]
            async with _together(duties):
                if not await _all_ended(site, len(ids), plan.limit_s):
                    outcome.faults.append(f"not at its end after {plan.limit_s:.0f} s")
            outcome.seconds = time.monotonic() - began
            await _compare(site, ids, outcome)
    return outcome


@contextlib.asynccontextmanager
async def _running(plan: Plan, folder: Path) -> AsyncIterator[Site]:
    terms = SiteTerms(lease_s=plan.lease_s, silent_lease_s=60, max_attempts=12)
    site = Site(folder / "site", APPLIANCE, terms=terms, wishes={"queue": plan.queue, "managers": plan.managers})
    await site.up()
    watching = asyncio.create_task(site.watch())
    try:
        yield site
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await site.down()


def _submit(plan: Plan, site: Path) -> list[str]:
    script = site.parent / "run.sh"
    script.write_text(_SCRIPT)
    order = JobOrder("run.sh", [script], "{n}", number=plan.jobs - plan.jobs // 10, time_limit_s=60)
    # Of every tenth two results have to agree. Their numbers begin anew, and a result is checked against its own.
    agreed = replace(order, number=plan.jobs // 10, replication=Replication(2, 2))
    return submit(site, order, agreed)


async def _kill(plan: Plan, chance: random.Random, site: Site, agents: list[_Agent], outcome: Outcome) -> None:
    """Kill one part after the other, whatever it does just now."""
    while True:
        await asyncio.sleep(chance.expovariate(1 / plan.kill_every_s))
        names = sorted(name for name, child in site.children.items() if child.pid is not None)
        victim = chance.choice([*names, *["agent"] * max(1, len(names))])
        if victim == "agent":
            outcome.kills["agent"] += chance.choice(agents).kill()
            continue
        pid = site.children[victim].pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                outcome.kills[victim] += 1


@contextlib.asynccontextmanager
async def _together(duties: list[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Duties that go on for ever while something else is done; one that broke down is told of."""
    tasks = [asyncio.create_task(duty) for duty in duties]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    broken = [error for error in ended if not isinstance(error, asyncio.CancelledError)]
    assert not broken, broken


async def _all_ended(site: Site, number: int, limit_s: float) -> bool:
    """Whether all jobs came to an end in that time."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        await asyncio.sleep(_LOOK_S)
        # While its server is dead the queue cannot be read; it is back in a moment.
        with contextlib.suppress(QueueError):
            counts = await asyncio.to_thread(_counts, site)
            if counts[JobState.DONE] + counts[JobState.DEAD] >= number:
                return True
    return False


@contextlib.contextmanager
def _queue(site: Site) -> Iterator[JobQueue]:
    config = next(path for path in sorted(site.folder.run.glob("job-manager*.toml")))
    with closing(open_queue(Config(config))) as queue:
        yield queue


def _counts(site: Site) -> dict[JobState, int]:
    with _queue(site) as queue:
        return queue.counts()


async def _compare(site: Site, ids: list[str], outcome: Outcome) -> None:
    """Exactly one accepted result for each job, or a reason why there is none.

    Nothing is killed any more, but what was killed last is only starting again: a result on which several agreed is
    brought to its place then.
    """
    ends = time.monotonic() + _REST_S
    while True:
        jobs, faults = await asyncio.to_thread(_look, site, ids)
        if not faults or time.monotonic() > ends:
            break
        await asyncio.sleep(_LOOK_S)
    outcome.done = sum(job.state is JobState.DONE for job in jobs)
    outcome.dead = sum(job.state is JobState.DEAD for job in jobs)
    outcome.faults += faults


def _look(site: Site, ids: list[str]) -> tuple[list[Job], list[str]]:
    jobs, faults = [], []
    with _queue(site) as queue:
        for job_id in ids:
            job = queue.get(job_id)
            if job is None:
                faults.append(f"{job_id}: lost")
                continue
            jobs.append(job)
            times = sum(event.what == "done" for event in queue.history(job_id))
            faults += [f"{job_id}: {fault}" for fault in _faults(site, job, times)]
    return jobs, faults


def _faults(site: Site, job: Job, times: int) -> Iterator[str]:
    expected = job.new.description.arguments
    result = site.folder.results / job.id / "output" / "out.txt"
    match job.state:
        case JobState.DONE if times != 1:
            yield f"accepted {times} times"
        case JobState.DONE if not result.is_file():
            yield "done, and there is no result"
        case JobState.DONE if result.read_text().strip() != expected:
            yield f"the result is {result.read_text()[:50]!r}, not {expected}"
        case JobState.DEAD if not job.reason:
            yield "dead without a reason"
        case JobState.WAITING | JobState.LEASED:
            yield f"still {job.state}"
