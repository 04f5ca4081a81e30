"""Holds VMs to a budget by a quota of a control group, one group for all with one in it for each VM."""

import os
from pathlib import Path

from client.process import Identity
from client.throttle.cgroup import PREFIX, Tree, enter, find_tree, leftovers, may_use, remove, write
from client.throttle.means import Budget, Kept


class CgroupMeans:
    """Groups that we make ourselves, where the system lets us.

    Args:
        tree: where; None: to be found.
    """

    name = "control group"
    ranks = True

    def __init__(self, tree: Tree | None = None) -> None:
        self._tree = tree
        self._group: Path | None = None
        self._idle = True
        self._written: dict[Path, str] = {}
        self._inside: dict[Path, frozenset[Identity]] = {}

    async def is_offered(self) -> bool:
        """Whether groups can be made here; sweeps those that a killed client has left."""
        if self._tree is None:
            self._tree = _system_tree()
        if self._tree is None or not may_use(self._tree):
            return False
        self._sweep()
        return True

    async def keep(self, budget: Budget) -> Kept:
        """See `Means`."""
        assert self._tree is not None
        if budget.idle is not self._idle:
            await self.release()
        group = self._open(self._tree, budget.idle)
        for name, text in self._tree.quota(budget.percent).items():
            self._write(group / name, text)
        rooms = {group / f"vm-{vm_id}": processes for vm_id, processes in budget.vms.items()}
        for room, processes in rooms.items():
            if not room.is_dir():
                room.mkdir()
                self._inside.pop(room, None)
            self._move(room, frozenset(processes))
        gone = [room for room in self._inside if room not in rooms]
        for room in gone:
            self._leave(room)
        if gone:
            self._sweep()
        return Kept(lift=self._tree.lift(group))

    async def release(self) -> None:
        """See `Means`. Processes that are still there go back to where groups of ours are made."""
        if self._group is None or self._tree is None:
            return
        for room in [*self._inside]:
            self._leave(room)
        remove(self._group)
        self._group = None
        self._written.clear()

    def _open(self, tree: Tree, idle: bool) -> Path:
        if self._group is None:
            group = tree.base / f"{PREFIX}{os.getpid()}"
            tree.open_to_children(tree.base)
            group.mkdir(exist_ok=True)
            if idle:
                tree.be_idle(group)
            self._idle = idle
            tree.open_to_children(group)
            self._group = group
        return self._group

    def _write(self, path: Path, text: str) -> None:
        if self._written.get(path) != text:
            write(path, text)
            self._written[path] = text

    def _move(self, room: Path, processes: frozenset[Identity]) -> None:
        enter(room, (who.pid for who in processes - self._inside.get(room, frozenset())))
        self._inside[room] = processes

    def _leave(self, room: Path) -> None:
        assert self._tree is not None
        pids = (room / "cgroup.procs").read_text().split() if room.is_dir() else []
        enter(self._tree.base, map(int, pids))
        self._inside.pop(room, None)
        remove(room)

    def _sweep(self) -> None:
        assert self._tree is not None
        for group in leftovers(self._tree.base, os.getpid()):
            remove(group)


def _system_tree() -> Tree | None:
    try:
        mounts, own = Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text()
    except OSError:
        return None
    return find_tree(mounts, own, Path("/run/systemd/system").is_dir())
