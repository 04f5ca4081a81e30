"""What `VBox.log` tells for nothing: who runs the VM, under which accelerator, and that its state has changed.

Its wording is no interface, so nothing hangs on it alone: a line that is not understood only means that VirtualBox is
asked a little later.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HARDWARE: Final = "hardware"
NATIVE_API: Final = "native-api"
INTERPRETER: Final = "interpreter"
#: For choosing among drivers, in percent of the computer's own processor.
SPEED: Final = {HARDWARE: 100, NATIVE_API: 30, INTERPRETER: 1}

#: Most that is read of a log at a time.
_MOST_BYTES: Final = 1 << 20
#: VirtualBox's own lines begin so. What the guest has written there stands behind a word of VirtualBox's.
_AT: Final = rb"(?m)^\d+:\d\d:\d\d(?:\.\d+)? "
_PID: Final = re.compile(_AT + rb"Process ID: (\d+)")
_CHANGE: Final = re.compile(_AT + rb"Changing the VM state from '(\w+)' to '(\w+)'")
_NATIVE: Final = re.compile(_AT + rb"NEM: NEMR3Init: \w+ execution mode is active")
_INTERPRETED: Final = re.compile(
    _AT + rb"HM: (?:HMR3Init: Fall(?:ing)? ?back (?:on|to) IEM|[^\r\n]*fHMEnabled=false[^\r\n]*IEM)"
)
_HARDWARE: Final = re.compile(_AT + rb"HM: (?:HMR3Init: (?:VT-x|AMD-V)|Enabled|Using (?:VT-x|AMD-V))")
_ABANDONED: Final = re.compile(_AT + rb"VBoxSVC became unavailable")
#: The VM's last states when its process ends it, saved or not.
_ENDS: Final = frozenset({"POWERING_OFF", "POWERING_OFF_LS", "OFF", "OFF_LS", "DESTROYING", "TERMINATED"})
#: States that a VM leaves by itself within moments; `_LS` is while a snapshot is taken of it.
BETWEEN: Final = frozenset({"SUSPENDING", "SUSPENDING_LS", "RESUMING", "RESETTING", "RESETTING_LS"})
_RESETTING: Final = b"RESETTING"


def parse_pid(text: bytes) -> int:
    """The process that wrote the log; 0 when it does not say."""
    found = _PID.search(text)
    return int(found[1]) if found else 0


def parse_accelerator(text: bytes) -> str:
    """What executes the guest; empty when the log does not say."""
    if _NATIVE.search(text):
        return NATIVE_API
    if _INTERPRETED.search(text):
        return INTERPRETER
    return HARDWARE if _HARDWARE.search(text) else ""


@dataclass
class LogTail:
    """The log of a VM, read on from where it was read last.

    Attributes:
        changes: state changes seen since it was opened or replaced.
        resets: those of them that were resets, the driver's own included.
        last: the state after the last of them, in the log's words; empty when there was none.
    """

    path: Path
    changes: int = 0
    resets: int = 0
    last: str = ""
    _is_abandoned: bool = False
    _inode: int = 0
    _offset: int = 0
    _rest: bytes = b""

    def look(self) -> tuple[int, int]:
        """A value that differs from the former one when the VM's state has changed."""
        try:
            found = self.path.stat()
        except OSError:
            return (0, 0)
        if found.st_ino != self._inode or found.st_size < self._offset:
            self._inode, self._offset, self._rest = found.st_ino, 0, b""
            self.changes = self.resets = 0
            self.last, self._is_abandoned = "", False
        if found.st_size > self._offset:
            self._read_on(found.st_size)
        return (self._inode, self.changes)

    @property
    def breaks_off(self) -> bool:
        """Whether its process ended without ending the VM, or for want of VBoxSVC, as far as the log shows."""
        return self._is_abandoned or (bool(self.last) and self.last not in _ENDS)

    def head(self) -> bytes:
        """Its beginning, where process and accelerator stand; empty when there is none."""
        try:
            with self.path.open("rb") as file:
                return file.read(_MOST_BYTES)
        except OSError:
            return b""

    def tail(self, lines: int = 15) -> str:
        """Its last lines, for an error message."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, self.path.stat().st_size - 8192))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def _read_on(self, size: int) -> None:
        try:
            with self.path.open("rb") as file:
                if size - _MOST_BYTES > self._offset:
                    # What was skipped may end within a line, and the rest of one is no line.
                    file.seek(size - _MOST_BYTES)
                    self._rest = b"..."
                else:
                    file.seek(self._offset)
                text = self._rest + file.read(_MOST_BYTES)
                self._offset = file.tell()
        except OSError:
            return
        whole, newline, self._rest = text.rpartition(b"\n")
        self._rest = self._rest[-4096:]
        for found in _CHANGE.finditer(whole + newline):
            self.changes += 1
            self.resets += found[2].startswith(_RESETTING)
            self.last = found[2].decode()
        self._is_abandoned |= _ABANDONED.search(whole) is not None
