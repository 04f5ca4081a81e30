"""What this computer has, and how much of it this process claims."""

import contextlib
import os
import platform
import struct
import sys
from typing import Final

import psutil

#: processors that run guests of 64 bits, as their systems call them
_WIDE: Final = frozenset({"x86_64", "amd64", "aarch64", "arm64"})


def low_priority() -> None:
    """Have this process wait for all others, at the processor and at the disk."""
    process = psutil.Process()
    # Whoever may not change it works on as it is.
    with contextlib.suppress(psutil.Error, OSError):
        process.nice(64 if sys.platform == "win32" else 19)  # 64: IDLE_PRIORITY_CLASS
    with contextlib.suppress(psutil.Error, OSError, AttributeError):
        process.ionice(0 if sys.platform == "win32" else psutil.IOPRIO_CLASS_IDLE)  # 0: IOPRIO_VERYLOW


def total_memory_mib() -> int:
    """Memory of this computer."""
    return int(psutil.virtual_memory().total >> 20)


def processors() -> int:
    """How many there are; 0 when that is not known."""
    return os.cpu_count() or 0


def bits() -> int:
    """Of the guests that its processor can run: 64 or 32."""
    return 64 if platform.machine().lower() in _WIDE or struct.calcsize("P") == 8 else 32
