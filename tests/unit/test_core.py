"""The core on the fake driver: from Start to a finished job, and back from every interruption."""

import asyncio
import errno
from asyncio import StreamReader, StreamWriter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client import actions, filenames, keeper
from client.commands import (
    Attach,
    DismissProblem,
    Finish,
    Pause,
    PowerOff,
    Quit,
    Reset,
    Resume,
    Start,
    Stop,
    WhatOfWork,
)
from client.core import VM_ID
from client.guest import health
from client.hypervisor.driver import DriverReport, Feature, VmInfo
from client.hypervisor.errors import OTHER_ROUTES, InvalidVmState, SaveFailed, SlowHypervisor, StartFailed
from client.hypervisor.fake import FakeDriver
from client.hypervisor.spec_file import parse_spec
from client.link import LinkEnd
from client.project.errors import EnrolmentRefused, ProjectUnreachable
from client.snapshot import Activity, ClientSnapshot, VmState
from client.vm_record import VmRecord
from tests.helpers.client_core import Rig, quicken


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    quicken(monkeypatch)
    rig = Rig(tmp_path)
    rig.prepare()
    return rig


def state(snapshot: ClientSnapshot) -> VmState | None:
    return snapshot.vms[0].state if snapshot.vms else None


def codes(snapshot: ClientSnapshot) -> set[str]:
    return {problem.code for problem in snapshot.problems}


async def test_from_start_to_an_accepted_job(rig: Rig) -> None:
    async with rig.running() as core:
        first = await rig.until(lambda s: s.allowed.start)
        assert first.activity is Activity.STOPPED
        await core.handle(Start())
        seen = await rig.until(lambda s: s.totals.jobs_accepted >= 1)
        assert seen.totals.units_done >= 1
        assert seen.problems == ()
        assert seen.vms[0].guest is not None
        assert seen.allowed.pause and not seen.allowed.start


async def test_pause_resume_stop_start_quit(rig: Rig) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        await core.handle(Pause())
        held = await rig.until(lambda s: state(s) is VmState.PAUSED)
        assert held.reason is not None
        assert held.reason.code == "paused-by-user"
        await core.handle(Resume())
        await rig.until(lambda s: state(s) is VmState.RUNNING)
        await core.handle(Stop())
        await rig.until(lambda s: state(s) is VmState.SAVED and s.activity is Activity.STOPPED)
        await core.handle(Start())
        await rig.until(lambda s: state(s) is VmState.RUNNING)
        await core.handle(Quit())
        ended = await rig.until(lambda s: state(s) is VmState.SAVED)
        assert ended.vms[0].state is VmState.SAVED
    assert rig.tokens == 1


async def test_a_timed_pause_ends_by_itself(rig: Rig) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        await core.handle(Pause(datetime.now(UTC) + timedelta(seconds=0.3)))
        await rig.until(lambda s: state(s) is VmState.PAUSED)
        await rig.until(lambda s: state(s) is VmState.RUNNING)


async def test_finish_lets_the_job_end_and_then_stops(rig: Rig) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.vms and s.vms[0].job is not None and s.vms[0].job.done_units > 0)
        await core.handle(Finish())
        ended = await rig.until(lambda s: s.activity is Activity.STOPPED)
        assert ended.totals.jobs_accepted >= 1
        assert state(ended) is VmState.DEFINED


async def test_a_killed_core_takes_up_the_same_vm(rig: Rig) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
    before = rig.driver
    assert before is not None
    async with rig.running():
        await rig.until(lambda s: s.activity in {Activity.WORKING, Activity.BOOTING})
        assert rig.driver is not None
        assert [info.vm_id for info in await rig.driver.list_vms()] == ["work-1"]


async def test_a_guest_found_at_work_is_saved_before_it_has_said_a_word(rig: Rig) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
    rig.guest = silent
    async with rig.running() as core:
        await rig.until(lambda s: state(s) is VmState.RUNNING)
        await core.handle(Stop())
        ended = await rig.until(lambda s: s.activity is Activity.STOPPED)
        assert state(ended) is VmState.SAVED


