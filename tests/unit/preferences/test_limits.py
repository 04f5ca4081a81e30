"""What preferences allow; and that the stricter of two allows no more than either."""

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from client.preferences.layers import Said
from client.preferences.limits import limits_of, stricter
from client.preferences.spec import TABLE, Kind, PreferenceSpec, Value
from client.preferences.store import Preferences, load
from client.preferences.types import Limits, Network, Processor, When
from client.preferences.week import ALWAYS, NEVER, WEEK_MIN, Week
from client.preferences.week_text import parse_week, write_week
from tests.unit.preferences.test_week import WEEKS

FIELDS = [spec for spec in TABLE if spec.field]


def values_of(spec: PreferenceSpec) -> st.SearchStrategy[Value]:
    match spec.kind:
        case Kind.FLAG:
            return st.booleans()
        case Kind.NUMBER:
            return st.integers(spec.minimum, spec.maximum) | st.just(spec.minimum)
        case Kind.WEEK:
            return WEEKS.map(write_week)
    return st.lists(st.sampled_from("abc"), unique=True).map(tuple)


LIMITS = st.fixed_dictionaries({}, optional={spec.key: values_of(spec) for spec in FIELDS}).map(
    lambda values: limits_of(Preferences(values))
)


def most(number: int) -> float:
    """A limit of which 0 is none."""
    return number or float("inf")


def networks(network: Network, minute: int) -> set[str]:
    """Over which of some networks something may be transferred."""
    named = {"a", "b", "c", "d"} & set(network.only or "abcd")
    return named - set(network.never) if network.week.has(minute) else set()


def percents(limits: Limits, minute: int) -> tuple[int, int]:
    """Of each processor, in use and idle."""
    processor = limits.processor
    quiet = processor.quiet_percent if limits.when.quiet.has(minute) else 100
    return min(processor.percent, quiet), min(processor.percent_idle, quiet)


def allows_no_more(one: Limits, other: Limits, minute: int) -> bool:
    """By what the words of `Limits` mean, not by how they are joined."""
    mine, theirs = one.when, other.when
    flags = ("on_battery", "in_power_saver", "in_use", "in_full_screen", "in_calls")
    capped = ("stop_after_idle_s", "most_others_percent", "most_others_percent_idle", "most_temperature_c")
    capped = (*capped, "most_fan_rpm", "most_memory_pressure_percent")
    pairs = list(zip(percents(one, minute), percents(other, minute), strict=True))
    for part, names in {
        "processor": ("share_percent", "share_percent_idle"),
        "memory": ("percent", "save_after_s"),
    }.items():
        pairs += [(getattr(getattr(one, part), name), getattr(getattr(other, part), name)) for name in names]
    pairs += [(most(getattr(mine, name)), most(getattr(theirs, name))) for name in capped]
    pairs += [(getattr(mine, name), getattr(theirs, name)) for name in flags]
    pairs += [(-mine.idle_after_s, -theirs.idle_after_s), (-mine.least_battery_percent, -theirs.least_battery_percent)]
    pairs += [(mine.week.has(minute), theirs.week.has(minute)), (one.most_vms, other.most_vms)]
    pairs += [(one.memory.keep, other.memory.keep), (one.memory.percent_idle, other.memory.percent_idle)]
    for name in ("most_mib", "most_percent", "rate_kib_s", "rate_kib_s_idle"):
        pairs.append((most(getattr(one.disk, name)), most(getattr(other.disk, name))))
    for name in ("down_bytes_s", "up_bytes_s", "month_bytes"):
        pairs.append((most(getattr(one.network, name)), most(getattr(other.network, name))))
    pairs += [(-one.disk.least_free_mib, -other.disk.least_free_mib)]
    pairs += [(one.network.on_metered, other.network.on_metered)]
    sets = networks(one.network, minute) <= networks(other.network, minute)
    return sets and set(mine.programs) >= set(theirs.programs) and all(a <= b for a, b in pairs)


@given(LIMITS, LIMITS, st.integers(0, WEEK_MIN - 1))
def test_the_stricter_allows_no_more_than_either(one: Limits, other: Limits, minute: int) -> None:
    both = stricter(one, other)
    assert allows_no_more(both, one, minute)
    assert allows_no_more(both, other, minute)


@given(LIMITS)
def test_beside_itself_nothing_is_stricter(limits: Limits) -> None:
    assert stricter(limits, limits) == limits


@given(LIMITS, LIMITS, st.integers(0, WEEK_MIN - 1))
def test_the_order_does_not_matter(one: Limits, other: Limits, minute: int) -> None:
    there, back = stricter(one, other), stricter(other, one)
    assert allows_no_more(there, back, minute) and allows_no_more(back, there, minute)


def test_units_are_those_of_the_limits() -> None:
    limits = limits_of(
        Preferences(
            {
                "when.idle_after_min": 5,
                "memory.save_after_min": 2,
                "network.down_kib_per_s": 100,
                "network.month_mib": 3,
                "disk.rate_kib_per_s": 7,
                "guest.most_vms": 9,
                "when.week": "mon 8-10",
                "when.programs": ("Game.EXE", "game", " mpv"),
            }
        )
    )
    assert (limits.when.idle_after_s, limits.memory.save_after_s, limits.most_vms) == (300, 120, 9)
    assert (limits.network.down_bytes_s, limits.network.month_bytes) == (102400, 3 << 20)
    assert limits.disk.rate_kib_s == 7
    assert limits.when.week == parse_week("mon 8-10")
    assert limits.when.programs == ("game", "mpv")


def test_no_network_in_common_is_no_network_at_all() -> None:
    one, other = (Limits(network=Network(only=(name,))) for name in "ab")
    assert stricter(one, other).network.week == NEVER
    assert stricter(one, Limits()).network.only == ("a",)
    assert stricter(one, Limits()).network.week == ALWAYS


def test_quiet_hours_of_one_are_as_quiet_as_it_says() -> None:
    night = parse_week("22-6")
    loud = Limits(when=When(quiet=night), processor=Processor(quiet_percent=30))
    assert stricter(loud, Limits()).processor.quiet_percent == 30
    silent = replace(loud, when=When(quiet=Week(((0, 60),))), processor=Processor(quiet_percent=0))
    assert stricter(loud, silent).processor.quiet_percent == 0


def test_a_budget_is_counted_from_its_own_day() -> None:
    one, other = Limits(network=Network(month_bytes=5, month_day=7)), Limits(network=Network(month_bytes=9))
    assert stricter(one, other).network.month_day == stricter(other, one).network.month_day == 7


def test_a_project_gets_what_holds_for_all_and_for_it(tmp_path: Path) -> None:
    user = Said(
        {"processor.percent": 50, "when.in_use": False}, {"LHC": {"processor.percent": 80, "when.in_calls": True}}
    )
    site = Said({}, {"LHC": {"processor.percent_idle": 10}})
    preferences = Preferences({}, site=site, user=user)
    assert limits_of(preferences).processor == Processor(percent=50)
    limits = limits_of(preferences, "LHC")
    assert limits.processor == Processor(percent=50, percent_idle=10)
    assert not limits.when.in_use and not limits.when.in_calls
    assert limits_of(preferences, "other") == limits_of(preferences)
    assert limits_of(load(tmp_path / "none.toml", site=tmp_path / "none")) == Limits()
