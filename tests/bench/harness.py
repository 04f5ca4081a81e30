"""Rows of the bench: declared with `@bench`, run by word, printed as a table, written as JSON."""

import json
import os
import platform
import re
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
RESULT = TOP / "build" / "bench.json"


@dataclass(frozen=True)
class Row:
    """One figure, a median, beside its peer's.

    Attributes:
        peer: what the peer or floor is, in words; empty for none.
        goal: in words, as checked by `met` ("<= 1.10 x peer", "<= 10").
        met: None when there is no goal.
        spread: smallest and largest of the runs.
    """

    name: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float | None = None
    goal: str = ""
    met: bool | None = None
    spread: tuple[float, float] | None = None


Bench = Callable[[], Iterator[Row]]
REGISTRY: dict[str, Bench] = {}


def bench(words: str) -> Callable[[Bench], Bench]:
    """Declare a bench; `words` are what `--only` looks in."""

    def add(function: Bench) -> Bench:
        REGISTRY[words] = function
        return function

    return add


def at_most(name: str, values: list[float], unit: str, limit: float, **peer: Any) -> Row:
    """A row whose median must not pass a limit."""
    value = statistics.median(values)
    spread = (min(values), max(values))
    return Row(name, value, unit, goal=f"<= {limit:g}", met=value <= limit, spread=spread, **peer)


def at_least(name: str, values: list[float], unit: str, limit: float, **peer: Any) -> Row:
    """A row whose median must reach a limit."""
    value = statistics.median(values)
    spread = (min(values), max(values))
    return Row(name, value, unit, goal=f">= {limit:g}", met=value >= limit, spread=spread, **peer)


def plain(name: str, values: list[float], unit: str, **peer: Any) -> Row:
    """A row without a goal."""
    return Row(name, statistics.median(values), unit, spread=(min(values), max(values)), **peer)


def against(name: str, values: list[float], unit: str, peer: str, peers: list[float], factor: float) -> Row:
    """A row measured in pairs with its peer: the median of the ratios must not pass `factor`."""
    ratio = statistics.median(mine / theirs for mine, theirs in zip(values, peers, strict=True))
    value, peer_value = statistics.median(values), statistics.median(peers)
    goal = f"<= {factor:g} x peer (median of pairs {ratio:.3f})"
    return Row(name, value, unit, peer, peer_value, goal, ratio <= factor, (min(values), max(values)))


def show(row: Row) -> str:
    """One line of the table."""
    peer = f"{row.peer}: {_figure(row.peer_value)}" if row.peer and row.peer_value is not None else row.peer
    met = {True: "met", False: "NOT MET", None: ""}[row.met]
    spread = f"({_figure(row.spread[0])} .. {_figure(row.spread[1])})" if row.spread else ""
    cells = f"{row.name:52} {_figure(row.value):>8} {row.unit:9} {spread:18} {row.goal:36} {met:7} {peer}"
    return cells.rstrip()


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def write(rows: list[Row]) -> None:
    """Put rows into build/bench.json; rows of other benches that are there stay."""
    known = {row["name"]: row for row in json.loads(RESULT.read_text())} if RESULT.exists() else {}
    known.update({row.name: asdict(row) for row in rows})
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(list(known.values()), indent=1) + "\n")


def machine() -> str:
    """What this was measured on, and how busy that was."""
    load = " ".join(f"{one:.2f}" for one in os.getloadavg())
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    cores = f"{os.cpu_count()} x {cpu[1] if cpu else platform.processor()}"
    return f"{platform.platform()}, {cores}, Python {platform.python_version()}, load {load}"
