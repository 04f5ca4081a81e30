"""Numbers in words: sizes, rates, times and counts as people read them. Pure, no toolkit.

All functions take what an untrusted guest may have said, so nothing raises on negative, huge or non-finite numbers.
"""

import math
from datetime import datetime, tzinfo

_MINUTE_S = 60
_HOUR_S = 3600
_DAY_S = 86400
#: Between a number and its unit: they must not be torn apart at the end of a line.
_NBSP = "\u00a0"
#: Stands where a number is not known yet.
UNKNOWN = "\u2013"


def _clean(value: float) -> float:
    return value if math.isfinite(value) and value > 0 else 0.0


def number_text(value: float) -> str:
    """Three significant figures at most below 100, whole above: `0.25`, `1.2`, `48`, `12,345`."""
    value = _clean(value)
    if value >= 99.95:
        return f"{value:,.0f}"
    if value >= 9.995:
        return f"{value:.0f}"
    if value >= 0.995:
        return f"{value:.1f}".removesuffix(".0")
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _scaled(value: float, base: float, units: tuple[str, ...]) -> str:
    value = _clean(value)
    step = 0
    while value >= base * 0.9995 and step < len(units) - 1:
        value /= base
        step += 1
    figures = f"{value:.1f}" if step > 0 and value < 99.95 else f"{value:.0f}"
    return f"{figures}{_NBSP}{units[step]}"


def bytes_text(size_bytes: float) -> str:
    """A size in decimal units: `0 B`, `12.3 MB`, `1.4 GB`."""
    return _scaled(size_bytes, 1000, ("B", "kB", "MB", "GB", "TB", "PB"))


def memory_text(memory_mib: float) -> str:
    """Memory in binary units: `412 MiB`, `1.5 GiB`."""
    memory_mib = _clean(memory_mib)
    return f"{memory_mib:.0f}{_NBSP}MiB" if memory_mib < 1023.5 else f"{memory_mib / 1024:.1f}{_NBSP}GiB"


def count_text(count: float) -> str:
    """A whole number with thousands apart: `12,345`."""
    return f"{_clean(count):,.0f}"


def percent_text(fraction: float) -> str:
    """A fraction 0..1 as `24 %`; never 100 before it is reached."""
    return f"{math.floor(min(_clean(fraction), 1.0) * 100 + 1e-9)}{_NBSP}%"


def rate_text(rate_per_s: float, unit: str) -> str:
    """Units per second, minute or hour, whichever keeps the number above one: `1.2 events/s`, `12 events/min`."""
    rate = _clean(rate_per_s)
    name = unit or "steps"
    if rate == 0 or rate >= 0.995:
        return f"{number_text(rate)}{_NBSP}{name}/s"
    if rate * _MINUTE_S >= 0.995:
        return f"{number_text(rate * _MINUTE_S)}{_NBSP}{name}/min"
    return f"{number_text(rate * _HOUR_S)}{_NBSP}{name}/h"


def duration_text(duration_s: float) -> str:
    """A time span in its two largest units: `42 s`, `3 min 20 s`, `1 h 5 min`, `2 d 3 h`."""
    left = round(_clean(duration_s))
    parts: list[str] = []
    for size, name in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min"), (1, "s")):
        amount, left = divmod(left, size)
        if amount:
            parts.append(f"{amount:,}{_NBSP}{name}")
        elif parts:
            break
    return " ".join(parts[:2]) or f"0{_NBSP}s"


def time_left_text(seconds_left: float) -> str:
    """An estimate, as coarse as it deserves: `a few seconds left`, `40 s left`, `3 min left`, `2 h 10 min left`."""
    left = _clean(seconds_left)
    if left < 7.5:
        return "a few seconds left"
    if left < 57.5:
        return f"{round(left / 5) * 5}{_NBSP}s left"
    if left < 57.5 * _MINUTE_S:
        return f"{max(1, round(left / _MINUTE_S))}{_NBSP}min left"
    if left < 23.9 * _HOUR_S:
        return f"{duration_text(round(left / 300) * 300)} left"
    return f"{duration_text(round(left / _HOUR_S) * _HOUR_S)} left"


def clock_text(at: datetime, now: datetime, zone: tzinfo | None = None) -> str:
    """A moment as people say it: `18:00`, `tomorrow 08:00`, `24 Nov 08:00`.

    Args:
        at, now: aware times.
        zone: the reader's zone; None for the computer's own.
    """
    local, today = at.astimezone(zone), now.astimezone(zone).date()
    days = (local.date() - today).days
    if days == 0:
        return f"{local:%H:%M}"
    return f"tomorrow {local:%H:%M}" if days == 1 else f"{local.day} {local:%b %H:%M}"
