"""Which login session of the user this is, so that what holds until log-off is over in the next one."""

import os
from pathlib import Path
from typing import Final

import psutil

#: an audit session that was never set. Source: linux/audit.h, AUDIT_SID_UNSET
_UNSET: Final = str(2**32 - 1)


def login_id() -> str:
    """The same as long as the user stays logged in; another one after the next log-in. Never empty."""
    session = os.environ.get("XDG_SESSION_ID") or _audit_session()
    return f"{_boot()} {session or _first_log_in()}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        # Worked out of the clock, which is put right by a second now and then.
        return str(int(psutil.boot_time()) // 60)


def _audit_session() -> str:
    try:
        said = Path("/proc/self/sessionid").read_text(encoding="ascii").strip()
    except OSError:
        return ""
    return "" if said == _UNSET else said


def _first_log_in() -> str:
    """Since when the user is logged in, as far as the system tells."""
    try:
        name = psutil.Process().username().rpartition("\\")[2]
        times = [int(user.started) for user in psutil.users() if user.name == name]
    except (psutil.Error, OSError):
        times = []
    return str(min(times, default=0))
