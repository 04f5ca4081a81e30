"""What the agent asks of the ways to move files: Chirp, and HTTPS."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol


class FileTransfer(Protocol):
    """Moves files between this computer and a file server, one at a time, with bounded memory.

    A file that has its final name is complete, on both sides: transfers go to `<name>.part` first.
    """

    async def get(self, server: str, path: str, local: Path, *, limit_bytes: int) -> int:
        """Fetches a file and returns its size in bytes. Idempotent.

        Raises:
            TransferFailed: the server cannot be reached, refused or went silent.
            FileTooBig: it is larger than the limit; nothing was fetched.
            OSError: the local file cannot be written.
        """

    async def put(self, server: str, path: str, local: Path) -> int:
        """Stores a file and returns its size in bytes. Idempotent: an older one is replaced.

        Raises:
            TransferFailed: as for `get`.
            OSError: the local file cannot be read.
        """

    async def close(self) -> None:
        """Closes what is open; idempotent."""


class WebTransfer(Protocol):
    """Moves files between this computer and one HTTPS server, one at a time, with bounded memory; else as above."""

    async def get(self, url: str, name: str, local: Path, *, limit_bytes: int) -> int:
        """Fetches `<url>/<name>` and returns its size in bytes. Idempotent; goes on where an earlier trial ended.

        Raises:
            TransferFailed, FileTooBig, OSError: as FileTransfer.
        """

    async def put(self, url: str, headers: Iterable[tuple[str, str]], local: Path) -> int:
        """Stores a file at an address that is good for one file; returns its size in bytes.

        Raises:
            TransferFailed, OSError: as FileTransfer.
        """

    async def close(self) -> None:
        """Closes what is open; idempotent."""
