"""Free memory, and how much programs wait for it."""

import sys
from pathlib import Path
from typing import Final

import psutil

from client.host.part import Facts

_PRESSURE: Final = Path("/proc/pressure/memory")
#: Free memory changes with every breath of a program; steps of this size are told.
_STEP_MIB: Final = 16


def look() -> Facts:
    """Free memory; pressure where the system tells it.

    Raises:
        OSError: the system does not say.
    """
    free = int(psutil.virtual_memory().available >> 20)
    facts: Facts = {"free_memory_mib": free - free % _STEP_MIB}
    if sys.platform == "linux":
        facts["memory_pressure_percent"] = _pressure()
    return facts


def _pressure() -> float | None:
    try:
        return some_in(_PRESSURE.read_text())
    except (OSError, ValueError):
        # Kernels without it, or with `psi=0`, refuse to open or to read it.
        return None


def some_in(text: str) -> float | None:
    """Share of the last 10 s in which some program waited. Source: Linux, Documentation/accounting/psi.rst."""
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["some"]:
            return float(dict(word.split("=", 1) for word in words[1:])["avg10"])
    return None
