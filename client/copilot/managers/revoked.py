"""Who is shut out: a text file that all key managers and the XMPP server of a project read.

One name a line: an owner (16 hexadecimal digits; all accounts of that computer, of now and later) or one account
(`agent-...`). What follows the name is when it was put there. The XMPP server's module reads the same lines
(`resources/prosody/mod_volunteer_cloud_walls.lua`).
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from client.copilot.account import bare, owner_of
from client.errors import BadInput

_OWNER: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)
_ACCOUNT: Final = re.compile(r"agent-[0-9]{1,12}-(?:[0-9a-f]{16}-)?[0-9a-f]{16}", re.ASCII)


class RevokedList:
    """The list in one file; a missing file is an empty list. All methods block."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._names: dict[str, str] = {}

    def names(self) -> dict[str, str]:
        """Who is on it -> since when (ISO time); read again when the file has changed.

        Raises:
            OSError: it is there and cannot be read.
        """
        try:
            with self._path.open(encoding="utf-8", errors="replace") as file:
                about = os.fstat(file.fileno())
                stamp = (about.st_ino, about.st_mtime_ns, about.st_size)
                if stamp != self._seen:
                    self._names = dict(_entries(file))
                    self._seen = stamp
        except FileNotFoundError:
            self._seen, self._names = None, {}
        return dict(self._names)

    def holds(self, jid: str) -> bool:
        """Whether an account (or JID), or its owner, is on it; an owner's id may be asked for itself."""
        names, account = self.names(), bare(jid).partition("@")[0]
        return account in names or owner_of(account) in names

    def add(self, who: str) -> bool:
        """Shut somebody out. Returns whether that is new; see `name_in` for who can be.

        Raises:
            BadInput: it is neither an owner nor a guest's account.
            OSError: the disk fails; the list is as before.
        """
        name = name_in(who)
        with self._alone():
            names = self.names()
            if name in names:
                return False
            self._write({**names, name: datetime.now(UTC).isoformat(timespec="seconds")})
            return True

    def remove(self, who: str) -> bool:
        """Let somebody in again. Returns whether they were shut out; raises as `add`."""
        name = name_in(who)
        with self._alone():
            names = self.names()
            if name not in names:
                return False
            self._write({other: since for other, since in names.items() if other != name})
            return True

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self._path.with_suffix(".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, names: dict[str, str]) -> None:
        fresh = self._path.with_suffix(".new")
        with fresh.open("w", encoding="ascii") as file:
            file.writelines(f"{name} {since}\n" for name, since in sorted(names.items()))
            file.flush()
            os.fsync(file.fileno())
        # No secret, and the XMPP server may be another user.
        fresh.chmod(0o644)
        fresh.replace(self._path)


def name_in(who: str) -> str:
    """The owner or account that a person named, perhaps as a JID.

    Raises:
        BadInput: it is neither.
    """
    name = bare(who.strip()).partition("@")[0]
    if not (_OWNER.fullmatch(name) or _ACCOUNT.fullmatch(name)):
        what = "it is neither the 16 digits of an owner nor the name of a guest's account (agent-...)"
        raise BadInput(who[:80], what, "main.py agents list shows both")
    return name


def _entries(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _, since = line.strip().partition(" ")
        if _OWNER.fullmatch(name) or _ACCOUNT.fullmatch(name):
            yield name, since.strip()
