"""The program's faces as child processes of the bench, and what the system says that they use."""

import asyncio
import contextlib
import json
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.paths import Paths
from client.preferences.store import save_all
from client.service import control
from client.service.regulation import AT_ONCE
from tests.helpers.program import MAIN, TOP, Site, end
from tests.helpers.screen import wait_for

TCG = ("--set", "hypervisor.accelerator=tcg")
LIMIT_S = 120.0
Snapshot = dict[str, Any]


def job_of(snapshot: Snapshot) -> dict[str, Any]:
    """The job of the only VM; one without a state when there is none."""
    return dict((snapshot["vms"] or [{"job": None}])[0]["job"] or {"state": "", "done_units": 0, "accepted": None})


def state_of(snapshot: Snapshot) -> str:
    return str(snapshot["vms"][0]["state"]) if snapshot["vms"] else "absent"


def is_executing(snapshot: Snapshot) -> bool:
    return state_of(snapshot) == "running" and job_of(snapshot)["state"] == "executing"


class Face:
    """A running face; asked and commanded on its control socket by this very process."""

    def __init__(self, base: Path, process: "subprocess.Popen[bytes]") -> None:
        self.base = base
        self.process = process

    def ask(self, word: str, **given: Any) -> Snapshot:
        said = asyncio.run(control.ask(Paths(self.base), word, given))
        assert said["ok"], said
        return dict(said["snapshot"])

    def wait(self, what: str, reached: Callable[[Snapshot], bool], limit_s: float = LIMIT_S) -> Snapshot:
        wait_for(what, lambda: reached(self.ask("status")), limit_s, 0.25)
        return self.ask("status")

    def quit(self, work: str = "save") -> None:
        self.ask("quit", work=work)
        assert self.process.wait(LIMIT_S) == 0


class Headless(Face):
    """`main.py headless --json`; its lines arrive with the time at which they were read."""

    def __init__(self, base: Path, process: "subprocess.Popen[bytes]") -> None:
        super().__init__(base, process)
        self._lines: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def until(self, reached: Callable[[Snapshot], bool]) -> float:
        """When the first snapshot from now on that fits was read."""
        ends = time.perf_counter() + LIMIT_S
        while True:
            try:
                at, line = self._lines.get(timeout=max(0.0, ends - time.perf_counter()))
            except queue.Empty:
                raise AssertionError("the state that was waited for did not come") from None
            if reached(json.loads(line)):
                return at

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put((time.perf_counter(), line))


@contextlib.contextmanager
def open_face(
    base: Path, face: str, site: Site, *words: str, env: dict[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a face and wait until it answers; ended with its work stopped."""
    base.mkdir(parents=True, exist_ok=True)
    save_all(base / "preferences.toml", dict(AT_ONCE))
    command = [*MAIN, face, "--basedir", str(base), "--project", str(site.project), *TCG, *words]
    out = subprocess.PIPE if face == "headless" else subprocess.DEVNULL
    with (base.parent / f"{base.name}-errors.log").open("ab") as errors:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, env=env, cwd=TOP)
    try:
        wait_for(face, lambda: (base / "control.json").exists() or process.poll() is not None, 30, 0.02)
        assert process.poll() is None, (base.parent / f"{base.name}-errors.log").read_text()
        yield process
    finally:
        if process.poll() is None:
            Face(base, process).ask("quit", work="stop")
        end(process)
        if process.stdout is not None:
            process.stdout.close()


@dataclass(frozen=True)
class Use:
    """What one process has used: CPU seconds without its children's, memory now in MB (10^6 bytes)."""

    at: float
    cpu_s: float
    rss_mb: float
    pss_mb: float

    def cpu_percent_until(self, later: "Use") -> float:
        return 100 * (later.cpu_s - self.cpu_s) / (later.at - self.at)


def use_of(pid: int) -> Use:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kib = {line.split(":")[0]: int(line.split()[1]) for line in rollup}
    return Use(time.perf_counter(), cpu_s, kib["Rss"] * 1.024e-3, kib["Pss"] * 1.024e-3)


def busiest_thread(pid: int) -> Path:
    """The file that tells how long the busiest thread of a process has executed: a virtual machine's processor."""
    return max(Path(f"/proc/{pid}/task").glob("*/schedstat"), key=_executed_ns)


def last_executed_at(thread: Path, quiet_s: float = 0.08) -> float:
    """When a thread that is always busy last executed; returns after it has not for `quiet_s`. Exact to a tick."""
    at, executed = time.perf_counter(), _executed_ns(thread)
    while (now := time.perf_counter()) - at < quiet_s:
        if (more := _executed_ns(thread)) != executed:
            at, executed = now, more
        time.sleep(0.001)
    return at


def _executed_ns(thread: Path) -> int:
    return int(thread.read_text().split()[0])
