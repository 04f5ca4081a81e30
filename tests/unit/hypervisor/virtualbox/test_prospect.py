"""Whether VirtualBox is said to be usable here, and how fast: signs first, proof before signs."""

import asyncio
from pathlib import Path

import pytest

from client.errors import ClientError
from client.hypervisor.virtualbox import health, problems
from client.hypervisor.virtualbox.driver import VirtualBoxDriver
from client.hypervisor.virtualbox.health import Signs
from tests.helpers.clock import FakeClock
from tests.unit.hypervisor.virtualbox.stand_in import StandIn

HOST = "Host Information:\n\nProcessor count: 2\nProcessor supports HW virtualization: yes\n"
ANSWERS = ({"stdout": "7.2.22r170484\n"}, {"stdout": ""}, {"stdout": ""}, {"stdout": HOST})


@pytest.fixture
def signs(monkeypatch: pytest.MonkeyPatch) -> list[Signs]:
    """The system's signs, the last one counts."""
    seen = [Signs("linux", has_driver=True, has_module=True, has_flags=True, kvm_holds=False)]
    monkeypatch.setattr(health, "read_signs", lambda: seen[-1])
    return seen


def driver(tmp_path: Path, clock: FakeClock | None = None, *, needs_driver: bool = True) -> VirtualBoxDriver:
    StandIn(tmp_path, *ANSWERS)
    (tmp_path / "vms").mkdir(exist_ok=True)
    (tmp_path / "calls").unlink(missing_ok=True)
    return VirtualBoxDriver(
        tmp_path / "vms", clock=clock or FakeClock(), search_path=str(tmp_path), needs_driver=needs_driver
    )


async def test_a_sound_installation(tmp_path: Path, signs: list[Signs]) -> None:
    report = await driver(tmp_path).probe()
    assert report.available and report.version == "7.2.22" and not report.problem and not report.reasons
    assert (report.accelerators, report.speed) == (("hardware",), 100)


async def test_not_installed(tmp_path: Path) -> None:
    report = await VirtualBoxDriver(tmp_path, search_path=str(tmp_path)).probe()
    assert (report.available, report.problem) == (False, "tool-missing")


async def test_without_the_kernel_module(tmp_path: Path, signs: list[Signs]) -> None:
    signs.append(Signs("linux", has_driver=False, has_module=False, has_flags=True))
    report = await driver(tmp_path).probe()
    assert (report.available, report.problem, report.speed) == (False, "kernel-module-missing", 0)
    assert isinstance(report.reasons[0], problems.KernelModuleMissing)
    report = await driver(tmp_path, needs_driver=False).probe()
    assert (report.available, report.accelerators, report.speed) == (True, ("interpreter",), 1)


async def test_what_a_guest_lived_under_counts_for_a_week(tmp_path: Path, signs: list[Signs]) -> None:
    clock = FakeClock()
    first = driver(tmp_path, clock)
    await first.probe()
    await first._prospect.works("native-api")
    signs.append(Signs("linux", has_driver=False, has_module=False, has_flags=True))
    report = await driver(tmp_path, clock).probe()
    assert (report.available, report.accelerators, report.speed) == (True, ("native-api",), 30)
    clock.advance(8 * 86400)
    assert not (await driver(tmp_path, clock).probe()).available


async def test_a_failure_counts_for_a_week_whatever_the_signs_say(tmp_path: Path, signs: list[Signs]) -> None:
    clock = FakeClock()
    first = driver(tmp_path, clock)
    await first._prospect.fails(problems.VirtualizationOff("off"))
    report = await driver(tmp_path, clock).probe()
    assert (report.available, report.problem) == (False, "virtualization-off")
    clock.advance(8 * 86400)
    assert (await driver(tmp_path, clock).probe()).available


async def test_two_who_look_at_once_get_the_same(tmp_path: Path, signs: list[Signs]) -> None:
    one = driver(tmp_path)
    first, second = await asyncio.gather(one._prospect.installation(), one._prospect.installation())
    assert first is second


@pytest.mark.parametrize("error", [problems.VirtualizationTaken("KVM", ""), problems.VirtualBoxBroken("EAGAIN")])
async def test_what_may_pass_counts_for_minutes(tmp_path: Path, signs: list[Signs], error: ClientError) -> None:
    clock = FakeClock()
    await driver(tmp_path, clock)._prospect.fails(error)
    assert (await driver(tmp_path, clock).probe()).problem == error.code
    clock.advance(601)
    assert (await driver(tmp_path, clock).probe()).available
