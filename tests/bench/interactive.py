"""Somebody at work: a window that draws 60 frames a second and echoes keys, and a typist. Two processes and a screen.

`python -m tests.bench.interactive` is the typist: for each line on its input it types so many keys, ten a second, and
says when. The window is in `interactive_window`. Times are of the monotonic clock, which all processes share.
"""

import contextlib
import ctypes
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.helpers.program import TOP
from tests.helpers.screen import Screen, wait_for

FRAME_S, KEY_S = 1 / 60, 0.1
TITLE = "volunteer-cloud-bench-window"
#: XK_a
_KEY = 0x61


@dataclass(frozen=True)
class Felt:
    """Milliseconds that whoever sits there waits: from when a frame was due until it is drawn, and from key to echo."""

    frames: list[float]
    keys: list[float]


class Somebody:
    """The two processes, from this side."""

    def __init__(self, window: "subprocess.Popen[bytes]", typist: "subprocess.Popen[bytes]") -> None:
        self._window, self._typist = window, typist

    def work(self, seconds: float) -> Felt:
        """Work so long; what was felt meanwhile."""
        _tell(self._window, seconds)
        time.sleep(0.5)
        _tell(self._typist, (seconds - 1.5) / KEY_S)
        typed = _hear(self._typist)
        seen = _hear(self._window)
        assert len(seen["echoes"]) == len(typed), f"{len(typed)} keys typed, {len(seen['echoes'])} echoed"
        keys = [1000 * (echo - key) for key, echo in zip(typed, seen["echoes"], strict=True)]
        return Felt([1000 * late for late in seen["frames"]], keys)


@contextlib.contextmanager
def somebody(screen: Screen) -> Iterator[Somebody]:
    """Have somebody sit at a screen."""
    with contextlib.ExitStack() as stack:
        modules = ("tests.bench.interactive_window", "tests.bench.interactive")
        window, typist = (_start(stack, module, screen.env) for module in modules)
        wait_for("the window", lambda: screen.xdotool("search", "--onlyvisible", "--name", TITLE), 30)
        screen.xdotool("search", "--name", TITLE, "windowactivate", "--sync")
        yield Somebody(window, typist)


def _start(stack: contextlib.ExitStack, module: str, env: dict[str, str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", module]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd=TOP)
    stack.enter_context(process)
    assert process.stdin is not None
    stack.callback(process.kill)
    return process


def _tell(process: "subprocess.Popen[bytes]", number: float) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{number}\n".encode())
    process.stdin.flush()


def _hear(process: "subprocess.Popen[bytes]") -> Any:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the window or the typist has gone"
    return json.loads(line)


def _typist() -> None:
    x11, xtst = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXtst.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    display = ctypes.c_void_p(x11.XOpenDisplay(None))
    key = x11.XKeysymToKeycode(display, ctypes.c_ulong(_KEY))
    for line in sys.stdin:
        typed = []
        for _ in range(round(float(line))):
            # From another moment of the frame each time.
            time.sleep(KEY_S + FRAME_S / 7)
            typed.append(time.monotonic())
            for pressed in (True, False):
                xtst.XTestFakeKeyEvent(display, key, pressed, ctypes.c_ulong(0))
            x11.XFlush(display)
        time.sleep(0.3)
        print(json.dumps(typed), flush=True)


if __name__ == "__main__":
    _typist()
