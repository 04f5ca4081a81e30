"""What every part has told last, and the one sample that follows from it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from client.clock import Clock
from client.host.part import Facts, Input, Tell
from client.host.presence import Seats, idle_s
from client.host.sample import Sample

#: where one part that says yes outweighs others that say no
_ANY: Final = ("locked", "power_saver", "full_screen", "awake", "sleeping", "leaving")
_FIRST: Final = (
    "on_battery",
    "battery_percent",
    "temperature_c",
    "fan_rpm",
    "metered",
    "networks",
    "foreground",
    "programs",
    "free_memory_mib",
    "memory_pressure_percent",
    "free_disk_mib",
)
#: those of `Sample` that are never None, with what stands for not known
_NEVER_NONE: Final[Mapping[str, object]] = {"foreground": "", "sleeping": False, "leaving": False}


class Board:
    """The newest of everything.

    Args:
        names: of the parts; where several tell the same, the first that knows it is believed.
        on_change: called at once whenever anything but the passing of time has changed.
    """

    def __init__(self, names: Sequence[str], clock: Clock, on_change: Callable[[], None]) -> None:
        self._told: dict[str, Facts] = {name: {} for name in names}
        self._clock = clock
        self._on_change = on_change

    def teller(self, name: str) -> Tell:
        """What the part of that name tells with."""

        def tell(facts: Facts) -> None:
            mine = self._told[name]
            before = dict(mine)
            mine.update(facts)
            if mine != before:
                self._on_change()

        return tell

    def forget(self, name: str) -> None:
        """Whatever that part has told is not known any more."""
        if self._told[name]:
            self._told[name] = {}
            self._on_change()

    def sample(self) -> Sample:
        """All of it, as of now."""
        fields = {name: self._first(name) for name in _FIRST} | {name: self._any(name) for name in _ANY}
        for name, instead in _NEVER_NONE.items():
            if fields[name] is None:
                fields[name] = instead
        seats = cast(Seats | None, self._first("seats"))
        if seats is not None and fields["locked"] is None:
            fields["locked"] = seats.locked
        elif seats is not None and seats.locked:
            fields["locked"] = True
        now = self._clock.monotonic()
        return Sample(idle_s=idle_s(self._display(now), seats, now), **fields)

    def _display(self, now: float) -> float | None:
        display = cast(Input | None, self._first("display"))
        if display is None:
            return None
        return 0.0 if display.last_at is None else max(0.0, now - display.last_at)

    def _known(self, name: str) -> list[Any]:
        told = (facts.get(name) for facts in self._told.values())
        return [value for value in told if value is not None]

    def _first(self, name: str) -> Any:
        return next(iter(self._known(name)), None)

    def _any(self, name: str) -> bool | None:
        known = self._known(name)
        return any(known) if known else None
