"""All sensors of this computer together, as the program has them: on a real screen, with real buses."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client.host import looks
from client.host.part import Wanted
from client.host.registry import sensors_for
from client.host.sample import Sample
from client.host.sensors import Sensors
from tests.helpers.buses import Double, PrivateBus, double, private_bus
from tests.helpers.screen import Screen, open_screen

pytestmark = pytest.mark.integration
LOGIN, LOGIN_PATH = "org.freedesktop.login1", "/org/freedesktop/login1"
MANAGER = f"{LOGIN}.Manager"
SESSION = f"{LOGIN_PATH}/session/c2"
LIMIT_S = 30.0


class Listener:
    """Opens sensors and waits for what they say."""

    def __init__(self, sensors: Sensors) -> None:
        self.sensors = sensors
        self.woken: list[float] = []
        self._changed = asyncio.Event()

    async def __aenter__(self) -> "Listener":
        await self.sensors.open(self._changed.set, self.woken.append)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.sensors.close()
        await self.sensors.close()

    async def until(self, holds: Callable[[Sample], object]) -> Sample:
        async with asyncio.timeout(LIMIT_S):
            while not holds(self.sensors.look()):
                self._changed.clear()
                await self._changed.wait()
        return self.sensors.look()


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    with open_screen(tmp_path_factory.mktemp("screen"), tray=False) as opened:
        yield opened


@pytest.fixture
def bus() -> Iterator[PrivateBus]:
    with private_bus() as running:
        yield running


def listener(screen: Screen, bus: PrivateBus, wanted: Wanted | None = None) -> Listener:
    env = {**screen.env, "DBUS_SYSTEM_BUS_ADDRESS": bus.address, "DBUS_SESSION_BUS_ADDRESS": bus.address}
    return Listener(sensors_for(wanted, "linux", env=env))


async def log_in(login: Double, uid: int, session: str = "c2") -> None:
    await login.mock(LOGIN_PATH, "AddSession", "ssusb", session, "seat0", uid, f"user{uid}", True)
    path = f"{LOGIN_PATH}/session/{session}"
    await login.change(path, f"{LOGIN}.Session", "s", "Type", "x11")
    await login.emit(LOGIN_PATH, MANAGER, "SessionNew", "so", session, path)


async def test_before_anything_is_known_it_says_so(screen: Screen, bus: PrivateBus) -> None:
    sensors = sensors_for(platform="linux", env={})
    assert sensors.look() == Sample()
    await sensors.close()


async def test_common_things_are_known(
    screen: Screen, bus: PrivateBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "TICK_S", 0.2)
    async with listener(screen, bus, Wanted(programs=True, folder=tmp_path)) as hearing:
        sample = await hearing.until(lambda said: said.programs and said.free_disk_mib and said.on_battery is not None)
        assert "xvfb" in (sample.programs or ())
        assert (sample.free_memory_mib or 0) > 0
        hearing.sensors.want(Wanted())
        sample = await hearing.until(lambda said: said.programs is None)


async def test_somebody_else_at_the_seat_is_not_idle(screen: Screen, bus: PrivateBus) -> None:
    """Our own display grows idle all the while another user's session is in front."""
    async with listener(screen, bus) as hearing, double(bus, LOGIN, LOGIN_PATH, MANAGER, "logind") as login:
        await log_in(login, os.getuid())
        await hearing.until(lambda said: said.idle_s is not None and said.awake is False)
        await login.change(SESSION, f"{LOGIN}.Session", "b", "Active", False)
        await log_in(login, os.getuid() + 1, "c3")
        await hearing.until(lambda said: said.idle_s is None)
        await login.change(f"{LOGIN_PATH}/session/c3", f"{LOGIN}.Session", "b", "LockedHint", True)
        await hearing.until(lambda said: said.locked and said.idle_s is not None)


async def test_input_is_told_while_everything_else_runs(screen: Screen, bus: PrivateBus) -> None:
    async with listener(screen, bus) as hearing, double(bus, LOGIN, LOGIN_PATH, MANAGER, "logind") as login:
        await log_in(login, os.getuid())
        await hearing.until(lambda said: said.idle_s)
        began = time.monotonic()
        child = await asyncio.create_subprocess_exec("xdotool", "key", "a", env=screen.env)
        await hearing.until(lambda said: said.idle_s == 0)
        assert time.monotonic() - began < 0.5
        assert await child.wait() == 0


async def test_sleep_is_held_up_until_let_go(screen: Screen, bus: PrivateBus) -> None:
    hearing = listener(screen, bus)
    async with hearing, double(bus, LOGIN, LOGIN_PATH, MANAGER, "logind") as login:
        await hearing.until(lambda said: said.awake is False)

        async def holders() -> int:
            return len((await login.call(LOGIN_PATH, MANAGER, "ListInhibitors"))[0])

        assert await holders() == 0
        hearing.sensors.want(Wanted(hold=True))
        while not await holders():
            await asyncio.sleep(0.01)
        await login.emit(LOGIN_PATH, MANAGER, "PrepareForSleep", "b", True)
        await hearing.until(lambda said: said.sleeping)
        hearing.sensors.let_go()
        while await holders():
            await asyncio.sleep(0.01)
