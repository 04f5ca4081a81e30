"""Objects on disk: limit, eviction, and what a kill leaves."""

import hashlib
import os
from pathlib import Path

import pytest

from client.appliance.cvmfs.part import NoRoom, Part
from client.appliance.cvmfs.rules import ObjectName
from client.appliance.cvmfs.store import ObjectStore


def named(data: bytes) -> ObjectName:
    return ObjectName(hashlib.sha1(data).hexdigest())


def put(store: ObjectStore, data: bytes, used_at: float | None = None) -> ObjectName:
    name = named(data)
    part = store.begin(name)
    part.write(data)
    assert part.fits()
    kept = store.keep(part, name)
    part.close(kept=kept)
    if used_at is not None:
        os.utime(store.path(name), (used_at, used_at))
    return name


def get(store: ObjectStore, name: ObjectName) -> bytes | None:
    stored = store.load(name)
    if stored is None:
        return None
    data = stored.read(0, stored.size)
    stored.close()
    return data


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    opened = ObjectStore(tmp_path, 100_000)
    opened.open()
    return opened


def test_what_is_kept_is_there(store: ObjectStore) -> None:
    name = put(store, b"abc")
    assert get(store, name) == b"abc"
    assert get(store, named(b"other")) is None


def test_it_is_there_after_a_new_start(store: ObjectStore, tmp_path: Path) -> None:
    name = put(store, b"abc")
    again = ObjectStore(tmp_path, 100_000)
    again.open()
    assert get(again, name) == b"abc"
    assert again.used_bytes == store.used_bytes > 0


def test_a_start_sweeps_what_was_not_finished(store: ObjectStore, tmp_path: Path) -> None:
    part = store.begin(named(b"abc"))
    part.write(b"a")
    again = ObjectStore(tmp_path, 100_000)
    again.open()
    assert list((tmp_path / "parts").iterdir()) == []
    assert again.used_bytes == 0
    part.close(kept=False)


def test_what_was_not_kept_leaves_nothing(store: ObjectStore, tmp_path: Path) -> None:
    part = store.begin(named(b"abc"))
    part.write(b"abX")
    assert not part.fits()
    part.close(kept=False)
    part.close(kept=False)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_longest_unused_goes_first(store: ObjectStore) -> None:
    names = [put(store, bytes([number]) * 20_000, used_at=1000.0 + number) for number in range(4)]
    held = store.load(names[0])
    assert held is not None  # its use is noted by that
    held.close()
    put(store, b"x" * 20_000)
    assert [get(store, name) is not None for name in names] == [True, False, True, True]
    assert store.used_bytes <= 100_000


def test_a_use_is_noted_only_now_and_then(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path, 100_000, noted_every_s=600.0)
    store.open()
    name = put(store, b"abc")
    before = store.path(name).stat().st_mtime_ns
    get(store, name)
    assert store.path(name).stat().st_mtime_ns == before


def test_the_limit_holds_whatever_comes(store: ObjectStore, tmp_path: Path) -> None:
    for number in range(60):
        put(store, number.to_bytes(2) * (1000 + 97 * number))
        on_disk = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
        assert on_disk <= 100_000
        assert store.used_bytes <= 100_000


def test_an_object_of_more_than_half_the_cache_is_not_kept(store: ObjectStore, tmp_path: Path) -> None:
    name = put(store, b"x" * 60_000)
    assert get(store, name) is None
    assert store.used_bytes == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_smaller_limit_holds_from_the_next_start(store: ObjectStore, tmp_path: Path) -> None:
    for number in range(4):
        put(store, bytes([number]) * 20_000)
    smaller = ObjectStore(tmp_path, 50_000)
    smaller.open()
    assert 0 < smaller.used_bytes <= 50_000


def test_the_same_object_twice_counts_once(store: ObjectStore) -> None:
    put(store, b"abc")
    used = store.used_bytes
    name = put(store, b"abc")
    assert get(store, name) == b"abc"
    store.remove(name)
    assert (used, store.used_bytes) == (2048 + 3, 0)


def test_what_is_removed_is_gone(store: ObjectStore) -> None:
    name = put(store, b"abc")
    store.remove(name)
    store.remove(name)
    assert get(store, name) is None
    assert store.used_bytes == 0


def test_links_in_the_folder_are_not_followed(store: ObjectStore, tmp_path: Path) -> None:
    name = put(store, b"abc")
    (store.path(name).parent / "link").symlink_to("/etc/passwd")
    (tmp_path / "objects" / "zz").symlink_to("/etc")
    again = ObjectStore(tmp_path, 0)
    again.open()
    assert Path("/etc/passwd").exists()
    assert again.used_bytes == 0


def test_a_full_disk_is_made_up_for_by_memory(tmp_path: Path) -> None:
    data = b"0123456789"
    part = Part(tmp_path / "no-such-folder" / "part", named(data), most_in_memory=100)
    part.write(data[:4])
    part.write(data[4:])
    assert not part.is_on_disk
    assert part.fits()
    assert (part.read(2, 5), part.size) == (data[2:7], 10)
    with pytest.raises(OSError, match="not on disk"):
        part.move(tmp_path / "there")
    part.close(kept=False)


class FullDisk:
    """A file that takes 6 bytes and no more."""

    def __init__(self) -> None:
        self.data = b""
        self._at = 0

    def seek(self, offset: int) -> None:
        self._at = offset

    def write(self, data: bytes) -> int:
        room = 6 - len(self.data)
        if not room:
            raise OSError(28, "No space left on device")
        self.data += data[:room]
        return min(room, len(data))

    def read(self, size: int) -> bytes:
        return self.data[self._at : self._at + size]

    def close(self) -> None:
        pass


def test_a_disk_that_gets_full_is_made_up_for_by_memory(tmp_path: Path) -> None:
    data = b"0123456789"
    part = Part(tmp_path / "part", named(data), most_in_memory=100)
    assert part._file is not None
    part._file.close()
    part._file = FullDisk()  # type: ignore[assignment]
    part.write(data[:4])
    part.write(data[4:])
    assert part.fits()
    assert not part.is_on_disk
    found = b""
    while piece := part.read(len(found), 3):
        found += piece
    assert found == data
    part.close(kept=False)


def test_memory_ends_as_well(tmp_path: Path) -> None:
    part = Part(tmp_path / "no-such-folder" / "part", named(b""), most_in_memory=5)
    part.write(b"1234")
    with pytest.raises(NoRoom):
        part.write(b"56")


def test_a_lower_limit_makes_it_smaller_at_once(store: ObjectStore) -> None:
    names = [put(store, bytes([number]) * 10_000, number) for number in range(5)]
    store.set_limit(30_000)
    assert store.used_bytes <= 30_000
    assert [get(store, name) is not None for name in names] == [False, False, False, True, True]
    store.set_limit(0)
    assert store.used_bytes == 0
    store.set_limit(100_000)
    assert get(store, put(store, b"again")) == b"again"
