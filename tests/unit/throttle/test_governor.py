"""Which means the governor takes, and what it asks of it, with means that are only imagined."""

import os
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path

import pytest

from client.errors import BadInput
from client.process import Identity
from client.throttle.governor import Governor
from client.throttle.guard import Guard, Order
from client.throttle.means import Budget, Kept
from client.throttle.sampler import Measured, Sampler, VmUse

ME = os.getpid()
VMS = {"vm": (ME,)}


class FakeGuard(Guard):
    """Notes its orders."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere/guard.json"))
        self.orders: list[Order] = []
        self.is_closed = False

    async def obey(self, order: Order) -> None:
        self.orders.append(order)

    async def close(self) -> None:
        self.is_closed = True


class FakeMeans:
    """Gives `gives` of what is asked for; None: takes no notice of it."""

    def __init__(self, name: str, gives: float | None = 1.0, *, offered: bool = True, refuses: bool = False) -> None:
        self.name = name
        self.ranks = False
        self.gives = gives
        self.budget: Budget | None = None
        self._offered = offered
        self._refuses = refuses

    async def is_offered(self) -> bool:
        return self._offered

    async def keep(self, budget: Budget) -> Kept:
        if self._refuses:
            raise BadInput("system", "does not let us", "nothing")
        self.budget = budget
        return Kept(lift=(("file", self.name),))

    async def release(self) -> None:
        self.budget = None


class FakeSampler(Sampler):
    """A guest that takes whatever it gets; a second passes from look to look."""

    def __init__(self, *means: FakeMeans) -> None:
        self._means = means
        self._at = 0.0

    def measure(self, vms: Mapping[str, Iterable[int]]) -> Measured:
        self._at += 1.0
        limits = [
            one.budget.percent * one.gives
            for one in self._means
            if one.budget is not None and one.budget.percent is not None and one.gives is not None
        ]
        return Measured(self._at, vms={vm_id: VmUse(cpu_percent=min([100.0, *limits])) for vm_id in vms})


class FakePriority:
    """Notes whom it has ranked: the process is that of the tests."""

    def __init__(self) -> None:
        self.ranked: set[str] = set()
        self.lifted: list[int] = []
        self.by_session = False

    async def apply(self, vms: Mapping[str, Iterable[Identity]], cpus: int, *, by_session: bool) -> None:
        self.ranked, self.by_session = set(vms), by_session

    def lift(self, processes: Iterable[Identity]) -> None:
        self.lifted += [who.pid for who in processes]


@pytest.fixture
async def guard() -> AsyncIterator[FakeGuard]:
    yield FakeGuard()


def governor_of(guard: Guard, *means: FakeMeans) -> Governor:
    return Governor(guard, means, sampler=FakeSampler(*means), processors=2, priority=FakePriority())


async def test_the_first_that_is_offered_and_taken_is_used(guard: FakeGuard) -> None:
    means = FakeMeans("absent", offered=False), FakeMeans("refused", refuses=True), FakeMeans("good"), FakeMeans("more")
    governor = governor_of(guard, *means)
    for _ in range(10):
        await governor.steer(30.0, VMS, 2)
    assert governor.steering.means == "good"
    assert governor.steering.holds is True
    assert guard.orders[-1].lift == (("file", "good"),)
    assert [who.pid for who in guard.orders[-1].vms["vm"]] == [ME]


async def test_one_without_effect_is_left_for_the_next(guard: FakeGuard) -> None:
    governor = governor_of(guard, FakeMeans("deaf", gives=None), FakeMeans("good"))
    for _ in range(8):
        await governor.steer(30.0, VMS, 2)
    assert governor.steering.means == "good"
    # It is remembered, also when all VMs were off meanwhile.
    await governor.steer(30.0, {}, 2)
    await governor.steer(30.0, VMS, 2)
    assert governor.steering.means == "good"


async def test_when_nothing_works_that_is_said(guard: FakeGuard) -> None:
    governor = governor_of(guard, FakeMeans("deaf", gives=None))
    for _ in range(10):
        await governor.steer(30.0, VMS, 2)
    assert governor.steering.target_percent == 30.0
    assert governor.steering.means == ""
    assert guard.orders[-1].vms.keys() == {"vm"}


async def test_one_that_gives_too_much_is_asked_for_less(guard: FakeGuard) -> None:
    means = FakeMeans("generous", gives=1.1)
    governor = governor_of(guard, means)
    for _ in range(30):
        await governor.steer(50.0, VMS, 2)
    assert governor.steering.achieved_percent == pytest.approx(50.0, abs=1.0)
    assert means.budget is not None and means.budget.percent is not None and means.budget.percent < 47


async def test_all_of_all_processors_is_no_limit(guard: FakeGuard) -> None:
    means = FakeMeans("good")
    governor = governor_of(guard, means)
    await governor.steer(200.0, VMS, 2)
    assert means.budget is not None and means.budget.percent is None
    assert governor.steering.target_percent is None
    assert guard.orders[-1].percent is None
    await governor.steer(100.0, VMS, 2)
    assert means.budget.percent == 100.0


async def test_nothing_is_held_without_vms(guard: FakeGuard) -> None:
    means = FakeMeans("good")
    governor = governor_of(guard, means)
    await governor.steer(30.0, VMS, 2)
    await governor.steer(30.0, {}, 2)
    assert means.budget is None
    assert guard.orders[-1].vms == {}


async def test_a_pid_of_nobody_is_left_out(guard: FakeGuard) -> None:
    governor = governor_of(guard, FakeMeans("good"))
    await governor.steer(30.0, {"vm": (ME, 2**22 + 1), "gone": (2**22 + 1,)}, 2)
    assert {vm_id: [who.pid for who in those] for vm_id, those in guard.orders[-1].vms.items()} == {"vm": [ME]}


async def test_close_leaves_nothing(guard: FakeGuard) -> None:
    means = FakeMeans("good")
    governor = governor_of(guard, means)
    await governor.steer(30.0, VMS, 2)
    await governor.close()
    assert means.budget is None
    assert guard.is_closed


async def test_who_is_not_to_come_last_and_may_have_all_is_left_alone(guard: FakeGuard) -> None:
    means = FakeMeans("good")
    governor = governor_of(guard, means)
    governor.lowers = False
    await governor.steer(50.0, VMS, 2)
    assert means.budget is not None and not means.budget.idle
    await governor.steer(200.0, VMS, 2)
    assert means.budget is None
    assert governor.steering.means == ""
    assert guard.orders[-1].vms.keys() == {"vm"}


async def test_a_standstill_is_the_guard_s_and_leaves_the_means_as_it_is(guard: FakeGuard) -> None:
    means = FakeMeans("good")
    governor = governor_of(guard, means)
    await governor.steer(30.0, VMS, 2)
    for _ in range(10):
        await governor.steer(0.0, VMS, 2)
    assert guard.orders[-1].percent == 0.0
    assert guard.orders[-1].lift == (("file", "good"),)
    assert means.budget is not None and means.budget.percent == 30.0
    await governor.steer(30.0, VMS, 2)
    assert guard.orders[-1].percent is None
    assert governor.steering.means == "good"


async def test_a_vm_that_is_unhindered_is_watched_over_only(guard: FakeGuard) -> None:
    means = FakeMeans("good")
    governor = governor_of(guard, means)
    both = {"vm": (ME,), "other": (os.getppid(),)}
    await governor.steer(30.0, both, 2)
    async with governor.unhindered("vm"):
        assert means.budget is not None and means.budget.vms.keys() == {"other"}
        assert guard.orders[-1].free == {"vm"}
        assert guard.orders[-1].vms.keys() == both.keys()
        await governor.steer(30.0, both, 2)
        assert means.budget.vms.keys() == {"other"}
    await governor.steer(30.0, both, 2)
    assert means.budget.vms.keys() == both.keys()
    assert guard.orders[-1].free == set()


async def test_sessions_are_ranked_only_where_no_group_does_it(guard: FakeGuard) -> None:
    means, priority = FakeMeans("good"), FakePriority()
    governor = Governor(guard, [means], sampler=FakeSampler(means), processors=2, priority=priority)
    await governor.steer(30.0, VMS, 2)
    assert (priority.ranked, priority.by_session) == ({"vm"}, True)
    means.ranks = True
    await governor.steer(30.0, VMS, 2)
    assert not priority.by_session
    async with governor.unhindered("vm"):
        assert priority.lifted == [ME]
        await governor.steer(30.0, VMS, 2)
        assert priority.ranked == set()
