"""The rules in the whole core, on the fake driver: guests wait when they say so, and go on."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from client.commands import Pause, PauseEnd, Resume, Start
from client.core import VM_ID
from client.errors import BadInput
from client.hypervisor.demo_guest import demo_guest
from client.hypervisor.driver import Driver, DriverReport
from client.hypervisor.errors import NoHypervisor
from client.hypervisor.fake_link import Guest
from client.hypervisor.fake_live import FakeLiveControl
from client.meter import Meter, clock_ns
from client.preferences.store import save
from client.snapshot import Activity, ClientSnapshot, VmState
from tests.helpers.client_core import FAST, Rig, quicken
from tests.helpers.regulation import IDLE, FakeSensors, without_waits

IN_USE = replace(IDLE, idle_s=0.0)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    quicken(monkeypatch)
    without_waits(monkeypatch)
    rig = Rig(tmp_path, sensors=FakeSensors(), preferences={"when.in_use": False})
    rig.prepare()
    return rig


def state(snapshot: ClientSnapshot) -> VmState | None:
    return snapshot.vms[0].state if snapshot.vms else None


def sensors(rig: Rig) -> FakeSensors:
    assert rig.sensors is not None
    return rig.sensors


async def test_guests_wait_while_the_computer_is_used(rig: Rig) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        sensors(rig).tell(IN_USE)
        held = await rig.until(lambda s: state(s) is VmState.PAUSED)
        assert held.activity is Activity.PAUSED
        assert held.reason is not None
        assert held.reason.code == "in-use"
        assert held.policy is not None
        assert (held.policy.rung, held.policy.reason) == ("hold", held.reason)
        sensors(rig).tell(IDLE)
        await rig.until(lambda s: state(s) is VmState.RUNNING)


async def test_nothing_starts_where_nothing_may_run(rig: Rig) -> None:
    sensors(rig).tell(IN_USE)
    async with rig.running() as core:
        await core.handle(Start())
        waits = await rig.until(lambda s: s.activity is Activity.PAUSED and s.reason is not None)
        assert state(waits) in {None, VmState.ABSENT}
        assert rig.tokens == 0


async def test_a_preference_that_is_written_holds_at_once(rig: Rig) -> None:
    rig.preferences.clear()
    async with rig.running() as core:
        sensors(rig).tell(IN_USE)
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        save(rig.paths.preferences, "when.in_use", False)
        held = await rig.until(lambda s: state(s) is VmState.PAUSED)
        assert held.reason is not None
        assert held.reason.code == "in-use"


async def test_the_computer_sleeps_once_the_guest_is_held(rig: Rig) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        sensors(rig).tell(replace(IDLE, sleeping=True))
        await rig.until(lambda s: state(s) is VmState.PAUSED and sensors(rig).has_let_go)


async def test_own_pause_goes_before_the_rules_reason(rig: Rig) -> None:
    async with rig.running() as core:
        sensors(rig).tell(replace(IDLE, on_battery=True))
        await core.handle(Start())
        await rig.until(lambda s: s.reason is not None and s.reason.code == "on-battery")
        await core.handle(Pause(end=PauseEnd.MAINS))
        seen = await rig.until(lambda s: s.reason is not None and s.reason.code == "paused-by-user")
        assert seen.allowed.resume
        sensors(rig).tell(IDLE)
        await rig.until(lambda s: s.allowed.pause)
        await core.handle(Resume())


async def test_who_has_mains_is_told_that_there_is_nothing_to_wait_for(rig: Rig) -> None:
    async with rig.running() as core:
        sensors(rig).tell(replace(IDLE, on_battery=False))
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        with pytest.raises(BadInput, match="on battery"):
            await core.handle(Pause(end=PauseEnd.MAINS))


async def test_no_limit_stays_when_the_program_ends(rig: Rig) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        assert rig.governor.orders
    assert rig.governor.orders == []
    assert not sensors(rig).is_open


async def test_a_guest_held_while_it_boots_is_heard_when_it_has_booted(rig: Rig) -> None:
    may_speak, plays = asyncio.Event(), demo_guest(FAST)

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await may_speak.wait()
        await plays(reader, writer)

    rig.guest = slow
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: state(s) is VmState.RUNNING)
        sensors(rig).tell(IN_USE)
        await rig.until(lambda s: state(s) is VmState.PAUSED)
        sensors(rig).tell(IDLE)
        await rig.until(lambda s: state(s) is VmState.RUNNING)
        may_speak.set()
        await rig.until(lambda s: s.activity is Activity.WORKING and rig.driver and rig.driver.lives == {VM_ID: 1})


def overheard(told: list[bytes]) -> Guest:
    """A guest that notes all that its host says."""
    plays = demo_guest(FAST)

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ours = asyncio.StreamReader()
        playing = asyncio.create_task(plays(ours, writer))
        try:
            while line := await reader.readline():
                told.append(line)
                ours.feed_data(line)
        finally:
            playing.cancel()

    return listens


async def test_a_held_guest_is_told_the_time_when_it_goes_on_not_when_the_computer_wakes(rig: Rig) -> None:
    told: list[bytes] = []
    rig.guest = overheard(told)
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        sensors(rig).tell(IN_USE)
        await rig.until(lambda s: state(s) is VmState.PAUSED)
        sensors(rig).on_wake(600.0)
        await rig.until(lambda s: s.reason is not None and s.reason.code == "sleeping")
        assert not [line for line in told if b'"resumed"' in line]


async def test_a_guest_is_told_what_share_of_the_processor_it_gets(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.regulator.processors", lambda: 1)
    monkeypatch.setattr("client.guest.channel.RESEND_INTERVAL_S", 0.02)
    monkeypatch.setattr("client.guest.channel.PING_INTERVAL_S", 0.02)
    told: list[bytes] = []
    rig.guest = overheard(told)
    rig.preferences["processor.percent_idle"] = 25
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: any(b'"share":0.25' in line for line in told))


async def test_without_a_hypervisor_the_computer_sleeps_at_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def find_none(*_: object) -> tuple[Driver, DriverReport]:
        raise NoHypervisor(())

    monkeypatch.setattr("client.core.LOOK_AGAIN_S", 1000.0)
    monkeypatch.setattr(rig, "_find_driver", find_none)
    async with rig.running():
        await rig.until(lambda s: "no-hypervisor" in {problem.code for problem in s.problems})
        sensors(rig).tell(replace(IDLE, sleeping=True))
        await rig.until(lambda _: sensors(rig).has_let_go)


async def test_a_verb_is_carried_out_unhindered(rig: Rig) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        rig.governor.free.clear()
        sensors(rig).tell(IN_USE)
        await rig.until(lambda s: state(s) is VmState.PAUSED)
        assert rig.governor.free == ["work-1"]


async def test_where_nothing_may_be_transferred_nothing_is(rig: Rig) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        meter = Meter(str(rig.paths.meter))
        assert meter.look(clock_ns()) and not meter.closed
        sensors(rig).tell(replace(IDLE, metered=True))
        seen = await rig.until(lambda s: s.policy is not None and not s.policy.transfers)
        assert seen.policy is not None and seen.policy.transfers_reason is not None
        assert seen.activity is Activity.WORKING
        assert meter.look(clock_ns()) and meter.closed
        sensors(rig).tell(IDLE)
        await rig.until(lambda s: s.policy is not None and s.policy.transfers and meter.look(clock_ns()))
        await rig.until(lambda _: meter.look(clock_ns()) and not meter.closed)
        meter.close()


async def test_the_disks_of_guests_are_limited_while_the_computer_is_used(rig: Rig) -> None:
    def asked() -> int | None:
        assert rig.driver is not None
        assert isinstance(rig.driver.live, FakeLiveControl)
        return rig.driver.live.asked(VM_ID).disk_bytes_s

    rig.preferences = {"disk.rate_kib_per_s": 100}
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        await rig.until(lambda _: asked() == 0)
        sensors(rig).tell(IN_USE)
        await rig.until(lambda _: asked() == 102400)
        sensors(rig).tell(IDLE)
        await rig.until(lambda _: asked() == 0)
