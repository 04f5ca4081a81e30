"""The regulator of a real computer, and what a run that somebody waits for does without."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from client.clock import Clock
from client.cpu_cap import CpuCap
from client.paths import Paths
from client.preferences.spec import Value
from client.preferences.store import Preferences
from client.regulator import Regulator

#: What `--jobs` means: somebody sits there and waits, so guests get all and wait for nobody. Heat counts all the same.
AT_ONCE: Final[Mapping[str, Value]] = MappingProxyType(
    {
        "when.in_use": True,
        "when.stop_after_idle_min": 0,
        "when.most_others_percent": 0,
        "when.most_others_percent_idle": 0,
        "when.week": "always",
        "when.quiet": "never",
        "when.programs": (),
        "when.in_full_screen": True,
        "when.in_calls": True,
        "when.on_battery": True,
        "when.least_battery_percent": 0,
        "when.in_power_saver": True,
        "when.most_memory_pressure_percent": 0,
        "processor.percent": 100,
        "processor.percent_idle": 100,
        "processor.share_percent": 100,
        "processor.share_percent_idle": 100,
        "processor.low_priority": False,
        "memory.percent": 90,
        "memory.percent_idle": 90,
        "disk.rate_kib_per_s": 0,
        "disk.rate_kib_per_s_idle": 0,
    }
)


def make_regulator(paths: Paths, preferences: Preferences, clock: Clock, wake: Callable[[], None]) -> Regulator:
    """Sensors, governor and guard of this computer, as the core wants them; nothing is looked at yet."""
    from client.host.registry import sensors_for
    from client.throttle.governor import Governor, system_means
    from client.throttle.guard import Guard

    silence_s = float(preferences.number("guest.host_silence_limit_s"))
    cap = CpuCap()
    governor = Governor(Guard(paths.guard), system_means(cap.set), silence_s=silence_s)
    return Regulator(preferences, clock, sensors_for(clock=clock), governor, paths.base, wake, cap=cap)
