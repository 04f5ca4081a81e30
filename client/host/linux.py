"""The parts of a Linux computer, the more believed first."""

import os
import sys
from collections.abc import Mapping, Sequence

from client.clock import Clock
from client.host.dbus.desktop import SCREENSAVERS, GameMode, PlasmaInhibitors, Screensaver, SessionInhibitors
from client.host.dbus.hold import DelayLock
from client.host.dbus.link import session_address, system_address
from client.host.dbus.login import Login
from client.host.dbus.mutter import MutterIdle
from client.host.dbus.network import NetworkManager
from client.host.dbus.power import POWER_PROFILES, PowerProfiles, UPower
from client.host.dbus.service import BusPart, Service
from client.host.part import Part, Wishes
from client.host.sensors import Hold
from client.host.session_env import InSession
from client.host.wayland.part import Wayland
from client.host.x11.part import X11


def parts_and_hold(clock: Clock, env: Mapping[str, str], wishes: Wishes) -> tuple[list[Part], Hold]:
    """Its parts, and what holds up its sleep."""
    hold, mark_s = DelayLock(), wishes.now.mark_s
    system: Sequence[Service] = (
        UPower(),
        *(PowerProfiles(name) for name in POWER_PROFILES),
        NetworkManager(),
        Login(clock, wishes, hold, _user()),
    )
    session: Sequence[Service] = (
        MutterIdle(clock, mark_s),
        SessionInhibitors(),
        PlasmaInhibitors(),
        GameMode(),
        *(Screensaver(name) for name in SCREENSAVERS),
    )
    parts: list[Part] = [
        InSession("wayland", lambda found: Wayland(clock, found, mark_s), env),
        InSession("x11", lambda found: X11(clock, found, mark_s), env),
        BusPart("session bus", lambda: session_address(env), session),
        BusPart("system bus", lambda: system_address(env), system),
    ]
    return parts, hold


def _user() -> int:
    if sys.platform == "win32":
        return 0
    return os.getuid()
