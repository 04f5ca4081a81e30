"""Who may upload what, for all storage managers that share a folder, and the upload service's files.

    <folder>/grants/<job id>/<hash of an account>   ours: how that account was told to hand in the job's output:
                                                    the id of its place at the upload service; empty: over Chirp
    <store>/<id>.bin                                the service's: a file that was uploaded; empty: it was taken

Source: prosody 0.12.3, mod_http_file_share and util.datamanager.
"""

import contextlib
import hashlib
import os
import re
import shutil
import time
import uuid
from pathlib import Path
from typing import Final

from client.copilot.account import bare

#: A place that nobody came to take anything from within this time is removed, with what was uploaded.
KEPT_S: Final = 86400.0
#: As long a place has to be known for taken: its token is good for 300 s.
SPENT_S: Final = 3600.0
_SUFFIX: Final = ".bin"
_ENCODED: Final = re.compile(r"[^A-Za-z0-9]")


class Grants:
    """Notes of who may hand in what, and how."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, job_id: str, sender: str, slot_id: str = "") -> None:
        """The sender's account may hand in that job's output; what was noted before counts no more.

        Raises:
            OSError: the disk fails.
        """
        path = self._path(job_id, sender)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_name(f".{uuid.uuid4().hex}")
        part.write_text(slot_id, encoding="ascii")
        part.replace(path)

    def holds(self, job_id: str, sender: str) -> bool:
        """Whether the account may hand in that job's output, and has not yet."""
        return self._path(job_id, sender).exists()

    def slot_id(self, job_id: str, sender: str) -> str:
        """The place that the account was given; empty when it was given none."""
        try:
            return self._path(job_id, sender).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return ""

    def end(self, job_id: str, sender: str) -> None:
        """The account has handed in. Idempotent."""
        path = self._path(job_id, sender)
        path.unlink(missing_ok=True)
        # Only an empty folder can be removed: others may still be at it.
        with contextlib.suppress(OSError):
            path.parent.rmdir()

    def over_chirp(self, job_id: str) -> bool:
        """Whether somebody may be uploading the job's output over Chirp."""
        try:
            notes = list(os.scandir(self._folder / job_id))
        except OSError:
            return False
        return any(self._is_empty(note) for note in notes)

    def job_ids(self) -> list[str]:
        """Jobs that somebody may hand in."""
        return [path.name for path in self._folder.glob("*") if path.is_dir()]

    def clear(self, job_id: str) -> None:
        """Forget what was noted of a job. Idempotent."""
        shutil.rmtree(self._folder / job_id, ignore_errors=True)

    def _path(self, job_id: str, sender: str) -> Path:
        account = bare(sender)
        return self._folder / job_id / hashlib.sha256(account.encode()).hexdigest()[:32]

    def _is_empty(self, note: "os.DirEntry[str]") -> bool:
        try:
            return not note.name.startswith(".") and note.stat(follow_symlinks=False).st_size == 0
        except OSError:
            return False


class UploadStore:
    """The upload service's folder of files. It need not be there before the first upload."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, slot_id: str, target: Path) -> bool:
        """Move an uploaded file away for good; False when there is none. Its place takes no other.

        Raises:
            OSError: the disk fails, or the folder is on another file system.
        """
        path = self._path(slot_id)
        try:
            if path.lstat().st_size == 0:
                return False
            path.rename(target)
        except FileNotFoundError:
            return False
        # The service refuses a second file for a place that has one. On a full disk there is none, and a second file
        # would be one that nobody comes for; the one that was taken must not be lost by that.
        with contextlib.suppress(OSError):
            path.touch(0o640)
        return True

    def discard(self, slot_id: str) -> None:
        """Remove what was uploaded to a place, if anything was, and let nothing more come. Idempotent.

        Raises:
            OSError: the disk fails.
        """
        with contextlib.suppress(FileNotFoundError), self._path(slot_id).open("wb"):
            # Without the service's folder nothing was ever uploaded.
            pass

    def sweep(self, now: float | None = None) -> int:
        """Remove what nobody came for, and half uploads of a service that was killed; returns how many.

        Raises:
            OSError: the folder cannot be read.
        """
        now = time.time() if now is None else now
        removed = 0
        if not self._folder.is_dir():
            return 0
        for entry in os.scandir(self._folder):
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                if now - status.st_mtime > (KEPT_S if status.st_size else SPENT_S):
                    Path(entry.path).unlink()
                    removed += 1
        return removed

    def _path(self, slot_id: str) -> Path:
        return self._folder / (_ENCODED.sub(lambda sign: f"%{ord(sign[0]):02x}", slot_id) + _SUFFIX)
