"""The file in which a job finds the token of an outside service: its user's alone, and no part of its output."""

import os
from pathlib import Path
from typing import Final

VARIABLE: Final = "VC_PILOT_TOKEN_FILE"
_FOLDER: Final = "pilot"
_NAME: Final = "token"


def token_file(root: Path) -> Path:
    """Where it is, below the folder of the work directories."""
    return root / _FOLDER / _NAME


def put_token(root: Path, token: str, uid: int | None) -> None:
    """Write the file, or remove it when the token is empty.

    Args:
        uid: whose it is, and who alone may read it; None: this user.

    Raises:
        OSError: the disk fails; the token before stays.
    """
    path = token_file(root)
    if not token:
        path.unlink(missing_ok=True)
        return
    # The job's user has no rights on the folder but to pass: it cannot put a link in the file's place.
    path.parent.mkdir(mode=0o711, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(token.encode("utf-8", "surrogateescape"))
        if uid is not None:
            os.fchown(file.fileno(), uid, uid)
        os.fchmod(file.fileno(), 0o400)
    fresh.replace(path)
