"""Control groups of Linux: where ours may be made, and what is written into them.

Source: kernel documentation, admin-guide/cgroup-v1, admin-guide/cgroup-v2, scheduler/sched-bwc.
"""

import contextlib
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from client.throttle.guard_child import GROUP_PREFIX

#: Groups of any other name are never touched.
PREFIX: Final = GROUP_PREFIX
#: Measured: a quota for each 10 ms makes the longest gap of a guest shorter than one for each 100 ms.
PERIOD_US: Final = 10_000
#: The kernel takes no quota below, and no period beyond.
_LEAST_QUOTA_US: Final = 1_000
_MOST_PERIOD_US: Final = 1_000_000


@dataclass(frozen=True)
class Tree:
    """A folder of the control group file system in which groups can be made.

    Attributes:
        version: 1 or 2.
    """

    base: Path
    version: int

    def quota(self, percent: float | None) -> dict[str, str]:
        """File name -> text for a limit in percent of one processor."""
        period_us = PERIOD_US if percent is None else _period_us(percent)
        quota_us = None if percent is None else max(_LEAST_QUOTA_US, round(period_us * percent / 100))
        if self.version == 2:
            return {"cpu.max": f"{'max' if quota_us is None else quota_us} {period_us}"}
        return {"cpu.cfs_period_us": f"{period_us}", "cpu.cfs_quota_us": f"{-1 if quota_us is None else quota_us}"}

    def lift(self, group: Path) -> tuple[tuple[str, str], ...]:
        """Files and texts that take the limit of a group away."""
        name, text = list(self.quota(None).items())[-1]
        return ((str(group / name), text),)

    def be_idle(self, group: Path) -> None:
        """Have all others go first: a low priority counts only within a group, so the group has to have it as well."""
        older = ("cpu.weight", "1") if self.version == 2 else ("cpu.shares", "2")
        for name, text in (("cpu.idle", "1"), older):
            try:
                write(group / name, text)
                break
            except OSError:
                continue
        with contextlib.suppress(OSError):
            write(group / "io.prio.class", "idle")

    def open_to_children(self, group: Path) -> None:
        """Let groups within this one have limits of their own."""
        if self.version == 2 and "cpu" not in (group / "cgroup.subtree_control").read_text().split():
            write(group / "cgroup.subtree_control", "+cpu")


def find_tree(mounts: str, own: str, has_systemd: bool) -> Tree | None:
    """Where groups of ours can be made, if we may; a pure look at two texts.

    Args:
        mounts: /proc/self/mountinfo.
        own: /proc/self/cgroup.
        has_systemd: whether systemd owns the groups of version 2, in which others may not make any.
    """
    found: Tree | None = None
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point, kind, options = Path(before.split()[4]), *after.split()[::2][:2]
        if kind == "cgroup" and "cpu" in options.split(","):
            return Tree(_below(point, before.split()[3], own, "cpu"), 1)
        if kind == "cgroup2" and not has_systemd:
            found = Tree(point, 2)
    return found


def may_use(tree: Tree) -> bool:
    """Whether this user may make groups there that limit the processor."""
    if not os.access(tree.base, os.W_OK) or not os.access(tree.base / "cgroup.procs", os.W_OK):
        return False
    with contextlib.suppress(OSError):
        return tree.version == 1 or "cpu" in (tree.base / "cgroup.controllers").read_text().split()
    return False


def leftovers(base: Path, own_pid: int) -> Iterator[Path]:
    """Groups of ours, from clients that are gone."""
    for group in sorted(base.glob(f"{PREFIX}*")):
        pid = group.name.removeprefix(PREFIX)
        if pid.isdecimal() and int(pid) != own_pid and not Path(f"/proc/{pid}").exists():
            yield group


def remove(group: Path) -> None:
    """Remove a group and those in it as far as they are empty; the kernel refuses others."""
    for one in (*(child for child in group.glob("*") if child.is_dir()), group):
        with contextlib.suppress(OSError):
            one.rmdir()


def enter(group: Path, pids: Iterable[int]) -> None:
    """Move processes with all their threads into a group; one that has ended meanwhile is none."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            write(group / "cgroup.procs", f"{pid}")


def write(path: Path, text: str) -> None:
    """Write in one piece; such files are there or not, and are never made.

    Raises:
        OSError: the kernel refuses.
    """
    handle = os.open(path, os.O_WRONLY)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)


def _period_us(percent: float) -> int:
    least_us = math.ceil(_LEAST_QUOTA_US * 100 / max(percent, 0.1))
    return min(_MOST_PERIOD_US, max(PERIOD_US, least_us))


def _below(point: Path, root: str, own: str, controller: str) -> Path:
    """Our own group, below which a limit set for us holds for our groups too."""
    for line in own.splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            below = point / path.removeprefix(root.rstrip("/")).lstrip("/")
            return below if below.is_dir() else point
    return point
