"""What was begun is known after a kill."""

from datetime import UTC, datetime
from pathlib import Path

from client.journal import KEPT, Journal

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def reopened(path: Path) -> Journal:
    journal = Journal(path)
    journal.load()
    return journal


def test_a_step_that_never_ended_is_open_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = reopened(path)
    done = journal.begin("boot", "work-1", NOW)
    journal.end(done, NOW)
    journal.begin("save", "work-1", NOW)
    assert [(e.step, e.about) for e in reopened(path).open_entries()] == [("save", "work-1")]


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    first = reopened(path).begin("boot", "work-1", NOW)
    assert reopened(path).begin("boot", "work-1", NOW) == first + 1


def test_a_torn_last_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = reopened(path)
    journal.end(journal.begin("boot", "work-1", NOW), NOW, "disk-full")
    with path.open("a") as file:
        file.write('{"number": 2, "step": "sa')
    (entry,) = reopened(path).entries()
    assert (entry.failure, entry.ended_at) == ("disk-full", NOW)


def test_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = reopened(path)
    for _ in range(3 * KEPT):
        journal.end(journal.begin("pause", "work-1", NOW), NOW)
    assert len(journal.entries()) <= 2 * KEPT
    assert len(reopened(path).entries()) == KEPT
    assert len(path.read_text().splitlines()) == KEPT
