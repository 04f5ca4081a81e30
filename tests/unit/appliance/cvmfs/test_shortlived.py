"""Manifests and the like: believed for a minute, asked for again, served on while the server is away."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from client.appliance.cvmfs.rules import AllowList, Wanted
from client.appliance.cvmfs.shortlived import MOST_BYTES, MOST_ENTRIES, Denied, Entry, ShortLived
from client.appliance.cvmfs.upstream import Away
from tests.helpers.clock import FakeClock
from tests.unit.appliance.cvmfs.fake_upstream import Answer, FakeUpstream

LIST = AllowList(["http://s1.example.org"], ["r.example.org"])
DAY_S = 24 * 3600


def wanted(path: str = ".cvmfspublished") -> Wanted:
    found = LIST.find(f"http://s1.example.org/cvmfs/r.example.org/{path}")
    assert found is not None
    return found


def opened(folder: Path, clock: FakeClock, *answers: Answer | None) -> tuple[ShortLived, FakeUpstream]:
    upstream = FakeUpstream(*answers)
    short_lived = ShortLived(upstream, folder / "short", clock)  # type: ignore[arg-type]
    short_lived.open()
    return short_lived, upstream


async def got(short_lived: ShortLived, path: str = ".cvmfspublished", *, afresh: bool = False) -> Entry:
    entry = await short_lived.get(wanted(path), afresh=afresh)
    assert isinstance(entry, Entry)
    return entry


OLD, YOUNG, NOW = (f"Fri, 20 Nov 2026 {time} GMT" for time in ("11:00:00", "11:59:59", "12:00:00"))
FIRST = Answer(
    pieces=(b"fir", b"st"),
    said={"ETag": '"1"', "Last-Modified": OLD, "Date": NOW, "Content-Type": "application/x"},
)
SECOND = Answer(pieces=(b"second",))


async def test_it_is_asked_for_once_a_minute(tmp_path: Path) -> None:
    clock = FakeClock()
    short_lived, upstream = opened(tmp_path, clock, FIRST, SECOND)
    first = await got(short_lived)
    assert (first.body, first.came, first.media_type) == (b"first", True, "application/x")
    clock.advance(59)
    again = await got(short_lived)
    assert (again.body, again.came, short_lived.age_s(again)) == (b"first", False, 59)
    clock.advance(2)
    assert (await got(short_lived)).body == b"second"
    assert upstream.asked[1][1] == {"If-None-Match": '"1"', "If-Modified-Since": OLD}


async def test_unchanged_costs_no_body(tmp_path: Path) -> None:
    clock = FakeClock()
    short_lived, upstream = opened(tmp_path, clock, FIRST, Answer(304))
    await got(short_lived)
    for _ in range(3):
        clock.advance(61)
        entry = await got(short_lived)
        assert (entry.body, entry.came, short_lived.age_s(entry)) == (b"first", False, 0)
    assert len(upstream.asked) == 4


async def test_a_guest_may_insist(tmp_path: Path) -> None:
    short_lived, upstream = opened(tmp_path, FakeClock(), FIRST, SECOND)
    await got(short_lived)
    assert (await got(short_lived, afresh=True)).body == b"second"
    assert upstream.asked[1][1] == {}


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ({"Last-Modified": OLD, "Date": NOW}, {"If-Modified-Since": OLD}),
        ({"Last-Modified": YOUNG, "Date": NOW}, {}),
        ({"Last-Modified": NOW, "Date": OLD}, {}),
        ({"Last-Modified": OLD}, {}),
        ({"Last-Modified": "once", "Date": "now"}, {}),
        ({"ETag": "2"}, {"If-None-Match": "2"}),
    ],
)
async def test_a_date_counts_only_if_it_can_tell_two_files_apart(
    tmp_path: Path, said: dict[str, str], asked: dict[str, str]
) -> None:
    clock = FakeClock()
    short_lived, upstream = opened(tmp_path, clock, Answer(pieces=(b"x",), said=said))
    await got(short_lived)
    clock.advance(61)
    await got(short_lived)
    assert upstream.asked[1][1] == asked


async def test_while_the_server_is_away_the_old_one_serves_for_a_day(tmp_path: Path) -> None:
    clock = FakeClock()
    short_lived, _ = opened(tmp_path, clock, FIRST, None, Answer(503), None)
    await got(short_lived)
    for _ in range(2):
        clock.advance(DAY_S / 3)
        entry = await got(short_lived)
        assert (entry.body, entry.is_stale) == (b"first", True)
    assert short_lived.age_s(entry) == 2 * DAY_S / 3
    clock.advance(DAY_S / 3 + 1)
    with pytest.raises(Away):
        await short_lived.get(wanted(), afresh=False)


async def test_after_the_server_is_back_it_is_fresh(tmp_path: Path) -> None:
    clock = FakeClock()
    short_lived, _ = opened(tmp_path, clock, FIRST, None, SECOND)
    await got(short_lived)
    clock.advance(100)
    assert (await got(short_lived)).is_stale
    assert not (await got(short_lived)).is_stale


async def test_a_clock_set_back_makes_nothing_young(tmp_path: Path) -> None:
    clock = FakeClock()
    short_lived, upstream = opened(tmp_path, clock, FIRST)
    await got(short_lived)
    clock.advance(-3600)
    await got(short_lived)
    assert len(upstream.asked) == 2


async def test_what_the_server_has_not_is_not_kept(tmp_path: Path) -> None:
    short_lived, upstream = opened(tmp_path, FakeClock(), Answer(404), FIRST)
    assert await short_lived.get(wanted(), afresh=False) == Denied(404)
    assert (await got(short_lived)).body == b"first"
    assert len(upstream.asked) == 2


async def test_many_guests_ask_once(tmp_path: Path) -> None:
    short_lived, upstream = opened(tmp_path, FakeClock(), FIRST)
    entries = await asyncio.gather(*(got(short_lived) for _ in range(10)))
    assert {entry.body for entry in entries} == {b"first"}
    assert len(upstream.asked) == 1


async def test_a_guest_that_leaves_takes_nothing_with_it(tmp_path: Path) -> None:
    short_lived, upstream = opened(tmp_path, FakeClock(), FIRST)
    upstream.gate.clear()
    leaves, stays = (asyncio.create_task(got(short_lived)) for _ in range(2))
    while not upstream.asked:
        await asyncio.sleep(0)
    leaves.cancel()
    upstream.gate.set()
    assert (await stays).body == b"first"


async def test_one_that_is_too_long_or_breaks_off_is_not_taken(tmp_path: Path) -> None:
    long = Answer(pieces=(b"x" * MOST_BYTES, b"y"))
    short_lived, _ = opened(tmp_path, FakeClock(), long, Answer(pieces=(b"x",), error="broke off"))
    for _ in range(2):
        with pytest.raises(Away):
            await short_lived.get(wanted(), afresh=False)


async def test_it_outlives_a_restart(tmp_path: Path) -> None:
    clock = FakeClock()
    await got(opened(tmp_path, clock, FIRST)[0])
    clock.advance(3600)
    entry = await got(opened(tmp_path, clock, None)[0])
    assert (entry.body, entry.is_stale, entry.etag) == (b"first", True, '"1"')


@pytest.mark.parametrize(
    "left", [b"", b"{}\nx", b"[]\nx", b'{"url": 1, "sha256": "x"}\nx', b"\xff\xfe", b'{"sha256": null', b"null\n"]
)
async def test_what_cannot_be_read_is_swept(tmp_path: Path, left: bytes) -> None:
    clock = FakeClock()
    await got(opened(tmp_path, clock, FIRST)[0])
    (path,) = (tmp_path / "short").iterdir()
    path.write_bytes(left)
    short_lived, _ = opened(tmp_path, clock, SECOND)
    assert list((tmp_path / "short").iterdir()) == []
    assert (await got(short_lived)).body == b"second"


async def test_altered_files_are_not_believed(tmp_path: Path) -> None:
    clock = FakeClock()
    await got(opened(tmp_path, clock, FIRST)[0])
    (path,) = (tmp_path / "short").iterdir()
    path.write_bytes(path.read_bytes().replace(b"\nfirst", b"\nFIRST"))
    assert (await got(opened(tmp_path, clock, SECOND)[0])).body == b"second"


async def test_made_up_names_fill_no_disk(tmp_path: Path) -> None:
    short_lived, _ = opened(tmp_path, FakeClock(), FIRST)
    await got(short_lived)
    for number in range(MOST_ENTRIES + 5):
        await got(short_lived, f"api/v1.0/geo/x/{number}")
    assert len(list((tmp_path / "short").iterdir())) == MOST_ENTRIES


async def test_a_full_disk_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("client.appliance.cvmfs.shortlived.write_atomic", full)
    short_lived, upstream = opened(tmp_path, FakeClock(), FIRST)
    assert (await got(short_lived)).body == b"first"
    assert (await got(short_lived)).body == b"first"
    assert len(upstream.asked) == 1
