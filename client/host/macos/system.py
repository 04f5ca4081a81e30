"""The calls into macOS, and nothing else."""

import ctypes
from typing import Final

_QUARTZ: Final = "/System/Library/Frameworks/ApplicationServices.framework/ApplicationServices"
#: Source: CGEventSource.h: kCGEventSourceStateHIDSystemState, kCGAnyInputEventType
_HARDWARE, _ANY_INPUT = 1, 0xFFFFFFFF
_loaded: Final[list[ctypes.CDLL]] = []


def input_idle_s() -> float | None:
    """Seconds since the last input of this session; None: not known.

    Raises:
        OSError: there is no such framework.
    """
    if not _loaded:
        quartz = ctypes.CDLL(_QUARTZ)
        quartz.CGEventSourceSecondsSinceLastEventType.restype = ctypes.c_double
        quartz.CGEventSourceSecondsSinceLastEventType.argtypes = [ctypes.c_int32, ctypes.c_uint32]
        _loaded.append(quartz)
    idle_s = float(_loaded[0].CGEventSourceSecondsSinceLastEventType(_HARDWARE, _ANY_INPUT))
    return idle_s if idle_s >= 0 else None
