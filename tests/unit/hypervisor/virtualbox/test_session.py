"""The session helper with a stand-in for pyvbox: what it does, and when it switches itself off."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from client.hypervisor.virtualbox import session
from client.hypervisor.virtualbox.session import SessionHelper, disagreements, load
from tests.unit.hypervisor.virtualbox.fake_pyvbox import OF_6_1, OF_7, FakePyvbox


def test_the_trap_of_the_state_numbers() -> None:
    fits, trap = FakePyvbox(OF_6_1), FakePyvbox(OF_7)
    assert disagreements(fits.library, fits.constants) == ()
    assert disagreements(trap.library, trap.constants) == ("AbortedSaved", "Paused", "Running", "Stuck")


async def test_where_it_fits_it_serves() -> None:
    pyvbox = FakePyvbox(OF_6_1)
    helper = pyvbox.helper()
    assert not await helper.pause("u")
    assert pyvbox.machine.asked == []
    assert await helper.start()
    assert (await helper.pause("u"), await helper.resume("u")) == (True, True)
    assert pyvbox.machine.asked == ["shared", "Paused", "unlocked", "shared", "Running", "unlocked"]
    helper.close()
    assert not await helper.pause("u")


async def test_against_a_newer_virtualbox_it_is_off() -> None:
    pyvbox = FakePyvbox(OF_7)
    helper = pyvbox.helper()
    assert not await helper.start()
    assert "AbortedSaved" in helper.why_off
    assert not await helper.pause("u")
    assert pyvbox.machine.asked == []
    helper.close()


async def test_without_it() -> None:
    def missing() -> tuple[Any, Any]:
        raise ImportError("No module named 'virtualbox'")

    helper = SessionHelper(missing)
    assert not await helper.start()
    assert helper.why_off == "ImportError: No module named 'virtualbox'"
    helper.close()


async def test_a_refusal_leaves_it_on() -> None:
    pyvbox = FakePyvbox(OF_6_1)
    helper = pyvbox.helper()
    assert await helper.start()
    pyvbox.machine.refuses = True
    assert not await helper.pause("u")
    assert helper.why_off == ""
    pyvbox.machine.refuses = False
    assert await helper.pause("u")
    helper.close()


async def test_an_error_from_below_pyvbox_leaves_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Below(Exception):
        pass

    def fail(word: str) -> None:
        raise Below("0x80004005")

    monkeypatch.setitem(sys.modules, "xpcom", SimpleNamespace(Exception=Below))
    pyvbox = FakePyvbox(OF_6_1)
    helper = pyvbox.helper()
    assert await helper.start()
    monkeypatch.setattr(pyvbox.machine, "become", fail)
    assert not await helper.pause("u")
    assert helper.why_off == ""
    helper.close()


async def test_a_state_read_wrongly_later_switches_it_off() -> None:
    pyvbox = FakePyvbox(OF_6_1)
    helper = pyvbox.helper()
    assert await helper.start()
    pyvbox.machine._installed = OF_7
    assert not await helper.pause("u")
    assert helper.why_off == "ValueError: after pause it reads the state as Stuck"
    helper.close()


async def test_one_that_hangs_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_VERB_LIMIT_S", 0.1)
    pyvbox = FakePyvbox(OF_6_1)
    helper = pyvbox.helper()
    assert await helper.start()
    pyvbox.machine.hangs.clear()
    assert not await helper.pause("u")
    assert helper.why_off == "no answer within 0.1 s"
    pyvbox.machine.hangs.set()
    assert not await helper.resume("u")
    helper.close()


async def test_saving_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_PERCENT_EVERY_S", 0.0)
    pyvbox = FakePyvbox(OF_6_1)
    helper = pyvbox.helper()
    assert await helper.start()
    seen: list[int] = []
    assert await helper.save("u", seen.append)
    assert seen == [10, 60, 100]
    pyvbox.machine.refuses = True
    assert not await helper.save("u", seen.append)
    assert len(seen) == 3
    helper.close()


@pytest.mark.parametrize(("result", "is_locked"), [(0, True), (5, False)])
async def test_a_vm_that_was_not_saved_is_not_left_locked(
    monkeypatch: pytest.MonkeyPatch, result: int, is_locked: bool
) -> None:
    monkeypatch.setattr(session, "_PERCENT_EVERY_S", 0.0)
    pyvbox = FakePyvbox(OF_6_1)
    helper = pyvbox.helper()
    assert await helper.start()
    pyvbox.machine.progress.result = result
    assert await helper.save("u", lambda percent: None) is is_locked
    assert ("unlocked" not in pyvbox.machine.asked) is is_locked
    helper.close()


def test_the_real_modules_are_asked_for_by_name() -> None:
    with pytest.raises(ImportError):
        load()
