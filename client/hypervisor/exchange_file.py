"""The two raw files of an exchange: the inbox, which a guest only reads, and the outbox, which it writes.

Both are sparse and have their full size from the beginning, for a running hypervisor does not look at a file's size
again. The inbox is all zeros while nothing is in it.
"""

import errno
import os
from pathlib import Path
from typing import Final

from client.errors import BadInput
from client.hypervisor.driver import INBOX_BLOCK_BYTES, OUTBOX_HEADER_BYTES, OUTBOX_MARK
from client.hypervisor.errors import MediumMissing

_MIB: Final = 1 << 20
_CHUNK_BYTES: Final = 1 << 20
#: What a guest looks at to see whether something is there; written last.
_BEGINNING_BYTES: Final = 4096


def make_inbox(path: Path, size_mib: int) -> None:
    """Make an empty inbox.

    Raises:
        OSError: it cannot be made.
    """
    with path.open("wb") as file:
        file.truncate(size_mib * _MIB)


def make_outbox(path: Path, size_mib: int) -> None:
    """Make an outbox of that size with its header.

    Raises:
        OSError: it cannot be made.
    """
    with path.open("wb") as file:
        file.truncate(size_mib * _MIB)
        file.write(OUTBOX_MARK.ljust(OUTBOX_HEADER_BYTES, b"\0"))


def check_file(vm_id: str, path: Path, limit_mib: int) -> None:
    """See that a file can be put into an inbox of that size.

    Raises:
        MediumMissing: it is not there.
        BadInput: it is too long, or no multiple of the inbox's blocks.
    """
    if not path.is_file():
        raise MediumMissing(vm_id, str(path))
    size_bytes = path.stat().st_size
    if size_bytes > limit_mib * _MIB:
        raise BadInput(str(path), f"longer than the inbox ({limit_mib} MiB)", "send it in parts")
    if size_bytes % INBOX_BLOCK_BYTES:
        raise BadInput(str(path), f"no multiple of {INBOX_BLOCK_BYTES} bytes long", "fill its end with zeros")


def clear(inbox: Path) -> None:
    """Take out what is in the inbox; it takes no space on the disk then.

    Raises:
        OSError: it cannot be written.
    """
    size_bytes = inbox.stat().st_size
    # A guest that reads between the two sees zeros, as it does afterwards.
    os.truncate(inbox, 0)
    os.truncate(inbox, size_bytes)


def fill(inbox: Path, source: Path) -> None:
    """Copy a file into the inbox, in place and its beginning last, so that a guest sees all of it or nothing.

    Raises:
        OSError: it cannot be read or written; the inbox is empty then.
    """
    clear(inbox)
    try:
        with source.open("rb", buffering=0) as read, inbox.open("r+b", buffering=0) as written:
            beginning = read.read(_BEGINNING_BYTES)
            written.seek(len(beginning))
            while chunk := read.read(_CHUNK_BYTES):
                _write(written.fileno(), chunk)
            written.seek(0)
            _write(written.fileno(), beginning)
    except OSError:
        clear(inbox)
        raise


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        written = os.write(descriptor, view)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view = view[written:]
