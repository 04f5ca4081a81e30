"""What every part has told last, and the one sample that follows from it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, cast

from client.clock import Clock
from client.host.part import Facts, Input, Tell
from client.host.presence import idle_s
from client.host.sample import Sample

#: where one part that says yes outweighs others that say no
_ANY: Final = ("locked", "power_saver", "full_screen", "awake", "sleeping", "leaving")
#: what `Sample` has as it is told; whatever is None there keeps the value that stands for not known
_OF_SAMPLE: Final = tuple(name for name in Facts.__annotations__ if name not in {"display", "seats"})


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
        facts = merged(self._told.values())
        now = self._clock.monotonic()
        seats, known = facts.get("seats"), {name: facts.get(name) for name in _OF_SAMPLE}
        if seats is not None:
            known["locked"] = bool(known["locked"]) or seats.locked
        fields: dict[str, Any] = {name: value for name, value in known.items() if value is not None}
        return Sample(idle_s=idle_s(_since(facts.get("display"), now), seats, now), **fields)


def merged(told: Iterable[Facts]) -> Facts:
    """What several have told, the more believed first: for some facts one yes is enough, for the others the first
    that is known counts.
    """
    facts: dict[str, object] = {}
    for some in told:
        for name, value in some.items():
            before = facts.get(name)
            facts[name] = value if before is None or (name in _ANY and value) else before
    return cast(Facts, facts)


def _since(display: Input | None, now: float) -> float | None:
    if display is None:
        return None
    return 0.0 if display.last_at is None else max(0.0, now - display.last_at)
