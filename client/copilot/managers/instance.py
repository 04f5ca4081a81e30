"""No two storage managers of one name work in one folder: each would take up what the other has in hand."""

import fcntl
from pathlib import Path
from typing import IO

from client.copilot.managers.errors import InstanceRunning


def claim_instance(folder: Path, instance: str) -> IO[bytes]:
    """Hold the name of an instance until what is returned is closed, or the process ends, however it does.

    Args:
        folder: of all storage managers; made if it is missing.

    Raises:
        InstanceRunning: another process holds it.
        OSError: the folder cannot be written.
    """
    place = folder / "intake"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = (place / f"{instance}.lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise InstanceRunning(instance, str(folder)) from error
    return lock
