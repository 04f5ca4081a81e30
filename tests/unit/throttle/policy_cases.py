"""What the tests of the policy try: limits, pairs of them of which one is stricter, and histories of samples."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from hypothesis import strategies as st

from client.host.sample import Sample
from client.preferences.types import Disk, Limits, Memory, Network, Processor, When
from client.preferences.week import ALWAYS, NEVER, Week, week_of
from client.throttle.decision import Decision
from client.throttle.moment import Moment
from client.throttle.past import Past
from client.throttle.policy import aged, decide
from client.throttle.rule import Computer

#: a Wednesday
NOON: Final = Moment(datetime(2026, 3, 4, 12, tzinfo=UTC), 1000.0)
HERE: Final = Computer(4, 8000)
#: nothing against running, nobody there
GOOD: Final = Sample(
    idle_s=600.0,
    locked=False,
    on_battery=False,
    battery_percent=100.0,
    power_saver=False,
    temperature_c=40.0,
    fan_rpm=500,
    metered=False,
    networks=("home",),
    full_screen=False,
    programs=frozenset(),
    awake=False,
    others_percent=1.0,
    free_memory_mib=5000,
    memory_pressure_percent=0.0,
    free_disk_mib=50_000,
)

#: a wait of the wall clock alone is none; those about the thresholds are what matters
WAITS: Final = st.sampled_from(
    (0.0, 0.5, 1.0, 5.0, 9.99, 10.0, 10.01, 29.0, 30.0, 59.0, 60.0, 61.0, 120.0, 181.0, 3600.0)
)
_PERCENT: Final = st.sampled_from((0.0, 5.0, 11.0, 26.0, 51.0, 90.0))
_WORTH: Final[dict[str, st.SearchStrategy[Any]]] = {
    "idle_s": st.sampled_from((None, 0.0, 5.0, 59.0, 170.0, 5000.0)),
    "locked": st.sampled_from((None, True, False)),
    "on_battery": st.sampled_from((None, True, False)),
    "battery_percent": st.sampled_from((None, 10.0, 42.0, 47.0, 100.0)),
    "power_saver": st.sampled_from((None, True, False)),
    "temperature_c": st.sampled_from((None, 50.0, 62.0, 67.0, 82.0, 95.0)),
    "fan_rpm": st.sampled_from((None, 800, 1400, 1600)),
    "metered": st.sampled_from((None, True, False)),
    "networks": st.sampled_from((None, (), ("home",), ("Home", "phone"), ("phone",))),
    "full_screen": st.sampled_from((None, True, False)),
    "foreground": st.sampled_from(("", "Steam.exe")),
    "programs": st.sampled_from((None, frozenset(), frozenset({"blender"}))),
    "awake": st.sampled_from((None, True, False)),
    "others_percent": st.one_of(st.none(), _PERCENT),
    "free_memory_mib": st.sampled_from((None, 100, 300, 1200, 1400, 6000)),
    "memory_pressure_percent": st.one_of(st.none(), _PERCENT),
    "free_disk_mib": st.sampled_from((None, 500, 1050, 2100, 9000)),
    "sleeping": st.booleans(),
    "leaving": st.booleans(),
}


@st.composite
def weeks(draw: st.DrawFn, always: Week) -> Week:
    """Any hours, seldom."""
    if draw(st.integers(0, 2)):
        return always
    cuts = sorted(draw(st.sets(st.integers(0, 7 * 24 * 12).map(lambda cell: cell * 5), max_size=6)))
    return week_of(zip(cuts[::2], cuts[1::2], strict=False))


def _not_more(draw: st.DrawFn, values: tuple[int, ...]) -> tuple[int, int]:
    """Two numbers, the first of which is not above the other."""
    return tuple(sorted((draw(st.sampled_from(values)), draw(st.sampled_from(values)))))  # type: ignore[return-value]


@st.composite
def limits(draw: st.DrawFn) -> Limits:
    """Limits that are no laxer in use than else, so that a longer time until the computer is not in use is stricter."""
    others = _not_more(draw, (1, 10, 25, 50, 100))
    percent, share = _not_more(draw, (1, 25, 100)), _not_more(draw, (1, 50, 100))
    memory = _not_more(draw, (5, 40, 90))
    when = When(
        on_battery=draw(st.booleans()),
        least_battery_percent=draw(st.sampled_from((0, 40, 98))),
        in_power_saver=draw(st.booleans()),
        in_use=draw(st.booleans()),
        idle_after_s=draw(st.sampled_from((60, 180))),
        stop_after_idle_s=draw(st.sampled_from((0, 60, 4000, 9000))),
        most_others_percent=others[0],
        most_others_percent_idle=draw(st.sampled_from((others[1], 0))),
        week=draw(weeks(ALWAYS)),
        quiet=draw(weeks(NEVER)),
        programs=draw(st.sampled_from(((), ("steam",), ("Blender.exe", "steam")))),
        in_full_screen=draw(st.booleans()),
        in_calls=draw(st.booleans()),
        most_temperature_c=draw(st.sampled_from((0, 65, 85))),
        most_fan_rpm=draw(st.sampled_from((0, 1500))),
        most_memory_pressure_percent=draw(st.sampled_from((0, 10, 30))),
    )
    network = Network(
        week=draw(weeks(ALWAYS)),
        on_metered=draw(st.booleans()),
        only=draw(st.sampled_from(((), ("home",)))),
        never=draw(st.sampled_from(((), ("phone",)))),
        month_bytes=draw(st.sampled_from((0, 500, 2000))),
    )
    processor = Processor(*percent, *share, draw(st.sampled_from((0, 10))))
    held = Memory(*memory, save_after_s=120, keep=False)
    return Limits(when, processor, held, Disk(least_free_mib=draw(st.sampled_from((0, 1000, 2048)))), network)


def _least(one: int, other: int) -> int:
    """The stricter of two limits of which 0 is none."""
    return min(one, other) if one and other else max(one, other)


def strictest(one: Limits, other: Limits) -> Limits:
    """Of each limit the stricter one."""
    a, b = one.when, other.when
    when = When(
        on_battery=a.on_battery and b.on_battery,
        least_battery_percent=max(a.least_battery_percent, b.least_battery_percent),
        in_power_saver=a.in_power_saver and b.in_power_saver,
        in_use=a.in_use and b.in_use,
        idle_after_s=max(a.idle_after_s, b.idle_after_s),
        stop_after_idle_s=_least(a.stop_after_idle_s, b.stop_after_idle_s),
        most_others_percent=_least(a.most_others_percent, b.most_others_percent),
        most_others_percent_idle=_least(a.most_others_percent_idle, b.most_others_percent_idle),
        week=a.week.both(b.week),
        quiet=a.quiet.either(b.quiet),
        programs=tuple({*a.programs, *b.programs}),
        in_full_screen=a.in_full_screen and b.in_full_screen,
        in_calls=a.in_calls and b.in_calls,
        most_temperature_c=_least(a.most_temperature_c, b.most_temperature_c),
        most_fan_rpm=_least(a.most_fan_rpm, b.most_fan_rpm),
        most_memory_pressure_percent=_least(a.most_memory_pressure_percent, b.most_memory_pressure_percent),
    )
    processor = Processor(*map(min, zip(_numbers(one.processor), _numbers(other.processor), strict=True)))
    memory = replace(
        one.memory,
        percent=min(one.memory.percent, other.memory.percent),
        percent_idle=min(one.memory.percent_idle, other.memory.percent_idle),
    )
    disk = Disk(least_free_mib=max(one.disk.least_free_mib, other.disk.least_free_mib))
    return Limits(when, processor, memory, disk, _strictest_network(one.network, other.network))


def _strictest_network(a: Network, b: Network) -> Network:
    return Network(
        week=a.week.both(b.week),
        on_metered=a.on_metered and b.on_metered,
        only=a.only or b.only,
        never=tuple({*a.never, *b.never}),
        month_bytes=_least(a.month_bytes, b.month_bytes),
    )


def _numbers(limit: Processor) -> tuple[int, ...]:
    return (
        *(limit.percent, limit.percent_idle, limit.share_percent, limit.share_percent_idle),
        limit.quiet_percent,
    )


#: what is other after a wait: (seconds, how far the wall clock jumps, fields of the sample)
News = tuple[float, float, dict[str, Any]]
_CLOCK: Final = st.sampled_from((0.0, 0.0, 0.0, 0.0, 3600.0, -3600.0, 86_400.0))
_SOME: Final = st.sets(st.sampled_from(tuple(_WORTH)), max_size=3).flatmap(
    lambda names: st.fixed_dictionaries({name: _WORTH[name] for name in sorted(names)})
)
#: one thing that passes by itself as often as not: where least times matter
_PASSING: Final = st.sampled_from(
    (
        *({"others_percent": 90.0}, {"temperature_c": 95.0}, {"free_memory_mib": 100}, {"free_disk_mib": 500}),
        *({"memory_pressure_percent": 90.0}, {"on_battery": True}, {"full_screen": True}, {"sleeping": True}),
    )
)
#: all is well again
_BETTER: Final = st.just({name: value for name, value in GOOD.__dict__.items() if name != "idle_s"})
HISTORIES: Final = st.lists(st.tuples(WAITS, _CLOCK, st.one_of(_SOME, _PASSING, _BETTER)), max_size=12)


class Played:
    """A history as decided, look by look."""

    def __init__(self, limits: Limits, **memory: int) -> None:
        self.limits, self.memory = limits, {"spent_bytes": 1000, **memory}
        self.now, self.sample, self.past = NOON, GOOD, Past.of_start(NOON)
        self.decisions: list[Decision] = []
        self.look()

    def look(self) -> Decision:
        decision, self.past = decide(self.limits, self.sample, HERE, self.now, self.past, **self.memory)
        self.decisions.append(decision)
        return decision

    def later(self, seconds: float, clock_s: float = 0.0, **news: Any) -> Decision:
        self.now = Moment(self.now.after(seconds + clock_s).at, self.now.s + seconds)
        self.sample = replace(aged(self.sample, seconds), **news)
        return self.look()

    def all_of(self, history: list[News]) -> "Played":
        for seconds, clock_s, news in history:
            self.later(seconds, clock_s, **news)
        return self
