"""A file that is read only when it changed."""

import os
from pathlib import Path

import pytest

from client.hypervisor.qemu.folder import VmFolder
from client.hypervisor.qemu.known_file import KnownFile


class Reader:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self, text: str) -> int:
        self.times += 1
        return int(text)


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def known(tmp_path: Path, reader: Reader) -> KnownFile[int]:
    return KnownFile(tmp_path / "file", reader, -1)


def put(known: KnownFile[int], text: str) -> None:
    part = known.path.with_name("part")
    part.write_text(text)
    part.replace(known.path)


def test_read_once_per_change(known: KnownFile[int], reader: Reader) -> None:
    assert known.value() == -1
    for number in (12, 7, 1234):
        put(known, str(number))
        assert [known.value() for _ in range(3)] == [number] * 3
    assert reader.times == 3
    known.path.unlink()
    assert known.value() == -1


def test_what_cannot_be_used_is_not_read_again_either(known: KnownFile[int], reader: Reader) -> None:
    put(known, "12")
    assert known.value() == 12
    put(known, "no number")
    assert [known.value(), known.value()] == [-1, -1]
    assert reader.times == 2


def test_forgetting_helps_where_a_change_cannot_be_seen(known: KnownFile[int]) -> None:
    put(known, "12")
    before = known.path.stat()
    assert known.value() == 12
    known.path.write_text("34")
    os.utime(known.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert known.value() == 12
    known.forget()
    assert known.value() == 34


def test_two_who_look_at_one_folder_agree(tmp_path: Path) -> None:
    first, second = VmFolder(tmp_path), VmFolder(tmp_path)
    for number in range(50):
        first.write_record(guest_resets=number)
        assert first.record().guest_resets == second.record().guest_resets == number
