"""pyvbox played by a small stand-in: where it fits, where it reads states wrongly, and where it hangs."""

import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from client.hypervisor.virtualbox import session
from client.hypervisor.virtualbox.session import SessionHelper, disagreements, load

#: As pyvbox 2.1.1 has them (6.1), and as VirtualBox 7.0 and later number them: it came in between.
OF_6_1 = {"Null": 0, "PoweredOff": 1, "Saved": 2, "Teleported": 3, "Aborted": 4, "Running": 5, "Paused": 6, "Stuck": 7}
OF_7 = {**OF_6_1, "AbortedSaved": 5, "Running": 6, "Paused": 7, "Stuck": 8}


class Refused(Exception):
    """As pyvbox's VBoxError."""


class Machine:
    """One VM; numbers are those of the installed VirtualBox, words are pyvbox's for them."""

    def __init__(self, installed: dict[str, int], known: dict[str, int]) -> None:
        self.number = installed["Running"]
        self.asked: list[str] = []
        self.refuses = False
        self.hangs = threading.Event()
        self.hangs.set()
        self._installed = installed
        self._words = {number: word for word, number in known.items()}

    @property
    def state(self) -> str:
        return self._words[self.number]

    def lock_machine(self, session: Any, kind: str) -> None:
        self.hangs.wait(10)
        self.asked.append(kind)

    def become(self, word: str) -> None:
        self.asked.append(word)
        if self.refuses:
            raise Refused("not now")
        self.number = self._installed[word]

    def save_state(self) -> "Progress":
        self.become("Saved")
        return Progress()


class Progress:
    """Further at each look; the result is there when it is done, not before."""

    def __init__(self) -> None:
        self._left = [10, 60, 100]

    @property
    def completed(self) -> bool:
        return len(self._left) == 1

    @property
    def percent(self) -> int:
        return self._left[0] if self.completed else self._left.pop(0)

    @property
    def result_code(self) -> int:
        if not self.completed:
            raise AssertionError("operation is still in progress")
        return 0


class FakePyvbox:
    """The modules `virtualbox` and `vboxapi.VirtualBox_constants`."""

    def __init__(self, installed: dict[str, int], known: dict[str, int] = OF_6_1) -> None:
        self.machine = Machine(installed, known)
        self._installed = {**installed, "FirstOnline": installed["Running"]}
        self.library = SimpleNamespace(
            MachineState=SimpleNamespace(_enums=[(word, number, "") for word, number in known.items()]),
            LockType=SimpleNamespace(shared="shared"),
            VBoxError=Refused,
        )

    def VirtualBox(self) -> Any:
        return SimpleNamespace(version="6.1.16", find_machine=lambda uuid: self.machine)

    def Session(self) -> Any:
        console = SimpleNamespace(
            pause=lambda: self.machine.become("Paused"), resume=lambda: self.machine.become("Running")
        )
        return SimpleNamespace(console=console, machine=self.machine, unlock_machine=lambda: None)

    @property
    def constants(self) -> Any:
        return SimpleNamespace(VirtualBoxReflectionInfo=lambda _: SimpleNamespace(all_values=lambda _: self._installed))

    def helper(self) -> SessionHelper:
        return SessionHelper(lambda: (self, self.constants))


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
    assert pyvbox.machine.asked == ["shared", "Paused", "shared", "Running"]
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
    monkeypatch.setattr(session, "_CALL_LIMIT_S", 0.1)
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


def test_the_real_modules_are_asked_for_by_name() -> None:
    with pytest.raises(ImportError):
        load()
