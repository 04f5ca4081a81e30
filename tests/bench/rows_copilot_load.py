"""Many agents that only talk (`tests.bench.load`) to a real site: jobs per minute, and 10 000 agents at once."""

import contextlib
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from client.copilot.queue.queue import JobState
from tests.bench.harness import Row, at_least, at_most, bench, plain
from tests.bench.load.rig import Rig, open_rig

TWO = {"jobs-1": "job-manager", "storage-1": "storage-manager"}
FOUR = {**TWO, "jobs-2": "job-manager", "storage-2": "storage-manager"}
FLOOD_AGENTS, FLOOD_S, FLOOD_JOBS = 50, 15, 15_000
AGENTS, WARM_S, CALM_S, JOBS_PER_S = 10_000, 30, 20, 50
#: for the jobs of the last second
LAST_S = 2
#: no TLS: 10 000 handshakes and proofs would take two cores some minutes
LISTENER = "a listener of the bench's own, without TLS"


@bench("copilot flood of jobs")
def flood() -> Iterator[Row]:
    """Agents that ask for the next job as soon as the exit code of the last is accepted."""
    yield from _flood("one manager", {"manager-1": "manager"})
    yield from _flood("two managers", TWO)


def _flood(words: str, managers: dict[str, str]) -> Iterator[Row]:
    with _rig(managers, tls=True) as rig:
        queue = rig.queue()
        rig.submit(queue, FLOOD_JOBS)
        with rig.swarm(agents=FLOOD_AGENTS, limit_s=FLOOD_S) as swarm:
            _line(swarm)
            busy = rig.busy()
            said = _line(swarm)
            busy = rig.busy(busy)
        accepted = queue.counts()[JobState.DONE]
        queue.close()
    assert not said["lost"], said["lost"]
    assert accepted >= said["jobs"], (accepted, said["jobs"])
    per_minute = 60 * said["jobs"] / said["seconds"]
    cores = sum(share for name, share in busy.items() if name != "prosody")
    name = f"copilot flood, {words}"
    yield at_least(f"{name}: jobs, {FLOOD_AGENTS} agents that only talk", [per_minute], "jobs/min", 6000)
    yield plain(f"{name}: stanzas that agents hear and say", [_stanzas(said)], "/s")
    yield plain(f"{name}: managers' processor time", [1000 * cores * 60 / per_minute], "ms/job")
    yield plain(f"{name}: prosody's processor time", [1000 * busy["prosody"] * 60 / per_minute], "ms/job")


@bench("copilot 10000 agents, two managers")
def two_managers() -> Iterator[Row]:
    """10 000 agents ask every 60 s and give a sign of life every 10 s, as idle ones do; 50 jobs turn up each second."""
    yield from _many("two managers", TWO)


@bench("copilot 10000 agents, four managers")
def four_managers() -> Iterator[Row]:
    """The same with two instances of each."""
    yield from _many("four managers", FOUR)


def _many(words: str, managers: dict[str, str]) -> Iterator[Row]:
    with _rig(managers, tls=False) as rig:
        names = [name for name in rig.children if name != "prosody"]
        idle = {name: rig.rss_bytes(name) for name in names}
        with rig.swarm(agents=AGENTS, ask_every_s=60, ping_every_s=10, warm_s=WARM_S, limit_s=CALM_S + LAST_S) as swarm:
            _line(swarm)
            queue = rig.queue()
            time.sleep(WARM_S)
            grown = [(rig.rss_bytes(name) - idle[name]) / 1024 / AGENTS for name in names]
            busy = rig.busy()
            _submit_steadily(rig, queue)
            busy = rig.busy(busy)
            said = _line(swarm)
            queue.close()
    assert not said["lost"], said["lost"]
    waits = said["waits"]
    own = statistics.quantiles(waits.pop("own delay"), n=100)[98]
    answers = [1000 * wait for found in waits.values() for wait in found]
    yield at_most(
        f"copilot {AGENTS} agents, {words}: answer, 99th of 100",
        [statistics.quantiles(answers, n=100)[98]],
        "ms",
        1000,
        peer=f"{LISTENER}; the generator's own delay, ms",
        peer_value=1000 * own,
    )
    yield plain(f"copilot {AGENTS} agents, {words}: answer, median", answers, "ms")
    yield at_least(f"copilot {AGENTS} agents, {words}: jobs", [said["jobs"] / CALM_S], "/s", JOBS_PER_S * 0.95)
    yield at_most(f"copilot {AGENTS} agents, {words}: memory an agent", [max(grown)], "KiB", 10)
    yield plain(f"copilot {AGENTS} agents, {words}: busiest manager", [max(busy[name] for name in names)], "cores")


def _submit_steadily(rig: Rig, queue: Any) -> None:
    due_at = time.monotonic()
    for _ in range(CALM_S):
        rig.submit(queue, JOBS_PER_S)
        due_at += 1
        time.sleep(max(0.0, due_at - time.monotonic()))


def _stanzas(said: dict[str, Any]) -> float:
    return float(said["sent"] + said["received"]) / float(said["seconds"])


def _line(swarm: "subprocess.Popen[str]") -> dict[str, Any]:
    assert swarm.stdout is not None
    line = swarm.stdout.readline()
    assert line, "the load generator broke off"
    return dict(json.loads(line))


@contextlib.contextmanager
def _rig(managers: dict[str, str], *, tls: bool) -> Iterator[Rig]:
    with (
        tempfile.TemporaryDirectory(prefix="vc-load-", dir="/tmp") as name,
        open_rig(Path(name), managers, tls=tls) as rig,
    ):
        yield rig