async def test_stopped_stays_stopped_over_a_restart(rig: Rig) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        await core.handle(Stop())
        await rig.until(lambda s: state(s) is VmState.SAVED)
    async with rig.running():
        seen = await rig.until(lambda s: state(s) is VmState.SAVED)
        assert seen.activity is Activity.STOPPED


async def test_a_guest_whose_token_ended_goes_on_with_another(rig: Rig) -> None:
    rig.token_life = timedelta(seconds=0)
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        await core.handle(Stop())
        await rig.until(lambda s: state(s) is VmState.SAVED)
        asked, rig.token_life = rig.tokens, timedelta(days=1)
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        await rig.until(lambda _: rig.tokens == asked + 1)
        assert VmRecord.load(rig.paths, VM_ID).medium_is_old, "it was restored, not booted"


async def test_a_guest_that_cannot_take_another_token_is_booted_afresh_when_its_own_ended(rig: Rig) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        await core.handle(Stop())
        await rig.until(lambda s: state(s) is VmState.SAVED)
    VmRecord(datetime.now(UTC), VmRecord.load(rig.paths, VM_ID).appliance).save(rig.paths, VM_ID)
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        assert not VmRecord.load(rig.paths, VM_ID).medium_is_old
    assert rig.tokens == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProjectUnreachable("http://x", "refused"), "project-unreachable"),
        (EnrolmentRefused("http://x", 403, "no"), "enrolment-refused"),
    ],
)
async def test_without_a_token_it_says_so_and_goes_on_when_there_is_one(rig: Rig, error: Exception, code: str) -> None:
    rig.token_error = error
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: code in codes(s))
        rig.token_error = None
        seen = await rig.until(lambda s: s.activity is Activity.WORKING)
        assert code not in codes(seen)


async def test_a_failed_start_is_tried_again(rig: Rig) -> None:
    async with rig.running() as core:
        await rig.until(lambda _: rig.driver is not None)
        assert rig.driver is not None
        rig.driver.failures["start"] = StartFailed("work-1", ("qemu",), 1, "no memory")
        await core.handle(Start())
        seen = await rig.until(lambda s: "start-failed" in codes(s))
        assert "no memory" in seen.problems[0].text
        await rig.until(lambda s: s.activity is Activity.WORKING and not s.problems)


async def test_a_failed_save_leaves_the_guest_and_is_tried_again(rig: Rig) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        assert rig.driver is not None
        rig.driver.failures["save"] = SaveFailed("work-1", "disk")
        await core.handle(Stop())
        await rig.until(lambda s: state(s) is VmState.SAVED)
        assert "save-failed" in rig.told


async def test_a_damaged_appliance_is_noticed_before_the_guest_sees_it(rig: Rig) -> None:
    (victim,) = rig.paths.appliances.rglob("root.squashfs")
    victim.chmod(0o600)
    victim.write_bytes(b"HSQS")
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: "appliance-altered" in codes(s))
        assert not victim.exists()
        await rig.until(lambda s: "download-failed" in codes(s))


async def silent(reader: StreamReader, writer: StreamWriter) -> None:
    while await reader.read(4096):
        pass


async def test_a_guest_that_hangs_is_reset_then_booted_afresh(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    # Six times as long for the fake's guests, which are slow ones.
    monkeypatch.setattr(health, "BOOT_LIMIT_S", 0.05)
    rig.guest = silent
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda _: rig.tokens >= 2)
        assert {"guest-hung", "guest-hung-again"} <= rig.told
    steps = [entry.step for entry in core._journal.entries()]
    assert steps[:4] == ["boot", "reset", "fresh boot", "boot"]


async def silent_but_alive(reader: StreamReader, writer: StreamWriter) -> None:
    end = LinkEnd("alive")
    writer.write(end.hello(version="deaf", peer="guest"))
    writer.write(end.send("boot", step="xmpp", uptime_s=1.0))
    writer.write(end.send("heartbeat", uptime_s=1.0, xmpp=True, interval_s=5))
    while await reader.read(4096):
        pass


