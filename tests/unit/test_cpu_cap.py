"""The governor's cap goes to the hypervisor in use, without the turn's waiting for it, and leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from client.cpu_cap import CpuCap
from client.hypervisor.errors import InvalidVmState, NoSuchVm, NotSupportedByDriver
from client.snapshot import VmState
from tests.helpers.fastloop import in_fast_time
from tests.helpers.live import FakeLive


@pytest.fixture
async def cap() -> AsyncIterator[CpuCap]:
    cap = CpuCap()
    yield cap
    await cap.close()


async def test_of_each_processor_it_is_as_much(cap: CpuCap) -> None:
    live = FakeLive()
    cap.use(live, {"one": 2, "two": 1})
    for percent in (60.0, 1.0, None, 1000.0):
        await cap.set("one", percent)
    await cap.set("two", 60.0)
    assert [percent for vm_id, percent in live.asked if vm_id == "one"] == [30, 1, 100, 100]
    assert [percent for vm_id, percent in live.asked if vm_id == "two"][-1] == 60


async def test_what_a_killed_client_left_is_lifted_once(cap: CpuCap) -> None:
    live = FakeLive()
    for _ in range(2):
        cap.use(live, {"one": 1})
        await asyncio.gather(*cap._asking.values())
    assert live.asked == [("one", 100)]
    cap.use(live, {})
    cap.use(live, {"one": 1})
    await asyncio.gather(*cap._asking.values())
    assert live.asked == [("one", 100)] * 2


@in_fast_time
async def test_one_that_does_not_answer_is_not_waited_for_and_hears_the_last_word(cap: CpuCap) -> None:
    live = FakeLive()
    cap.use(live, {"one": 1})
    live.goes_on.clear()
    for percent in (50.0, 40.0, 30.0):
        await cap.set("one", percent)
    assert live.asked == [("one", 50)]
    live.goes_on.set()
    await asyncio.gather(*cap._asking.values())
    assert live.asked == [("one", 50), ("one", 30)]


async def test_only_that_it_cannot_is_an_error(cap: CpuCap) -> None:
    live = FakeLive()
    cap.use(live, {"one": 1})
    for error in (NoSuchVm("one"), InvalidVmState("one", "limit", VmState.DEFINED)):
        live.error = error
        await cap.set("one", 50.0)
    live.error = NotSupportedByDriver("QEMU", "set a limit on the processor of")
    for _ in range(2):
        with pytest.raises(NotSupportedByDriver):
            await cap.set("one", 50.0)
    assert len(live.asked) == 3, "not asked again"
    other = FakeLive()
    cap.use(other, {"one": 1})
    await cap.set("one", 50.0)
    assert other.asked == [("one", 50)]


@in_fast_time
async def test_nothing_is_asked_once_it_is_closed(cap: CpuCap) -> None:
    live = FakeLive()
    cap.use(live, {"one": 1})
    live.goes_on.clear()
    await cap.set("one", 50.0)
    await cap.close()
    await cap.set("one", 40.0)
    assert live.asked == [("one", 50)]
    assert not cap._asking
