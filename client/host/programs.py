"""The names of all programs that run."""

import sys
from pathlib import Path
from typing import Final

import psutil

from client.host.part import Facts
from client.host.process_name import name_of, plain

_PROC: Final = Path("/proc")


class Programs:
    """Looks for them; on Linux it reads only the names of processes that are new since the last look.

    A process takes another name when it becomes another program, which it does soon after its start: so a name is read
    again at the look after the first.
    """

    def __init__(self) -> None:
        self._fresh: dict[int, str] = {}
        self._settled: dict[int, str] = {}

    def look(self) -> Facts:
        """All names.

        Raises:
            OSError: the system does not say.
        """
        return {"programs": frozenset(self._in_proc() if sys.platform == "linux" else _by_psutil()) - {""}}

    def _in_proc(self) -> set[str]:
        pids = {int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()}
        self._settled = {pid: name for pid, name in self._settled.items() if pid in pids}
        self._settled.update({pid: name_of(pid) for pid in self._fresh if pid in pids})
        self._fresh = {pid: name_of(pid) for pid in pids - set(self._settled)}
        return {*self._settled.values(), *self._fresh.values()}


def _by_psutil() -> set[str]:
    return {plain(process.info["name"] or "") for process in psutil.process_iter(["name"])}
