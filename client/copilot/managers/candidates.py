"""Valid results of replicated jobs, until enough agree: folders beside those of `client.copilot.managers.shelf`.

    <folder>/candidates/<job id>/<word>/          output/ and result.json of a valid result
    <folder>/candidates.notes/<instance>/<word>   this result is kept, and maybe the queue does not know yet

Every step is a rename, or can be taken again.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_OUTPUT = "output"
_RESULT = "result.json"


@dataclass(frozen=True)
class Kept:
    """A result that is kept. word: its name among those of its job; facts: as they were given to `keep`."""

    job_id: str
    word: str
    facts: dict[str, Any]


class CandidateShelf:
    """The candidates of a site. instance: name of this storage manager, of which no other runs."""

    def __init__(self, folder: Path, instance: str) -> None:
        self._root = folder / "candidates"
        self._notes = folder / "candidates.notes" / instance
        for place in (self._root, self._notes):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)

    def output(self, job_id: str, word: str) -> Path:
        """The unpacked output of a candidate."""
        return self._root / job_id / word / _OUTPUT

    def keep(self, parcel: Path, job_id: str, facts: dict[str, Any]) -> Kept:
        """Move an unpacked output here; its name here is the parcel's.

        Raises:
            OSError: the disk fails.
        """
        (parcel / _RESULT).write_text(json.dumps(facts, indent=1), encoding="utf-8")
        (self._notes / parcel.name).write_text(job_id, encoding="ascii")
        place = self._root / job_id
        place.mkdir(exist_ok=True, mode=0o700)
        parcel.rename(place / parcel.name)
        _strip(place / parcel.name)
        return Kept(job_id, parcel.name, facts)

    def unsettled(self) -> Iterator[Kept]:
        """Candidates of this instance that were not `settle`d by an earlier run; notes of none are removed.

        Raises:
            OSError: the folder cannot be read.
        """
        for note in sorted(self._notes.iterdir()):
            try:
                job_id = note.read_text(encoding="ascii")
                facts = json.loads((self._root / job_id / note.name / _RESULT).read_text(encoding="utf-8"))
            except (FileNotFoundError, NotADirectoryError, ValueError):
                note.unlink(missing_ok=True)
            else:
                yield Kept(job_id, note.name, facts)

    def settle(self, kept: Kept) -> None:
        """The queue knows of it, and it is where it belongs. Idempotent."""
        (self._notes / kept.word).unlink(missing_ok=True)

    def promote(self, kept: Kept, result: Path) -> None:
        """Make it the result of its job, and remove the job's other candidates. A result that is there stays.

        Raises:
            OSError: the disk fails.
        """
        source = self._root / kept.job_id / kept.word
        if source.is_dir() and not result.exists():
            _strip(source)
            source.rename(result)
        self.clear(kept.job_id)

    def drop(self, kept: Kept) -> None:
        """Remove a candidate. Idempotent."""
        shutil.rmtree(self._root / kept.job_id / kept.word, ignore_errors=True)

    def clear(self, job_id: str) -> None:
        """Remove all candidates of a job. Idempotent."""
        shutil.rmtree(self._root / job_id, ignore_errors=True)

    def job_ids(self) -> list[str]:
        """Jobs that have candidates."""
        return [path.name for path in self._root.iterdir()]


def _strip(folder: Path) -> None:
    """Remove what the parcel held besides: the archive and the claim."""
    for path in folder.iterdir():
        if path.name not in (_OUTPUT, _RESULT):
            path.unlink()
