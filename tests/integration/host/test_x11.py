"""Input and windows on a real X server, with real (synthetic) input."""

import asyncio
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.clock import SystemClock
from client.host.x11 import part
from client.host.x11.address import number_of, socket_of
from client.host.x11.display import Display, XRefused
from client.host.x11.part import X11
from tests.helpers.compositor import open_sway
from tests.helpers.screen import Screen, open_screen, running, wait_for
from tests.helpers.watching import watching

pytestmark = pytest.mark.integration
#: shorter than in real life, so that many trials take seconds
MARK_S = 0.15
TRIALS = 30
#: numbers of displays that nobody else has
FREE = 1000 + 2 * (os.getpid() % 10_000)


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    with open_screen(tmp_path_factory.mktemp("screen"), tray=False) as opened:
        yield opened


def display_socket(screen: Screen) -> str:
    number = number_of(screen.env["DISPLAY"])
    assert number is not None
    return socket_of(number)


async def move(screen: Screen, trial: int) -> None:
    child = await asyncio.create_subprocess_exec("xdotool", "mousemove", str(50 + trial), "60", env=screen.env)
    assert await child.wait() == 0


async def test_input_is_told_within_half_a_second(screen: Screen) -> None:
    async with watching(X11(SystemClock(), screen.env, MARK_S)) as watch:
        took = []
        for trial in range(TRIALS):
            await watch.until(lambda sample: sample.idle_s)
            began = time.monotonic()
            await move(screen, trial)
            took.append(await watch.until(lambda sample: sample.idle_s == 0) - began)
    assert sorted(took)[int(TRIALS * 0.95)] <= 0.5, took


async def test_idle_time_is_what_the_server_counts(screen: Screen) -> None:
    async with watching(X11(SystemClock(), screen.env, MARK_S)) as watch:
        await move(screen, 1)
        began = time.monotonic()
        await watch.until(lambda sample: sample.idle_s)
        await asyncio.sleep(1)
        idle_s, since = watch.look().idle_s, time.monotonic() - began
    assert idle_s == pytest.approx(since, abs=0.3)


async def test_a_moving_mouse_costs_one_event(screen: Screen) -> None:
    async with watching(X11(SystemClock(), screen.env, mark_s=2.0)) as watch:
        await move(screen, 1)
        await watch.until(lambda sample: sample.idle_s == 0)
        before = watch.changes
        screen.xdotool("mousemove", "5", "5", *[word for n in range(300) for word in ("mousemove", str(n), "9")])
        assert watch.look().idle_s == 0
        assert watch.changes == before


async def test_a_server_that_hangs_is_noticed(tmp_path: Path) -> None:
    """As a socket whose server has died behind it: it connects, and there is never a word."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
        dead.listen()
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await Display.connect(str(tmp_path / "dead"), b"")
        assert time.monotonic() - began < 4


async def test_a_server_that_ends_leaves_nothing_known(tmp_path: Path) -> None:
    with open_screen(tmp_path, tray=False) as own:
        async with watching(X11(SystemClock(), own.env, MARK_S)) as watch:
            await watch.until(lambda sample: sample.idle_s is not None and sample.full_screen is not None)
            os.kill(int(Path(f"/tmp/.X{number_of(own.env['DISPLAY'])}-lock").read_text()), signal.SIGKILL)
            await watch.until(lambda sample: sample.idle_s is None and sample.full_screen is None)


async def test_under_wayland_the_x_server_is_not_asked(screen: Screen) -> None:
    told = []
    await X11(SystemClock(), {**screen.env, "WAYLAND_DISPLAY": "wayland-0"}).run(told.append)
    assert told == []


async def test_an_x_server_under_wayland_tells_by_itself_what_it_is(tmp_path: Path) -> None:
    """As for a program that was started over ssh, which knows DISPLAY only."""
    told = []
    with open_sway() as sway, running(["Xwayland", f":{FREE}"], sway.env, tmp_path / "xwayland.log"):
        wait_for("an X server", lambda: Path(socket_of(FREE)).is_socket(), 20)
        await X11(SystemClock(), {"DISPLAY": f":{FREE}"}).run(told.append)
    assert told == []


async def test_a_display_that_wants_its_secret(tmp_path: Path) -> None:
    """The file is written by the real `xauth`, and read by the real server."""
    secrets = tmp_path / "Xauthority"
    add = ["xauth", "-f", str(secrets), "add", f":{FREE + 1}", ".", "0123456789abcdef0123456789abcdef"]
    done = await asyncio.create_subprocess_exec(*add, stderr=asyncio.subprocess.DEVNULL)
    assert await done.wait() == 0
    with running(["Xvfb", f":{FREE + 1}", "-auth", str(secrets)], dict(os.environ), tmp_path / "xvfb.log"):
        wait_for("an X server", lambda: Path(socket_of(FREE + 1)).is_socket(), 20)
        with pytest.raises(XRefused):
            await Display.connect(socket_of(FREE + 1), b"")
        async with watching(
            X11(SystemClock(), {"DISPLAY": f":{FREE + 1}", "XAUTHORITY": str(secrets)}, MARK_S)
        ) as watch:
            await watch.until(lambda sample: sample.idle_s is not None)


async def test_a_server_that_hangs_at_work_is_not_known_until_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "_CHECK_S", 0.1)
    with open_screen(tmp_path, tray=False) as own:
        pid = int(Path(f"/tmp/.X{number_of(own.env['DISPLAY'])}-lock").read_text())
        async with watching(X11(SystemClock(), own.env, MARK_S)) as watch:
            await watch.until(lambda sample: sample.idle_s is not None)
            os.kill(pid, signal.SIGSTOP)
            try:
                await watch.until(lambda sample: sample.idle_s is None)
            finally:
                os.kill(pid, signal.SIGCONT)
            await watch.until(lambda sample: sample.idle_s is not None)


async def test_a_program_that_fills_the_screen_is_seen_and_named(screen: Screen, tmp_path: Path) -> None:
    async with watching(X11(SystemClock(), screen.env)) as watch:
        await watch.until(lambda sample: sample.full_screen is False)
        with running(["viewres", "-title", "film"], screen.env, tmp_path / "viewres.log"):
            await watch.until(lambda sample: sample.foreground == "viewres")
            window = int(screen.xdotool("search", "--sync", "--name", "^film$").split()[0])
            await ask_for_full_screen(screen, window, on=True)
            await watch.until(lambda sample: sample.full_screen)
            await ask_for_full_screen(screen, window, on=False)
            await watch.until(lambda sample: sample.full_screen is False)
            assert watch.look().foreground == "viewres"
        await watch.until(lambda sample: sample.foreground == "")


async def ask_for_full_screen(screen: Screen, window: int, *, on: bool) -> None:
    """As a program asks its window manager. Source: Extended Window Manager Hints, _NET_WM_STATE."""
    display = await Display.connect(display_socket(screen), b"")
    reading = asyncio.create_task(display.serve(lambda code, data: None))
    state, full = await display.atom("_NET_WM_STATE"), await display.atom("_NET_WM_STATE_FULLSCREEN")
    message = struct.pack("<BBHIIIIIII", 33, 32, 0, window, state, int(on), full, 0, 1, 0)
    display.send(25, 0, struct.pack("<II", display.root, 0x180000) + message)
    await display.atom("_NET_WM_STATE_ABOVE")
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await display.close()
