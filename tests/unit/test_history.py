"""Finished jobs and their sums."""

from datetime import UTC, datetime
from pathlib import Path

from client.history import FinishedJob, History
from client.snapshot import Totals

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def job(job_id: str, state: str = "done", accepted: bool | None = True, units: int = 10) -> FinishedJob:
    return FinishedJob(job_id, "demo", NOW, state, accepted, units, "events", 2.5)


def test_the_last_word_on_a_job_counts(tmp_path: Path) -> None:
    history = History(tmp_path / "h.sqlite")
    history.open()
    history.put(job("a", accepted=None))
    history.put(job("a", accepted=True))
    history.put(job("b", state="failed", accepted=None))
    history.put(job("c", accepted=False))
    assert history.totals() == Totals(jobs_accepted=1, jobs_failed=2, units_done=10, cpu_s=7.5)
    assert {j.job_id for j in history.jobs()} == {"a", "b", "c"}
    history.close()


def test_it_survives_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        history = History(tmp_path / "h.sqlite")
        history.open()
        history.put(job("a"))
        assert history.jobs() == (job("a"),)
        history.close()


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "h.sqlite"
    path.write_bytes(b"not a database, for sure" * 100)
    history = History(path)
    history.open()
    assert history.totals() == Totals()
    assert path.with_suffix(".broken").exists()
    history.close()
