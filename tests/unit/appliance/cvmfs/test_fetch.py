"""Objects on their way: fetched once, read while they come, kept only if they are right."""

import asyncio
import hashlib
import shutil
from pathlib import Path

import pytest

from client.appliance.cvmfs import fetch as module
from client.appliance.cvmfs.fetch import MOST_FETCHES, Broken, Fetches
from client.appliance.cvmfs.part import Part
from client.appliance.cvmfs.rules import AllowList, ObjectName, Wanted
from client.appliance.cvmfs.store import SPARE_BYTES, ObjectStore
from tests.unit.appliance.cvmfs.fake_upstream import Answer, FakeUpstream

LIST = AllowList(["http://s1.example.org"], ["r.example.org"])
OTHER = AllowList(["http://s2.example.org"], ["r.example.org"])
DATA = bytes(range(256)) * 40
PIECES = tuple(DATA[at : at + 1000] for at in range(0, len(DATA), 1000))


def wanted(data: bytes = DATA) -> tuple[Wanted, ObjectName]:
    digest = hashlib.sha1(data).hexdigest()
    found = LIST.find(f"http://s1.example.org/cvmfs/r.example.org/data/{digest[:2]}/{digest[2:]}")
    assert found is not None and found.name is not None
    return found, found.name


class Table:
    """Fetches over a store and a server in memory."""

    def __init__(self, folder: Path, *answers: Answer | None) -> None:
        self.folder = folder
        self.store = ObjectStore(folder, 1_000_000)
        self.store.open()
        self.upstream = FakeUpstream(*answers)
        self.fetches = Fetches(self.upstream, self.store)  # type: ignore[arg-type]

    async def read(self, data: bytes = DATA) -> bytes:
        fetch, _ = self.fetches.join(*wanted(data))
        try:
            await fetch.until_answered()
            if fetch.part is None:
                raise Broken(fetch.error)
            return b"".join([piece async for piece in fetch.pieces()])
        finally:
            fetch.leave()

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]


async def test_a_right_object_is_kept(tmp_path: Path) -> None:
    table = Table(tmp_path, Answer(pieces=PIECES, length=len(DATA)))
    assert await table.read() == DATA
    assert table.files() == [table.store.path(wanted()[1])]
    assert table.files()[0].read_bytes() == DATA


async def test_many_readers_one_fetch(tmp_path: Path) -> None:
    table = Table(tmp_path, Answer(pieces=PIECES, length=len(DATA)))
    assert set(await asyncio.gather(*(table.read() for _ in range(8)))) == {DATA}
    assert len(table.upstream.asked) == 1


async def test_it_is_read_while_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD_BYTES", 10)
    table = Table(tmp_path, Answer(pieces=PIECES))
    table.upstream.gate.clear()
    fetch, _ = table.fetches.join(*wanted())
    await fetch.until_answered()
    pieces = fetch.pieces()
    assert await anext(pieces) == PIECES[0][:-10]
    assert not fetch.done
    table.upstream.gate.set()
    assert PIECES[0][:-10] + b"".join([piece async for piece in pieces]) == DATA
    fetch.leave()


async def test_a_fetch_goes_on_without_its_readers(tmp_path: Path) -> None:
    table = Table(tmp_path, Answer(pieces=PIECES))
    table.upstream.gate.clear()
    fetch, _ = table.fetches.join(*wanted())
    await fetch.until_answered()
    fetch.leave()
    table.upstream.gate.set()
    await fetch.until_done()
    assert fetch.is_kept
    await table.fetches.close()


WRONG = {
    "other bytes": Answer(pieces=(DATA[:-1] + b"!",), length=len(DATA)),
    "nothing": Answer(pieces=(), length=0),
    "too short": Answer(pieces=PIECES[:-1], length=len(DATA)),
    "too short, no length": Answer(pieces=PIECES[:-1]),
    "too long": Answer(pieces=(*PIECES, b"!"), length=len(DATA)),
    "too long, no length": Answer(pieces=(*PIECES, b"!")),
    "broken off": Answer(pieces=PIECES[:3], error="broke off"),
    "more than fits, no length": Answer(pieces=(bytes(400_000), bytes(400_000))),
}


