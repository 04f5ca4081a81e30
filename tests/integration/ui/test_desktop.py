"""Window and tray on real desktops: X11 with an XEmbed tray, with a StatusNotifier host that comes late, with none."""

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.screen import Screen, open_screen
from tests.integration.ui.sni_host import SniHost

TOP = Path(__file__).resolve().parents[3]
LIMIT_S = 60.0
needs_screen = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed")
pytestmark = [pytest.mark.integration, needs_screen]


@dataclass
class Face:
    """The program under test."""

    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def report(self) -> dict[str, Any]:
        path = self.folder / "report.json"
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return said

    @property
    def asked(self) -> list[str]:
        path = self.folder / "commands"
        return path.read_text(encoding="utf-8").split() if path.exists() else []

    def rss_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


@contextlib.contextmanager
def started(screen: Screen, folder: Path, *words: str) -> Iterator[Face]:
    files = [str(folder / "report.json"), str(folder / "commands")]
    command = [sys.executable, "-m", "tests.integration.ui.face_program", *files, *words]
    with (folder / "face.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=TOP, env=screen.env, stdout=log, stderr=log)
    try:
        yield Face(process, folder)
    finally:
        process.kill()
        process.wait()


async def until(what: str, condition: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    """Wait until it is true, while this test's own bus goes on."""
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.05)


def names(face: Face) -> set[str]:
    return set(face.report.get("widgets", {}))


def icon_rests(face: Face) -> bool:
    """Whether the icon is where the tray at the bottom right has put it, not where it was made."""
    box = (face.report.get("tray") or {}).get("box")
    return bool(box) and box[0] > 640 and box[1] > 450


def menus(screen: Screen) -> int:
    """How many of the program's windows can be seen: the icon's, the menu's."""
    return len(screen.xdotool("search", "--onlyvisible", "--class", "face_program|Volunteer Cloud").split())


@pytest.fixture
async def host_screen(tmp_path: Path) -> AsyncIterator[tuple[Screen, SniHost]]:
    with open_screen(tmp_path, tray=False) as screen:
        host = await SniHost.connect(screen.env["DBUS_SESSION_BUS_ADDRESS"])
        yield screen, host
        host.close()


@pytest.mark.alone
async def test_xembed_tray(tmp_path: Path) -> None:
    with open_screen(tmp_path) as screen, started(screen, tmp_path, "--minimized") as face:
        await until("an icon in its place", lambda: icon_rests(face))
        assert face.report["window"] is None
        assert face.rss_mib() <= 90
        screen.click(face.report["tray"]["box"])
        await until("the window", lambda: "pause" in names(face))
        assert face.rss_mib() <= 130
        screen.click(face.report["widgets"]["pause"]["box"])
        await until("the pause", lambda: face.asked == ["Pause"])
        await until("its word", lambda: "Paused" in face.report["widgets"]["headline"]["text"])
        screen.xdotool("key", "ctrl+w")
        await until("a hidden window", lambda: face.report["window"] is None)
        assert "Paused" in face.report["tray"]["tooltip"]
        face.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(face.process.wait, LIMIT_S) == 0
        assert face.asked == ["Pause", "Quit"]
        assert face.report["longest_call_ms"] <= 50


async def test_xembed_menu_by_keyboard(tmp_path: Path) -> None:
    with open_screen(tmp_path) as screen, started(screen, tmp_path, "--minimized") as face:
        await until("an icon in its place", lambda: icon_rests(face))
        await until("the state", lambda: "Working" in face.report["tray"]["tooltip"])
        x, y, width, height = face.report["tray"]["box"]
        before = menus(screen)
        screen.xdotool("mousemove", str(x + width // 2), str(y + height // 2), "click", "3")
        await until("the menu", lambda: menus(screen) > before)
        screen.xdotool("key", "--delay", "200", "Down", "Down", "Return")
        await until("the second entry", lambda: face.asked == ["Pause"])


async def test_without_a_tray_the_window_stays_reachable_and_says_so(tmp_path: Path) -> None:
    with open_screen(tmp_path, tray=False) as screen, started(screen, tmp_path) as face:
        await until("the window", lambda: "pause" in names(face))
        assert face.report["tray"] is None
        assert "no-tray" in names(face)
        screen.xdotool("key", "ctrl+w")
        await until("a minimized window", lambda: face.report["window"] is None)
        window = screen.xdotool("search", "--class", "Volunteer Cloud").split()[-1]
        screen.xdotool("windowmap", window)
        await until("the window again", lambda: "pause" in names(face))
        screen.xdotool("key", "ctrl+q")
        assert await asyncio.to_thread(face.process.wait, LIMIT_S) == 0


async def test_minimized_without_a_tray_goes_to_the_task_bar(tmp_path: Path) -> None:
    with open_screen(tmp_path, tray=False) as screen, started(screen, tmp_path, "--minimized") as face:
        await until("a window in the task bar", lambda: face.report.get("minimized"))
        face.process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(face.process.wait, LIMIT_S) == 0


async def test_status_notifier_host_that_comes_late_and_goes(
    host_screen: tuple[Screen, SniHost], tmp_path: Path
) -> None:
    screen, host = host_screen
    with started(screen, tmp_path) as face:
        await until("the word that there is no tray", lambda: "no-tray" in names(face))
        await host.appear(draws=False)
        await asyncio.sleep(1)
        assert face.report["tray"] is None, "a watcher without a host shows nothing"
        host.begin_to_draw()
        await until("an item", lambda: host.watcher.items)
        await until("the word taken back", lambda: "no-tray" not in names(face))
        assert "Working" in await host.tooltip()
        entries = await host.menu()
        await host.choose(entries["Pause for 1 hour"])
        await until("the pause", lambda: face.asked == ["Pause"])
        async with asyncio.timeout(LIMIT_S):
            while "Resume" not in await host.menu():
                await asyncio.sleep(0.1)
        screen.xdotool("key", "ctrl+w")
        await until("a hidden window", lambda: face.report["window"] is None)
        await host.click()
        await until("the window", lambda: face.report["window"])
        screen.xdotool("key", "ctrl+w")
        await until("a hidden window", lambda: face.report["window"] is None)
        await host.go_away()
        await until("the window in the task bar, since the tray is gone", lambda: face.report["minimized"])
        await host.appear(draws=True)
        await until("an item again", lambda: host.watcher.items)
