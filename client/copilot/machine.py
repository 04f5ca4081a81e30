"""What the first program of a guest does to its machine: clock, entropy, orphans, power; and what it can tell of it."""

import contextlib
import ctypes
import fcntl
import os
import re
import socket
import ssl
import struct
import time
from pathlib import Path
from typing import Any, Final

from client.copilot.child import awaited
from client.copilot.jdl import read_meminfo, scratch_free_mib

_RB_AUTOBOOT: Final = 0x01234567
_RB_POWER_OFF: Final = 0x4321FEDC
_RNDADDENTROPY: Final = 0x40085203
_RNDRESEEDCRNG: Final = 0x5207
#: A clock nearer than this to the host's is left alone: what the host says may have waited for a busy guest.
CLOCK_TOLERANCE_S: Final = 5.0


def is_first_program() -> bool:
    """Whether this process is the guest's init, and so may end the machine."""
    return os.getpid() == 1


def set_clock(wall_clock: float) -> bool:
    """Puts the clock right when it is wrong by more than the tolerance; tells whether it did."""
    if not is_first_program() or wall_clock <= 0 or abs(time.time() - wall_clock) <= CLOCK_TOLERANCE_S:
        return False
    time.clock_settime(time.CLOCK_REALTIME, wall_clock)
    return True


def set_host_name(name: str) -> None:
    """Gives the guest the name that jobs and managers see."""
    plain = re.sub(r"[^A-Za-z0-9-]", "-", name)[:63].strip("-")
    if is_first_program() and plain:
        socket.sethostname(plain)


def add_entropy(hexadecimal: str) -> None:
    """Stirs bytes of the host into the kernel's and OpenSSL's generators: a restored guest has those of its twin."""
    try:
        data = bytes.fromhex(hexadecimal)
    except ValueError:
        return
    ssl.RAND_add(data, float(len(data)))
    if not is_first_program() or not data:
        return
    with contextlib.suppress(OSError), Path("/dev/urandom").open("wb") as pool:
        fcntl.ioctl(pool, _RNDADDENTROPY, struct.pack(f"ii{len(data)}s", len(data) * 8, len(data), data))
        fcntl.ioctl(pool, _RNDRESEEDCRNG)


def reap_orphans() -> int:
    """Waits for ended processes that nobody else waits for; returns how many there were."""
    count = 0
    while is_first_program():
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            break
        # Children of our own are left to whoever started them; the rest is met again at the next call.
        if ended is None or ended.si_pid in awaited:
            break
        os.waitpid(ended.si_pid, 0)
        count += 1
    return count


def vital_signs(scratch: Path) -> dict[str, Any]:
    """The fields of a heartbeat that the machine itself can tell."""
    kib = read_meminfo()
    total = kib.get("MemTotal", 0) // 1024
    return {
        "uptime_s": uptime_s(),
        "load_1min": os.getloadavg()[0],
        "memory_total_mib": total,
        "memory_used_mib": max(0, total - kib.get("MemAvailable", 0) // 1024),
        "scratch_free_mib": scratch_free_mib(scratch),
    }


def uptime_s() -> float:
    """Seconds since the kernel started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def power_off() -> None:
    """Writes everything to the disks and ends the machine; does nothing for a process that is not init."""
    _end(_RB_POWER_OFF)


def reboot() -> None:
    """As power_off, but starts again."""
    _end(_RB_AUTOBOOT)


def _end(how: int) -> None:
    if is_first_program():
        os.sync()
        ctypes.CDLL(None).reboot(how)
