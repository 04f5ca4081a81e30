"""A week of the policy, drawn with letters: a line for each day, a letter for each half hour, a legend."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from client.throttle.decision import Rung
from client.throttle.simulate import Span, wall_clock

CELL_S: Final = 1800
CELLS: Final = 48
DAY_S: Final = 24 * 3600


@dataclass(frozen=True)
class Ink:
    """How one reason is drawn.

    Attributes:
        letter: in a terminal.
        colour: in a picture.
        words: in the legend.
    """

    letter: str
    colour: str
    words: str


FULL: Final = "run"
LESS: Final = "run less"
#: code of the reason -> how it is drawn; kinds of running first
INKS: Final = {
    FULL: Ink("#", "#2e7d32", "runs"),
    LESS: Ink("+", "#9ccc65", "runs, with less than at most"),
    "leaving": Ink("L", "#546e7a", "logging off or shutting down"),
    "sleeping": Ink("z", "#37474f", "the computer sleeps"),
    "on-battery": Ink("B", "#ef6c00", "on battery"),
    "battery-low": Ink("b", "#d84315", "the battery is low"),
    "power-saver": Ink("p", "#ffa726", "saving power"),
    "schedule": Ink("S", "#5c6bc0", "by the schedule"),
    "quiet-hours": Ink("Q", "#9fa8da", "quiet hours"),
    "no-processor": Ink("0", "#bdbdbd", "no processor time allowed"),
    "hot": Ink("H", "#c62828", "hot"),
    "loud": Ink("F", "#e57373", "a loud fan"),
    "program": Ink("P", "#6a1b9a", "a program that you named"),
    "full-screen": Ink("V", "#ab47bc", "full screen"),
    "call": Ink("C", "#ce93d8", "a call or film"),
    "in-use": Ink("U", "#1e88e5", "in use"),
    "idle-too-long": Ink("I", "#90caf9", "idle for too long"),
    "others-busy": Ink("O", "#00838f", "other programs are busy"),
    "memory-pressure": Ink("M", "#6d4c41", "others wait for memory"),
    "memory-budget": Ink("m", "#a1887f", "guests above their memory"),
    "memory-short": Ink("s", "#bcaaa4", "little memory free"),
    "disk-full": Ink("D", "#795548", "little disk free"),
}
_OTHER: Final = Ink("?", "#9e9e9e", "another reason")


@dataclass(frozen=True)
class Piece:
    """A part of a span within one day.

    Attributes:
        first_s, end_s: since that day's midnight.
        kind: see `INKS`.
    """

    day: date
    first_s: float
    end_s: float
    kind: str
    span: Span


def ink_of(kind: str) -> Ink:
    """How it is drawn."""
    return INKS.get(kind, _OTHER)


def pieces(spans: Sequence[Span], start: datetime) -> Iterator[Piece]:
    """The spans, cut at each midnight of the wall clock at the start; as it jumps later is left out."""
    most = max((span.cpu_percent for span in spans), default=0)
    midnight = wall_clock(start, 0).replace(hour=0, minute=0, second=0, microsecond=0)
    ahead_s = (start.astimezone(UTC) - midnight.astimezone(UTC)).total_seconds()
    for span in spans:
        first_s, end_s = span.first_s + ahead_s, span.end_s + ahead_s
        while first_s < end_s:
            number = int(first_s // DAY_S)
            edge_s = min(end_s, (number + 1.0) * DAY_S)
            day = midnight.date() + timedelta(days=number)
            yield Piece(day, first_s - number * DAY_S, edge_s - number * DAY_S, _kind(span, most), span)
            first_s = edge_s


def plot(spans: Sequence[Span], start: datetime) -> list[str]:
    """The lines of the drawing, the hours above and the legend below. Each letter is what a half hour had most of."""
    sums: dict[date, list[dict[str, float]]] = {}
    for piece in pieces(spans, start):
        cells = sums.setdefault(piece.day, [{} for _ in range(CELLS)])
        for cell in range(int(piece.first_s // CELL_S), CELLS):
            length_s = min(piece.end_s, (cell + 1) * CELL_S) - max(piece.first_s, cell * CELL_S)
            if length_s <= 0:
                break
            cells[cell][piece.kind] = cells[cell].get(piece.kind, 0.0) + length_s
    hours = " " * 8 + "".join(f"{hour:<8}" for hour in range(0, 24, 4)) + "24"
    days = [f"{day:%a %d}  {''.join(_letter(cell) for cell in cells)}".rstrip() for day, cells in sums.items()]
    return [hours, *days, "", *legend({kind for cells in sums.values() for cell in cells for kind in cell})]


def legend(kinds: set[str]) -> list[str]:
    """What the letters mean, of those that are there."""
    return [f"  {ink_of(kind).letter}  {ink_of(kind).words}" for kind in in_order(kinds)]


def in_order(kinds: set[str]) -> list[str]:
    """As in the table, unknown ones last."""
    return [*(kind for kind in INKS if kind in kinds), *sorted(kinds - set(INKS))]


def _letter(cell: dict[str, float]) -> str:
    return ink_of(max(cell, key=lambda kind: cell[kind])).letter if cell else " "


def _kind(span: Span, most: int) -> str:
    if span.rung is Rung.RUN:
        return FULL if span.cpu_percent == most else LESS
    return span.reason
