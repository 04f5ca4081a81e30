"""Which parts there are on which platform. What belongs to one platform is loaded only there."""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Final

from client.clock import Clock, SystemClock
from client.host import battery, disk, memory, nobody
from client.host.heat import Heat
from client.host.looks import Look
from client.host.part import Part, Wanted, Wishes
from client.host.programs import Programs
from client.host.sensors import HostSensors, Sensors

#: ticks of 5 s
_SOON, _LATER, _SELDOM = 1, 2, 6


def sensors_for(
    wanted: Wanted | None = None,
    platform: str = sys.platform,
    clock: Clock | None = None,
    env: Mapping[str, str] | None = None,
) -> Sensors:
    """The sensors of this computer; on a platform that nobody knows, those that know nothing but the common things.

    Args:
        env: of the session; None: this process's own.
    """
    build = _PLATFORMS.get(platform, _unknown)
    return build(Wishes(wanted), clock or SystemClock(), os.environ if env is None else env)


def common_looks(wishes: Wishes) -> list[Look]:
    """What is looked at in the same way everywhere."""
    programs, heat = Programs(), Heat()

    def is_folder() -> bool:
        return wishes.now.folder is not None

    return [
        Look("memory", _SOON, memory.look, {"free_memory_mib": None, "memory_pressure_percent": None}),
        Look("programs", _LATER, programs.look, {"programs": None}, lambda: wishes.now.programs, may_hang=True),
        Look("heat", _LATER, heat.look, {"temperature_c": None, "fan_rpm": None}, lambda: wishes.now.heat, True),
        Look("disk", _SELDOM, lambda: disk.look(wishes.now.folder), {"free_disk_mib": None}, is_folder, True),
        Look("battery", _SELDOM, battery.look, {"on_battery": None, "battery_percent": None}, may_hang=True),
    ]


def _linux(wishes: Wishes, clock: Clock, env: Mapping[str, str]) -> Sensors:
    from client.host.linux import parts_and_hold

    parts, hold = parts_and_hold(clock, env, wishes)
    alone = Look("nobody", _SELDOM, lambda: nobody.look(env), {"seats": None})
    return HostSensors(parts, [*common_looks(wishes), alone], wishes, hold, clock)


def _windows(wishes: Wishes, clock: Clock, env: Mapping[str, str]) -> Sensors:
    from client.host.windows.platform import looks, parts

    common = [look for look in common_looks(wishes) if look.name != "battery"]
    return HostSensors(parts(clock), [*common, *looks()], wishes, clock=clock)


def _macos(wishes: Wishes, clock: Clock, env: Mapping[str, str]) -> Sensors:
    from client.host.macos.platform import parts

    return HostSensors(parts(clock), common_looks(wishes), wishes, clock=clock)


def _unknown(wishes: Wishes, clock: Clock, env: Mapping[str, str]) -> Sensors:
    parts: list[Part] = []
    return HostSensors(parts, common_looks(wishes), wishes, clock=clock)


_PLATFORMS: Final[dict[str, Callable[[Wishes, Clock, Mapping[str, str]], Sensors]]] = {
    "linux": _linux,
    "win32": _windows,
    "darwin": _macos,
}
