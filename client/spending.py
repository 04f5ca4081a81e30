"""What went over the network in this month: kept on the disk, begun anew on the day that the volunteer says.

The meter (`client.meter`) counts for ever; here stands which of its counts were seen, and what they came to in this
month. So a program that was killed forgets nothing, and nothing counts twice. After a power cut the meter may tell less
than was seen: then what moved in the last seconds is lost.
"""

import contextlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from client.clock import Clock
from client.paths import write_atomic

#: the file is written when so much moved and so long ago, or when anything moved and longer ago
WORTH_BYTES: Final = 1 << 20
SOON_S: Final = 30.0
LATE_S: Final = 300.0


@dataclass(frozen=True)
class Month:
    """What moved since a day.

    Attributes:
        day: of the month, on which counting begins anew.
        seen_down, seen_up: counts of the meter that are included.
    """

    began: date
    day: int = 1
    down_bytes: int = 0
    up_bytes: int = 0
    seen_down: int = 0
    seen_up: int = 0

    @property
    def bytes(self) -> int:
        """Both ways together."""
        return self.down_bytes + self.up_bytes


def month_began(today: date, day: int) -> date:
    """The last such day of a month, today included; day: 1..28."""
    first = today.replace(day=1)
    return today.replace(day=day) if today.day >= day else (first - timedelta(days=1)).replace(day=day)


def counted(month: Month, moved: tuple[int, int], today: date, day: int) -> Month:
    """The month after another look at the meter.

    Args:
        moved: what it has counted, (down, up).
        today: in local time.
        day: of the month, on which counting begins anew.
    """
    began = month_began(today, day)
    # Another day of the month, and a clock that was set back, forgive nothing.
    if began > month.began and day == month.day:
        month = replace(month, down_bytes=0, up_bytes=0)
    return replace(
        month,
        began=began,
        day=day,
        down_bytes=month.down_bytes + max(0, moved[0] - month.seen_down),
        up_bytes=month.up_bytes + max(0, moved[1] - month.seen_up),
        seen_down=moved[0],
        seen_up=moved[1],
    )


class Spending:
    """The month, and its file.

    Attributes:
        month: as of the last `count`; None before the first.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.month: Month | None = None
        self._path = path
        self._clock = clock
        self._written: Month | None = None
        self._written_at = 0.0

    def count(self, moved: tuple[int, int], day: int) -> Month:
        """Take what the meter has counted; now and then it is written down.

        Args:
            moved: (down, up).
            day: of the month, on which counting begins anew.
        """
        today = self._clock.now().astimezone().date()
        if self.month is None:
            self.month = self._written = read_month(self._path)
        if self.month is None:
            # Nothing is known of before.
            self.month = Month(month_began(today, day), day, seen_down=moved[0], seen_up=moved[1])
        self.month = counted(self.month, moved, today, day)
        if self._is_due(self.month):
            self.save()
        return self.month

    def save(self) -> None:
        """Write it down, if it is not."""
        if self.month is None or self.month == self._written:
            return
        self._written_at = self._clock.monotonic()
        plain = {**asdict(self.month), "began": self.month.began.isoformat()}
        # A full disk is told by those who need it; the meter's own counts are in place.
        with contextlib.suppress(OSError):
            write_atomic(self._path, json.dumps(plain).encode())
            self._written = self.month

    def _is_due(self, month: Month) -> bool:
        before = self._written
        if before is None or (before.began, before.day) != (month.began, month.day):
            return True
        waited_s = self._clock.monotonic() - self._written_at
        moved = abs(month.bytes - before.bytes)
        return waited_s >= LATE_S if moved < WORTH_BYTES else waited_s >= SOON_S


def read_month(path: Path) -> Month | None:
    """The month as last written; None: nothing is known. Blocks."""
    try:
        plain = json.loads(path.read_bytes())
        numbers = {name: int(plain[name]) for name in ("day", "down_bytes", "up_bytes", "seen_down", "seen_up")}
        month = Month(date.fromisoformat(plain["began"]), **numbers)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return month if 1 <= month.day <= 28 and min(numbers.values()) >= 0 else None
