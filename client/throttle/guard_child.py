"""The process beside the client that throttles by duty cycle, and sees to it that no VM is left behind.

One of its own, so that neither a busy event loop nor a frozen window disturbs the cycle, and so that somebody is there
when the client is not. It knows the standard library only and starts in some ten milliseconds.

In: lines of JSON, each the whole order (`client.throttle.guard` writes them). Out: nothing, for nobody may be there any
more to read it. The end of the input without `bye` means that the client has gone: everything goes on at once, limits
are lifted, the guests get `grace_s` to save their jobs and turn themselves off, then their processes are ended: first
asked, then killed. A later client ends this process (`owner`), and nothing of that happens.
"""

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from client.throttle.duty import PERIOD_S, Cycle, turns

#: How often it looks, after the client has gone, whether VMs have gone too or a new client is there.
_LOOK_S: Final = 1.0
#: Control groups of any other name are not ours.
GROUP_PREFIX: Final = "volunteer-cloud-"
#: Between asking a VM's process to end and killing it.
_TERM_S: Final = 10.0
#: The clock that counts what all threads of a process have executed. Source: clock_getcpuclockid(3).
_SCHEDULED: Final = 2
#: Windows has none of them; there nothing is throttled in this way, and 0 is sent to nobody.
_GO_ON: Final[int] = getattr(signal, "SIGCONT", 0)
_STOP: Final[int] = getattr(signal, "SIGSTOP", 0)
_KILL: Final[int] = getattr(signal, "SIGKILL", signal.SIGTERM)
Order = dict[str, Any]


