"""Temperature of the processor, and the fans."""

import math
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import psutil

from client.host.part import Facts

#: drivers whose sensors sit in or at processors, as the kernel names them
_PROCESSORS: Final = (
    "coretemp",
    "k10temp",
    "k8temp",
    "zenpower",
    "cpu_thermal",
    "cpu-thermal",
    "soc_thermal",
    "x86_pkg_temp",
    "via_cputemp",
    "peci_cputemp",
    "scpi_sensors",
)
#: the mainboard's own, taken when there is none of the above
_BOARD: Final = ("acpitz", "thinkpad", "dell_smm", "dell_ddv")
#: What is outside is a sensor that is not connected.
_PLAUSIBLE_C: Final = (1.0, 149.0)
_MOST_RPM: Final = 30_000


class Reading(Protocol):
    """A reading as psutil gives it."""

    @property
    def current(self) -> float:
        """Degrees Celsius, or turns a minute."""


def look() -> Facts:
    """The hottest processor sensor and the fastest fan; None for what there is not.

    Raises:
        OSError: the system does not say.
    """
    temperatures: Mapping[str, Sequence[Reading]] = getattr(psutil, "sensors_temperatures", dict)()
    fans: Mapping[str, Sequence[Reading]] = getattr(psutil, "sensors_fans", dict)()
    return {"temperature_c": hottest(temperatures), "fan_rpm": fastest(fans)}


def hottest(sensors: Mapping[str, Sequence[Reading]]) -> float | None:
    """Of the processor's sensors; of the mainboard's when it has none.

    Args:
        sensors: driver -> its readings.
    """
    for names in (_PROCESSORS, _BOARD):
        found = [reading.current for name in names for reading in sensors.get(name, ())]
        plausible = [degrees for degrees in found if _PLAUSIBLE_C[0] <= degrees <= _PLAUSIBLE_C[1]]
        if plausible:
            return round(max(plausible), 1)
    return None


def fastest(fans: Mapping[str, Sequence[Reading]]) -> int | None:
    """The fastest fan; None when there is none that tells."""
    found = [fan.current for some in fans.values() for fan in some if math.isfinite(fan.current)]
    plausible = [int(turns) for turns in found if 0 <= turns <= _MOST_RPM]
    return max(plausible, default=None)
