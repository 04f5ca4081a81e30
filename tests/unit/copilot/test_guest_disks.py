"""The guest's inbox: what is taken out while it is being read is looked for again."""

import errno
import io
import os
from pathlib import Path

import pytest

from client.copilot import guest_disks
from client.link import INBOX_HEADER_BYTES


def test_a_medium_that_changes_while_it_is_read_is_to_be_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    medium = tmp_path / "sr0"
    header = b"header".ljust(INBOX_HEADER_BYTES, b"\0")
    medium.write_bytes(header + bytes(guest_disks.BLOCK_BYTES))
    reads = iter([header])

    def read(disk: int, size: int) -> bytes:
        for data in reads:
            return data
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(guest_disks, "_inboxes", lambda: iter([medium]))
    monkeypatch.setattr(guest_disks, "_opened", lambda path: os.open(path, os.O_RDONLY))
    monkeypatch.setattr(guest_disks, "_reads", read)
    assert guest_disks.read_inbox(header, guest_disks.BLOCK_BYTES, io.BytesIO()) is None
