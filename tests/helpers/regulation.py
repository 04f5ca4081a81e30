"""The ends of the regulator, imagined: what a computer tells, and what is done to processes."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace

import pytest

from client.host.part import Wanted
from client.host.sample import Sample
from client.throttle import policy
from client.throttle.governor import Steering
from client.throttle.sampler import Measured

IDLE = Sample(idle_s=100000.0, on_battery=False, sleeping=False, leaving=False)


def without_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let guests go on as soon as no rule minds any more; how long else is the matter of other tests."""
    rules = tuple(replace(rule, over_s=0.0, under_s=0.0) for rule in policy.RULES)
    monkeypatch.setattr(policy, "RULES", rules)


class FakeSensors:
    """Tells the sample that it was given."""

    def __init__(self) -> None:
        self.sample = IDLE
        self.wanted: Wanted | None = None
        self.has_let_go = False
        self.is_open = False
        self.on_wake: Callable[[float], None] = lambda slept_s: None
        self._on_change: Callable[[], None] = lambda: None

    def tell(self, sample: Sample) -> None:
        """Something has changed."""
        self.sample = sample
        self._on_change()

    async def open(self, on_change: Callable[[], None], on_wake: Callable[[float], None]) -> None:
        self.is_open, self._on_change, self.on_wake = True, on_change, on_wake

    def look(self) -> Sample:
        return self.sample

    def want(self, wanted: Wanted) -> None:
        self.wanted = wanted

    def let_go(self) -> None:
        self.has_let_go = True

    async def close(self) -> None:
        self.is_open = False


class FakeGovernor:
    """Notes what it is to hold."""

    def __init__(self) -> None:
        self.measured = Measured(others_percent=0.0)
        self.steering = Steering(achieved_percent=42.0, means="imagined")
        self.lowers = True
        self.free: list[str] = []
        self.orders: list[tuple[float, dict[str, tuple[int, ...]], int, dict[str, tuple[int, ...]]]] = []

    async def steer(
        self,
        target_percent: float,
        vms: Mapping[str, tuple[int, ...]],
        cpus: int,
        beside: Mapping[str, tuple[int, ...]] | None = None,
    ) -> Measured:
        self.orders.append((target_percent, dict(vms), cpus, dict(beside or {})))
        return self.measured

    def unhindered(self, vm_id: str) -> AbstractAsyncContextManager[None]:
        self.free.append(vm_id)
        return nullcontext()

    async def close(self) -> None:
        self.orders.clear()
