"""A private screen for tests: Xvfb, a window manager, a tray host and a session bus, all ended at the end."""

import contextlib
import os
import random
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

LIMIT_S = 60.0


@dataclass(frozen=True)
class Screen:
    """A running screen; `env` is what a program needs to show itself on it."""

    env: dict[str, str]

    def xdotool(self, *words: str) -> str:
        done = subprocess.run(["xdotool", *words], env=self.env, capture_output=True, text=True, timeout=LIMIT_S)
        return done.stdout.strip()

    def click(self, box: list[int]) -> None:
        """Click into the middle of a box (x, y, width, height)."""
        x, y = box[0] + box[2] // 2, box[1] + box[3] // 2
        self.xdotool("mousemove", str(x), str(y), "click", "1")

    def picture(self, path: Path) -> None:
        """The whole screen as a PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        command = ["import", "-window", "root", str(path)]
        subprocess.run(command, env=self.env, check=True, timeout=LIMIT_S, capture_output=True)


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def running(command: list[str], env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A child that is ended with the block."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        _ended(process)


def wait_for(what: str, condition: Callable[[], object], limit_s: float, interval_s: float = 0.1) -> None:
    """Wait until `condition()` is true; fail with `what` after the limit."""
    until = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"did not come in {limit_s:.0f} s: {what}")
        time.sleep(interval_s)


@contextlib.contextmanager
def open_screen(folder: Path, size: str = "1280x900x24", tray: bool = True) -> Iterator[Screen]:
    """Start a screen with its helpers; logs go to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        env = {key: value for key, value in os.environ.items() if not key.startswith(("QT_", "WAYLAND"))}
        env |= {"DISPLAY": _start_server(stack, size, env), "NO_AT_BRIDGE": "1"}
        env["DBUS_SESSION_BUS_ADDRESS"] = _start_bus(stack, folder, env)
        stack.enter_context(running(["openbox", "--sm-disable"], env, folder / "openbox.log"))
        wait_for("a window manager", lambda: "openbox" in _manager(env).lower(), LIMIT_S)
        if tray:
            trayer = ["trayer", "--edge", "bottom", "--align", "right", "--widthtype", "request", "--height", "28"]
            stack.enter_context(running(trayer, env, folder / "trayer.log"))
            wait_for("a tray", lambda: _has_tray(env), LIMIT_S)
        yield Screen(env)


def _start_server(stack: contextlib.ExitStack, size: str, env: dict[str, str]) -> str:
    """An X server that answers.

    Not by `-displayfd`: it takes the lowest free number, which a server that is just ending may still clean up.
    """
    for number in random.sample(range(100, 30000), 5):
        display = f":{number}"
        # Without -noreset the end of the first client, which only asks whether it answers, throws the next one out.
        command = ["Xvfb", display, "-screen", "0", size, "-nolisten", "tcp", "-noreset"]
        server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until = time.monotonic() + LIMIT_S
        while server.poll() is None and time.monotonic() < until:
            if subprocess.run(["xprop", "-display", display, "-root"], env=env, capture_output=True).returncode == 0:
                stack.callback(_ended, server)
                return display
            time.sleep(0.05)
        _ended(server)
    raise AssertionError("Xvfb did not start")


def _has_tray(env: dict[str, str]) -> bool:
    found = subprocess.run(["xwininfo", "-root", "-tree"], env=env, capture_output=True, text=True)
    return "panel" in found.stdout


def _start_bus(stack: contextlib.ExitStack, folder: Path, env: dict[str, str]) -> str:
    bus = subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", "--print-address=1", f"--address=unix:dir={folder}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=env,
    )
    stack.callback(_ended, bus)
    assert bus.stdout is not None
    stack.callback(bus.stdout.close)
    return bus.stdout.readline().decode().strip()


def _manager(env: dict[str, str]) -> str:
    """The window manager's name, as it says itself on the root window."""
    root = subprocess.run(["xprop", "-root", "_NET_SUPPORTING_WM_CHECK"], env=env, capture_output=True, text=True)
    found = re.search(r"0x[0-9a-f]+", root.stdout)
    if not found:
        return ""
    named = subprocess.run(["xprop", "-id", found[0], "_NET_WM_NAME"], env=env, capture_output=True, text=True)
    return named.stdout
