"""UPower, power profiles, NetworkManager, logind and desktops on a real D-Bus, coming and going under us."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import dbus_fast
import pytest

from client.clock import SystemClock
from client.host.dbus import link, service
from client.host.dbus.desktop import GameMode, PlasmaInhibitors, Screensaver, SessionInhibitors
from client.host.dbus.hold import DelayLock
from client.host.dbus.link import Link
from client.host.dbus.login import Login
from client.host.dbus.mutter import MutterIdle
from client.host.dbus.network import NetworkManager
from client.host.dbus.power import POWER_PROFILES, PowerProfiles, UPower
from client.host.dbus.service import BusPart
from client.host.part import Wanted, Wishes
from client.host.session_env import session_env
from tests.helpers.buses import PrivateBus, double, private_bus
from tests.helpers.watching import watching

pytestmark = pytest.mark.integration

UPOWER, UPOWER_PATH = "org.freedesktop.UPower", "/org/freedesktop/UPower"
NM, NM_PATH = "org.freedesktop.NetworkManager", "/org/freedesktop/NetworkManager"
LOGIN, LOGIN_PATH = "org.freedesktop.login1", "/org/freedesktop/login1"
MANAGER = f"{LOGIN}.Manager"


@pytest.fixture
def bus() -> Iterator[PrivateBus]:
    with private_bus() as running:
        yield running


async def test_mains_and_battery(bus: PrivateBus) -> None:
    async with watching(BusPart("bus", lambda: bus.address, [UPower()])) as watch:
        async with double(bus, UPOWER, UPOWER_PATH, UPOWER, "upower") as upower:
            await watch.until(lambda sample: sample.on_battery is False)
            await upower.mock(
                UPOWER_PATH, "SetupDisplayDevice", "iiddddxxbsi", 2, 2, 41.5, 30.0, 80.0, 5.0, 3600, 0, True, "x", 3
            )
            await upower.change(UPOWER_PATH, UPOWER, "b", "OnBattery", True)
            await watch.until(lambda sample: sample.on_battery and sample.battery_percent == 41.5)
        await watch.until(lambda sample: sample.on_battery is None and sample.battery_percent is None)
        async with double(bus, UPOWER, UPOWER_PATH, UPOWER, "upower"):
            await watch.until(lambda sample: sample.on_battery is False)


@pytest.mark.parametrize("name", POWER_PROFILES)
async def test_saving_power(bus: PrivateBus, name: str) -> None:
    path = "/" + name.replace(".", "/")
    part = BusPart("bus", lambda: bus.address, [PowerProfiles(each) for each in POWER_PROFILES])
    async with watching(part) as watch, double(bus, name, path, name) as profiles:
        await profiles.mock(path, "AddProperty", "ssv", name, "ActiveProfile", dbus_fast.Variant("s", "balanced"))
        await profiles.change(path, name, "s", "ActiveProfile", "power-saver")
        await watch.until(lambda sample: sample.power_saver)
        await profiles.change(path, name, "s", "ActiveProfile", "performance")
        await watch.until(lambda sample: sample.power_saver is False)


async def test_a_bus_that_ends_and_comes_back(tmp_path: Path) -> None:
    address = f"unix:path={tmp_path / 'bus'}"
    async with watching(BusPart("bus", lambda: address, [UPower()])) as watch:
        with private_bus(address) as first:
            async with double(first, UPOWER, UPOWER_PATH, UPOWER, "upower"):
                await watch.until(lambda sample: sample.on_battery is False)
            first.kill()
            await watch.until(lambda sample: sample.on_battery is None)
        (tmp_path / "bus").unlink()
        with private_bus(address) as second:
            async with double(second, UPOWER, UPOWER_PATH, UPOWER, "upower"):
                await watch.until(lambda sample: sample.on_battery is False)


async def test_networks_and_their_price(bus: PrivateBus) -> None:
    part = BusPart("bus", lambda: bus.address, [NetworkManager()])
    async with watching(part) as watch, double(bus, NM, NM_PATH, NM, "networkmanager") as nm:
        await watch.until(lambda sample: sample.networks == ())
        assert watch.look().metered is None
        (device,) = await nm.mock(NM_PATH, "AddWiFiDevice", "ssu", "d0", "wlan0", 100)
        point = ("ap0", "Café 5G", "00:23:f8:7e:12:bb", 2, 2425, 5400, 82, 0x100)
        (ap,) = await nm.mock(NM_PATH, "AddAccessPoint", "ssssuuuyu", device, *point)
        (kept,) = await nm.mock(NM_PATH, "AddWiFiConnection", "ssss", device, "c0", "Café 5G", "wpa-psk")
        await nm.mock(NM_PATH, "AddActiveConnection", "assssu", [device], kept, ap, "a0", 2)
        await nm.mock(NM_PATH, "AddProperty", "ssv", NM, "Metered", dbus_fast.Variant("u", 0))
        await nm.change(NM_PATH, NM, "u", "Metered", 3)
        await watch.until(lambda sample: sample.metered is True)
        assert watch.look().networks == ("Café 5G",)
        await nm.change(NM_PATH, NM, "u", "Metered", 4)
        await watch.until(lambda sample: sample.metered is False)


async def test_sleep_is_held_up_until_the_guests_are_safe(bus: PrivateBus) -> None:
    hold, wishes = DelayLock(), Wishes(Wanted(hold=True))
    async with watching(
        BusPart("bus", lambda: bus.address, [Login(SystemClock(), wishes, hold, os.getuid())])
    ) as watch:
        async with double(bus, LOGIN, LOGIN_PATH, MANAGER, "logind") as login:
            await watch.until(lambda sample: hold.held)
            (inhibitors,) = await login.call(LOGIN_PATH, MANAGER, "ListInhibitors")
            assert [(what, mode) for what, _, _, mode, _, _ in inhibitors] == [("sleep:shutdown", "delay")]
            await login.emit(LOGIN_PATH, MANAGER, "PrepareForSleep", "b", True)
            await watch.until(lambda sample: sample.sleeping)
            hold.let_go()
            while (await login.call(LOGIN_PATH, MANAGER, "ListInhibitors"))[0]:
                await asyncio.sleep(0.01)
            await login.emit(LOGIN_PATH, MANAGER, "PrepareForSleep", "b", False)
            await watch.until(lambda sample: not sample.sleeping)
            while not hold.held:
                await asyncio.sleep(0.01)
            await login.emit(LOGIN_PATH, MANAGER, "PrepareForShutdown", "b", True)
            await watch.until(lambda sample: sample.leaving)
        await watch.until(lambda sample: not sample.leaving)
        assert not hold.held


async def test_nothing_is_held_up_that_nobody_lets_go(bus: PrivateBus) -> None:
    hold = DelayLock()
    part = BusPart("bus", lambda: bus.address, [Login(SystemClock(), Wishes(), hold, os.getuid())])
    async with watching(part) as watch, double(bus, LOGIN, LOGIN_PATH, MANAGER, "logind"):
        await watch.until(lambda sample: sample.awake is False)
        assert not hold.held


async def test_who_is_shown_on_the_seat(bus: PrivateBus) -> None:
    session = f"{LOGIN_PATH}/session/c2"
    part = BusPart("bus", lambda: bus.address, [Login(SystemClock(), Wishes(), DelayLock(), os.getuid())])
    async with watching(part) as watch, double(bus, LOGIN, LOGIN_PATH, MANAGER, "logind") as login:
        # nobody is logged in: idle since the computer was started
        await watch.until(lambda sample: sample.locked is False and sample.idle_s)
        await login.mock(LOGIN_PATH, "AddSession", "ssusb", "c2", "seat0", os.getuid(), "me", True)
        await login.emit(LOGIN_PATH, MANAGER, "SessionNew", "so", "c2", session)
        await watch.until(lambda sample: sample.idle_s is None)
        await login.change(session, f"{LOGIN}.Session", "b", "LockedHint", True)
        await watch.until(lambda sample: sample.locked)
        await login.change(session, f"{LOGIN}.Session", "b", "LockedHint", False)
        await watch.until(lambda sample: sample.locked is False)


async def test_a_program_that_keeps_the_screen_awake(bus: PrivateBus) -> None:
    part = BusPart("bus", lambda: bus.address, [Login(SystemClock(), Wishes(), DelayLock(), os.getuid())])
    async with watching(part) as watch, double(bus, LOGIN, LOGIN_PATH, MANAGER, "logind") as login:
        await watch.until(lambda sample: sample.awake is False)
        blocked = dbus_fast.Variant("s", "handle-lid-switch")
        await login.mock(LOGIN_PATH, "AddProperty", "ssv", MANAGER, "BlockInhibited", blocked)
        await login.change(LOGIN_PATH, MANAGER, "s", "BlockInhibited", "handle-lid-switch:idle")
        await watch.until(lambda sample: sample.awake)


async def test_input_under_gnome(bus: PrivateBus) -> None:
    name, path = MutterIdle.name, "/org/gnome/Mutter/IdleMonitor/Core"
    part = BusPart("bus", lambda: bus.address, [MutterIdle(SystemClock())])
    async with watching(part) as watch:
        async with double(bus, name, path, name) as mutter:
            await mutter.mock(path, "AddMethod", "sssss", name, "AddIdleWatch", "t", "u", "ret = 1")
            await mutter.mock(path, "AddMethod", "sssss", name, "AddUserActiveWatch", "", "u", "ret = 2")

            async def idle_ms(value: int) -> None:
                await mutter.mock(path, "AddMethod", "sssss", name, "GetIdletime", "", "t", f"ret = {value}")

            await idle_ms(5000)
            # The first asking came before the double had its methods; any signal makes for another.
            await mutter.emit(path, name, "WatchFired", "u", 99)
            await watch.until(lambda sample: sample.idle_s and sample.idle_s >= 5)
            await idle_ms(0)
            await mutter.emit(path, name, "WatchFired", "u", 2)
            await watch.until(lambda sample: sample.idle_s == 0)
            await idle_ms(2000)
            await mutter.emit(path, name, "WatchFired", "u", 1)
            await watch.until(lambda sample: sample.idle_s and sample.idle_s >= 2)
        await watch.until(lambda sample: sample.idle_s is None)


async def test_locks_inhibitors_and_games_of_desktops(bus: PrivateBus) -> None:
    gnome, plasma, games = SessionInhibitors(), PlasmaInhibitors(), GameMode()
    lock = Screensaver("org.gnome.ScreenSaver")
    path = "/com/feralinteractive/GameMode"
    async with watching(BusPart("bus", lambda: bus.address, [gnome, plasma, games, lock])) as watch:
        async with double(bus, lock.name, "/org/gnome/ScreenSaver", lock.name) as screen:
            await screen.mock(
                "/org/gnome/ScreenSaver", "AddMethod", "sssss", lock.name, "GetActive", "", "b", "ret = True"
            )
            await screen.emit("/org/gnome/ScreenSaver", lock.name, "ActiveChanged", "b", True)
            await watch.until(lambda sample: sample.locked)
        await watch.until(lambda sample: sample.locked is None)
        async with double(bus, gnome.name, "/org/gnome/SessionManager", gnome.name) as session:
            where = "/org/gnome/SessionManager"
            await session.mock(where, "AddMethod", "sssss", gnome.name, "IsInhibited", "u", "b", "ret = args[0] == 8")
            await session.emit(where, gnome.name, "InhibitorAdded", "o", "/a")
            await watch.until(lambda sample: sample.awake)
        where = "/org/kde/Solid/PowerManagement/PolicyAgent"
        async with double(bus, plasma.name, where, plasma.name) as agent:
            await agent.mock(where, "AddMethod", "sssss", plasma.name, "HasInhibition", "u", "b", "ret = args[0] == 4")
            await agent.emit(where, plasma.name, "InhibitionsChanged", "")
            await watch.until(lambda sample: sample.awake)
        async with double(bus, games.name, path, games.name) as mode:
            await mode.mock(path, "AddProperty", "ssv", games.name, "ClientCount", dbus_fast.Variant("i", 0))
            await mode.change(path, games.name, "i", "ClientCount", 1)
            await watch.until(lambda sample: sample.full_screen)
            await mode.change(path, games.name, "i", "ClientCount", 0)
            await watch.until(lambda sample: sample.full_screen is False)


async def test_only_the_owner_of_a_name_is_believed(bus: PrivateBus) -> None:
    part = BusPart("bus", lambda: bus.address, [Login(SystemClock(), Wishes(), DelayLock(), os.getuid())])
    async with watching(part) as watch, double(bus, LOGIN, LOGIN_PATH, MANAGER, "logind") as login:
        await watch.until(lambda sample: sample.awake is False)
        async with double(bus, "org.test.Liar", LOGIN_PATH, MANAGER) as liar:
            await liar.emit(LOGIN_PATH, MANAGER, "PrepareForSleep", "b", True)
        await login.emit(LOGIN_PATH, MANAGER, "PrepareForShutdown", "b", True)
        await watch.until(lambda sample: sample.leaving)
        assert not watch.look().sleeping


async def test_a_service_that_hangs_is_not_known_until_it_answers(
    bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_AGAIN_S", 0.1)
    monkeypatch.setattr(link, "ANSWER_S", 0.3)
    upower = UPower()
    upower.again_s = 0.1
    part = BusPart("bus", lambda: bus.address, [upower])
    async with watching(part) as watch, double(bus, UPOWER, UPOWER_PATH, UPOWER, "upower") as hanging:
        await watch.until(lambda sample: sample.on_battery is False)
        os.kill(hanging.pid, signal.SIGSTOP)
        try:
            await watch.until(lambda sample: sample.on_battery is None)
        finally:
            os.kill(hanging.pid, signal.SIGCONT)
        await watch.until(lambda sample: sample.on_battery is False)


async def test_the_displays_of_a_program_that_was_started_elsewhere(bus: PrivateBus) -> None:
    name, path = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
    env = {"DBUS_SESSION_BUS_ADDRESS": bus.address, "DISPLAY": "localhost:10.0", "HOME": "/home/me"}
    async with double(bus, name, path, f"{name}.Manager") as manager:
        words = dbus_fast.Variant("as", ["LANG=de_DE.UTF-8", "DISPLAY=:1", "WAYLAND_DISPLAY=wayland-0"])
        await manager.mock(path, "AddProperty", "ssv", f"{name}.Manager", "Environment", words)
        assert await session_env(env) == {**env, "DISPLAY": ":1", "WAYLAND_DISPLAY": "wayland-0"}
        own = {**env, "DISPLAY": ":7"}
        assert await session_env(own) == own
    with pytest.raises(OSError):
        await session_env(env)
    assert await session_env({}) == {}


async def test_no_bus_is_nothing_known(tmp_path: Path) -> None:
    told = []
    await BusPart("bus", lambda: "", [UPower()]).run(told.append)
    assert told == []
    with pytest.raises(OSError):
        await Link.connect(f"unix:path={tmp_path / 'none'}")
    with pytest.raises(OSError):
        await Link.connect("nonsense")
