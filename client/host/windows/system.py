"""The calls into Windows, and nothing else: what they say is understood in `facts`."""

import ctypes
import os
import sys
from typing import Any, Final

from client.host.part import Facts
from client.host.process_name import name_of
from client.host.windows.facts import Box, Power, idle_s, notification_facts, power_facts

#: Source: winuser.h, MONITOR_DEFAULTTONEAREST
_NEAREST_MONITOR: Final = 2


class _LastInput(ctypes.Structure):
    """LASTINPUTINFO."""

    _fields_ = [("size", ctypes.c_uint), ("tick", ctypes.c_uint)]


class _PowerStatus(ctypes.Structure):
    """SYSTEM_POWER_STATUS."""

    _fields_ = [
        ("line", ctypes.c_ubyte),
        ("battery", ctypes.c_ubyte),
        ("percent", ctypes.c_ubyte),
        ("system", ctypes.c_ubyte),
        ("seconds", ctypes.c_uint),
        ("full_seconds", ctypes.c_uint),
    ]


class _Rect(ctypes.Structure):
    """RECT."""

    _fields_ = [(side, ctypes.c_int) for side in ("left", "top", "right", "bottom")]


class _MonitorInfo(ctypes.Structure):
    """MONITORINFO."""

    _fields_ = [("size", ctypes.c_uint), ("monitor", _Rect), ("work", _Rect), ("flags", ctypes.c_uint)]


def _library(name: str) -> Any:
    if sys.platform == "win32":
        return ctypes.WinDLL(name)
    raise OSError(f"there is no {name} here")


def input_idle_s() -> float | None:
    """Seconds since the last input of this session; None: not known, as in a service's session.

    Raises:
        OSError: this is not Windows.
    """
    told = _LastInput(size=ctypes.sizeof(_LastInput))
    if not _library("user32").GetLastInputInfo(ctypes.byref(told)):
        return None
    return idle_s(int(_library("kernel32").GetTickCount()) & 0xFFFFFFFF, int(told.tick))


def look_at_power() -> Facts:
    """Mains, charge, and whether power is saved.

    Raises:
        OSError: the system does not say.
    """
    told = _PowerStatus()
    if not _library("kernel32").GetSystemPowerStatus(ctypes.byref(told)):
        raise OSError("GetSystemPowerStatus")
    return power_facts(Power(told.line, told.battery, told.percent, told.system))


def look_at_screen() -> Facts:
    """Lock, full screen, presentation, and the program in front.

    Raises:
        OSError: the system does not say.
    """
    state = ctypes.c_int()
    if _library("shell32").SHQueryUserNotificationState(ctypes.byref(state)) != 0:
        raise OSError("SHQueryUserNotificationState")
    user32 = _library("user32")
    user32.GetForegroundWindow.restype = ctypes.c_void_p
    window = ctypes.c_void_p(user32.GetForegroundWindow())
    pid = ctypes.c_uint()
    user32.GetWindowThreadProcessId(window, ctypes.byref(pid))
    facts = notification_facts(state.value, *_boxes(window))
    facts["foreground"] = name_of(pid.value) if pid.value else ""
    if pid.value == os.getpid():
        facts["full_screen"] = False
    return facts


def _boxes(window: ctypes.c_void_p) -> tuple[Box | None, Box | None]:
    user32 = _library("user32")
    rect, info = _Rect(), _MonitorInfo(size=ctypes.sizeof(_MonitorInfo))
    user32.MonitorFromWindow.restype = ctypes.c_void_p
    monitor = ctypes.c_void_p(user32.MonitorFromWindow(window, _NEAREST_MONITOR))
    front = _box(rect) if user32.GetWindowRect(window, ctypes.byref(rect)) else None
    return front, _box(info.monitor) if user32.GetMonitorInfoW(monitor, ctypes.byref(info)) else None


def _box(rect: _Rect) -> Box:
    return rect.left, rect.top, rect.right, rect.bottom
