"""Input and windows on a real Wayland compositor (sway, which tells by the older of the two protocols)."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.clock import SystemClock
from client.host.wayland.part import Wayland
from tests.helpers.compositor import Sway, open_sway
from tests.helpers.screen import running
from tests.helpers.watching import watching

pytestmark = pytest.mark.integration
MARK_S = 0.15
TRIALS = 30
FILM = """
import sys
from PySide6.QtGui import QGuiApplication, QRasterWindow
app = QGuiApplication(sys.argv)
app.setDesktopFileName("org.example.Film")
window = QRasterWindow()
window.showFullScreen() if sys.argv[1] == "full" else window.show()
app.exec()
"""


@pytest.fixture(scope="module")
def sway() -> Iterator[Sway]:
    with open_sway() as running_one:
        yield running_one


async def test_input_is_told_within_half_a_second(sway: Sway) -> None:
    async with watching(Wayland(SystemClock(), sway.env, MARK_S)) as watch:
        took = []
        for _ in range(TRIALS):
            await watch.until(lambda sample: sample.idle_s)
            began = time.monotonic()
            child = await asyncio.create_subprocess_exec("wtype", "a", env=sway.env)
            took.append(await watch.until(lambda sample: sample.idle_s == 0) - began)
            assert await child.wait() == 0
    assert sorted(took)[int(TRIALS * 0.95)] <= 0.5, took


async def test_a_program_that_fills_the_screen_is_seen_and_named(sway: Sway, tmp_path: Path) -> None:
    env = {**sway.env, "QT_QPA_PLATFORM": "wayland", "XDG_CACHE_HOME": str(tmp_path)}
    async with watching(Wayland(SystemClock(), sway.env)) as watch:
        await watch.until(lambda sample: sample.full_screen is False)
        with running([sys.executable, "-c", FILM, "full"], env, tmp_path / "film.log"):
            await watch.until(lambda sample: sample.full_screen and sample.foreground == "org.example.film")
        await watch.until(lambda sample: sample.full_screen is False and sample.foreground == "")
        with running([sys.executable, "-c", FILM, "small"], env, tmp_path / "film.log"):
            await watch.until(lambda sample: sample.foreground == "org.example.film")
            assert watch.look().full_screen is False


async def test_a_compositor_that_ends_leaves_nothing_known() -> None:
    with open_sway() as own:
        async with watching(Wayland(SystemClock(), own.env, MARK_S)) as watch:
            await watch.until(lambda sample: sample.idle_s is not None and sample.full_screen is not None)
            os.kill(own.pid, signal.SIGKILL)
            await watch.until(lambda sample: sample.idle_s is None and sample.full_screen is None)


async def test_without_a_display_nothing_is_asked() -> None:
    told = []
    await Wayland(SystemClock(), {}).run(told.append)
    assert told == []
