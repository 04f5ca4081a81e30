"""What is noted of errands survives a client, is bounded, and is never where a name points."""

from datetime import timedelta
from pathlib import Path

import pytest

from client.guest.ledger import MOST_OUTPUT_BYTES, MOST_RESULTS, RESULT_LIFE, WAIT_LIFE, Ledger
from tests.helpers.clock import FakeClock


def test_open_errands_are_found_again_oldest_first(tmp_path: Path) -> None:
    clock = FakeClock()
    ledger = Ledger(tmp_path, clock)
    names = []
    for _ in range(3):
        clock.advance(1)
        names.append(ledger.open("exec", {"argv": ["ls"]}).errand_id)
    ledger.settle(ledger.result(names[1]), {"exit_code": 0})  # type: ignore[arg-type]
    fresh = Ledger(tmp_path, clock)
    assert [entry.errand_id for entry in fresh.load()] == [names[0], names[2]]
    settled = fresh.result(names[1])
    assert settled is not None and settled.outcome == {"exit_code": 0}


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"errand_id": "other"}', '{"asked_at": 5}', "\xff"])
def test_damaged_files_are_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "damaged.json").write_text(text, encoding="latin-1")
    assert Ledger(tmp_path, FakeClock()).load() == ()


def test_results_are_bounded_in_number_age_and_size(tmp_path: Path) -> None:
    clock = FakeClock()
    ledger = Ledger(tmp_path, clock)
    for _ in range(MOST_RESULTS + 5):
        entry = ledger.open("exec", {})
        ledger.spool(entry, "stdout", b"x")
        ledger.settle(entry, {})
    assert len(list(tmp_path.glob("*.json"))) == len(list(tmp_path.glob("*.stdout"))) == MOST_RESULTS
    for _ in range(3):
        ledger.spool(entry, "stderr", bytes(MOST_OUTPUT_BYTES // 2))
    assert len(ledger.output(entry, "stderr")) == MOST_OUTPUT_BYTES
    assert entry.marks["cut"]
    clock.advance(RESULT_LIFE.total_seconds() + 1)
    assert ledger.result(entry.errand_id) is None
    assert list(tmp_path.iterdir()) == []


def test_what_no_guest_heard_of_is_forgotten_after_a_day(tmp_path: Path) -> None:
    clock = FakeClock()
    told, untold = (Ledger(tmp_path, clock).open("exec", {}) for _ in range(2))
    told.boot = "boot"
    Ledger(tmp_path, clock).save(told)
    clock.advance((WAIT_LIFE + timedelta(seconds=1)).total_seconds())
    assert [entry.errand_id for entry in Ledger(tmp_path, clock).load()] == [told.errand_id]
    assert untold.errand_id not in [path.stem for path in tmp_path.iterdir()]


def test_a_name_is_looked_up_and_no_path(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    assert Ledger(tmp_path / "errands", FakeClock()).result("../secret") is None
