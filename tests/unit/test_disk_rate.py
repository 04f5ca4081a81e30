"""The hypervisor is asked to limit disks when there is something new to ask for, and not else."""

import asyncio

import pytest

from client.disk_rate import DiskRate, InMemory
from client.hypervisor.errors import InvalidVmState, NotSupportedByDriver
from client.snapshot import VmState
from tests.helpers.fastloop import in_fast_time
from tests.helpers.live import FakeLive


async def turn(rate: DiskRate, live: FakeLive, bytes_s: int, **vms: InMemory) -> list[tuple[str, int]]:
    """What is asked for in a turn."""
    live.asked.clear()
    rate.hold(live, bytes_s, vms)
    if rate._asking is not None:
        await rate._asking
    return list(live.asked)


ONE, TWO = InMemory((1,)), InMemory((2,))


async def test_they_share_it_and_are_asked_for_once() -> None:
    rate, live = DiskRate(), FakeLive()
    assert await turn(rate, live, 1000, one=ONE) == [("one", 1000)]
    assert await turn(rate, live, 1000, one=ONE) == []
    assert await turn(rate, live, 1000, one=ONE, two=TWO) == [("one", 500), ("two", 500)]
    assert await turn(rate, live, 0, one=ONE, two=TWO) == [("one", 0), ("two", 0)]


async def test_one_that_began_anew_has_no_limit_yet() -> None:
    rate, live = DiskRate(), FakeLive()
    assert await turn(rate, live, 1000, one=ONE) == [("one", 1000)]
    assert await turn(rate, live, 1000, one=InMemory((9,))) == [("one", 1000)]
    assert await turn(rate, live, 1000) == []
    assert await turn(rate, live, 1000, one=InMemory((9,))) == [("one", 1000)]


async def test_what_a_killed_client_left_is_lifted() -> None:
    rate, live = DiskRate(), FakeLive()
    assert await turn(rate, live, 0, one=ONE) == [("one", 0)]
    assert await turn(rate, live, 0, one=ONE) == []


async def test_who_does_not_obey_has_none() -> None:
    rate, live = DiskRate(), FakeLive()
    own = InMemory((2,), is_limited=False)
    assert await turn(rate, live, 1000, one=ONE, own=own) == [("one", 1000), ("own", 0)]
    assert await turn(rate, live, 1000, one=ONE, own=TWO) == [("one", 500), ("own", 500)]
    assert await turn(rate, live, 1000, one=ONE, own=own) == [("one", 1000), ("own", 0)]


async def test_a_hypervisor_that_cannot_is_not_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    rate, live = DiskRate(), FakeLive(NotSupportedByDriver("VirtualBox", "limit the disks of"))
    assert await turn(rate, live, 0, one=ONE) == [("one", 0)]
    assert not caplog.records, "nothing is limited, so nothing fails to be"
    for _ in range(2):
        assert await turn(rate, live, 500, one=ONE) == []
    assert len(caplog.records) == 1


@in_fast_time
async def test_what_failed_is_asked_for_again_a_while_later() -> None:
    rate, live = DiskRate(), FakeLive(InvalidVmState("one", "limit the disks of", VmState.DEFINED))
    assert await turn(rate, live, 1000, one=ONE) == [("one", 1000)]
    assert await turn(rate, live, 1000, one=ONE) == []
    await asyncio.sleep(6)
    assert await turn(rate, live, 1000, one=ONE) == [("one", 1000)]
    assert await turn(rate, live, 1000, one=ONE) == []
    await rate.close()
