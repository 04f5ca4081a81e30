"""Which accelerator a VM gets: by proof, not by presence.

A device file says little: on some computers `/dev/kvm` opens and every guest hangs in it. So a guest under a hardware
accelerator must show a sign of life in time; if it does not, the accelerator is put aside for a week on this computer.
"""

import os
import sys
from pathlib import Path
from typing import Final

from client.hypervisor.errors import SlowHypervisor
from client.hypervisor.qemu.cmdline import TCG
from client.hypervisor.verdicts import Verdicts

LIFE_LIMIT_S: Final = 20.0
#: In percent of the computer's own processor, for choosing among drivers: TCG computes about 17 times slower than it.
SPEED: Final = {"kvm": 100, "hvf": 100, "whpx": 80, TCG: 6}
_KVM: Final = "/dev/kvm"


def present(system: str = sys.platform) -> tuple[str, ...]:
    """Accelerators that this computer seems to have, fastest first; TCG is always the last."""
    if system == "linux":
        return ("kvm", TCG) if _opens(_KVM) else (TCG,)
    hardware = {"darwin": "hvf", "win32": "whpx"}.get(system)
    return (hardware, TCG) if hardware else (TCG,)


def usable(verdicts: Verdicts, accelerators: tuple[str, ...], host: str) -> tuple[str, ...]:
    """Those that have not failed here lately, in the given order; TCG, which every computer has, is always one."""
    return tuple(one for one in accelerators if one == TCG or verdicts.works(one, host) is not False)


def slowness(verdicts: Verdicts, accelerators: tuple[str, ...], host: str) -> SlowHypervisor | None:
    """What the volunteer should know if guests run without the processor's help; None if they need not."""
    if usable(verdicts, accelerators, host)[0] != TCG:
        return None
    failed = next((one for one in accelerators if one != TCG), "")
    return SlowHypervisor("QEMU", TCG, round(100 / SPEED[TCG]), _remedy(failed))


def _remedy(failed: str, system: str = sys.platform) -> str:
    if failed:
        return f"install VirtualBox, for no virtual machine runs under {failed} on this computer"
    if system == "linux" and Path(_KVM).exists():
        return f"let your account use {_KVM}, usually by joining the group kvm"
    return "switch on virtualization (VT-x, AMD-V) in the computer's firmware settings, or install VirtualBox"


class LifeWatch:
    """How long a guest has run without a sign of life; time in which it does not run does not count."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._silent_s = 0.0

    def tick(self, elapsed_s: float, *, runs: bool) -> bool:
        """Count time; True once the guest has been silent for too long."""
        if runs:
            self._silent_s += elapsed_s
        return self._silent_s >= self._limit_s


def _opens(device: str) -> bool:
    try:
        os.close(os.open(device, os.O_RDWR | getattr(os, "O_CLOEXEC", 0)))
    except OSError:
        return False
    return True
