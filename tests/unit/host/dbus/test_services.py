"""What services say, read without a bus."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from client.clock import SystemClock
from client.host.dbus.desktop import Screensaver
from client.host.dbus.hold import DelayLock
from client.host.dbus.link import Signal, session_address, system_address
from client.host.dbus.login import Login, terminal_input
from client.host.dbus.power import charge_in
from client.host.part import Wanted, Wishes


def test_where_buses_are(tmp_path: Path) -> None:
    assert session_address({"DBUS_SESSION_BUS_ADDRESS": "unix:abstract=x"}) == "unix:abstract=x"
    assert session_address({"XDG_RUNTIME_DIR": str(tmp_path)}) == ""
    assert session_address({}) == ""
    assert system_address({}) == "unix:path=/var/run/dbus/system_bus_socket"
    assert system_address({"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/x"}) == "unix:path=/x"


@pytest.mark.parametrize(
    ("device", "charge"),
    [
        ({"Type": 2, "IsPresent": True, "Percentage": 41.5}, 41.5),
        ({"Type": 2, "IsPresent": True, "Percentage": 103.0}, 100.0),
        ({"Type": 2, "IsPresent": False, "Percentage": 0.0}, None),
        ({"Type": 0, "IsPresent": True, "Percentage": 0.0}, None),
        ({}, None),
    ],
)
def test_the_charge_of_all_batteries(device: dict[str, object], charge: float | None) -> None:
    assert charge_in(device) == charge


def test_the_last_input_of_a_terminal(tmp_path: Path) -> None:
    device = tmp_path / "tty1"
    device.touch()
    os.utime(device, (940.0, 990.0))
    assert terminal_input(device, lambda: 500.0, lambda: 1000.0) == 440.0
    # a wall clock that was set back
    assert terminal_input(device, lambda: 500.0, lambda: 900.0) == 500.0
    assert terminal_input(tmp_path / "none", lambda: 500.0, lambda: 1000.0) is None


def test_sleep_and_shutdown_are_told_by_the_signal_alone() -> None:
    login = Login(SystemClock(), Wishes(), DelayLock(), uid=1000)
    manager = "org.freedesktop.login1.Manager"

    def hear(interface: str, member: str, value: bool) -> object:
        return login.hear(Signal("/org/freedesktop/login1", interface, member, (value,)))

    assert hear(manager, "PrepareForSleep", True) == {"sleeping": True}
    assert hear(manager, "PrepareForSleep", False) == {"sleeping": False}
    assert hear(manager, "PrepareForShutdown", True) == {"leaving": True}
    assert hear(manager, "SessionNew", True) == {}
    assert hear("org.example.Other", "PrepareForSleep", True) == {}


def test_a_screen_saver_says_it_all() -> None:
    saver = Screensaver("org.gnome.ScreenSaver")
    assert saver.hear(Signal("/", saver.name, "ActiveChanged", (True,))) == {"locked": True}
    assert saver.hear(Signal("/", saver.name, "WakeUpScreen", ())) == {}


async def test_a_lock_is_taken_once_and_given_back_once(tmp_path: Path) -> None:
    files = []

    async def call_for_file(*words: object) -> int:
        files.append(os.open(tmp_path, os.O_RDONLY))
        return files[-1]

    lock, link = DelayLock(), SimpleNamespace(call_for_file=call_for_file)
    await lock.take(link)
    await lock.take(link)
    assert lock.held
    assert len(files) == 1
    lock.let_go()
    lock.let_go()
    assert not lock.held
    with pytest.raises(OSError):
        os.fstat(files[0])


class FakeLink:
    """A logind without sessions, whose properties are as given."""

    def __init__(self, **properties: object) -> None:
        self.told = properties
        self.taken = 0

    async def properties(self, *_: object) -> dict[str, object]:
        return self.told

    async def call(self, *_: object) -> tuple[list[object]]:
        return ([],)

    async def call_for_file(self, *_: object) -> int:
        self.taken += 1
        return os.open("/", os.O_RDONLY)


async def test_a_property_that_is_older_than_its_signal_is_not_believed() -> None:
    manager = "org.freedesktop.login1.Manager"
    hold, link = DelayLock(), FakeLink(PreparingForSleep=False, PreparingForShutdown=False)
    login = Login(SystemClock(), Wishes(Wanted(hold=True)), hold, uid=1000)
    assert (await login.ask(link))["sleeping"] is False
    assert hold.held
    login.hear(Signal("/org/freedesktop/login1", manager, "PrepareForSleep", (True,)))
    hold.let_go()
    assert (await login.ask(link))["sleeping"] is True
    assert not hold.held
    login.hear(Signal("/org/freedesktop/login1", manager, "PrepareForSleep", (False,)))
    assert (await login.ask(link))["sleeping"] is False
    assert hold.held
    login.gone()
    assert not hold.held
    link.told = {"PreparingForSleep": True}
    assert (await login.ask(link))["sleeping"] is True


async def test_how_long_sleep_can_be_held_up_is_told() -> None:
    hold, link = DelayLock(), FakeLink(InhibitDelayMaxUSec=30_000_000)
    login = Login(SystemClock(), Wishes(), hold, uid=1000)
    assert (await login.ask(link))["granted_s"] == 30.0
    link.told = {}
    assert (await login.ask(link))["granted_s"] is None


async def test_holding_up_begins_and_ends_as_wanted() -> None:
    hold, wishes, link = DelayLock(), Wishes(), FakeLink()
    login, asked = Login(SystemClock(), wishes, hold, uid=1000), []
    login.wake = lambda: asked.append(wishes.now.hold)
    await login.ask(link)
    assert not hold.held
    wishes.change(Wanted(hold=True))
    wishes.change(Wanted(hold=True))
    await login.ask(link)
    assert hold.held
    wishes.change(Wanted())
    await login.ask(link)
    assert not hold.held
    assert asked == [True, False]
