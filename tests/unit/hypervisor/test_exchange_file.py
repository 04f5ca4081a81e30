"""The files of an exchange."""

import os
from pathlib import Path

import pytest

from client.errors import BadInput
from client.hypervisor import exchange_file
from client.hypervisor.driver import INBOX_BLOCK_BYTES, OUTBOX_HEADER_BYTES, OUTBOX_MARK
from client.hypervisor.errors import MediumMissing


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    exchange_file.make_inbox(tmp_path / "inbox", 2)
    return tmp_path / "inbox"


def source(tmp_path: Path, size_bytes: int) -> Path:
    (tmp_path / "source").write_bytes(os.urandom(size_bytes))
    return tmp_path / "source"


@pytest.mark.parametrize("size_bytes", [0, INBOX_BLOCK_BYTES, 3 * INBOX_BLOCK_BYTES, (1 << 20) + 4096, 2 << 20])
def test_a_file_goes_in_whole_and_out_again(tmp_path: Path, inbox: Path, size_bytes: int) -> None:
    exchange_file.fill(inbox, source(tmp_path, 2 << 20))
    file = source(tmp_path, size_bytes)
    inode = inbox.stat().st_ino
    exchange_file.fill(inbox, file)
    assert inbox.read_bytes() == file.read_bytes().ljust(2 << 20, b"\0"), "nothing of the former one is left"
    assert inbox.stat().st_ino == inode, "in place: a hypervisor has it open"
    exchange_file.clear(inbox)
    assert inbox.read_bytes() == bytes(2 << 20)
    assert inbox.stat().st_blocks == 0


def test_what_cannot_be_read_leaves_it_empty(tmp_path: Path, inbox: Path) -> None:
    exchange_file.fill(inbox, source(tmp_path, 4096))
    with pytest.raises(OSError):
        exchange_file.fill(inbox, tmp_path)
    assert inbox.read_bytes() == bytes(2 << 20)


def test_its_beginning_is_written_last(tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    write = os.write

    def look_first(descriptor: int, data: bytes) -> int:
        seen.append(inbox.read_bytes()[:8])
        return write(descriptor, data)

    file = source(tmp_path, (1 << 20) + 8192)
    monkeypatch.setattr(os, "write", look_first)
    exchange_file.fill(inbox, file)
    assert len(seen) == 3 and set(seen) == {bytes(8)}
    assert inbox.read_bytes()[:8] == file.read_bytes()[:8]


def test_the_outbox_has_a_header_and_takes_no_space(tmp_path: Path) -> None:
    outbox = tmp_path / "outbox"
    exchange_file.make_outbox(outbox, 64)
    with outbox.open("rb") as file:
        assert file.read(OUTBOX_HEADER_BYTES) == OUTBOX_MARK.ljust(OUTBOX_HEADER_BYTES, b"\0")
    assert outbox.stat().st_size == 64 << 20
    assert outbox.stat().st_blocks * 512 <= 65536


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(MediumMissing):
        exchange_file.check_file("one", tmp_path / "nothing", 1)
    with pytest.raises(MediumMissing):
        exchange_file.check_file("one", tmp_path, 1)
    exchange_file.check_file("one", source(tmp_path, 1 << 20), 1)
    for size_bytes in (1, INBOX_BLOCK_BYTES + 1, (1 << 20) + INBOX_BLOCK_BYTES):
        with pytest.raises(BadInput):
            exchange_file.check_file("one", source(tmp_path, size_bytes), 1)
