"""A week of the policy as a picture (SVG): a bar for each day, hours along it, a legend below."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from html import escape
from typing import Final

from client.service.explain_plot import DAY_S, Piece, in_order, ink_of, pieces
from client.throttle.simulate import Span

_LEFT, _TOP, _HOUR, _ROW, _BAR = 96, 56, 36, 34, 24
_WIDTH: Final = _LEFT + 24 * _HOUR + 24
_COLUMNS: Final = 3


def draw(spans: Sequence[Span], start: datetime) -> str:
    """The whole file."""
    parts = _joined(pieces(spans, start))
    days = sorted({piece.day for piece in parts})
    kinds = in_order({piece.kind for piece in parts})
    legend_top = _TOP + len(days) * _ROW + 28
    height = legend_top + -(-len(kinds) // _COLUMNS) * 22 + 12
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}"'
        f' viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12"'
        ' shape-rendering="crispEdges" role="img">',
        "<title>When virtual machines ran, and why not</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="22" font-size="16" fill="#212121">When virtual machines ran, and why not</text>',
        *_hours(len(days)),
        *_names(days),
        *(_bar(piece, days.index(piece.day)) for piece in parts),
        *_legend(kinds, legend_top),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _joined(parts: Iterator[Piece]) -> list[Piece]:
    """Those that cannot be told apart are one, or a file of a week would be large."""
    found: list[Piece] = []
    for piece in parts:
        last = found[-1] if found else None
        if last and (last.day, last.kind) == (piece.day, piece.kind) and last.end_s == piece.first_s:
            found[-1] = Piece(last.day, last.first_s, piece.end_s, last.kind, last.span)
        else:
            found.append(piece)
    return found


def _hours(days: int) -> Iterator[str]:
    bottom = _TOP + days * _ROW
    for hour in range(0, 25, 3):
        x = _LEFT + hour * _HOUR
        yield f'<line x1="{x}" y1="{_TOP - 6}" x2="{x}" y2="{bottom}" stroke="#e0e0e0"/>'
        yield f'<text x="{x}" y="{_TOP - 10}" text-anchor="middle" fill="#616161">{hour}</text>'


def _names(days: Sequence[date]) -> Iterator[str]:
    for row, day in enumerate(days):
        y = _TOP + row * _ROW + _BAR / 2 + 4
        yield f'<text x="{_LEFT - 10}" y="{y:g}" text-anchor="end" fill="#212121">{day:%a %d %b}</text>'


def _bar(piece: Piece, row: int) -> str:
    x = _LEFT + piece.first_s / DAY_S * 24 * _HOUR
    width = (piece.end_s - piece.first_s) / DAY_S * 24 * _HOUR
    ink = ink_of(piece.kind)
    words = f"{_clock(piece.first_s)}-{_clock(piece.end_s)}: {piece.span.text or ink.words}"
    return (
        f'<rect x="{x:.2f}" y="{_TOP + row * _ROW}" width="{width:.2f}" height="{_BAR}" fill="{ink.colour}">'
        f"<title>{escape(words)}</title></rect>"
    )


def _legend(kinds: Sequence[str], top: int) -> Iterator[str]:
    step = (_WIDTH - _LEFT) // _COLUMNS
    for number, kind in enumerate(kinds):
        x, y = _LEFT + number % _COLUMNS * step, top + number // _COLUMNS * 22
        ink = ink_of(kind)
        yield f'<rect x="{x}" y="{y}" width="14" height="14" fill="{ink.colour}"/>'
        yield f'<text x="{x + 20}" y="{y + 12}" fill="#212121">{escape(ink.words)}</text>'


def _clock(s: float) -> str:
    return f"{int(s) // 3600:02}:{int(s) % 3600 // 60:02}"
