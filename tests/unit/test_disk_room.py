"""What of the disk is the program's, and who of it gives way."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.disk_room import LOOK_S, DiskWarden, Room, Use, divide, measure, room_bytes
from client.paths import Paths
from client.preferences.store import load
from client.preferences.types import Disk
from tests.helpers.clock import FakeClock

MIB = 1 << 20
sizes = st.integers(0, 1 << 50)
uses = st.builds(Use, sizes, sizes, sizes, sizes, sizes)
disks = st.builds(Disk, st.integers(0, 1 << 26), st.integers(0, 100), st.integers(0, 1 << 26))


@given(disks, uses)
def test_the_room_keeps_each_limit(disk: Disk, use: Use) -> None:
    room = room_bytes(disk, use)
    ours = use.fixed + use.store + use.cache
    assert room >= 0
    if room:
        assert ours + use.free - room >= disk.least_free_mib * MIB
    assert not disk.most_mib or room <= disk.most_mib * MIB
    assert not disk.most_percent or room * 100 <= use.volume * disk.most_percent


@pytest.mark.parametrize(
    ("disk", "room"),
    [
        (Disk(0, 0, 0), 700),
        (Disk(0, 0, 200), 500),
        (Disk(300, 0, 200), 300),
        (Disk(300, 10, 200), 100),
        (Disk(0, 0, 900), 0),
    ],
)
def test_the_strictest_counts(disk: Disk, room: int) -> None:
    assert room_bytes(disk, Use(1000 * MIB, 400 * MIB, 100 * MIB, 150 * MIB, 50 * MIB)) == room * MIB


@given(sizes, sizes, st.builds(Room, sizes, sizes))
def test_what_is_divided_is_there_and_in_proportion(room: int, fixed: int, most: Room) -> None:
    got = divide(room, fixed, most)
    assert got.store <= most.store and got.cache <= most.cache
    assert got == most or got.store + got.cache <= max(0, room - fixed)
    assert abs(got.store * most.cache - got.cache * most.store) <= most.store + most.cache


def test_what_is_there_is_measured(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.make()
    before = measure(paths)
    for folder, size in ((paths.vms / "one", 1), (paths.appliances / "objects" / "ab", 2), (paths.cvmfs / "x", 3)):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"x" * size * MIB)
    (paths.vms / "one" / "other").hardlink_to(paths.vms / "one" / "file")
    with (paths.vms / "one" / "holes").open("wb") as sparse:
        sparse.truncate(1 << 40)
    use = measure(paths)
    for ours, then, size in ((use.fixed, before.fixed, 1), (use.store, before.store, 2), (use.cache, before.cache, 3)):
        assert size * MIB <= ours - then <= size * MIB + 65536
    assert 0 < use.free <= use.volume


class Shrunk:
    def __init__(self) -> None:
        self.told: list[int | None] = []

    def set_room(self, most_bytes: int | None) -> None:
        self.told.append(most_bytes)


class Table:
    """A warden whose looks are played."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths = Paths(tmp_path)
        self.paths.make()
        self.paths.preferences.write_text("[appliances]\ncache_mib = 3000\n[cvmfs]\ncache_mib = 1000\n")
        self.clock, self.store, self.cache = FakeClock(), Shrunk(), Shrunk()
        self.use = Use(10**6 * MIB, 10**5 * MIB, 0, 0, 0)
        monkeypatch.setattr("client.disk_room.measure", lambda _: self.use)
        self.warden = DiskWarden(self.paths, load(self.paths.preferences), self.clock, self.store)

    async def look(self, disk: Disk, *, cache: bool = True) -> None:
        self.clock.advance(LOOK_S)
        self.warden.attend(disk, self.cache if cache else None)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            await task
        self.warden.attend(disk, self.cache if cache else None)


async def test_both_are_told_their_part_and_again_only_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table(tmp_path, monkeypatch)
    await table.look(Disk(0, 0, 0))
    assert (table.store.told, table.cache.told) == ([None], [None])
    await table.look(Disk(2000, 0, 0))
    await table.look(Disk(2010, 0, 0))
    assert (table.store.told, table.cache.told) == ([None, 1500 * MIB], [None, 500 * MIB])
    table.use = Use(10**6 * MIB, 10**5 * MIB, 1000 * MIB, 0, 0)
    await table.look(Disk(2000, 0, 0))
    assert (table.store.told[-1], table.cache.told[-1]) == (750 * MIB, 250 * MIB)
    await table.look(Disk(0, 0, 0))
    assert (table.store.told[-1], table.cache.told[-1]) == (None, None)


async def test_without_a_software_cache_appliances_get_all_but_what_lies_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table(tmp_path, monkeypatch)
    table.use = Use(10**6 * MIB, 10**5 * MIB, 100 * MIB, 0, 400 * MIB)
    await table.look(Disk(2000, 0, 0), cache=False)
    assert (table.store.told, table.cache.told) == ([1500 * MIB], [])
    await table.warden.close()


async def test_a_change_of_preferences_holds_without_another_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table(tmp_path, monkeypatch)
    await table.look(Disk(0, 0, 0))
    table.warden.attend(Disk(2000, 0, 0), table.cache)
    assert table.store.told[-1] == 1500 * MIB
    await table.warden.close()
