"""What the agent asks of a way to move files; Chirp is one."""

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
