"""pyvbox as an optional quick hand for VMs that run: pause and resume in milliseconds, saving with percentages.

The driver is complete without it, and does not call it (`docs/dependencies.md`): it would serve only where it agrees
with the installed VirtualBox, and pyvbox, made from the interface of 6.1, reads the states of every 7.x wrongly. Each
verb here says whether it was done; where it was not, VBoxManage does it. At the first disagreement it switches itself
off for good. Its events are never used: they end VBoxSVC, and with it every VM that runs.

Source: pyvbox 2.1.1 (the package `virtualbox`); `vboxapi` of VirtualBox's SDK, 7.2.22.
"""

import asyncio
import functools
import importlib
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from client import log

_log = log.logger("hypervisor")

_CALL_LIMIT_S: Final = 10.0
_SAVE_LIMIT_S: Final = 600.0
_PERCENT_EVERY_S: Final = 0.2
#: Names of ranges among the states, not states.
_RANGES: Final = ("First", "Last")
#: How pyvbox fails when it does not fit: names that moved, numbers that it does not know, libraries that do not load.
_MISFITS: Final = (ImportError, AttributeError, TypeError, ValueError, OSError)

#: Errors of the layers below, as pyvbox passes them on where an attribute is read: on Linux and macOS; on Windows.
_NATIVE_ERRORS: Final = (("xpcom", "Exception"), ("pywintypes", "com_error"))

Load = Callable[[], tuple[Any, Any]]


def load() -> tuple[Any, Any]:
    """pyvbox and the constants of the SDK that is installed beside it; `ImportError` where either is missing."""
    return importlib.import_module("virtualbox"), importlib.import_module("vboxapi.VirtualBox_constants")


def disagreements(library: Any, constants: Any) -> tuple[str, ...]:
    """Machine states of which pyvbox and the installed SDK think differently, sorted; empty: they agree.

    Args:
        library: `virtualbox.library` of pyvbox.
        constants: `vboxapi.VirtualBox_constants`.
    """
    known: Mapping[str, int] = {label: value for label, value, _ in library.MachineState._enums}
    installed: Mapping[str, int] = constants.VirtualBoxReflectionInfo(False).all_values("MachineState")
    names = [name for name in {*known, *installed} if not name.startswith(_RANGES)]
    return tuple(sorted(name for name in names if known.get(name) != installed.get(name)))


class SessionHelper:
    """Verbs on VMs that run. The constructor does no I/O.

    Attributes:
        why_off: why it does nothing; empty while it serves.
    """

    def __init__(self, load: Load = load) -> None:
        self.why_off = "not started"
        self._load = load
        self._pyvbox: Any = None
        # VirtualBox's objects belong to the thread that made them.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="virtualbox")

    async def start(self) -> bool:
        """Load pyvbox and let it prove itself. Returns whether it serves; why not stands in `why_off`."""
        self.why_off = ""
        return await self._try(self._prove) is True

    async def pause(self, uuid: str) -> bool:
        """Hold a VM that runs. Returns whether that was done; False: ask VBoxManage."""
        return await self._try(functools.partial(self._act, uuid, "pause", "Paused")) is True

    async def resume(self, uuid: str) -> bool:
        """Let a held VM go on. Returns whether that was done; False: ask VBoxManage."""
        return await self._try(functools.partial(self._act, uuid, "resume", "Running")) is True

    async def save(self, uuid: str, on_percent: Callable[[int], None]) -> bool:
        """Write a VM's state to disk and end it, telling how far it is. Returns whether that was done.

        Args:
            on_percent: called in the event loop, with 0 to 100.
        """
        progress = await self._try(functools.partial(self._begin_save, uuid))
        loop = asyncio.get_running_loop()
        end = loop.time() + _SAVE_LIMIT_S
        while progress is not None and loop.time() < end:
            seen = await self._try(functools.partial(_look, progress))
            if seen is None:
                return False
            on_percent(seen[0])
            if seen[1] is not None:
                return bool(seen[1] == 0)
            await asyncio.sleep(_PERCENT_EVERY_S)
        return False

    def close(self) -> None:
        """Let go; VMs keep running."""
        self.why_off = self.why_off or "closed"
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _try(self, work: Callable[[], Any]) -> Any:
        """What the work gives, in its thread; None when it was refused, or when this helper is off."""
        if self.why_off:
            return None
        try:
            async with asyncio.timeout(_CALL_LIMIT_S):
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except TimeoutError:
            self._switch_off(f"no answer within {_CALL_LIMIT_S:g} s")
        except _MISFITS as error:
            self._switch_off(f"{type(error).__name__}: {error}")
        except self._refusals() as error:
            _log.info("pyvbox could not do it, VBoxManage will: %s", error)
        return None

    def _refusals(self) -> tuple[type[BaseException], ...]:
        own = getattr(getattr(self._pyvbox, "library", None), "VBoxError", None)
        native = [getattr(sys.modules.get(module), name, None) for module, name in _NATIVE_ERRORS]
        return tuple(one for one in (own, *native) if one is not None)

    def _switch_off(self, why: str) -> None:
        self.why_off = why
        _log.info("pyvbox is not used: %s", why)

    def _prove(self) -> bool:
        pyvbox, constants = self._load()
        wrong = disagreements(pyvbox.library, constants)
        if wrong:
            raise ValueError(f"it takes other numbers for {', '.join(wrong)}")
        self._pyvbox = pyvbox
        return bool(pyvbox.VirtualBox().version)

    def _act(self, uuid: str, verb: str, state: str) -> bool:
        machine, session = self._open(uuid)
        try:
            getattr(session.console, verb)()
        finally:
            session.unlock_machine()
        found = str(machine.state)
        if found != state:
            raise ValueError(f"after {verb} it reads the state as {found}")
        return True

    def _begin_save(self, uuid: str) -> Any:
        _, session = self._open(uuid)
        # The session is left locked: it ends with the VM.
        return session.machine.save_state()

    def _open(self, uuid: str) -> tuple[Any, Any]:
        machine = self._pyvbox.VirtualBox().find_machine(uuid)
        session = self._pyvbox.Session()
        machine.lock_machine(session, self._pyvbox.library.LockType.shared)
        return machine, session


def _look(progress: Any) -> tuple[int, int | None]:
    """How far something is in percent, and its result, which can be asked for only when it is done."""
    is_done = bool(progress.completed)
    return int(progress.percent), int(progress.result_code) if is_done else None
