"""Drivers by name; the best one that works here. Each is imported only when it is made."""

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

from client import filenames
from client.clock import SystemClock
from client.errors import BadInput, ClientError
from client.hypervisor.driver import Driver, DriverReport, VmInfo
from client.hypervisor.errors import ChosenUnavailable, HypervisorUnproven, NoHypervisor
from client.hypervisor.spec_file import is_valid_vm_id
from client.hypervisor.verdicts import Verdicts
from client.log import logger
from client.meter import FILE
from client.own_vm import is_own
from client.snapshot import VmState

#: A name that is no VM's id: drivers share the folder and see only their own VMs.
_VIRTUALBOX: Final = "_virtualbox"
Factory = Callable[[Path, tuple[str, ...]], Driver]
#: Chosen when nothing is asked for.
AUTO: Final = "auto"
_AT_REST: Final = frozenset({VmState.ABSENT, VmState.DEFINED, VmState.SAVED})


def _qemu(folder: Path, relay_command: tuple[str, ...]) -> Driver:
    from client.hypervisor.qemu.driver import QemuDriver

    return QemuDriver(folder, relay_command)


def _virtualbox(folder: Path, relay_command: tuple[str, ...]) -> Driver:
    from client.hypervisor.virtualbox.driver import VirtualBoxDriver

    return VirtualBoxDriver(folder / _VIRTUALBOX, meter=folder / FILE)


def _fake(folder: Path, relay_command: tuple[str, ...]) -> Driver:
    from client.hypervisor.fake import FakeDriver

    return FakeDriver(folder)


FACTORIES: Final[Mapping[str, Factory]] = {"qemu": _qemu, "virtualbox": _virtualbox, "fake": _fake}
#: Taken only when asked for by name.
NEVER_BY_ITSELF: Final = frozenset({"fake"})


def make(name: str, folder: Path, relay_command: tuple[str, ...]) -> Driver:
    """The driver of that name.

    Args:
        folder: where it keeps its VMs.
        relay_command: program and first arguments of the relay, for drivers that need one.

    Raises:
        BadInput: there is no such driver.
    """
    try:
        return FACTORIES[name](folder, relay_command)
    except KeyError:
        raise BadInput("hypervisor.driver", f"there is no driver {name!r}", f"one of {', '.join(FACTORIES)}") from None


async def choose(
    preferred: str | None,
    folder: Path,
    relay_command: tuple[str, ...] = (),
    factories: Mapping[str, Factory] = FACTORIES,
) -> tuple[Driver, DriverReport]:
    """The driver asked for, else the fastest available one, with what it said of itself.

    Args:
        preferred: a name, or `auto`, nothing or None for the fastest. A choice is not overruled: if that driver
            cannot work here, nothing else is taken.

    Raises:
        NoHypervisor: none works here; with the worst that stands in the way of each.
        ChosenUnavailable: the one asked for does not work here.
        BadInput: there is no driver of that name.
    """
    if preferred and preferred != AUTO:
        names = [preferred]
    else:
        names = [name for name in factories if name not in NEVER_BY_ITSELF]
    found: list[tuple[Driver, DriverReport]] = []
    reasons: list[ClientError] = []
    for name in names:
        driver = factories[name](folder, relay_command) if name in factories else make(name, folder, relay_command)
        report = await driver.probe()
        if report.available:
            found.append((driver, report))
        else:
            reasons.append(_reason(report))
            await driver.close()
    if not found and preferred and preferred != AUTO:
        raise ChosenUnavailable(preferred, tuple(reasons))
    if not found:
        raise NoHypervisor(tuple(names), tuple(reasons))
    best = max(found, key=lambda pair: (pair[1].speed, pair[1].is_proven))
    for driver, _ in found:
        if driver is not best[0]:
            await driver.close()
    return best


async def has_faster(
    than: DriverReport,
    preferred: str | None,
    folder: Path,
    relay_command: tuple[str, ...] = (),
    factories: Mapping[str, Factory] = FACTORIES,
) -> bool:
    """Whether `choose` would now take another driver, since the one in use turned out slower than it seemed."""
    if preferred and preferred != AUTO:
        return False
    for name in factories:
        if name == than.name or name in NEVER_BY_ITSELF:
            continue
        driver = factories[name](folder, relay_command)
        try:
            report = await driver.probe()
        finally:
            await driver.close()
        if report.available and report.speed > than.speed:
            return True
    return False


