"""pyvbox as an optional quick hand for VMs that run: pause and resume in milliseconds, saving with percentages.

The driver is complete without it, and begins to use it after the first VM has started, if it is there and agrees with
the installed VirtualBox. pyvbox, made from the interface of 6.1, reads the states of every 7.x wrongly, so there it
stays off. Each verb here says whether it was done; where it was not, VBoxManage does it. At the first disagreement it
switches itself off for good. Its events are never used: they end VBoxSVC, and with it every VM that runs.

Source: pyvbox 2.1.1 (the package `virtualbox`); `vboxapi` of VirtualBox's SDK, 7.2.22.
"""

import asyncio
import functools
import importlib
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Final

from client import log

_log = log.logger("hypervisor")

_CALL_LIMIT_S: Final = 10.0
#: For what takes milliseconds, or else is VBoxManage's.
_VERB_LIMIT_S: Final = 2.0
_SAVE_LIMIT_S: Final = 600.0
_PERCENT_EVERY_S: Final = 0.2
#: Names of ranges among the states, not states.
_RANGES: Final = ("First", "Last")
#: How pyvbox fails when it does not fit: names that moved, numbers that it does not know, libraries that do not load.
_MISFITS: Final = (ImportError, AttributeError, TypeError, ValueError, OSError)

#: Errors of the layers below, as pyvbox passes them on where an attribute is read: on Linux and macOS; on Windows.
_NATIVE_ERRORS: Final = (("xpcom", "Exception"), ("pywintypes", "com_error"))

_NEW: Final = "not started"
_ENDED: Final = "its thread ended"
#: Something to be done, and where what comes of it goes.
_Order = tuple[Callable[[], Any], "Future[Any]"]
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
        self.why_off = _NEW
        self._load = load
        self._pyvbox: Any = None
        self._saving: tuple[Any, Any] = (None, None)
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._starting: asyncio.Task[bool] | None = None

    def begin(self) -> None:
        """Have it started beside everything else, once; until it has proved itself it does nothing."""
        if self.why_off == _NEW and self._starting is None:
            self._starting = asyncio.create_task(self.start())

    async def start(self) -> bool:
        """Load pyvbox and let it prove itself. Returns whether it serves; why not stands in `why_off`."""
        self.why_off = trial = "not proved yet"
        # VirtualBox's objects belong to the thread that made them. A daemon's hanging does not keep the program here.
        threading.Thread(target=self._serve, name="virtualbox", daemon=True).start()
        is_proved = await self._give(self._prove, _CALL_LIMIT_S) is True
        if is_proved and self.why_off == trial:
            self.why_off = ""
            _log.info("pyvbox helps: it pauses, resumes and saves")
        return not self.why_off

    async def pause(self, uuid: str) -> bool:
        """Hold a VM that runs. Returns whether that was done; False: ask VBoxManage."""
        return await self._try(functools.partial(self._act, uuid, "pause", "Paused"), _VERB_LIMIT_S) is True

    async def resume(self, uuid: str) -> bool:
        """Let a held VM go on. Returns whether that was done; False: ask VBoxManage."""
        return await self._try(functools.partial(self._act, uuid, "resume", "Running"), _VERB_LIMIT_S) is True

    async def save(self, uuid: str, on_percent: Callable[[int], None]) -> bool:
        """Write a VM's state to disk and end it, telling how far it is. Returns whether that was done.

        If not, it may be under way nevertheless.

        Args:
            on_percent: called in the event loop, with 0 to 100.
        """
        is_begun = await self._try(functools.partial(self._begin_save, uuid))
        loop = asyncio.get_running_loop()
        end = loop.time() + _SAVE_LIMIT_S
        while is_begun and loop.time() < end:
            seen = await self._try(self._look)
            if seen is None:
                return False
            on_percent(seen[0])
            if seen[1] is not None:
                return bool(seen[1] == 0)
            await asyncio.sleep(_PERCENT_EVERY_S)
        return False

    def close(self) -> None:
        """Let go; VMs keep running."""
        if self._starting is not None:
            self._starting.cancel()
        if self.why_off in ("", _NEW):
            self.why_off = "closed"
        self._orders.put(None)

    async def _try(self, work: Callable[[], Any], limit_s: float = _CALL_LIMIT_S) -> Any:
        """What the work gives, in its thread; None when it was refused, or when this helper is off."""
        return None if self.why_off else await self._give(work, limit_s)

    async def _give(self, work: Callable[[], Any], limit_s: float) -> Any:
        order: Future[Any] = Future()
        self._orders.put((work, order))
        try:
            async with asyncio.timeout(limit_s):
                return await asyncio.wrap_future(order)
        except TimeoutError:
            self._switch_off(f"no answer within {limit_s:g} s")
        except _MISFITS as error:
            self._switch_off(f"{type(error).__name__}: {error}", is_missing=isinstance(error, ImportError))
        except self._refusals() as error:
            _log.info("pyvbox could not do it, VBoxManage will: %s", error)
        return None

    def _serve(self) -> None:
        """Does one order after the other, in the thread; whatever is not foreseen ends it."""
        while (order := self._orders.get()) is not None:
            work, answer = order
            if not answer.set_running_or_notify_cancel():
                continue
            try:
                answer.set_result(work())
            except self._expected() as error:
                answer.set_exception(error)
            finally:
                if not answer.done():
                    answer.set_exception(ValueError(_ENDED))

    def _expected(self) -> tuple[type[BaseException], ...]:
        return (*_MISFITS, *self._refusals())

    def _refusals(self) -> tuple[type[BaseException], ...]:
        own = getattr(getattr(self._pyvbox, "library", None), "VBoxError", None)
        native = [getattr(sys.modules.get(module), name, None) for module, name in _NATIVE_ERRORS]
        return tuple(one for one in (own, *native) if one is not None)

    def _switch_off(self, why: str, *, is_missing: bool = False) -> None:
        self.why_off = why
        self._orders.put(None)
        # Most computers do not have it, which nobody has to know.
        _log.log(logging.DEBUG if is_missing else logging.INFO, "pyvbox is not used: %s", why)

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
            if self.why_off:
                # It came too late: VBoxManage has done it, and perhaps something else since.
                return False
            getattr(session.console, verb)()
        finally:
            session.unlock_machine()
        found = str(machine.state)
        if found != state:
            raise ValueError(f"after {verb} it reads the state as {found}")
        return True

    def _begin_save(self, uuid: str) -> bool:
        _, session = self._open(uuid)
        if self.why_off:
            session.unlock_machine()
            return False
        # The session is left locked: it ends with the VM.
        self._saving = session.machine.save_state(), session
        return True

    def _look(self) -> tuple[int, int | None]:
        """How far saving is in percent, and its result, which can be asked for only when it is done."""
        progress, session = self._saving
        is_done = bool(progress.completed)
        seen = int(progress.percent), int(progress.result_code) if is_done else None
        if is_done:
            self._saving = (None, None)
        if seen[1]:
            # The VM goes on, and whoever removes it later must not find it locked.
            session.unlock_machine()
        return seen

    def _open(self, uuid: str) -> tuple[Any, Any]:
        machine = self._pyvbox.VirtualBox().find_machine(uuid)
        session = self._pyvbox.Session()
        machine.lock_machine(session, self._pyvbox.library.LockType.shared)
        return machine, session
