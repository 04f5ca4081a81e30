"""How much of the computer guests get while they run: by whether it is in use, and by quiet hours."""

from client.host.sample import Sample
from client.preferences.types import Limits
from client.throttle.rule import Computer, View


def is_in_use(limits: Limits, sample: Sample) -> bool:
    """Whether somebody sits before the computer. Where nobody can tell, somebody does; before a locked one nobody."""
    if sample.locked:
        return False
    return sample.idle_s is None or sample.idle_s < limits.when.idle_after_s


def memory_mib(limits: Limits, computer: Computer, in_use: bool) -> int:
    """Memory of all guests together."""
    percent = limits.memory.percent if in_use else limits.memory.percent_idle
    return computer.memory_mib * percent // 100


def disk_kib_s(limits: Limits, in_use: bool) -> int:
    """Reading and writing of all guests together; 0: no limit."""
    return limits.disk.rate_kib_s if in_use else limits.disk.rate_kib_s_idle


def processors(view: View) -> int:
    """Processors that guests may use side by side; at least one."""
    most = view.limits.processor
    share = most.share_percent if view.in_use else most.share_percent_idle
    return max(1, view.computer.processors * share // 100)


def is_quiet(view: View) -> bool:
    """Whether it is one of the quiet hours."""
    quiet = view.limits.when.quiet
    return bool(quiet.spans) and quiet.holds(view.at)


def percent(view: View) -> int:
    """Of each of them, guests' part."""
    most = view.limits.processor
    usual = most.percent if view.in_use else most.percent_idle
    return min(usual, most.quiet_percent) if is_quiet(view) else usual


def others_percent(view: View) -> int:
    """Use of the processors by other programs that is minded beyond; 0: none is."""
    when = view.limits.when
    return when.most_others_percent if view.in_use else when.most_others_percent_idle


def least_free_mib(view: View, is_short: bool) -> int:
    """Memory that other programs find free at any time; half as much again once it has been short."""
    return view.need_mib + _reserve_mib(view.computer, is_short)


def room_mib(budget_mib: int, sample: Sample, computer: Computer, guests_mib: int) -> int:
    """Memory that guests may have together before another one begins.

    Args:
        budget_mib: by the limits.
        guests_mib: what those may take that are in memory. They are never too many for what other programs have.
    """
    if sample.free_memory_mib is None:
        return budget_mib
    return min(budget_mib, guests_mib + max(0, sample.free_memory_mib - _reserve_mib(computer, is_short=True)))


def _reserve_mib(computer: Computer, is_short: bool) -> int:
    reserve = max(256, computer.memory_mib * 3 // 100)
    return reserve * 3 // 2 if is_short else reserve