@pytest.mark.parametrize("own", [True, False])
async def test_only_a_reset_that_nobody_asked_for_is_told_of(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    monkeypatch.setattr(keeper, "OWN_RESET_S", 60.0)
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        assert rig.driver is not None
        if own:
            await core.handle(Reset())
            while "reset" not in [entry.step for entry in core._journal.entries() if entry.ended_at]:
                await asyncio.sleep(0.01)
        # The firmware resets the machine once more by itself.
        await rig.driver.reset_by_guest(VM_ID)
        if own:
            await asyncio.sleep(0.3)
        else:
            await rig.until(lambda _: "guest-rebooted" in rig.told)
        await rig.until(lambda s: s.activity is Activity.WORKING)
        await core.handle(Stop())
        await rig.until(lambda s: state(s) in {VmState.SAVED, VmState.DEFINED})
    assert ("guest-rebooted" in rig.told) is not own


async def test_power_off_waits_for_no_guest_that_does_not_answer(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "FAREWELL_S", 0.3)
    rig.guest = silent_but_alive
    async with rig.running(10) as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        await core.handle(PowerOff())
        await rig.until(lambda s: state(s) is VmState.DEFINED)
    assert [entry.step for entry in core._journal.entries()][-1] == "pull the plug"


async def test_a_machine_that_fails_is_said_and_started_again(rig: Rig) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        assert rig.driver is not None
        await rig.driver.crash("work-1")
        seen = await rig.until(lambda s: "vm-failed" in codes(s))
        assert "The virtual machine failed: its process ended unexpectedly." in seen.problems[-1].text
        await rig.until(lambda s: s.activity is Activity.WORKING and "vm-failed" not in codes(s))


async def gone_at_once(reader: StreamReader, writer: StreamWriter) -> None:
    await asyncio.sleep(0)


async def test_a_guest_that_ends_at_once_is_not_started_in_a_rush(rig: Rig) -> None:
    rig.guest = gone_at_once
    async with rig.running() as core:
        await core.handle(Start())
        seen = await rig.until(lambda s: "guest-ends-early" in codes(s))
        assert "2 times in a row" in seen.problems[-1].text
        assert rig.tokens <= 3


async def test_a_guest_that_cannot_log_in_is_told_of(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    from client.link import LinkEnd

    async def offline(reader: StreamReader, writer: StreamWriter) -> None:
        end = LinkEnd("g")
        while True:
            writer.write(end.send("heartbeat", uptime_s=1, xmpp=False))
            await asyncio.sleep(0.05)

    monkeypatch.setattr(keeper, "OFFLINE_LIMIT_S", 0.2)
    rig.guest = offline
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: "project-offline" in codes(s))


async def test_quit_with_stop_powers_off(rig: Rig) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        await core.handle(Quit(WhatOfWork.STOP))
        await rig.until(lambda s: state(s) is VmState.DEFINED)


async def test_without_a_project_it_says_what_to_do_and_quits_when_asked(rig: Rig) -> None:
    rig.paths.project.unlink()
    async with rig.running() as core:
        seen = await rig.until(lambda s: "no-project" in codes(s))
        assert "attach" in seen.problems[0].doing
        await core.handle(DismissProblem("no-project", "start"))
        await rig.until(lambda s: not s.problems)
        await core.handle(Quit())


async def test_a_project_can_be_attached_while_it_runs_without_one(rig: Rig, tmp_path: Path) -> None:
    sent, nonsense = rig.paths.project.rename(tmp_path / "sent.toml"), tmp_path / "nonsense.toml"
    nonsense.write_text("services")
    async with rig.running() as core:
        await rig.until(lambda s: "no-project" in codes(s))
        await core.handle(Attach(str(nonsense)))
        seen = await rig.until(lambda s: "bad-input" in codes(s))
        assert "no-project" in codes(seen) and not rig.paths.project.exists()
        await core.handle(Attach(str(sent)))
        await rig.until(lambda s: s.project_name != "" and not s.problems)
        await core.handle(Attach(str(sent)))
        seen = await rig.until(lambda s: "bad-input" in codes(s))
        assert "already" in seen.problems[0].text
        await core.handle(Quit())


async def test_an_unreadable_intent_means_stopped(rig: Rig) -> None:
    rig.paths.intent.write_text("{")
    async with rig.running():
        seen = await rig.until(lambda s: s.allowed.start)
        assert seen.activity is Activity.STOPPED


async def test_a_journal_that_cannot_be_written_is_told_and_work_goes_on_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig.running() as core:
        begin, fails = core._journal.begin, [OSError(errno.ENOSPC, "No space left on device")]

        def full_at_first(step: str, about: str, now: datetime) -> int:
            if fails:
                raise fails.pop()
            return begin(step, about, now)

        monkeypatch.setattr(core._journal, "begin", full_at_first)
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        assert "disk-full" in rig.told


async def test_a_failure_that_nobody_foresaw_is_told_and_tried_again(rig: Rig) -> None:
    rig.token_error = ValueError("not a header")
    async with rig.running() as core:
        await core.handle(Start())
        seen = await rig.until(lambda s: "internal" in codes(s))
        assert "not a header" in seen.problems[0].text
        rig.token_error = None
        await rig.until(lambda s: s.activity is Activity.WORKING and not s.problems)


async def test_a_driver_that_cannot_work_after_all_makes_way_for_another(rig: Rig) -> None:
    first = FakeDriver(rig.paths.vms / "first", rig.guest)
    slow = SlowHypervisor("Slow", "interpreter", 17, "buy a faster one")

    async def give_up() -> DriverReport:
        usual = await FakeDriver.probe(first)
        return replace(usual, available="start" in first.failures, reasons=(slow,))

    first.failures["start"] = StartFailed("work-1", ("x",), 1, "no virtualization")
    first.probe = give_up  # type: ignore[method-assign]
    rig.drivers = [first]
    async with rig.running() as core:
        await rig.until(lambda s: "slow-hypervisor" in codes(s))
        await core.handle(Start())
        seen = await rig.until(lambda s: s.totals.jobs_accepted >= 1)
        assert rig.driver is not first
        assert "slow-hypervisor" not in codes(seen)


async def test_a_driver_that_is_slower_than_it_seemed_makes_way_for_a_faster_one(rig: Rig) -> None:
    async with rig.running() as core:
        await rig.until(lambda s: s.allowed.start)
        first = rig.driver
        faster = FakeDriver(rig.paths.vms / "faster", rig.guest)
        rig.drivers = [faster]
        # The accelerator becomes known with the first start, and with it how fast this driver really is.
        await core.handle(Start())
        await rig.until(lambda s: s.totals.jobs_accepted >= 1)
        assert first is not None and rig.driver is faster


@pytest.mark.parametrize(("agreed", "online"), [("confining", False), ("none", False), ("all", True)])
async def test_a_guest_that_nothing_confines_is_offline_until_agreed(rig: Rig, agreed: str, online: bool) -> None:
    class Open(FakeDriver):
        async def probe(self) -> DriverReport:
            usual = await super().probe()
            return replace(usual, features=usual.features - {Feature.CONFINED_NETWORK})

    rig.preferences = {"network.unconfined": agreed}
    rig.drivers = [Open(rig.paths.vms, rig.guest)]
    async with rig.running() as core:
        await core.handle(Start())
        seen = await rig.until(lambda s: state(s) is VmState.RUNNING)
        assert ("network-not-agreed" in codes(seen)) is not online
    spec = parse_spec((rig.paths.vms / VM_ID / filenames.VM_SPEC).read_text())
    assert spec.network is online


@pytest.mark.parametrize(("tries", "told"), [(1, True), (2, False)])
async def test_a_saved_guest_that_cannot_be_led_as_it_was_told_boots_afresh(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, tries: int, told: bool
) -> None:
    monkeypatch.setattr(actions, "LEAD_PAUSE_S", 0.0)
    monkeypatch.setattr(actions, "LEAD_TRIES", tries)

    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        await core.handle(Stop())
        await rig.until(lambda s: state(s) is VmState.SAVED and s.activity is Activity.STOPPED)
        assert rig.driver is not None
        rig.driver.failures["set_routes"] = InvalidVmState(VM_ID, "set_routes", OTHER_ROUTES)
        done = rig.last.totals.jobs_accepted if rig.last else 0
        await core.handle(Start())
        await rig.until(lambda s: s.totals.jobs_accepted > done)
    assert ("route-port-taken" in rig.told) is told
    assert rig.tokens == (2 if told else 1)


def route_names(rig: Rig) -> list[str]:
    spec = parse_spec((rig.paths.vms / VM_ID / filenames.VM_SPEC).read_text())
    return [route.name for route in spec.routes]


async def test_a_guest_that_was_saved_without_a_way_to_https_goes_on_without(rig: Rig) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        await core.handle(Stop())
        await rig.until(lambda s: state(s) is VmState.SAVED and s.activity is Activity.STOPPED)
    before = rig.paths.project.read_text()
    rig.paths.project.write_text(before.replace("[transfer]", '[transfer]\nhttps = "127.0.0.1:7443"'))
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
    assert (rig.tokens, route_names(rig)) == (1, ["xmpp", "chirp"])


async def test_a_guest_is_told_of_https_if_the_project_has_it_and_keeps_it(rig: Rig) -> None:
    before = rig.paths.project.read_text()
    rig.paths.project.write_text(before.replace("[transfer]", '[transfer]\nhttps = "127.0.0.1:7443"'))
    for _ in range(2):
        async with rig.running() as core:
            await core.handle(Start())
            await rig.until(lambda s: s.activity is Activity.WORKING)
            await core.handle(Stop())
            await rig.until(lambda s: state(s) is VmState.SAVED and s.activity is Activity.STOPPED)
    medium = rig.paths.context(VM_ID).read_bytes()
    assert b'"https": "127.0.0.1:7443"' in medium
    assert b'"127.0.0.1:7443": "10.0.2.103:443"' in medium
    assert (rig.tokens, route_names(rig)) == (1, ["xmpp", "chirp", "https"])


async def test_a_saved_guest_is_kept_when_its_routes_are_not_known_now(rig: Rig) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        await core.handle(Stop())
        await rig.until(lambda s: state(s) is VmState.SAVED and s.activity is Activity.STOPPED)
        assert rig.driver is not None
        rig.driver.failures["set_routes"] = InvalidVmState(VM_ID, "set_routes", VmState.FAILED)
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
    assert "invalid-vm-state" in rig.told and rig.tokens == 1


async def test_once_a_guest_lives_the_driver_is_asked_again(rig: Rig) -> None:
    class Slow(FakeDriver):
        lived = False

        async def saw_life(self, vm_id: str) -> None:
            self.lived = True
            await super().saw_life(vm_id)

        async def probe(self) -> DriverReport:
            usual = await super().probe()
            slow = SlowHypervisor("Slow", "tcg", 10, "")
            return replace(usual, reasons=(slow,) if self.lived else ())

    rig.drivers = [Slow(rig.paths.vms, rig.guest)]
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: "slow-hypervisor" in codes(s))