async def put_away_others(
    chosen: str,
    folder: Path,
    relay_command: tuple[str, ...] = (),
    factories: Mapping[str, Factory] = FACTORIES,
    *,
    preferred: str | None = None,
) -> None:
    """See to it that of what was left with drivers that are not in use nothing runs.

    It is removed, and a job in it goes back to the project's queue, if its driver could be used but is not, or if the
    driver in use was asked for by name; a volunteer's own VM never is. Of a driver that cannot be used now all stays,
    the saved states above all: what stands in its way may pass. What cannot be done now is tried again at the next
    choice.

    Args:
        preferred: as for `choose`.
    """
    if chosen in NEVER_BY_ITSELF:
        return
    by_name = bool(preferred) and preferred != AUTO
    for name in factories:
        if name == chosen or name in NEVER_BY_ITSELF:
            continue
        driver = factories[name](folder, relay_command)
        try:
            left = await driver.list_vms()
            # To be asked only where there is something: it may take several programs' starts.
            removes = bool(left) and (by_name or (await driver.probe()).available)
            for vm in left:
                await _put_away(driver, vm, removes=removes)
        except (ClientError, OSError) as error:
            logger("hypervisor").warning("What was left with %s stays for now: %s", name, error)
        finally:
            await driver.close()


async def _put_away(driver: Driver, vm: VmInfo, *, removes: bool) -> None:
    log = logger("hypervisor")
    if removes and not is_own(vm.vm_id):
        log.info("Removing %s, which was left with %s", vm.vm_id, driver.name)
        await driver.destroy(vm.vm_id)
    elif vm.state not in _AT_REST:
        log.info("Powering off %s, which was left with %s", vm.vm_id, driver.name)
        await driver.power_off(vm.vm_id)


async def forget(
    name: str, folder: Path, relay_command: tuple[str, ...] = (), factories: Mapping[str, Factory] = FACTORIES
) -> tuple[str, ...]:
    """Remove all VMs of a driver, whether or not it can be used now; returns their ids.

    Raises:
        BadInput: there is no such driver.
        ClientError: one cannot be removed now.
    """
    driver = factories[name](folder, relay_command) if name in factories else make(name, folder, relay_command)
    try:
        vms = await driver.list_vms()
        for vm in vms:
            await driver.destroy(vm.vm_id)
        return tuple(vm.vm_id for vm in vms)
    finally:
        await driver.close()


def left_with_others(used: Collection[str], folder: Path) -> dict[str, int]:
    """Bytes on the disk that removing the VMs of drivers would free, by driver; those that have none are left out.

    Args:
        used: drivers that are in use; theirs do not count.
        folder: as for `choose`.
    """
    taken = {_place(name, folder) for name in used}
    places = {name: _place(name, folder) for name in FACTORIES if name not in NEVER_BY_ITSELF}
    sizes = {name: _size_bytes(place) for name, place in places.items() if place not in taken}
    return {name: size for name, size in sizes.items() if size}


def _place(name: str, folder: Path) -> Path:
    return folder / _VIRTUALBOX if name == "virtualbox" else folder


def _size_bytes(place: Path) -> int:
    if not place.is_dir():
        return 0
    vms = [path for path in place.iterdir() if is_valid_vm_id(path.name) and path.is_dir()]
    files = (Path(top) / name for vm in vms for top, _, names in os.walk(vm) for name in names)
    return sum(map(_freed_bytes, files))


def _freed_bytes(path: Path) -> int:
    try:
        found = path.lstat()
    except OSError:
        return 0
    # Files with a second name are somebody else's, too.
    return 0 if found.st_nlink > 1 else getattr(found, "st_blocks", -(-found.st_size // 512)) * 512


def test_again(folder: Path) -> None:
    """Forget what was seen to work here and what was not: the next `choose` and the next start try everything anew.

    Args:
        folder: as for `choose`.
    """
    for place in sorted({_place(name, folder) for name in FACTORIES}):
        Verdicts(place / filenames.ACCELERATORS, SystemClock()).forget()


def _reason(report: DriverReport) -> ClientError:
    return report.reasons[0] if report.reasons else HypervisorUnproven(report.name, report.problem)
