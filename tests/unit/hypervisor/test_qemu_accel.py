"""Verdicts on accelerators and the watch for a sign of life."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client.hypervisor.qemu.accel import VERDICT_HOLDS, LifeWatch, Verdicts, present


class SetClock:
    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


def test_a_failed_accelerator_is_left_out_for_a_week(tmp_path: Path) -> None:
    clock = SetClock()
    verdicts = Verdicts(tmp_path / "verdicts", clock)
    assert verdicts.usable(("kvm", "tcg"), "here") == ("kvm", "tcg")
    verdicts.remember("kvm", "here", works=False)
    assert verdicts.usable(("kvm", "tcg"), "here") == ("tcg",)
    assert verdicts.usable(("kvm", "tcg"), "after an upgrade") == ("kvm", "tcg")
    clock.time += VERDICT_HOLDS - timedelta(seconds=1)
    assert Verdicts(tmp_path / "verdicts", clock).works("kvm", "here") is False
    clock.time += timedelta(seconds=1)
    assert verdicts.works("kvm", "here") is None


def test_a_verdict_from_the_future_is_not_believed(tmp_path: Path) -> None:
    clock = SetClock()
    verdicts = Verdicts(tmp_path / "verdicts", clock)
    verdicts.remember("kvm", "here", works=False)
    clock.time -= timedelta(days=1)
    assert verdicts.works("kvm", "here") is None


def test_a_later_verdict_replaces_the_former(tmp_path: Path) -> None:
    verdicts = Verdicts(tmp_path / "verdicts", SetClock())
    verdicts.remember("kvm", "here", works=False)
    verdicts.remember("kvm", "here", works=True)
    assert verdicts.works("kvm", "here") is True


def test_tcg_is_never_left_out(tmp_path: Path) -> None:
    verdicts = Verdicts(tmp_path / "verdicts", SetClock())
    verdicts.remember("tcg", "here", works=False)
    assert verdicts.usable(("tcg",), "here") == ("tcg",)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kvm": 1}', '{"kvm": {"works": false, "seen_at": "x", "host": ""}}'])
def test_a_broken_file_is_no_verdict(tmp_path: Path, text: str) -> None:
    (tmp_path / "verdicts").write_text(text)
    assert Verdicts(tmp_path / "verdicts", SetClock()).works("kvm", "here") is None


def test_only_running_time_counts_as_silence() -> None:
    watch = LifeWatch(2.0)
    assert not watch.tick(1.0, runs=True)
    assert not watch.tick(100.0, runs=False)
    assert watch.tick(1.0, runs=True)


@pytest.mark.parametrize("system", ["linux", "darwin", "win32", "freebsd"])
def test_tcg_is_always_there_and_last(system: str) -> None:
    assert present(system)[-1] == "tcg"
    assert len(present(system)) <= 2
