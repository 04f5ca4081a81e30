"""Which accelerators are tried, and the watch for a sign of life."""

from pathlib import Path

import pytest

from client.clock import SystemClock
from client.hypervisor.qemu.accel import SPEED, LifeWatch, present, slowness, usable
from client.hypervisor.verdicts import Verdicts
from client.messages import sentence


def test_a_failed_accelerator_is_left_out(tmp_path: Path) -> None:
    verdicts = Verdicts(tmp_path / "verdicts", SystemClock())
    assert usable(verdicts, ("kvm", "tcg"), "here") == ("kvm", "tcg")
    verdicts.remember("kvm", "here", works=False)
    assert usable(verdicts, ("kvm", "tcg"), "here") == ("tcg",)
    assert usable(verdicts, ("kvm", "tcg"), "after an upgrade") == ("kvm", "tcg")
    verdicts.forget("kvm")
    assert usable(verdicts, ("kvm", "tcg"), "here") == ("kvm", "tcg")


def test_tcg_is_never_left_out(tmp_path: Path) -> None:
    verdicts = Verdicts(tmp_path / "verdicts", SystemClock())
    verdicts.remember("tcg", "here", works=False)
    assert usable(verdicts, ("tcg",), "here") == ("tcg",)


def test_speeds_are_percent_of_the_computers_own() -> None:
    assert SPEED == {"kvm": 100, "hvf": 100, "whpx": 80, "tcg": 6}


def test_only_running_time_counts_as_silence() -> None:
    watch = LifeWatch(2.0)
    assert not watch.tick(1.0, runs=True)
    assert not watch.tick(100.0, runs=False)
    assert watch.tick(1.0, runs=True)


@pytest.mark.parametrize("system", ["linux", "darwin", "win32", "freebsd"])
def test_tcg_is_always_there_and_last(system: str) -> None:
    assert present(system)[-1] == "tcg"
    assert len(present(system)) <= 2


def test_the_volunteer_is_told_when_guests_run_slowly(tmp_path: Path) -> None:
    verdicts = Verdicts(tmp_path / "verdicts", SystemClock())
    assert slowness(verdicts, ("kvm", "tcg"), "here") is None
    verdicts.remember("kvm", "here", works=False)
    failed, absent = slowness(verdicts, ("kvm", "tcg"), "here"), slowness(verdicts, ("tcg",), "here")
    assert failed is not None and absent is not None
    assert "about 17 times slower" in sentence(failed).text
    assert "install VirtualBox" in sentence(failed).doing and "kvm" in sentence(failed).doing
    assert failed.remedy != absent.remedy
