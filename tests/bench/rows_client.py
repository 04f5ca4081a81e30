"""What the program itself costs while a job runs, beside BOINC's; and how long its window's thread is ever busy."""

import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.boinc import Boinc, open_boinc
from tests.bench.faces import Face, Use, is_executing, job_of, open_face, state_of, use_of
from tests.bench.harness import Row, at_most, bench, plain
from tests.helpers.program import Site, open_site
from tests.helpers.screen import Screen, open_screen

SETTLE_S, SLICE_S, SLICES = 5.0, 5.0, 5
LONG, SHORT = "20000", "100"
#: face -> words of the command line, most memory in MB
FACES = {"window": ((), 130.0), "tray only": (("--minimized",), 90.0)}


@bench("client cpu and rss")
def client() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-", dir="/tmp") as name:
        folder = Path(name)
        with open_screen(folder / "screen") as screen, open_boinc(folder / "boinc", screen) as boinc:
            for face, (words, limit_mb) in FACES.items():
                used = _face(folder / face.replace(" ", "-"), screen, boinc, words)
                yield from _rows(f"client with {face}", used, boinc, limit_mb)


@bench("ui longest call")
def longest_call() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-", dir="/tmp") as name:
        folder = Path(name)
        with open_screen(folder / "screen") as screen, open_site(folder / "site") as site:
            said = _whole_run(folder, screen, site)
    yield at_most("ui longest call: its thread's own CPU time", [said["longest_call_ms"]], "ms", 50)
    yield plain("ui longest call: stretches measured", [said["stretches"]], "")


#: for each slice: what the client used, and what the peers did, at its ends
Used = list[tuple[Use, list[Use]]]


def _face(folder: Path, screen: Screen, boinc: Boinc, words: tuple[str, ...]) -> Used:
    with open_site(folder / "site") as site:
        site.submit("--events", LONG, "--number", "1")
        with open_face(folder / "base", "gui", site, "--start", *words, env=screen.env) as process:
            Face(folder / "base", process).wait("a job that executes", is_executing)
            time.sleep(SETTLE_S)
            used = [(use_of(process.pid), boinc.uses())]
            for _ in range(SLICES):
                time.sleep(SLICE_S)
                used.append((use_of(process.pid), boinc.uses()))
            assert is_executing(Face(folder / "base", process).ask("status"))
    return used


def _rows(name: str, used: Used, boinc: Boinc, limit_mb: float) -> Iterator[Row]:
    pairs = list(itertools.pairwise(used))
    cpu = [before[0].cpu_percent_until(after[0]) for before, after in pairs]
    peer_cpu = [
        sum(one.cpu_percent_until(other) for one, other in zip(before[1], after[1], strict=True))
        for before, after in pairs
    ]
    yield at_most(f"{name}: own CPU", cpu, "% of core", 1, **_peer(boinc, peer_cpu))
    rss, peer_rss = [mine.rss_mb for mine, _ in used], [sum(use.rss_mb for use in peers) for _, peers in used]
    yield at_most(f"{name}: RSS", rss, "MB", limit_mb, **_peer(boinc, peer_rss))
    pss, peer_pss = [mine.pss_mb for mine, _ in used], [sum(use.pss_mb for use in peers) for _, peers in used]
    yield plain(f"{name}: PSS", pss, "MB", **_peer(boinc, peer_pss))


def _peer(boinc: Boinc, values: list[float]) -> dict[str, Any]:
    if boinc.why_not:
        return {"peer": f"boinc-client + boinc-manager: {boinc.why_not}"}
    return {"peer": "boinc-client + boinc-manager, idle", "peer_value": statistics.median(values)}


def _whole_run(folder: Path, screen: Screen, site: Site) -> dict[str, Any]:
    """Opened, started, a job to its verdict, a pause in the next one, quit."""
    site.submit("--events", SHORT, "--number", "2")
    base, report = folder / "base", folder / "report.json"
    with open_face(base, "gui", site, "--ui-report", str(report), env=screen.env) as process:
        face = Face(base, process)
        face.ask("start")
        face.wait("a verdict", lambda said: said["totals"]["jobs_accepted"] == 1)
        face.wait("the next job", lambda said: is_executing(said) and job_of(said)["done_units"] > 0)
        face.ask("pause")
        face.wait("the pause", lambda said: state_of(said) == "paused")
        face.ask("resume")
        face.wait("its verdict", lambda said: said["totals"]["jobs_accepted"] == 2)
        face.quit()
    return dict(json.loads(report.read_text()))