class Hanging(FakeDriver):
    """One that does not answer some question until it is let."""

    def __init__(self, rig: Rig, *questions: str) -> None:
        super().__init__(rig.paths.vms, rig.guest)
        self.hangs = set(questions)
        self.asked: list[str] = []
        self.free = asyncio.Event()

    async def _answer(self, question: str) -> None:
        self.asked.append(question)
        if question in self.hangs:
            await self.free.wait()

    async def probe(self) -> DriverReport:
        await self._answer("probe")
        return await super().probe()

    async def info(self, vm_id: str) -> VmInfo:
        await self._answer("info")
        return await super().info(vm_id)

    async def console_tail(self, vm_id: str, limit_bytes: int = 8192) -> str:
        await self._answer("console")
        return await super().console_tail(vm_id, limit_bytes)


async def test_no_command_waits_for_a_driver_that_is_asked_whether_it_works(rig: Rig) -> None:
    driver = Hanging(rig)
    driver.failures["start"] = StartFailed(VM_ID, ("x",), 1, "no")
    rig.drivers = [driver]
    async with rig.running() as core:
        await rig.until(lambda s: s.vms)
        driver.hangs, driver.asked = {"probe"}, []
        await core.handle(Start())
        while "probe" not in driver.asked:
            await asyncio.sleep(0.01)
        # It is tried again meanwhile.
        await rig.until(lambda s: s.activity is Activity.WORKING)
        await core.handle(Pause())
        await rig.until(lambda s: state(s) is VmState.PAUSED and s.reason and s.reason.code == "paused-by-user")
        await core.handle(Quit())
        await rig.until(lambda s: state(s) is VmState.SAVED and s.reason and s.reason.code == "leaving")
        await rig.ended()
    # One question at a time, however often there is reason for it.
    assert driver.asked.count("probe") == 1


