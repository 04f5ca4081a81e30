"""The private keys by which projects know this computer: in the system's keyring, or in files of their own.

    <base>/keys/<project>.json     {"place": "keyring"} or {"place": "file", "seed": ...}; mode 0600

The keyring may ask its owner to open it and wait for that: whatever calls this must be able to be ended from outside
(`client.project.token_child` runs in a process of its own). What a project's key is kept in is decided when it is
made: a computer without a keyring keeps a file for ever, so that it stays the same computer to the project.

Source: documentation of the library keyring (backends and their priorities; `fail` is the one of no keyring at all).
"""

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import ClassVar, Final, Protocol

from client.errors import ClientError
from client.paths import write_atomic

#: A keyring that has no password yet asks for one; whoever sits there sees it, and a computer in a corner goes on.
PATIENCE_S: Final = 10.0
SERVICE: Final = "Volunteer Cloud"
#: of an Ed25519 private key
SEED_BYTES: Final = 32
_SEED: Final = re.compile(r"[0-9a-f]{64}")
_PROJECT: Final = re.compile(r"[0-9a-f]{16}")
_KEYRING: Final = "keyring"
_FILE: Final = "file"


@dataclass(eq=False)
class KeyringSilent(ClientError):
    """The system's keyring holds a key and does not give it. said: in the library's words."""

    code: ClassVar[str] = "keyring-silent"
    said: str


class Keyring(Protocol):
    """What is asked of a keyring; the modules and backends of the library keyring are such."""

    def get_password(self, service: str, username: str) -> str | None:
        """What is kept under a name; None: nothing."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep something under a name."""


@dataclass(frozen=True, repr=False)
class Seed:
    """A private key.

    Attributes:
        seed: 32 bytes.
        in_file: it lies in a file, since no keyring took it.
        fresh: it was made just now.
    """

    seed: bytes
    in_file: bool = False
    fresh: bool = False


class Credentials:
    """The keys of one base folder. All methods block."""

    def __init__(
        self, folder: Path, find_keyring: Callable[[], Keyring | None], *, patience_s: float = PATIENCE_S
    ) -> None:
        """Where keys are.

        Args:
            folder: of the files.
            find_keyring: called when it is needed, for it is slow; None: there is none.
            patience_s: how long a keyring is waited for that is to take a new key.
        """
        self._folder = folder
        self._find_keyring = find_keyring
        self._patience_s = patience_s

    def key_of(self, project: str) -> Seed:
        """The key that a project (16 hexadecimal digits) knows this computer by, made at the first time.

        Raises:
            KeyringSilent: it is in the keyring, which does not answer.
            OSError: the disk fails.
        """
        assert _PROJECT.fullmatch(project), project
        said = self._read(project)
        if said.get("place") == _FILE and _SEED.fullmatch(str(said.get("seed"))):
            return Seed(bytes.fromhex(str(said["seed"])), in_file=True)
        if said.get("place") == _KEYRING:
            kept = self._from_keyring(project)
            if kept:
                return Seed(bytes.fromhex(kept))
        return self._make(project)

    def _from_keyring(self, project: str) -> str:
        """The key's digits; empty: the keyring has lost it."""
        keyring = self._find_keyring()
        if keyring is None:
            raise KeyringSilent("there is none any more")
        from keyring.errors import KeyringError

        try:
            kept = keyring.get_password(SERVICE, project) or ""
        except (KeyringError, OSError) as error:
            raise KeyringSilent(str(error) or type(error).__name__) from error
        return kept if _SEED.fullmatch(kept) else ""

    def _make(self, project: str) -> Seed:
        seed = secrets.token_hex(SEED_BYTES)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._was_kept(project, seed):
            self._write(project, {"place": _KEYRING})
            return Seed(bytes.fromhex(seed), fresh=True)
        self._write(project, {"place": _FILE, "seed": seed})
        return Seed(bytes.fromhex(seed), in_file=True, fresh=True)

    def _was_kept(self, project: str, seed: str) -> bool:
        """Whether the keyring has it now.

        One that waits for a person is like none: there may be nobody, and the work is not to wait.
        """
        answer: SimpleQueue[bool] = SimpleQueue()
        # Nothing can end such a call; its thread goes with the process.
        Thread(target=lambda: answer.put(self._keep(project, seed)), daemon=True).start()
        try:
            return answer.get(timeout=self._patience_s)
        except Empty:
            return False

    def _keep(self, project: str, seed: str) -> bool:
        """Give it to the keyring; whether that has it now. One that cannot be opened is like none."""
        keyring = self._find_keyring()
        if keyring is None:
            return False
        from keyring.errors import KeyringError

        try:
            keyring.set_password(SERVICE, project, seed)
            return keyring.get_password(SERVICE, project) == seed
        except (KeyringError, OSError):
            return False

    def _read(self, project: str) -> dict[str, object]:
        try:
            said = json.loads(self._path(project).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return {}
        return said if isinstance(said, dict) else {}

    def _write(self, project: str, said: dict[str, str]) -> None:
        write_atomic(self._path(project), json.dumps(said).encode())

    def _path(self, project: str) -> Path:
        return self._folder / f"{project}.json"


def system_keyring() -> Keyring | None:
    """This computer's keyring; None: it has none that can be used without a person, or none at all. Blocks."""
    import keyring

    found = keyring.get_keyring()
    # The library's own scale: below 1 are those that keep nothing, or in clear.
    return found if found.priority >= 1 else None
