"""Waiting for a processor, as Linux tells it of each thread."""

import os
from pathlib import Path

from client.host.starving import starved_s


def test_the_thread_that_waits_longest_counts(tmp_path: Path) -> None:
    for thread, said in (("7", "5 1500000000 3\n"), ("8", "5 2500000000 3\n"), ("9", "nothing")):
        (tmp_path / "7" / "task" / thread).mkdir(parents=True)
        (tmp_path / "7" / "task" / thread / "schedstat").write_text(said)
    assert starved_s(7, tmp_path) == 2.5


def test_what_is_not_told_is_nothing(tmp_path: Path) -> None:
    assert starved_s(7, tmp_path) == 0.0


def test_of_a_real_process() -> None:
    assert 0.0 <= starved_s(os.getpid()) < 1e6
