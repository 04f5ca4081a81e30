"""What was told stays: fine for a day, coarse for ever, and no more than there is room for."""

import contextlib
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.copilot.events import Spread, one
from client.copilot.managers.monitor import store as store_module
from client.copilot.managers.monitor.errors import StoreUnusable
from client.copilot.managers.monitor.ledger import MAX_CHOSEN, MAX_SERIES, Kind, Series
from client.copilot.managers.monitor.store import EventStore

NOW = 1_800_000_000 // 3600 * 3600
STARTS = Series("jm.a", "job.start", Kind.COUNT)
OTHERS = Series("jm.b", "job.start", Kind.COUNT)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    store = EventStore(tmp_path / "store.sqlite")
    yield store
    store.close()


def times(number: int) -> Spread:
    return Spread(number, number, 1, 1)


def test_numbers_are_kept_in_steps_of_all_widths_and_over_components(store: EventStore) -> None:
    store.write(NOW + 1, {STARTS: times(2), OTHERS: times(1)})
    store.write(NOW + 9, {STARTS: times(3)})
    store.write(NOW + 61, {STARTS: times(10)})
    read = {step: store.read("job.start", Kind.COUNT, NOW, NOW + 3600, step) for step in (10, 60, 900, 3600)}
    assert {at: spread.number for at, spread in read[10].items()} == {NOW: 6, NOW + 60: 10}
    assert {at: spread.number for at, spread in read[60].items()} == {NOW: 6, NOW + 60: 10}
    assert {at: spread.number for at, spread in read[900].items()} == {NOW: 16}
    assert {at: spread.number for at, spread in read[3600].items()} == {NOW: 16}
    assert store.read("job.start", Kind.VALUE, NOW, NOW + 60, 10) == {}
    assert store.count("job.*", NOW, NOW + 3600, 60) == {"job.start": 16}
    assert store.count("job.*", NOW + 60, NOW + 3600, 60) == {"job.start": 10}


def test_what_was_written_while_the_clock_was_ahead_is_not_counted_before_that(store: EventStore) -> None:
    store.write(NOW + 86400, {STARTS: times(8)})
    store.write(NOW, {STARTS: times(1)})
    assert store.count("job.*", NOW - 60, NOW + 0.5, 10) == {"job.start": 1}


def test_spreads_keep_their_least_and_greatest(store: EventStore) -> None:
    lasted = Series("jm.a", "job.succeeded", Kind.DURATION)
    store.write(NOW, {lasted: Spread(2, 30, 10, 20)})
    store.write(NOW + 5, {lasted: one(3)})
    assert store.read("job.succeeded", Kind.DURATION, NOW, NOW + 60, 60) == {NOW: Spread(3, 33, 3, 20)}


def test_the_old_is_rolled_up_and_nothing_is_counted_twice(store: EventStore) -> None:
    store.write(NOW - 40 * 86400, {STARTS: times(1)})
    store.write(NOW - 2 * 86400, {STARTS: times(2)})
    store.write(NOW, {STARTS: times(4)})
    store.prune(NOW)
    year = NOW - 365 * 86400
    kept = {width: store.count("job.start", year, NOW + 1, width)["job.start"] for width in (10, 60, 3600)}
    assert kept == {10: 4, 60: 6, 3600: 7}


def test_it_survives_being_opened_again(tmp_path: Path) -> None:
    for number in (1, 2):
        store = EventStore(tmp_path / "s")
        store.write(NOW, {STARTS: times(number)})
        store.close()
    store = EventStore(tmp_path / "s")
    assert store.count("*", NOW, NOW + 1, 10) == {"job.start": 3}
    store.close()


@pytest.mark.parametrize("version", [0, 1])
def test_a_file_of_this_or_an_earlier_version_is_gone_on_with(tmp_path: Path, version: int) -> None:
    store = EventStore(tmp_path / "s")
    store.write(NOW, {STARTS: times(1)})
    store.close()
    set_version(tmp_path / "s", version)
    store = EventStore(tmp_path / "s")
    store.write(NOW, {STARTS: times(1)})
    assert store.count("*", NOW, NOW + 1, 10) == {"job.start": 2}
    store.close()


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    EventStore(tmp_path / "s").close()
    set_version(tmp_path / "s", 2)
    with pytest.raises(StoreUnusable, match="newer version"):
        EventStore(tmp_path / "s")


def set_version(path: Path, version: int) -> None:
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute(f"PRAGMA user_version = {version}")


def test_series_beyond_the_greatest_number_are_left_out(store: EventStore) -> None:
    store.write(NOW, {Series("c", f"e{number}", Kind.COUNT): times(1) for number in range(MAX_SERIES + 5)})
    assert len(store.count("*", NOW, NOW + 1, 10)) == MAX_SERIES


def test_names_that_agents_choose_leave_room_for_the_others(tmp_path: Path) -> None:
    for start in range(3):
        store = EventStore(tmp_path / "s")
        names = range(start * 40, start * 40 + 40)
        store.write(NOW, {Series("c", f"agent.seen.{name}", Kind.COUNT): times(1) for name in names})
        assert len(store.count("agent.seen.*", NOW, NOW + 1, 10)) == min(MAX_CHOSEN, 40 * (start + 1))
        store.write(NOW, {STARTS: times(1)})
        store.close()


def test_details_are_kept_changed_and_bounded(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.keep_details("s", {"session": "s", "a": 1}, NOW)
    store.update_details("s", {"a": 2, "b": "x"}, NOW)
    store.update_details("none", {"a": 2}, NOW)
    store.update_details("s", {"large": "x" * 20_000}, NOW)
    assert store.details("s") == {"session": "s", "a": 2, "b": "x"}
    assert store.details("none") is None
    monkeypatch.setattr(store_module, "MAX_DETAILS", 3)
    for number in range(10):
        store.keep_details(f"t{number}", {}, NOW)
    store.prune(NOW)
    assert [number for number in range(10) if store.details(f"t{number}") is not None] == [7, 8, 9]


def test_a_file_that_is_none_says_so(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"not a database, whatever it is" * 100)
    with pytest.raises(StoreUnusable):
        EventStore(tmp_path / "s")
    with pytest.raises(StoreUnusable):
        EventStore(tmp_path / "none" / "s")


def test_a_full_disk_loses_the_numbers_of_that_moment_only(store: EventStore, tmp_path: Path) -> None:
    store.write(NOW, {STARTS: times(1)})
    with sqlite3.connect(tmp_path / "store.sqlite") as other:
        other.execute("CREATE TRIGGER full BEFORE INSERT ON series BEGIN SELECT RAISE(ABORT, 'full'); END")
    other.close()
    with pytest.raises(StoreUnusable):
        store.write(NOW, {STARTS: times(5), OTHERS: times(1)})
    with sqlite3.connect(tmp_path / "store.sqlite") as other:
        other.execute("DROP TRIGGER full")
    other.close()
    assert store.count("*", NOW, NOW + 1, 10) == {"job.start": 1}
    store.write(NOW, {OTHERS: times(2)})
    assert store.count("*", NOW, NOW + 1, 10) == {"job.start": 3}


def test_the_file_is_its_owners_alone(store: EventStore, tmp_path: Path) -> None:
    store.write(NOW, {STARTS: times(1)})
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == dict.fromkeys(
        ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm"], 0o600
    )
