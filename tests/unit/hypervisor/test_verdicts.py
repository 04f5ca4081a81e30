"""Verdicts on what works on this computer."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client.hypervisor.verdicts import VERDICT_HOLDS, Verdict, Verdicts, host_identity


class SetClock:
    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def verdicts(tmp_path: Path, clock: SetClock) -> Verdicts:
    return Verdicts(tmp_path / "verdicts", clock)


def test_a_verdict_holds_for_a_week_and_for_its_host(verdicts: Verdicts, clock: SetClock, tmp_path: Path) -> None:
    assert verdicts.works("kvm", "here") is None
    verdicts.remember("kvm", "here", works=False, cause="no-sign-of-life")
    assert verdicts.works("kvm", "here") is False
    assert verdicts.works("kvm", "after an upgrade") is None
    clock.time += VERDICT_HOLDS - timedelta(seconds=1)
    seen = Verdicts(tmp_path / "verdicts", clock).verdict("kvm", "here")
    assert seen == Verdict(False, "2026-01-01T00:00:00+00:00", "here", "no-sign-of-life")
    clock.time += timedelta(seconds=1)
    assert verdicts.works("kvm", "here") is None


def test_how_long_it_holds_can_be_said(tmp_path: Path, clock: SetClock) -> None:
    verdicts = Verdicts(tmp_path / "verdicts", clock, holds=timedelta(hours=1))
    verdicts.remember("virtualbox", "here", works=False, cause="no-driver")
    clock.time += timedelta(hours=1)
    assert verdicts.verdict("virtualbox", "here") is None


def test_a_verdict_from_the_future_is_not_believed(verdicts: Verdicts, clock: SetClock) -> None:
    verdicts.remember("kvm", "here", works=False)
    clock.time -= timedelta(days=1)
    assert verdicts.works("kvm", "here") is None


def test_a_later_verdict_replaces_the_former(verdicts: Verdicts) -> None:
    verdicts.remember("kvm", "here", works=False, cause="x")
    verdicts.remember("kvm", "here", works=True)
    seen = verdicts.verdict("kvm", "here")
    assert seen is not None and (seen.works, seen.cause) == (True, "")


def test_testing_again(verdicts: Verdicts) -> None:
    for subject in ("kvm", "hvf", "virtualbox"):
        verdicts.remember(subject, "here", works=False)
    verdicts.forget("kvm", "never heard of")
    assert [verdicts.works(one, "here") for one in ("kvm", "hvf", "virtualbox")] == [None, False, False]
    verdicts.forget()
    assert [verdicts.works(one, "here") for one in ("hvf", "virtualbox")] == [None, None]


def test_a_folder_that_cannot_be_written_costs_only_the_memory(tmp_path: Path, clock: SetClock) -> None:
    verdicts = Verdicts(tmp_path / "not there" / "verdicts", clock)
    verdicts.remember("kvm", "here", works=False)
    assert verdicts.works("kvm", "here") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kvm": 1}', '{"kvm": {"works": false, "seen_at": "x", "host": ""}}'])
def test_a_broken_file_is_no_verdict(verdicts: Verdicts, tmp_path: Path, text: str) -> None:
    (tmp_path / "verdicts").write_text(text)
    assert verdicts.works("kvm", "here") is None
    verdicts.remember("kvm", "here", works=True)
    assert verdicts.works("kvm", "here") is True


def test_a_file_of_an_earlier_version_is_read(verdicts: Verdicts, tmp_path: Path) -> None:
    said = '{"kvm": {"works": false, "seen_at": "2026-01-01T00:00:00+00:00", "host": "here"}}'
    (tmp_path / "verdicts").write_text(said)
    assert verdicts.works("kvm", "here") is False


def test_the_host_is_program_version_and_system() -> None:
    assert host_identity("qemu", "7.2.22").startswith("qemu 7.2.22, ")
    assert host_identity("qemu", "7.2.22") != host_identity("qemu", "9.0.0")