@pytest.mark.parametrize("held", [1, 500, 64 * 1024])
@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_object_is_neither_given_whole_nor_kept(
    tmp_path: Path, answer: Answer, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELD_BYTES", held)
    table = Table(tmp_path, answer)
    fetch, _ = table.fetches.join(*wanted())
    await fetch.until_answered()
    given = bytearray()
    with pytest.raises(Broken):
        async for piece in fetch.pieces():
            given += piece
    assert len(given) < max(1, sum(map(len, answer.pieces)))
    fetch.leave()
    assert table.files() == []
    table.upstream.answers = [Answer(pieces=PIECES, length=len(DATA))]
    assert await table.read() == DATA


@pytest.mark.parametrize("answer", [None, Answer(404), Answer(302), Answer(500)])
async def test_no_object_no_file(tmp_path: Path, answer: Answer | None) -> None:
    table = Table(tmp_path, answer)
    with pytest.raises(Broken):
        await table.read()
    assert table.files() == []


async def test_a_long_object_is_left_to_be_passed_through(tmp_path: Path) -> None:
    table = Table(tmp_path, Answer(length=600_000))
    fetch, _ = table.fetches.join(*wanted())
    await fetch.until_answered()
    assert fetch.is_refused
    fetch.leave()


async def test_one_that_is_longer_than_servers_do_not_say_is_passed_through_from_then_on(tmp_path: Path) -> None:
    table = Table(tmp_path, Answer(pieces=(bytes(400_000), bytes(400_000))))
    with pytest.raises(Broken):
        await table.read()
    fetch, _ = table.fetches.join(*wanted())
    await fetch.until_answered()
    assert fetch.is_refused
    fetch.leave()


async def test_what_is_on_its_way_counts_together(tmp_path: Path) -> None:
    table = Table(tmp_path, Answer(pieces=(bytes(1),), length=300_000))
    table.upstream.gate.clear()
    first, _ = table.fetches.join(*wanted(b"1"))
    second, _ = table.fetches.join(*wanted(b"2"))
    await first.until_answered()
    await second.until_answered()
    assert (first.is_refused, second.is_refused) == (False, True)
    await table.fetches.close()
    for fetch in (first, second):
        fetch.leave()


async def test_what_is_on_its_way_has_its_place_within_the_limit(tmp_path: Path) -> None:
    table = Table(tmp_path)
    for number in range(9):
        data = bytes([number]) * 100_000
        table.upstream.answers = [Answer(pieces=(data,), length=len(data))]
        assert await table.read(data) == data
    table.upstream.answers = [Answer(pieces=(bytes(1),), length=450_000)]
    table.upstream.gate.clear()
    fetch, _ = table.fetches.join(*wanted(b"long"))
    await fetch.until_answered()
    assert table.store.used_bytes + 450_000 <= table.store.limit_bytes
    await table.fetches.close()
    fetch.leave()


async def test_a_disk_that_is_nearly_full_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(tmp_path, Answer(pieces=PIECES, length=len(DATA)))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, SPARE_BYTES + 100))
    fetch, _ = table.fetches.join(*wanted())
    await fetch.until_answered()
    assert fetch.is_refused
    fetch.leave()
    assert table.files() == []


async def test_a_slow_server_holds_up_no_other(tmp_path: Path) -> None:
    table = Table(tmp_path, Answer(pieces=PIECES[:1]))
    table.upstream.gate.clear()
    names = [wanted(bytes([number])) for number in range(MOST_FETCHES + 1)]
    fetches = [table.fetches.join(*one)[0] for one in names]
    for fetch in fetches[:-1]:
        await fetch.until_answered()
    found = OTHER.find(f"http://s2.example.org/cvmfs/r.example.org/{wanted()[0].path}")
    assert found is not None and found.name is not None
    other, _ = table.fetches.join(found, found.name)
    await other.until_answered()
    assert fetches[-1].part is None
    await table.fetches.close()
    for fetch in (*fetches, other):
        fetch.leave()


class Cramped(Part):
    """On a full disk, and with little memory."""

    def __init__(self, path: Path, name: ObjectName) -> None:
        super().__init__(path / "none", name, most_in_memory=3000)


async def test_on_a_full_disk_a_short_object_is_passed_on(tmp_path: Path) -> None:
    table = Table(tmp_path, Answer(pieces=(DATA[:2000],)))
    table.store.begin = lambda name, _: Cramped(tmp_path / "no", name)  # type: ignore[method-assign]
    assert await table.read(DATA[:2000]) == DATA[:2000]
    assert table.files() == []


async def test_on_a_full_disk_long_objects_are_passed_through_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_IN_MEMORY", 3000)
    table = Table(tmp_path, Answer(pieces=PIECES, length=len(DATA)))
    table.store.begin = lambda name, _: Cramped(tmp_path / "no", name)  # type: ignore[method-assign]
    with pytest.raises(Broken):
        await table.read()
    fetch, _ = table.fetches.join(*wanted())
    await fetch.until_answered()
    assert fetch.is_refused
    fetch.leave()


async def test_closing_leaves_nothing_that_is_taken_for_whole(tmp_path: Path) -> None:
    table = Table(tmp_path, Answer(pieces=PIECES))
    table.upstream.gate.clear()
    fetch, _ = table.fetches.join(*wanted())
    await fetch.until_answered()
    await table.fetches.close()
    assert fetch.done and not fetch.is_good
    fetch.leave()
    assert table.files() == []
