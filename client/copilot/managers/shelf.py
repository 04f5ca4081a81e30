"""The storage manager's folders, where the file server's and its own meet.

    <chirp root>/<job id>/<job id>.tgz     written by agents: nothing in there is trusted, least of all to be a file
    <folder>/grants/                       ours: who may hand in what (`client.copilot.managers.upload`)
    <folder>/intake/<instance>/<word>/     ours: packed.tgz and claim.json, output/ while it is unpacked

What was judged goes to `client.copilot.managers.results`; results of replicated jobs are candidates first
(`client.copilot.managers.candidates`).
All are on one file system, so that a move is one rename.
"""

import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from client.copilot.managers.candidates import CandidateShelf
from client.copilot.managers.chirp_folder import close_output, open_output
from client.copilot.managers.errors import OutputRefused
from client.copilot.managers.results import ResultShelf, is_note
from client.copilot.managers.upload import Grants, UploadStore

_PACKED: Final = "packed.tgz"
_CLAIM: Final = "claim.json"
_OUTPUT: Final = "output"


@dataclass(frozen=True)
class Claim:
    """What an agent says of an output: jobDone. Exit codes are raw wait statuses."""

    job_id: str
    sender: str
    exit_code: int
    validate_exit_code: int | None


@dataclass(frozen=True)
class Parcel:
    """An output that was taken out of the agents' reach."""

    folder: Path
    claim: Claim

    @property
    def output(self) -> Path:
        """Where it is unpacked."""
        return self.folder / _OUTPUT

    def begin(self) -> None:
        """Make the folder to unpack into, without what an earlier run left in it.

        Raises:
            OSError: the disk fails.
        """
        shutil.rmtree(self.output, ignore_errors=True)
        self.output.mkdir(mode=0o700)

    def open(self, limit_bytes: int) -> BinaryIO:
        """The archive.

        Raises:
            OutputRefused: it is no file, or too large.
        """
        # Whoever uploaded it may have made a link, or a pipe that never ends, of it.
        try:
            handle = os.open(self.folder / _PACKED, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise OutputRefused("the uploaded output is not a file") from error
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit_bytes:
            os.close(handle)
            raise OutputRefused(f"the uploaded output is not a file of at most {limit_bytes} bytes")
        return os.fdopen(handle, "rb")


class Shelf:
    """Moves outputs from step to step; every step is a rename.

    Args:
        instance: name of this storage manager, of which no other runs.
        uploads: the upload service's files; None: there is none.

    Attributes:
        grants: who may hand in what, and how.
    """

    def __init__(self, chirp_root: Path, folder: Path, instance: str, uploads: UploadStore | None = None) -> None:
        self._chirp_root = chirp_root
        self._uploads = uploads
        self.grants = Grants(folder / "grants")
        self._intake = folder / "intake" / instance
        #: what was judged
        self.results = ResultShelf(folder, instance)
        #: valid results of replicated jobs that wait for others
        self.candidates = CandidateShelf(folder, instance)

    def result(self, job_id: str) -> Path:
        """The folder of a job's accepted result."""
        return self.results.place(job_id)

    def open_folder(self, job_id: str, sender: str) -> None:
        """Let an agent upload the output of a job over Chirp. Idempotent.

        Raises:
            OSError: the disk fails.
        """
        self.grants.note(job_id, sender)
        open_output(self._chirp_root, job_id)

    def open_place(self, job_id: str, sender: str, slot_id: str) -> None:
        """Let an agent upload the output of a job to a place of the upload service; an earlier place counts no more.

        Raises:
            OSError: the disk fails.
        """
        before = self.grants.slot_id(job_id, sender)
        self.grants.note(job_id, sender, slot_id)
        if before and self._uploads is not None:
            self._uploads.discard(before)

    def close_folder(self, job_id: str) -> bool:
        """Remove what agents uploaded for a job. Idempotent. Returns whether the folder went: input stays."""
        return close_output(self._chirp_root, job_id)

    def open_folders(self) -> list[str]:
        """Job ids with a folder for uploads (and names of input folders)."""
        return [entry.name for entry in os.scandir(self._chirp_root) if entry.is_dir(follow_symlinks=False)]

    def fetch(self, claim: Claim) -> Parcel:
        """Take an uploaded output out of the agents' reach.

        Raises:
            OutputRefused: nothing was uploaded.
            OSError: the disk fails.
        """
        folder = self._intake / uuid.uuid4().hex
        folder.mkdir(mode=0o700)
        (folder / _CLAIM).write_text(json.dumps(asdict(claim)), encoding="utf-8")
        slot_id = self.grants.slot_id(claim.job_id, claim.sender)
        try:
            if not (slot_id and self._uploads is not None and self._uploads.take(slot_id, folder / _PACKED)):
                self._take_chirp(claim.job_id, folder / _PACKED)
        except (FileNotFoundError, NotADirectoryError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            self._close(claim)
            raise OutputRefused("no output was uploaded") from error
        self._close(claim)
        return Parcel(folder, claim)

    def _take_chirp(self, job_id: str, target: Path) -> None:
        source = os.open(self._chirp_root / job_id, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            os.rename(f"{job_id}.tgz", target, src_dir_fd=source)
        finally:
            os.close(source)

    def _close(self, claim: Claim) -> None:
        """The agent has handed in: it may do no more, unless others still upload to the same folder."""
        job_id = claim.job_id
        self.grants.end(job_id, claim.sender)
        if not self.grants.over_chirp(job_id):
            self.close_folder(job_id)
            if self.grants.over_chirp(job_id):
                # One that came in between believes that it has a folder.
                open_output(self._chirp_root, job_id)

    def left(self) -> Iterator[Parcel]:
        """Parcels that an earlier run of this instance had taken and not dealt with; unusable ones are removed."""
        for folder in sorted(self._intake.iterdir()):
            if is_note(folder.name):
                continue
            try:
                claim = Claim(**json.loads((folder / _CLAIM).read_text(encoding="utf-8")))
                (folder / _PACKED).lstat()
            except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
                shutil.rmtree(folder, ignore_errors=True)
                continue
            yield Parcel(folder, claim)

    def is_clear(self) -> bool:
        """Whether all that was taken was dealt with to its end.

        Raises:
            OSError: the folder cannot be read.
        """
        return next(self.candidates.unsettled(), None) is None and not any(self._intake.iterdir())

    def holds(self, claim: Claim) -> bool:
        """Whether the output of a claim was taken and is not dealt with to its end.

        Raises:
            OSError: the folder cannot be read.
        """
        said = asdict(claim)
        if claim.job_id in self.results.kept():
            return True
        if any(said.items() <= kept.facts.items() for kept in self.candidates.unsettled()):
            return True
        return any(_read_claim(folder) == said for folder in self._intake.iterdir())

    def drop(self, parcel: Parcel) -> None:
        """Remove a parcel. Idempotent."""
        shutil.rmtree(parcel.folder, ignore_errors=True)


def _read_claim(folder: Path) -> Any:
    """What the claim of a parcel says; None if there is none, or nothing was taken."""
    if not os.path.lexists(folder / _PACKED):
        return None
    try:
        return json.loads((folder / _CLAIM).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
