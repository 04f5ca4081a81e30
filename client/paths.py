"""Where things lie: one base folder holds everything that the program writes."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from client import filenames
from client.errors import BadInput
from client.meter import FILE


@dataclass(frozen=True)
class Paths:
    """The files of one base folder; see `client.filenames` for what each is."""

    base: Path

    @property
    def lock(self) -> Path:
        """Held by the running instance."""
        return self.base / filenames.LOCK

    @property
    def control(self) -> Path:
        """Where the running instance listens, and its token."""
        return self.base / filenames.CONTROL

    @property
    def intent(self) -> Path:
        """What the volunteer last asked for."""
        return self.base / filenames.INTENT

    @property
    def journal(self) -> Path:
        """Intentions and ends of steps."""
        return self.base / filenames.JOURNAL

    @property
    def history(self) -> Path:
        """Finished jobs."""
        return self.base / filenames.HISTORY

    @property
    def preferences(self) -> Path:
        """The volunteer's preferences."""
        return self.base / filenames.PREFERENCES

    @property
    def log(self) -> Path:
        """The program's own log, JSON lines."""
        return self.base / filenames.LOG

    @property
    def project(self) -> Path:
        """The project attached to."""
        return self.base / filenames.PROJECT

    @property
    def appliances(self) -> Path:
        """Verified appliances."""
        return self.base / filenames.APPLIANCES

    @property
    def vms(self) -> Path:
        """The hypervisor driver's folder."""
        return self.base / filenames.VMS

    @property
    def cvmfs(self) -> Path:
        """The cache of what guests read over the network."""
        return self.base / filenames.CVMFS

    @property
    def meter(self) -> Path:
        """What all traffic passes. It stands where every relay finds it."""
        return self.vms / FILE

    @property
    def spending(self) -> Path:
        """What went over the network in this month."""
        return self.base / filenames.SPENDING

    def context(self, vm_id: str) -> Path:
        """The contextualization medium of a VM."""
        return self.base / filenames.CONTEXTS / f"{vm_id}.iso"

    @property
    def blank_context(self) -> Path:
        """What the contextualization media of all boots have in common."""
        return self.base / filenames.BLANK_CONTEXT

    def errands(self, vm_id: str) -> Path:
        """What is to be done in a VM's guest, and has been done."""
        return self.base / filenames.ERRANDS / vm_id

    @property
    def own(self) -> Path:
        """The volunteer's own virtual machines."""
        return self.base / filenames.OWN

    @property
    def guard(self) -> Path:
        """Which process looks after those of the virtual machines."""
        return self.base / filenames.GUARD

    @property
    def keys(self) -> Path:
        """The keys by which projects know this computer, or where those are."""
        return self.base / filenames.KEYS

    def make(self) -> None:
        """Make the folders; private to the user.

        Raises:
            BadInput: they cannot be made or written.
        """
        try:
            for folder in (self.base, self.appliances, self.vms, self.base / filenames.CONTEXTS):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryFile(dir=self.base):
                pass
        except OSError as error:
            what = f"this folder cannot be used ({error.strerror or error})"
            raise BadInput(str(self.base), what, "choose another one with --basedir") from error


def default_base() -> Path:
    """The platform's place for a program's data."""
    from platformdirs import user_data_path

    return user_data_path("volunteer-cloud", appauthor=False)


def write_atomic(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file whole or not at all: a temporary name, to disk, then renamed over the old.

    Raises:
        OSError: nothing half-written stays.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
