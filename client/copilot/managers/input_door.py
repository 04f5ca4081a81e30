"""Input of jobs as the HTTPS server shows it: the same files, by other names of theirs, so that nothing is there twice.

    <chirp root>/in-<uuid>/<file>      as the submitter put it there
    <inputs>/in-<uuid>/<file>          the same file (a hard link), made when the first agent with HTTPS gets such a job

The chirp root itself is not shown: it has outputs, too. Only names that nobody can guess are shown.
"""

import contextlib
import os
import re
import shutil
import stat
import time
import uuid
from collections import OrderedDict
from pathlib import Path
from typing import Final

from client.log import logger

log = logger("site")

_NAME: Final = re.compile(r"/?(in-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})/?")
_PART: Final = ".part-"
_MAKING_S: Final = 3600.0
_MAX_KNOWN: Final = 10_000


class InputDoor:
    """Shows input.

    Args:
        inputs: folder that the HTTPS server shows; on the file system of the chirp root.
        base_url: of that folder.
    """

    def __init__(self, chirp_root: Path, inputs: Path, base_url: str) -> None:
        self._chirp_root = chirp_root
        self._inputs = inputs
        self._base_url = base_url.rstrip("/")
        #: name -> whether it is shown
        self._known: OrderedDict[str, bool] = OrderedDict()

    def url(self, input_dir: str) -> str:
        """Where the files of a directory of the file server are, too; empty when they are not. Idempotent."""
        found = _NAME.fullmatch(input_dir)
        if found is None:
            return ""
        name = found[1]
        if name not in self._known:
            self._known[name] = self._may_show(name)
            if len(self._known) > _MAX_KNOWN:
                self._known.popitem(last=False)
        return f"{self._base_url}/{name}" if self._known.get(name) else ""

    def prune(self) -> int:
        """Stop showing what the file server has no more; returns how much that was.

        Raises:
            OSError: the folder cannot be read.
        """
        removed = 0
        for entry in list(os.scandir(self._inputs)):
            if not (self._chirp_root / entry.name).is_dir() and not _is_being_made(entry):
                shutil.rmtree(entry.path, ignore_errors=True)
                removed += 1
        return removed

    def _may_show(self, name: str) -> bool:
        try:
            self._show(name)
        except OSError as failed:
            # Once for each input, not for each of its jobs.
            log.warning("input %s is not shown by HTTPS: %s", name, failed)
            return False
        return True

    def _show(self, name: str) -> None:
        shown = self._inputs / name
        if shown.is_dir():
            return
        part = self._inputs / f"{_PART}{uuid.uuid4().hex}"
        part.mkdir(mode=0o755)
        try:
            _link_all(self._chirp_root / name, part)
            with contextlib.suppress(FileExistsError):
                # Another manager may have been faster; then ours is one too many.
                part.rename(shown)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _is_being_made(entry: "os.DirEntry[str]") -> bool:
    """Whether another manager may be at it; what one that was killed left half made is older."""
    return entry.name.startswith(_PART) and time.time() - entry.stat(follow_symlinks=False).st_mtime < _MAKING_S


def _link_all(source: Path, target: Path) -> None:
    """Give the files of a folder a second name each. Links, devices and hidden files get none."""
    with os.scandir(source) as entries:
        for entry in entries:
            mode = entry.stat(follow_symlinks=False).st_mode
            if entry.name.startswith("."):
                continue
            if stat.S_ISDIR(mode):
                (target / entry.name).mkdir(mode=0o755)
                _link_all(Path(entry.path), target / entry.name)
            elif stat.S_ISREG(mode):
                os.link(entry.path, target / entry.name, follow_symlinks=False)