class Process:
    """One process of a VM, known by pid and start, and never another of the same pid."""

    def __init__(self, pid: int, started_at: str) -> None:
        self.key = (pid, started_at)
        self._pid = pid
        self._handle: int | None = None
        self.stopped = False
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self._handle = os.pidfd_open(pid)
        # Only now: a handle of one that took its pid meanwhile is of no use.
        if started_at != start_of(pid):
            self.close()
            self._pid = 0

    def send(self, number: int) -> None:
        """Send a signal; nothing happens if it has gone."""
        if not number:
            return
        with contextlib.suppress(OSError):
            if self._handle is not None:
                signal.pidfd_send_signal(self._handle, number)
            elif self._pid and start_of(self._pid) == self.key[1]:
                os.kill(self._pid, number)

    def is_there(self) -> bool:
        """Whether it still runs."""
        return bool(self._pid) and start_of(self._pid) == self.key[1]

    def used_s(self) -> float:
        """CPU seconds of all its threads so far."""
        return cpu_clock(self._pid) if self._pid else 0.0

    def close(self) -> None:
        """Let go of the handle."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class Vm:
    """The processes of one VM."""

    def __init__(self) -> None:
        self.processes: dict[tuple[int, str], Process] = {}
        self._runs = True
        self._used_s = 0.0
        self._ran_s = 0.0
        self._since = time.monotonic()

    def own(self, wanted: Iterable[tuple[int, str]]) -> None:
        """Have exactly these; those that leave go on."""
        keys = set(wanted)
        for key in [*self.processes]:
            if key not in keys:
                self.processes[key].send(_GO_ON)
                self.processes.pop(key).close()
        for key in keys - self.processes.keys():
            self.processes[key] = Process(*key)
            # Whoever throttled it before may have been killed meanwhile.
            self.processes[key].send(_GO_ON)
            self._runs, self._used_s = True, self._all_s()

    def let(self, go_on: bool) -> None:
        """Let all go on, or stop them."""
        if go_on != self._runs:
            self.send(_GO_ON if go_on else _STOP)
            self._count_running()
        self._runs = go_on

    def send(self, number: int) -> None:
        """Send a signal to all."""
        for one in self.processes.values():
            one.send(number)

    def used_s(self) -> float:
        """CPU seconds since this was last asked."""
        now_s = self._all_s()
        used_s, self._used_s = max(0.0, now_s - self._used_s), now_s
        return used_s

    def ran_s(self) -> float:
        """Seconds in which it was not stopped since this was last asked; stops may come later than planned."""
        self._count_running()
        ran_s, self._ran_s = self._ran_s, 0.0
        return ran_s

    def _count_running(self) -> None:
        now = time.monotonic()
        if self._runs:
            self._ran_s += now - self._since
        self._since = now

    def _all_s(self) -> float:
        return sum(one.used_s() for one in self.processes.values())


class Guard:
    """Does what the last order says, until there are no more."""

    def __init__(self, orders: "queue.SimpleQueue[Order | None]") -> None:
        self._orders = orders
        self._vms: dict[str, Vm] = {}
        self._held: dict[str, Vm] = {}
        self._order: Order = {}
        self._cycle = Cycle(os.cpu_count() or 1)
        self._cycled_at = 0.0

    def run(self) -> None:
        """Until the client says farewell, or has gone and the VMs with it."""
        try:
            while not self._order.get("bye"):
                order = self._one_period() if self._order.get("percent") else self._next(None)
                if order is None:
                    self._alone()
                    return
                self._obey(order)
        finally:
            self._all_go_on()

    def _next(self, timeout_s: float | None) -> Order | None:
        """The next order, None at the end of all; the present one when none comes in time."""
        try:
            return self._orders.get(timeout=timeout_s)
        except queue.Empty:
            return self._order

    def _obey(self, order: Order) -> None:
        if order is self._order:
            return
        if not order.get("percent") or not self._order.get("percent"):
            self._all_go_on()
            self._cycle, self._cycled_at = Cycle(os.cpu_count() or 1), time.monotonic()
            for vm in self._vms.values():
                vm.used_s()
                vm.ran_s()
        self._order = order
        vms = order.get("vms", {})
        for vm_id in [*self._vms]:
            if vm_id not in vms:
                self._vms.pop(vm_id).own(())
        for vm_id, processes in vms.items():
            self._vms.setdefault(vm_id, Vm()).own((int(pid), str(started)) for pid, started in processes)
        self._held = {vm_id: vm for vm_id, vm in self._vms.items() if vm_id not in order.get("free", ())}
        for vm_id, vm in self._vms.items():
            if vm_id not in self._held:
                vm.let(go_on=True)
            elif order.get("percent") == 0:
                vm.let(go_on=False)

    def _one_period(self) -> Order | None:
        """One period of the duty cycle, or as much of it as passes until another order comes."""
        began = time.monotonic()
        passed_s = min(max(began - self._cycled_at, PERIOD_S / 2), 10 * PERIOD_S)
        used = {vm_id: vm.used_s() for vm_id, vm in self._held.items()}
        ran = {vm_id: vm.ran_s() for vm_id, vm in self._held.items()}
        self._cycled_at = began
        plan = self._cycle.plan(self._order["percent"] / 100, used, ran, passed_s)
        late_s = 0.0
        for at_s, vm_id, go_on in turns(plan):
            if (order := self._wait_until(began + at_s + late_s)) is not self._order:
                return order
            self._held[vm_id].let(go_on)
            # Whoever went on too late is stopped as much later, or it would get nothing on a busy computer.
            late_s = max(late_s, time.monotonic() - began - at_s)
        return self._wait_until(began + PERIOD_S)

    def _wait_until(self, at: float) -> Order | None:
        left_s = at - time.monotonic()
        return self._next(left_s) if left_s > 0 else self._order

    def _all_go_on(self) -> None:
        for vm in self._vms.values():
            vm.send(_GO_ON)
            vm.let(go_on=True)

    def _alone(self) -> None:
        """The client has gone: free the VMs, give them time, and end them."""
        self._all_go_on()
        for path, text in self._order.get("lift", ()):
            with contextlib.suppress(OSError):
                _write(path, text)
        if not self._wait_gone(float(self._order.get("grace_s", 0.0))):
            self._each(signal.SIGTERM)
            if not self._wait_gone(_TERM_S):
                self._each(_KILL)
        self._sweep()

    def _sweep(self) -> None:
        """Leave nothing of ours: groups whose limits were lifted (the kernel refuses full ones), and our name."""
        # Loaded this late, for it takes as long as all the others.
        from pathlib import Path

        for group in (Path(path).parent for path, _ in self._order.get("lift", ())):
            if group.name.startswith(GROUP_PREFIX):
                with contextlib.suppress(OSError):
                    for room in group.glob("vm-*"):
                        room.rmdir()
                    group.rmdir()
        if "owner" in self._order and not self._is_succeeded():
            Path(self._order["owner"]).unlink(missing_ok=True)

    def _each(self, number: int) -> None:
        if not self._is_succeeded():
            for vm in self._vms.values():
                vm.send(number)

    def _wait_gone(self, timeout_s: float) -> bool:
        """Whether nothing is left to be done: the VMs are off, or another guard has them."""
        ends = time.monotonic() + timeout_s
        while True:
            if self._is_succeeded() or not any(
                one.is_there() for vm in self._vms.values() for one in vm.processes.values()
            ):
                return True
            left_s = ends - time.monotonic()
            if left_s <= 0:
                return False
            threading.Event().wait(min(left_s, _LOOK_S))

    def _is_succeeded(self) -> bool:
        """Whether a later client has put its guard into the place of this one."""
        if "owner" not in self._order:
            return False
        try:
            return bool(json.loads(_read(self._order["owner"]))["pid"] != os.getpid())
        except (OSError, ValueError, KeyError, TypeError):
            return False


def start_of(pid: int) -> str:
    """The same opaque text as `client.process.identity` has; empty when there is none of that pid."""
    if sys.platform == "darwin":
        from client.throttle.foreign_macos import start_of as ask_macos

        return ask_macos(pid)
    if sys.platform == "win32":
        from client.throttle.foreign_windows import start_of as ask_windows

        return ask_windows(pid)
    try:
        stat = _read(f"/proc/{pid}/stat")
    except OSError:
        return ""
    fields = stat[stat.rindex(b")") + 2 :].split()
    if not _boot:
        _boot.append(_read("/proc/sys/kernel/random/boot_id")[:8].decode())
    return "" if fields[0] in (b"Z", b"X") else f"{_boot[0]}:{fields[19].decode()}"


def cpu_clock(pid: int) -> float:
    """CPU seconds of a process so far, with all its threads; 0 when it has gone."""
    if sys.platform == "darwin":
        from client.throttle.foreign_macos import executed_s

        return executed_s(pid)
    try:
        return time.clock_gettime((~pid << 3) | _SCHEDULED)
    except OSError:
        return 0.0


_boot: Final[list[str]] = []


def _read(path: str) -> bytes:
    handle = os.open(path, os.O_RDONLY)
    try:
        return os.read(handle, 65536)
    finally:
        os.close(handle)


def _write(path: str, text: str) -> None:
    handle = os.open(path, os.O_WRONLY)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)


def _listen(put: Callable[[Order | None], None]) -> None:
    for line in sys.stdin:
        with contextlib.suppress(ValueError):
            put(json.loads(line))
    put(None)


def main(arguments: list[str]) -> int:
    """Run; whoever wants this process to end sends SIGTERM."""
    orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    threading.Thread(target=_listen, args=(orders.put,), daemon=True).start()
    Guard(orders).run()
    return 0


def _end(number: int, frame: object) -> None:
    raise SystemExit(0)
