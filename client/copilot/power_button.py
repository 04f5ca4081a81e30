"""The machine's power button, pressed by the hypervisor when the guest is asked to go off (ACPI).

The kernel tells it as a key of an input device; nothing else of the guest listens to it.
"""

import asyncio
import contextlib
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

#: Source: linux/input.h, struct input_event on 64-bit systems: seconds, microseconds, type, code, value.
_EVENT: Final = struct.Struct("qqHHi")
#: Source: linux/input-event-codes.h, EV_KEY and KEY_POWER; value 1 is "pressed".
_PRESSED: Final = (1, 116, 1)
_EVENTS_AT_ONCE: Final = 64


class PowerButton:
    """Calls `on_press` in the event loop at each press, from `listen` until `close`.

    Args:
        folder: of the input devices.
    """

    def __init__(self, on_press: Callable[[], None], folder: Path = Path("/dev/input")) -> None:
        self._on_press = on_press
        self._folder = folder
        self._devices: list[int] = []

    def listen(self) -> int:
        """Open what input devices there are now; returns how many. None at all is no error: then nobody can press."""
        for path in sorted(self._folder.glob("event*")):
            with contextlib.suppress(OSError):
                device = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                self._devices.append(device)
                asyncio.get_running_loop().add_reader(device, self._read, device)
        return len(self._devices)

    def close(self) -> None:
        """Listen no more."""
        for device in list(self._devices):
            self._forget(device)

    def _read(self, device: int) -> None:
        try:
            data = os.read(device, _EVENT.size * _EVENTS_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._forget(device)
            return
        whole = data[: len(data) // _EVENT.size * _EVENT.size]
        if any(event[2:] == _PRESSED for event in _EVENT.iter_unpack(whole)):
            self._on_press()

    def _forget(self, device: int) -> None:
        asyncio.get_running_loop().remove_reader(device)
        self._devices.remove(device)
        os.close(device)
