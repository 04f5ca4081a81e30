"""The regulator puts sensors, policy and governor together; here all three ends of it are imagined."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client.cpu_cap import CpuCap
from client.preferences.store import Preferences
from client.reconcile import Want
from client.regulator import Guest, Regulator
from client.snapshot import VmState
from client.throttle.governor import Steering
from client.throttle.sampler import Measured
from tests.helpers.live import FakeLive
from tests.helpers.regulation import IDLE, FakeGovernor, FakeSensors


class FakeClock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.s = 1000.0

    def now(self) -> datetime:
        return datetime(2026, 11, 20, 12, tzinfo=UTC) + timedelta(seconds=self.s)

    def monotonic(self) -> float:
        return self.s


class Bench:
    """A regulator of a computer with four processors, and all that it is connected to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **values: bool | int | str) -> None:
        monkeypatch.setattr("client.regulator.processors", lambda: 4)
        monkeypatch.setattr("client.regulator.total_memory_mib", lambda: 8192)
        self.clock, self.sensors, self.governor = FakeClock(), FakeSensors(), FakeGovernor()
        self.wakes = 0
        given = {"processor.percent": 50, "processor.share_percent": 50} | values
        preferences = Preferences({key.replace("__", "."): value for key, value in given.items()})
        self.preferences = preferences
        self.regulator = Regulator(preferences, self.clock, self.sensors, self.governor, Path("/nowhere"), self._woken)
        self.regulator.heed("")

    def _woken(self) -> None:
        self.wakes += 1

    def look(self, guests: Mapping[str, Guest], *, after_s: float = 1.0) -> Want:
        self.clock.s += after_s
        return self.regulator.look(guests).may.want


RUNNING = Guest(VmState.RUNNING, (11,), 2, 1024, save_s=0.5)


def guests(**changes: object) -> dict[str, Guest]:
    return {"work-1": replace(RUNNING, **changes)}  # type: ignore[arg-type]


async def test_guests_get_more_when_nobody_uses_the_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.sensors.sample = replace(IDLE, idle_s=0.0)
    assert bench.look(guests()) is Want.RUN
    assert bench.regulator.allowance.share == 0.5
    await bench.regulator.steer(guests())
    bench.sensors.sample = IDLE
    assert bench.look(guests()) is Want.RUN
    await bench.regulator.steer(guests())
    assert [order[0] for order in bench.governor.orders] == [100.0, 300.0]
    assert [order[2] for order in bench.governor.orders] == [2, 3]


@pytest.mark.parametrize(("others_percent", "share"), [(None, 0.5), (40.0, 0.5), (90.0, 0.1), (100.0, 0.02)])
def test_a_guest_that_others_starve_is_known_to_be_slow(
    monkeypatch: pytest.MonkeyPatch, others_percent: float | None, share: float
) -> None:
    bench = Bench(monkeypatch, **{"when.most_others_percent": 0})
    bench.sensors.sample = replace(IDLE, idle_s=0.0)
    bench.governor.measured = Measured(others_percent=others_percent)
    assert bench.look(guests()) is Want.RUN
    assert bench.regulator.allowance.share == pytest.approx(share)


async def test_a_limit_that_nothing_keeps_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.governor.steering = Steering(target_percent=25.0)
    bench.look(guests())
    await bench.regulator.steer(guests(pids=()))
    assert bench.regulator.unkept_percent is None
    await bench.regulator.steer(guests())
    assert bench.regulator.unkept_percent == 25.0
    bench.governor.steering = Steering(target_percent=25.0, means="imagined")
    assert bench.regulator.unkept_percent is None


def test_the_rank_of_guests_is_a_preference(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, **{"processor.low_priority": False})
    bench.look(guests())
    assert not bench.governor.lowers


async def test_who_does_not_obey_is_only_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, **{"when.in_use": False})
    bench.sensors.sample = replace(IDLE, idle_s=0.0)
    both = guests() | {"own-1": replace(RUNNING, pids=(12,), obeys=False)}
    assert bench.look(both) is Want.HOLD
    assert bench.regulator.allowance.others_may.want is Want.RUN
    await bench.regulator.steer(both)
    assert bench.governor.orders[-1][1::2] == ({"work-1": (11,)}, {"own-1": (12,)})


async def test_a_guest_that_is_saved_frees_no_other_from_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.sensors.sample = replace(IDLE, idle_s=0.0)
    both = guests() | {"work-2": replace(RUNNING, pids=(12,), state=VmState.SAVING)}
    bench.look(both)
    await bench.regulator.steer(both)
    assert bench.governor.orders[-1][0::2] == (100.0, 2)


