"""Results that are kept, and outputs that were refused: folders beside those of `client.copilot.managers.shelf`.

    <folder>/results/<job id>/                 output/ and result.json of the accepted result
    <folder>/results.lock                      held by the storage manager that is just keeping one
    <folder>/refused/<job id>/                 the same of the last output that was refused
    <folder>/intake/<instance>/kept-<job id>   a result is kept, and maybe the queue does not know yet

Two storage managers may judge a job at the same moment, each a valid output of it. Who keeps one holds the lock from
the last look at the queue until the queue knows, so that the second finds the job done and what was accepted stays.
"""

import contextlib
import fcntl
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_OUTPUT: Final = "output"
_RESULT: Final = "result.json"
_KEPT: Final = "kept-"


class ResultShelf:
    """The results of a site. instance: name of this storage manager, of which no other runs."""

    def __init__(self, folder: Path, instance: str) -> None:
        self._lock = folder / "results.lock"
        self._notes = folder / "intake" / instance
        self._results = folder / "results"
        self._refused = folder / "refused"
        for place in (self._notes, self._results, self._refused):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)

    def place(self, job_id: str) -> Path:
        """The folder of a job's accepted result."""
        return self._results / job_id

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else keeps a result meanwhile. Blocks; must not be entered twice.

        Raises:
            OSError: the disk fails.
        """
        with self._lock.open("ab") as lock:
            # A process that is killed gives it back.
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def keep(self, parcel: Path, job_id: str, facts: dict[str, Any], *, accepted: bool) -> None:
        """Move an unpacked output to the results or to the refused; what was there before is replaced.

        To be called `alone`, and with `accepted` only while the queue says that the job has no result.

        Raises:
            OSError: the disk fails; the parcel is where it was, and can be judged again.
        """
        (parcel / _RESULT).write_text(json.dumps(facts, indent=1), encoding="utf-8")
        target = (self._results if accepted else self._refused) / job_id
        shutil.rmtree(target, ignore_errors=True)
        if accepted:
            (self._notes / f"{_KEPT}{job_id}").touch()
        try:
            parcel.rename(target)
        except OSError:
            self.settle(job_id)
            raise
        _strip(target)

    def kept(self) -> list[str]:
        """Ids of jobs whose result this instance kept and did not `settle`; notes of none are removed.

        Raises:
            OSError: the folder cannot be read.
        """
        found = []
        for note in sorted(self._notes.glob(f"{_KEPT}*")):
            job_id = note.name.removeprefix(_KEPT)
            if self.place(job_id).is_dir():
                found.append(job_id)
            else:
                # An earlier run was killed before it kept what it had noted.
                note.unlink(missing_ok=True)
        return found

    def sender(self, job_id: str) -> str:
        """Whose result is kept; empty when it does not say."""
        try:
            facts = json.loads((self.place(job_id) / _RESULT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ""
        return str(facts.get("sender", "")) if isinstance(facts, dict) else ""

    def settle(self, job_id: str) -> None:
        """The queue knows of a job's result. Idempotent."""
        (self._notes / f"{_KEPT}{job_id}").unlink(missing_ok=True)

    def withdraw(self, job_id: str) -> None:
        """What was kept is not the job's result after all: it goes to the refused. To be called `alone`.

        Raises:
            OSError: the disk fails.
        """
        target = self._refused / job_id
        shutil.rmtree(target, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            self.place(job_id).rename(target)


def is_note(name: str) -> bool:
    """Whether a name in the intake is a note of a kept result, and no parcel."""
    return name.startswith(_KEPT)


def _strip(folder: Path) -> None:
    """Remove what the parcel held besides, whatever the agent made of it: the archive and the claim."""
    for path in folder.iterdir():
        if path.name in (_OUTPUT, _RESULT):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