async def test_what_a_driver_said_of_itself_too_late_is_asked_again(rig: Rig) -> None:
    slow = SlowHypervisor("Slow", "tcg", 10, "")

    class Slow(Hanging):
        async def probe(self) -> DriverReport:
            is_late = self.lives.get(VM_ID, 0) == 0
            return replace(await super().probe(), reasons=() if is_late else (slow,))

    driver = Slow(rig)
    driver.failures["start"] = StartFailed(VM_ID, ("x",), 1, "no")
    rig.drivers = [driver]
    async with rig.running() as core:
        await rig.until(lambda s: s.vms)
        driver.hangs = {"probe"}
        await core.handle(Start())
        # The start failed, which is a reason to ask; then a guest lives, which is another one.
        await rig.until(lambda s: s.activity is Activity.WORKING)
        driver.free.set()
        await rig.until(lambda s: "slow-hypervisor" in codes(s))


async def test_no_command_waits_for_the_state_of_a_machine(rig: Rig) -> None:
    driver = Hanging(rig)
    rig.drivers = [driver]
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
        driver.hangs = {"info"}
        await core.handle(Pause())
        await rig.until(lambda s: s.reason and s.reason.code == "paused-by-user" and s.allowed.resume)
        # One step is taken from what was known, none after it until its outcome has been seen.
        while [entry.step for entry in core._journal.entries() if entry.ended_at][-1] != "pause":
            await asyncio.sleep(0.01)
        await core.handle(Resume())
        seen = await rig.until(lambda s: s.reason is None)
        assert state(seen) is VmState.RUNNING
        assert [entry.step for entry in core._journal.entries()][-1] == "pause"
        driver.free.set()
        while [entry.step for entry in core._journal.entries() if entry.ended_at][-1] != "resume":
            await asyncio.sleep(0.01)


