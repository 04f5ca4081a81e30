"""Starting a VM: from its saved state or afresh, and what to say when it does not start."""

import asyncio
from pathlib import Path
from typing import Final

from client import log
from client.errors import ClientError
from client.hypervisor.driver import VmSpec
from client.hypervisor.errors import HypervisorError, RoutePortTaken, StartFailed
from client.hypervisor.virtualbox import link, problems, vm_log
from client.hypervisor.virtualbox.folder import RUNNING, STOPPED
from client.hypervisor.virtualbox.machine import ONLINE, Machine
from client.hypervisor.virtualbox.verdict import name_of
from client.snapshot import VmState

_log = log.logger("hypervisor")
START_LIMIT_S: Final = 120.0
_STALE: Final = "The saved state could not be used, so the virtual machine was started afresh."
_SLOW: Final = {
    vm_log.NATIVE_API: (
        "Another hypervisor (such as Hyper-V) holds the processor's virtualization, so VirtualBox goes through it and"
        " runs several times slower."
    ),
    vm_log.INTERPRETER: (
        "The processor's virtualization cannot be used, so VirtualBox interprets every instruction and runs many times"
        " slower."
    ),
}
#: Causes that a second try does not remove: this computer does not run VMs under VirtualBox for now.
LASTING: Final = (
    problems.NoVirtualization,
    problems.VirtualizationOff,
    problems.VirtualizationTaken,
    problems.KernelModuleMissing,
    problems.KernelModuleNotLoaded,
    problems.KernelModuleMismatch,
    problems.KernelModuleDenied,
    problems.SecureBootBlocks,
    problems.MacApprovalMissing,
    problems.VirtualBoxBroken,
)
_LOG_LINES: Final = 60
_Sign = tuple[int, int]


async def start(machine: Machine, spec: VmSpec) -> None:
    """Start a VM that does not run; the caller holds its lock.

    Raises:
        StartFailed, RoutePortTaken, HypervisorError: it does not run.
    """
    folder = machine.folder
    restored = await machine.state() is VmState.SAVED
    machine.relays.set_routes(spec.routes)
    try:
        await machine.relays.open()
    except (RoutePortTaken, OSError):
        # A guest whose routes do not all lead is not begun with.
        await machine.relays.close()
        raise
    await asyncio.to_thread(link.prepare, folder.path, folder.record().link)
    folder.write_record(phase=RUNNING, pid=0, started_at="", note="", own_resets=0, restored=restored)
    is_up = False
    try:
        note = await _start(machine)
        is_up = True
    finally:
        if not is_up:
            await machine.relays.close()
            folder.write_record(phase=STOPPED)
    restored = restored and note != _STALE
    await _mend_link(machine, restored)
    slow = _SLOW.get(folder.record().accelerator, "")
    folder.write_record(note=note or slow, restored=restored)


async def _mend_link(machine: Machine, restored: bool) -> None:
    """Have the guest able to send.

    WORKAROUND VirtualBox 6.0 to 7.2: a saved state holds nothing of what a UART was sending, and says that it still
    is. A guest that is restored from such a state waits for ever until it may send more. Plugging the UART out and in
    makes it free; the guest sees so at the host's next byte.
    Source: VirtualBox's UartCore.cpp (what is saved, and what attaching does); seen in 7.2.22.
    """
    if not (restored or machine.folder.record().unplugged):
        return
    try:
        await (machine.replug_link() if restored else machine.plug_link())
    except HypervisorError as error:
        _log.warning("The link of %s stays unplugged: %s", machine.vm_id, error)


async def _start(machine: Machine) -> str:
    """Start it; returns what the volunteer should know."""
    try:
        await _launch(machine)
    except problems.SavedStateUnusable:
        # After any other failure the state may well be good for the next start.
        if (await machine.ask()).state is not VmState.SAVED:
            raise
    else:
        return ""
    await machine.change("discardstate", machine.uuid)
    await _launch(machine)
    return _STALE


async def _launch(machine: Machine) -> None:
    command = ("startvm", machine.uuid, "--type", "headless")
    former_log = _sign(machine.log.path)
    try:
        await machine.change(*command, timeout_s=START_LIMIT_S)
    except ClientError as error:
        # It may run nevertheless: somebody else started it, or the command did not come back in time.
        if (await machine.ask()).state not in ONLINE:
            raise _named(machine, command, error, former_log) from error
    machine.assume(VmState.RUNNING)
    if machine.find_process() is None and (await machine.ask()).state not in ONLINE:
        raise _named(machine, command, StartFailed(machine.vm_id, command, 0, machine.log.tail()), former_log)


def _named(machine: Machine, command: tuple[str, ...], error: ClientError, former_log: _Sign) -> ClientError:
    """The error with the cause that the log of the VM's process may tell, if it has come so far as to write one."""
    if not isinstance(error, problems.VirtualBoxFailed | problems.EndedAtStart | StartFailed):
        return error
    texts = [machine.log.tail(_LOG_LINES)] if _sign(machine.log.path) != former_log else []
    if isinstance(error, problems.EndedAtStart) and error.log:
        texts.append(vm_log.LogTail(Path(error.log)).tail(_LOG_LINES))
    known = next(filter(None, map(name_of, texts)), None)
    if known is not None:
        return known
    exit_code = error.exit_code if isinstance(error, problems.VirtualBoxFailed) else 0
    text = "" if isinstance(error, StartFailed) else error.said
    return StartFailed(machine.vm_id, command, exit_code, f"{text}\n{machine.log.tail()}".strip())


def _sign(log: Path) -> _Sign:
    """A value that differs when the log is another one, or longer."""
    try:
        found = log.stat()
    except OSError:
        return (0, 0)
    return (found.st_ino, found.st_size)
