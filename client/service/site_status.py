"""What others can learn of a running site: its lock and status.json."""

import fcntl
import json
from dataclasses import dataclass, field

from client.service.site_folder import SiteFolder


@dataclass(frozen=True)
class SiteStatus:
    """A running site.

    Attributes:
        ready: all of it served after the start.
        children: name -> pid, as they were a few seconds ago; None between two starts.
        started_at: epoch seconds; 0 when it is not known.
        restarts: name -> how often it was started again.
    """

    pid: int
    ready: bool
    children: dict[str, int | None]
    started_at: float = 0.0
    restarts: dict[str, int] = field(default_factory=dict)


def is_locked(folder: SiteFolder) -> bool:
    """Whether a process runs this site."""
    try:
        with folder.lock.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def read_status(folder: SiteFolder) -> SiteStatus | None:
    """The running site; None when nobody runs it."""
    if not is_locked(folder):
        return None
    try:
        said = json.loads(folder.status.read_text(encoding="utf-8"))
        return SiteStatus(
            int(said["pid"]),
            bool(said["ready"]),
            dict(said["children"]),
            float(said.get("started_at", 0.0)),
            dict(said.get("restarts", {})),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
