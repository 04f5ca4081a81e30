"""Folders of the file server: what agents may do in them, and which may be removed.

The original's copilot-job-submit puts a job's input where its agent puts the output, in the folder named as the job,
with rights to read; with --number other jobs read it there, too. So a folder that was there before is lent: it gets
the rights of the original's manager more, and loses them and the output afterwards, but is never removed.
"""

import contextlib
import glob
import shutil
import uuid
from pathlib import Path
from typing import Final

#: What agents may do in the folder of their job: read, write, list, and delete, without which they cannot rename there.
ACL_OUTPUT: Final = "address:* rwld\n"
ACL_INPUT: Final = "address:* rl\n"
#: Behind the rights that were there before. The file server adds up all that fits. Not delete: the input is in there.
_LENT: Final = "address:* rwl\nhostname:* rwl\n"
_ACL: Final = ".__acl"
_MAX_BYTES: Final = 65536


def make_chirp_folder(chirp_root: Path, name: str, acl: str) -> Path:
    """A folder on the file server with the rights `acl`; one that is there keeps its own. Idempotent.

    Raises:
        OSError: the disk fails.
    """
    folder = chirp_root / name
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o755)
    if not (folder / _ACL).exists():
        _write(folder, acl)
    return folder


def open_output(chirp_root: Path, job_id: str) -> None:
    """Lets agents upload the output of a job. Idempotent.

    Raises:
        OSError: the disk fails.
    """
    folder = make_chirp_folder(chirp_root, job_id, ACL_OUTPUT)
    acl = _read(folder)
    if acl != ACL_OUTPUT and not acl.endswith(_LENT):
        _write(folder, acl.removesuffix("\n") + "\n" + _LENT)


def close_output(chirp_root: Path, job_id: str) -> bool:
    """Takes away what agents uploaded for a job, and their rights. Idempotent. Returns whether the folder went."""
    folder = chirp_root / job_id
    try:
        acl = _read(folder)
    except OSError:
        # It is not known whose it is.
        return False
    if acl in {"", ACL_OUTPUT}:
        shutil.rmtree(folder, ignore_errors=True)
        return True
    if acl.endswith(_LENT):
        with contextlib.suppress(OSError):
            _write(folder, acl.removesuffix(_LENT))
    for path in folder.glob(f"{glob.escape(job_id)}.tgz*"):
        with contextlib.suppress(OSError):
            path.unlink()
    return False


def _read(folder: Path) -> str:
    """The rights in a folder; empty for none.

    Raises:
        OSError: they cannot be read.
    """
    try:
        with (folder / _ACL).open("rb") as file:
            return file.read(_MAX_BYTES).decode("ascii", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _write(folder: Path, acl: str) -> None:
    part = folder / f"{_ACL}.{uuid.uuid4().hex}"
    part.write_text(acl, encoding="ascii", errors="replace")
    part.chmod(0o644)
    part.replace(folder / _ACL)
