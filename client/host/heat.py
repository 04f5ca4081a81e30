"""Temperature of the processor, and the fans, as Linux tells; other systems tell no program.

Only the sensors at the processor and on the mainboard are read: to ask those of graphics cards and disks can wake them.
Source: Linux, Documentation/hwmon/sysfs-interface.rst: thousandths of a degree Celsius, turns a minute.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from client.host.part import Facts

#: drivers whose sensors sit in or at processors, as the kernel names them
_PROCESSORS: Final = frozenset(
    {
        "coretemp",
        "k10temp",
        "k8temp",
        "zenpower",
        "cpu_thermal",
        "soc_thermal",
        "x86_pkg_temp",
        "via_cputemp",
        "peci_cputemp",
        "scpi_sensors",
    }
)
#: what must not be woken, or is not of this computer's air
_OTHERS: Final = frozenset(
    {"amdgpu", "radeon", "nouveau", "i915", "xe", "nvme", "drivetemp", "iwlwifi_1", "mt7921_phy0", "hidpp_battery_0"}
)
#: the mainboard's own, taken when there is none of the first
_BOARD: Final = frozenset({"acpitz", "thinkpad", "dell_smm", "dell_ddv", "asus", "macsmc"})
#: What is outside is a sensor that is not connected.
_PLAUSIBLE_C: Final = (1.0, 149.0)
_MOST_RPM: Final = 30_000
#: Drivers come and go: after so many looks it is looked again which there are.
_LOOKS: Final = 30


class Heat:
    """Reads them.

    Args:
        folder: where the kernel lists its sensors.
    """

    def __init__(self, folder: Path = Path("/sys/class/hwmon")) -> None:
        self._folder = folder
        self._looks = 0
        self._processor: list[Path] = []
        self._board: list[Path] = []
        self._fans: list[Path] = []

    def look(self) -> Facts:
        """The hottest sensor of the processor (of the mainboard when it has none) and the fastest fan; None for what
        there is not.
        """
        if self._looks % _LOOKS == 0:
            self._find()
        self._looks += 1
        temperatures = hottest(_read(self._processor)) if self._processor else None
        return {
            "temperature_c": hottest(_read(self._board)) if temperatures is None else temperatures,
            "fan_rpm": fastest(_read(self._fans)),
        }

    def _find(self) -> None:
        self._processor, self._board, self._fans = [], [], []
        for device in sorted(self._folder.glob("hwmon*")):
            try:
                name = (device / "name").read_text(errors="replace").strip()
            except OSError:
                continue
            if name in _OTHERS:
                continue
            self._fans += sorted(device.glob("fan*_input"))
            if name in _PROCESSORS:
                self._processor += sorted(device.glob("temp*_input"))
            elif name in _BOARD:
                self._board += sorted(device.glob("temp*_input"))


def _read(files: Iterable[Path]) -> list[int]:
    values = []
    for file in files:
        try:
            values.append(int(file.read_text()))
        except (OSError, ValueError):
            # A sensor that is not connected, or its driver has gone.
            continue
    return values


def hottest(thousandths: Iterable[int]) -> float | None:
    """Degrees Celsius of the hottest; None when there is none that tells."""
    degrees = [value / 1000 for value in thousandths]
    plausible = [value for value in degrees if _PLAUSIBLE_C[0] <= value <= _PLAUSIBLE_C[1]]
    return round(max(plausible), 1) if plausible else None


def fastest(turns: Iterable[int]) -> int | None:
    """Turns a minute of the fastest fan; None when there is none that tells."""
    return max((value for value in turns if 0 <= value <= _MOST_RPM), default=None)
