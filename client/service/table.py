"""What commands of operators write: sentences, tables for people, columns for pipes, JSON documents for programs.

Texts that came over the wire can do nothing to a terminal: see `client.copilot.fields.printable`.
"""

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from client.copilot.fields import printable

_NOTHING: Final = "-"
#: words of cells -> how a terminal shows them
_STYLES: Final[Mapping[str, str]] = {
    "done": "green",
    "leased": "cyan",
    "dead": "red",
    "drained": "yellow",
    "revoked": "red",
    "no": "red",
}


def say(text: str) -> None:
    """A line on standard output, at once."""
    print(text, flush=True)


def say_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, ensure_ascii=False, default=str), flush=True)


def tell(text: str) -> None:
    """A line for people that is no answer: on standard error."""
    print(text, file=sys.stderr, flush=True)


def say_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = (), wrap: bool = False
) -> None:
    """A table: drawn to fit on a terminal, whole and aligned in a pipe, where an empty cell is a dash.

    Args:
        right: columns of numbers.
        wrap: a terminal shows all of the last column, on several lines; otherwise what fits of it.
    """
    cells = [[printable(str(value)) for value in row] for row in rows]
    if sys.stdout.isatty():
        _draw(columns, cells, frozenset(right), wrap)
        return
    lines = [list(columns), *([cell or _NOTHING for cell in row] for row in cells)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        padded = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ]
        print("  ".join(padded).rstrip())
    sys.stdout.flush()


def clock(at: float) -> str:
    """A time as people here read it; empty for never."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at else ""


def span(seconds: float) -> str:
    """A length of time, short: 8 s, 12 min, 3.5 h, 2.1 d."""
    seconds = max(0.0, seconds)
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.1f} {name}" if name == "h" else f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86400:.1f} d"


def ago(at: float, now: float) -> str:
    """How long ago that was; empty for never."""
    return f"{span(now - at)} ago" if at else ""


def counted(number: int, noun: str) -> str:
    """`1 job`, `1,200 jobs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[str], wrap: bool) -> None:
    # Only for people, and they do not see the tenth of a second that it takes to load.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        is_last = number == len(columns) - 1
        table.add_column(
            column, justify="right" if column in right else "left", no_wrap=not (is_last and wrap), overflow="ellipsis"
        )
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    Console(highlight=False).print(table)
