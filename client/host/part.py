"""A part of the sensors: one place that is asked, and the facts that it gives."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypedDict

from client.host.presence import Seats

#: A pause in typing is shorter.
MARK_S: Final = 2.0


@dataclass(frozen=True)
class Input:
    """Input at one display.

    Attributes:
        last_at: monotonic seconds of the last input; None while it is being used.
    """

    last_at: float | None


@dataclass(frozen=True)
class Wanted:
    """What the preferences ask for; what costs something and is not asked for is not looked at.

    Attributes:
        programs: some preference names programs.
        heat: some preference limits temperature or fans.
        folder: whose volume's free space matters; None: none.
        hold: sleep and shutdown are held up until `let_go`, or as long as the system grants.
        mark_s: somebody who has touched nothing for so long is waited for: from there on `Sample.idle_s` is exact, and
            input is told at once; below it is 0. Taken at the opening.
    """

    programs: bool = False
    heat: bool = True
    folder: Path | None = None
    hold: bool = False
    mark_s: float = MARK_S


class Wishes:
    """Holds what is wanted now; all parts of one computer share it."""

    def __init__(self, now: Wanted | None = None) -> None:
        self._now = now or Wanted()
        self._listeners: list[Callable[[], None]] = []

    @property
    def now(self) -> Wanted:
        """What is wanted now."""
        return self._now

    def change(self, wanted: Wanted) -> None:
        """From now on it is this."""
        if wanted == self._now:
            return
        self._now = wanted
        for listener in self._listeners:
            listener()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call it whenever something else is wanted."""
        self._listeners.append(listener)


class Facts(TypedDict, total=False):
    """What a part can tell, by the names of `Sample`; None: not known. Two are worked out further by the composite:
    `display` (input at the display of this session) and `seats` (who sits at the computer, by logind).
    """

    display: Input | None
    seats: Seats | None
    locked: bool | None
    on_battery: bool | None
    battery_percent: float | None
    power_saver: bool | None
    temperature_c: float | None
    fan_rpm: int | None
    metered: bool | None
    networks: tuple[str, ...] | None
    full_screen: bool | None
    foreground: str | None
    programs: frozenset[str] | None
    awake: bool | None
    free_memory_mib: int | None
    memory_pressure_percent: float | None
    free_disk_mib: int | None
    sleeping: bool | None
    leaving: bool | None
    granted_s: float | None


#: how a part tells what has changed: only what it names is replaced
Tell = Callable[[Facts], None]


class Part(Protocol):
    """One place that is asked."""

    name: str

    async def run(self, tell: Tell) -> None:
        """Tell what there is, and every change, until cancelled.

        Returns when there is nothing to ask on this computer; it is tried again later.

        Raises:
            OSError, EOFError, ValueError, LookupError, TypeError, struct.error: it cannot be asked now; tried again
                after a back-off.
        """
