"""The last whole state of a catalogue, kept for times without a network, and proven anew whenever it is used."""

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface

from client.paths import write_atomic

FILE: Final = "kept.json"
_MOST_BYTES: Final = 128 * 2**20
_SCHEMA: Final = 1


@dataclass(frozen=True)
class KeptState:
    """What was kept.

    Attributes:
        fetched_at: when a server last confirmed it (aware UTC).
        lists: file name on the server -> content.
        small: SHA-256 -> content of small files.
    """

    fetched_at: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    lists: Mapping[str, bytes] = field(default_factory=dict)
    small: Mapping[str, bytes] = field(default_factory=dict)


def read_kept(folder: Path) -> KeptState:
    """What is there; nothing if it is missing or damaged. None of it is trusted by that."""
    try:
        with (folder / FILE).open("rb") as file:
            said = json.loads(file.read(_MOST_BYTES))
        return KeptState(
            datetime.fromisoformat(said["fetched_at"]).astimezone(UTC),
            {str(name): text.encode() for name, text in said["lists"].items()},
            {str(digest): bytes.fromhex(text) for digest, text in said["small"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return KeptState()


def write_kept(folder: Path, state: KeptState) -> None:
    """Keep a state; the one before stays if this is interrupted.

    Raises:
        OSError
    """
    body = {
        "schema": _SCHEMA,
        "fetched_at": state.fetched_at.isoformat(),
        "lists": {name: content.decode() for name, content in state.lists.items()},
        "small": {digest: content.hex() for digest, content in state.small.items()},
    }
    write_atomic(folder / FILE, json.dumps(body).encode())


class Kept(FetcherInterface):
    """Gives the kept lists as if a server did. To be used with `with`."""

    def __init__(self, folder: Path, state: KeptState, roots: Path) -> None:
        """Args: folder: a folder for the time of use is made in it. roots: where newer roots lie."""
        self._temporary = tempfile.TemporaryDirectory(dir=folder, prefix=".kept-")
        self._state = state
        self._roots = roots
        self.folder = Path(self._temporary.name)

    def __enter__(self) -> "Kept":
        return self

    def __exit__(self, *_: object) -> None:
        self._temporary.cleanup()

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """A list's content.

        Raises:
            DownloadHTTPError: it was not kept.
        """
        name = url.rpartition("/")[2]
        # A root that was seen later may have taken the trust from keys that signed what was kept.
        if name.endswith(".root.json"):
            with contextlib.suppress(OSError):
                return (self._roots / name).read_bytes()
        if name not in self._state.lists:
            raise DownloadHTTPError("it was not kept", 404)
        return self._state.lists[name]

    def _fetch(self, url: str) -> Iterator[bytes]:
        return iter((self.download_bytes(url, 0),))