async def test_a_quit_is_taken_while_the_hypervisors_are_looked_for(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.core.LAST_LOOK_S", 0.3)
    rig.drivers = [Hanging(rig, "probe")]
    async with rig.running() as core:
        await core.handle(Start())
        seen = await rig.until(lambda s: s.headline)
        assert (seen.activity, seen.problems) == (Activity.PREPARING, ())
        await core.handle(Quit())
        await rig.until(lambda s: s.reason and s.reason.code == "leaving")
        await rig.ended()


async def test_a_hypervisor_that_answers_late_still_gets_its_machine_saved(rig: Rig) -> None:
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: s.activity is Activity.WORKING)
    # The client was killed, its machine executes.
    driver = Hanging(rig, "probe")
    rig.drivers = [driver]
    async with rig.running() as core:
        await core.handle(Quit(WhatOfWork.STOP))
        await rig.until(lambda s: s.reason and s.reason.code == "leaving")
        driver.free.set()
        await rig.ended()
        assert rig.last is not None and state(rig.last) is VmState.DEFINED


async def test_no_command_waits_for_the_last_words_on_a_console(rig: Rig) -> None:
    rig.guest = gone_at_once
    rig.drivers = [Hanging(rig, "console")]
    async with rig.running() as core:
        await core.handle(Start())
        await rig.until(lambda s: "guest-ends-early" in codes(s))
        await core.handle(Quit())
        await rig.ended()