def test_a_reason_goes_with_what_is_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.sensors.sample = replace(IDLE, on_battery=True)
    assert bench.look(guests()) is Want.HOLD
    reason = bench.regulator.allowance.may.reason
    assert reason is not None and reason.text
    view = bench.regulator.view()
    assert view is not None
    assert (view.rung, view.reason, view.used_percent, view.means) == ("hold", reason, 42.0, "imagined")


def test_preferences_hold_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.sensors.sample = replace(IDLE, idle_s=0.0)
    assert bench.look(guests()) is Want.RUN
    bench.preferences.adopt(Preferences({"when.in_use": False}))
    bench.regulator.heed("")
    assert bench.look(guests()) is Want.HOLD


def test_only_what_is_asked_for_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.look(guests())
    assert bench.sensors.wanted is not None and not bench.sensors.wanted.programs
    bench.preferences.adopt(Preferences({"when.programs": ("game",)}))
    bench.regulator.heed("")
    bench.look(guests())
    assert bench.sensors.wanted.programs


async def test_before_a_sleep_guests_are_held_then_saved_if_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    assert bench.look(guests()) is Want.RUN
    bench.sensors.sample = replace(IDLE, sleeping=True)
    assert bench.look(guests()) is Want.HOLD
    await bench.regulator.steer(guests())
    assert not bench.sensors.has_let_go
    held = guests(state=VmState.PAUSED)
    await bench.regulator.steer(held)
    assert not bench.sensors.has_let_go
    assert bench.look(held, after_s=0.2) is Want.SAVED
    assert bench.look(guests(state=VmState.SAVING), after_s=3) is Want.SAVED


@pytest.mark.parametrize(("granted_s", "want"), [(30.0, Want.SAVED), (None, Want.HOLD), (0.0, Want.HOLD)])
def test_saving_may_take_what_the_system_grants(
    monkeypatch: pytest.MonkeyPatch, granted_s: float | None, want: Want
) -> None:
    bench = Bench(monkeypatch)
    bench.sensors.sample = replace(IDLE, sleeping=True, granted_s=granted_s)
    assert bench.look(guests(save_s=10.0, state=VmState.PAUSED)) is want


async def test_the_governor_can_have_the_hypervisors_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, live, cap = Bench(monkeypatch), FakeLive(), CpuCap()
    regulator = Regulator(
        bench.preferences, bench.clock, bench.sensors, bench.governor, Path("/nowhere"), lambda: None, cap=cap
    )
    regulator.look(guests())
    await regulator.steer(guests(), live)
    await cap.set("work-1", 100.0)
    assert live.asked == [("work-1", 50)]
    await regulator.detach()
    await cap.set("work-1", 80.0)
    assert len(live.asked) == 1


@pytest.mark.parametrize(("save_s", "after_s"), [(None, 0.2), (3.0, 0.2), (0.5, 4.0)])
async def test_what_may_not_fit_is_not_begun(
    monkeypatch: pytest.MonkeyPatch, save_s: float | None, after_s: float
) -> None:
    bench = Bench(monkeypatch)
    bench.sensors.sample = replace(IDLE, leaving=True)
    assert bench.look(guests(save_s=save_s)) is Want.HOLD
    held = guests(save_s=save_s, state=VmState.PAUSED)
    assert bench.look(held, after_s=after_s) is Want.HOLD
    await bench.regulator.steer(held)
    assert bench.sensors.has_let_go


async def test_the_computer_may_sleep_when_nothing_runs_anyway(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.sensors.sample = replace(IDLE, sleeping=True)
    bench.look({})
    await bench.regulator.steer({})
    assert bench.sensors.has_let_go


async def test_a_state_that_is_being_written_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.sensors.sample = replace(IDLE, leaving=True)
    saving = guests(state=VmState.SAVING)
    bench.look(saving)
    await bench.regulator.steer(saving)
    assert not bench.sensors.has_let_go


async def test_own_vms_stop_for_a_sleep_too(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.sensors.sample = replace(IDLE, sleeping=True)
    bench.look(guests(obeys=False))
    assert bench.regulator.allowance.others_may.want is Want.HOLD


def test_shortly_after_the_start_mains_are_not_believed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.sensors.sample = replace(IDLE, on_battery=None)
    bench.look(guests())
    assert bench.regulator.on_battery is True
    bench.look(guests(), after_s=60)
    assert bench.regulator.on_battery is None


async def test_a_sleep_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    await bench.regulator.open()
    bench.sensors.on_wake(60.0)
    bench.sensors.on_wake(5.0)
    assert bench.wakes == 2
    assert bench.regulator.has_slept()
    assert not bench.regulator.has_slept()
    assert bench.look(guests()) is Want.HOLD
    assert bench.look(guests()) is Want.HOLD
    assert bench.look(guests(), after_s=60) is Want.RUN
    await bench.regulator.close()
    assert not bench.sensors.is_open
