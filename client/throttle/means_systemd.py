"""Holds VMs to a budget by a slice of systemd with a scope in it for each VM: control groups for every user.

Spoken to by `busctl`, which comes with systemd. Where a user's manager has no processor controller, systemd takes
the quota without a word and does nothing: so that is looked up first.

Source: org.freedesktop.systemd1(5), systemd.resource-control(5), systemd 242 and later (CPUQuotaPeriodUSec).
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from client import process
from client.errors import CommandFailed
from client.process import Identity
from client.throttle.cgroup import PERIOD_US
from client.throttle.means import Budget, Kept, differ

_TIMEOUT_S: Final = 5.0
_MANAGER: Final = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
#: how systemd writes "no limit"
_NO_LIMIT: Final = 2**64 - 1
#: how systemd 252 and later write `CPUWeight=idle`; the least that older ones know
_IDLE: Final = 0
_LEAST: Final = 1
#: the weight of all other programs
_USUAL: Final = 100
#: A change that is smaller is left out: each is a command.
_STEP_PERCENT: Final = 0.5


class SystemdMeans:
    """A slice and scopes of the user's own manager, or of the system's for root."""

    name = "systemd slice"
    ranks = True

    def __init__(self) -> None:
        self._slice = f"volunteercloud_{os.getpid()}.slice"
        self._percent: float | None = None
        self._is_open, self._idle = False, True
        self._inside: dict[str, tuple[Identity, ...]] = {}
        self._number = 0

    async def is_offered(self) -> bool:
        """Whether systemd runs here and may limit the processor for us."""
        return shutil.which("busctl") is not None and may_limit(os.getuid())

    async def keep(self, budget: Budget) -> Kept:
        """See `Means`."""
        if differ(self._percent, budget.percent, _STEP_PERCENT) or not self._is_open or budget.idle is not self._idle:
            await self._limit(budget.percent, idle=budget.idle)
        for vm_id, processes in budget.vms.items():
            if self._inside.get(vm_id) != processes:
                self._number += 1
                scope = self._slice.replace(".slice", f"_{self._number}.scope")
                await _call(build_scope(scope, self._slice, (who.pid for who in processes)))
                self._inside[vm_id] = processes
        for vm_id in self._inside.keys() - budget.vms.keys():
            # It has ended, or is to be free for a while: then into a scope beside the slice.
            left = [who.pid for who in self._inside.pop(vm_id) if process.alive(who.pid, who.started_at)]
            if left:
                self._number += 1
                await _call(build_scope(self._slice.replace(".slice", f"_{self._number}.scope"), "", left))
        return Kept(lift=((str(group_of(os.getuid(), self._slice) / "cpu.max"), f"max {PERIOD_US}"),))

    async def release(self) -> None:
        """See `Means`. The scopes end with their processes, and the slice has no limit."""
        if self._is_open:
            await self._limit(None, idle=self._idle)
        self._is_open, self._inside = False, {}

    async def _limit(self, percent: float | None, *, idle: bool) -> None:
        if not self._is_open:
            await _call(build_slice(self._slice))
        try:
            await _call(build_limit(self._slice, percent, _IDLE if idle else _USUAL))
        except CommandFailed:
            await _call(build_limit(self._slice, percent, _LEAST if idle else _USUAL))
        self._percent, self._is_open, self._idle = percent, True, idle


def may_limit(uid: int) -> bool:
    """Whether systemd runs here and has the processor to limit for this user."""
    try:
        return Path("/run/systemd/system").is_dir() and "cpu" in controllers_file(uid).read_text().split()
    except OSError:
        return False


def controllers_file(uid: int) -> Path:
    """Where the kernel says which controllers a user's manager was given; root's is the system's."""
    top = Path("/sys/fs/cgroup")
    if uid:
        top = top / "user.slice" / f"user-{uid}.slice" / f"user@{uid}.service"
    return top / "cgroup.controllers"


def group_of(uid: int, slice_name: str) -> Path:
    """The folder of a slice's control group."""
    return controllers_file(uid).with_name(slice_name)


def build_slice(name: str) -> Sequence[str]:
    """Arguments of busctl that start a slice."""
    return ("StartTransientUnit", "ssa(sv)a(sa(sv))", name, "replace", "0", "0")


def build_scope(name: str, slice_name: str, pids: Iterable[int]) -> Sequence[str]:
    """Arguments of busctl that move processes into a new scope in a slice; without a name: the usual one."""
    numbers = [f"{pid}" for pid in pids]
    moved = ("PIDs", "au", f"{len(numbers)}", *numbers)
    where = ("Slice", "s", slice_name) if slice_name else ()
    count = "2" if slice_name else "1"
    return ("StartTransientUnit", "ssa(sv)a(sa(sv))", name, "replace", count, *moved, *where, "0")


def build_limit(slice_name: str, percent: float | None, weight: int) -> Sequence[str]:
    """Arguments of busctl that limit a slice, in percent of one processor."""
    quota_us = _NO_LIMIT if percent is None else max(1, round(percent * 10_000))
    return (
        *("SetUnitProperties", "sba(sv)", slice_name, "true", "3"),
        *("CPUQuotaPerSecUSec", "t", f"{quota_us}"),
        *("CPUQuotaPeriodUSec", "t", f"{PERIOD_US}"),
        *("CPUWeight", "t", f"{weight}"),
    )


async def _call(arguments: Sequence[str]) -> None:
    bus = "--system" if os.getuid() == 0 else "--user"
    await process.run(("busctl", bus, "--quiet", "call", *_MANAGER, *arguments), timeout_s=_TIMEOUT_S)
