"""The figures of the page, as one JSON object. Pure but for the store."""

from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from typing import Any, Final

from client.copilot.events import Spread
from client.copilot.managers.monitor.ledger import Kind
from client.copilot.managers.monitor.reading import Reading
from client.copilot.managers.monitor.state import MonitorState
from client.copilot.managers.monitor.store import EventStore

#: the monitor's own component, and what it writes down of the queue
OWN: Final = "monitor"
WAITING: Final = "jobs.waiting"
LEASED: Final = "jobs.leased"
AGENTS: Final = "agents.active"
_DAY_S: Final = 86400
_FAILURES: Final = ("job.refused.*", "job.returned.*", "job.late", "lease.ended", "error.invalidJobId")


class Window(StrEnum):
    """How far back the charts go."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


#: window -> (how long, length of a step), in seconds
SPANS: Final[Mapping[Window, tuple[int, int]]] = {
    Window.HOUR: (3600, 60),
    Window.DAY: (_DAY_S, 900),
    Window.MONTH: (30 * _DAY_S, 21600),
}


def build_figures(
    store: EventStore, reading: Reading, state: MonitorState, window: Window, now: float, title: str
) -> dict[str, Any]:
    """All that the page shows.

    Raises:
        StoreUnusable: what was told cannot be read.
    """
    return {
        "now": now,
        "title": title,
        "session": {"connected": state.connected, "since": state.changed_at},
        "silent": dict(state.silent),
        "store_fault": state.store_fault,
        "graphite": asdict(state.graphite) if state.graphite else None,
        "queue": _queue(reading),
        "rates": _rates(store, now),
        "failures": failures(store, now),
        "charts": _charts(store, window, now),
    }


def failures(store: EventStore, now: float) -> list[dict[str, Any]]:
    """What went wrong in the last day, the most frequent first."""
    found: dict[str, int] = {}
    for pattern in _FAILURES:
        found |= store.count(pattern, now - _DAY_S, now, 60)
    order = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return [{"event": event, "number": number} for event, number in order]


def _queue(reading: Reading) -> dict[str, Any]:
    said = asdict(reading)
    said["read"] = reading.is_good
    return said


def _rates(store: EventStore, now: float) -> dict[str, float]:
    """Accepted results per minute, over the last minute, hour and day."""
    spans = {"minute": (60, 10), "hour": (3600, 60), "day": (_DAY_S, 60)}
    return {
        name: _total(store.count("job.accepted", now - span_s, now, width)) * 60 / span_s
        for name, (span_s, width) in spans.items()
    }


def _charts(store: EventStore, window: Window, now: float) -> dict[str, Any]:
    span_s, step_s = SPANS[window]
    since = (int(now) - span_s) // step_s * step_s + step_s

    def read(event: str, kind: Kind) -> dict[int, Spread]:
        return store.read(event, kind, since, now + step_s, step_s)

    steps = range(since, int(now) + 1, step_s)
    accepted, lasted = read("job.accepted", Kind.COUNT), read("job.succeeded", Kind.DURATION)
    refused: dict[int, int] = {}
    for event in store.count("job.refused.*", since, now, 60 if span_s <= _DAY_S else 3600):
        for at, spread in read(event, Kind.COUNT).items():
            refused[at] = refused.get(at, 0) + spread.number
    return {
        "window": window.value,
        "since": since,
        "step_s": step_s,
        "accepted": [accepted[at].number if at in accepted else 0 for at in steps],
        "refused": [refused.get(at, 0) for at in steps],
        "waiting": _means(read(WAITING, Kind.VALUE), steps),
        "leased": _means(read(LEASED, Kind.VALUE), steps),
        "agents": _means(read(AGENTS, Kind.VALUE), steps),
        "duration_s": _means(lasted, steps),
        "duration_low_s": [lasted[at].low if at in lasted else None for at in steps],
        "duration_high_s": [lasted[at].high if at in lasted else None for at in steps],
    }


def _means(found: Mapping[int, Spread], steps: range) -> list[float | None]:
    return [found[at].total / found[at].number if at in found else None for at in steps]


def _total(counts: Mapping[str, int]) -> int:
    return sum(counts.values())
