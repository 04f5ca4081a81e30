"""Choosing a driver."""

from dataclasses import replace
from pathlib import Path

import pytest

from client import filenames
from client.clock import SystemClock
from client.errors import BadInput, ClientError, ToolMissing
from client.hypervisor import registry
from client.hypervisor.driver import DriverReport, Medium, MediumRole, VmInfo, VmSpec
from client.hypervisor.errors import ChosenUnavailable, HypervisorUnproven, NoHypervisor, NoSuchVm, NotSupportedByDriver
from client.hypervisor.fake import FakeDriver
from client.hypervisor.registry import (
    FACTORIES,
    Factory,
    choose,
    forget,
    has_faster,
    left_with_others,
    make,
    put_away_others,
)
from client.hypervisor.verdicts import Verdicts
from client.messages import sentence
from client.snapshot import VmState


class RankedDriver(FakeDriver):
    def __init__(self, name: str, speed: int, reasons: tuple[ClientError, ...] = ()) -> None:
        super().__init__(Path("nowhere"))
        self.reasons = reasons
        self.name = name
        self.speed = speed
        self.is_proven = True
        self.closed = False

    async def probe(self) -> DriverReport:
        return DriverReport(
            self.name,
            self.speed > 0,
            speed=self.speed,
            is_proven=self.is_proven,
            problem="" if self.speed else "broken",
            reasons=self.reasons,
        )

    async def close(self) -> None:
        self.closed = True


def ranked(**speeds: int) -> tuple[dict[str, RankedDriver], dict]:  # type: ignore[type-arg]
    drivers = {name: RankedDriver(name, speed) for name, speed in speeds.items()}
    return drivers, {name: (lambda folder, relay, name=name: drivers[name]) for name in drivers}


@pytest.mark.parametrize("preferred", [None, "", "auto"])
async def test_the_fastest_that_works_and_the_others_are_closed(preferred: str | None, tmp_path: Path) -> None:
    drivers, factories = ranked(slow=6, fast=100, broken=0)
    driver, report = await choose(preferred, tmp_path, (), factories)
    assert driver is drivers["fast"] and report.speed == 100
    assert [name for name, one in drivers.items() if one.closed] == ["slow", "broken"]


async def test_a_choice_is_kept_even_if_it_is_slower_or_broken(tmp_path: Path) -> None:
    _, factories = ranked(slow=6, fast=100, broken=0)
    assert (await choose("slow", tmp_path, (), factories))[0].name == "slow"
    with pytest.raises(ChosenUnavailable) as caught:
        await choose("broken", tmp_path, (), factories)
    assert "broken is to be used, and it does not work here" in sentence(caught.value).text


async def test_none_works(tmp_path: Path) -> None:
    _, factories = ranked(one=0, two=0)
    with pytest.raises(NoHypervisor) as caught:
        await choose(None, tmp_path, (), factories)
    assert caught.value.looked_for == ("one", "two")


async def test_each_drivers_reason_is_said(tmp_path: Path) -> None:
    drivers, factories = ranked(one=0, two=0, fast=0)
    drivers["one"].reasons = (ToolMissing("VBoxManage", "virtualbox"), NoSuchVm("never shown"))
    drivers["fast"].reasons = (NotSupportedByDriver("Fast", "run"),)
    with pytest.raises(NoHypervisor) as caught:
        await choose(None, tmp_path, (), factories)
    missing, unproven, unsupported = caught.value.reasons
    assert isinstance(missing, ToolMissing) and isinstance(unsupported, NotSupportedByDriver)
    assert isinstance(unproven, HypervisorUnproven) and (unproven.driver, unproven.cause) == ("two", "broken")
    said = sentence(caught.value).text
    assert "VBoxManage is not installed. two is installed, but" in said
    assert said.endswith("Fast cannot run a virtual machine.")
    assert sentence(NoHypervisor(("one",))).text.endswith("(looked for: one).")


async def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        await choose("vmware", tmp_path)
    with pytest.raises(BadInput):
        make("vmware", tmp_path, ())


def test_every_factory_makes_a_driver_of_its_name(tmp_path: Path) -> None:
    assert {name: make(name, tmp_path / "vms", ("relay",)).name for name in FACTORIES} == {n: n for n in FACTORIES}
    assert not (tmp_path / "vms").exists(), "making a driver does nothing yet"


async def test_the_fake_is_never_chosen_by_itself(tmp_path: Path) -> None:
    _, factories = ranked(fake=1000)
    with pytest.raises(NoHypervisor):
        await choose(None, tmp_path, (), factories)


async def test_what_was_left_with_another_driver_is_removed(tmp_path: Path) -> None:
    template = tmp_path / "template.raw"
    template.write_bytes(bytes(4096))
    spec = VmSpec("work-1", "Work", 1, 32, (Medium(MediumRole.SCRATCH, template),))
    old, new = FakeDriver(tmp_path / "old"), FakeDriver(tmp_path / "new")
    for driver in (old, new):
        await driver.define(spec)
    factories: dict[str, Factory] = {"old": lambda folder, relay: old, "new": lambda folder, relay: new}
    await put_away_others("new", tmp_path, (), factories)
    assert await old.list_vms() == ()
    assert [vm.vm_id for vm in await new.list_vms()] == ["work-1"]


@pytest.mark.parametrize(
    ("preferred", "works", "state"),
    [
        ("auto", False, VmState.SAVED),
        (None, False, VmState.DEFINED),
        ("auto", True, VmState.ABSENT),
        ("new", False, VmState.ABSENT),
    ],
)
async def test_a_saved_vm_outlives_a_failure_that_may_pass(
    tmp_path: Path, preferred: str | None, works: bool, state: VmState
) -> None:
    class Old(FakeDriver):
        async def probe(self) -> DriverReport:
            return replace(await super().probe(), available=works)

    template = tmp_path / "template.raw"
    template.write_bytes(bytes(4096))
    old = Old(tmp_path / "old")
    await old.define(VmSpec("work-1", "Work", 1, 32, (Medium(MediumRole.SCRATCH, template),)))
    await old.start("work-1")
    if state is not VmState.DEFINED:
        await old.save("work-1")
    factories: dict[str, Factory] = {"old": lambda folder, relay: old}
    await put_away_others("new", tmp_path, (), factories, preferred=preferred)
    assert (await old.info("work-1")).state is state


async def test_what_cannot_be_removed_now_stops_nothing(tmp_path: Path) -> None:
    class Stubborn(FakeDriver):
        async def list_vms(self) -> tuple[VmInfo, ...]:
            raise ToolMissing("VBoxManage", "virtualbox")

    factories: dict[str, Factory] = {"old": lambda folder, relay: Stubborn(folder)}
    await put_away_others("new", tmp_path, (), factories)


def test_everything_is_tried_anew_when_asked(tmp_path: Path) -> None:
    places = (tmp_path, tmp_path / "_virtualbox")
    for place in places:
        place.mkdir(exist_ok=True)
        Verdicts(place / filenames.ACCELERATORS, SystemClock()).remember("it", "here", works=False)
    registry.test_again(tmp_path)
    assert [Verdicts(p / filenames.ACCELERATORS, SystemClock()).works("it", "here") for p in places] == [None, None]
    registry.test_again(tmp_path / "not there")


async def test_a_faster_one_is_noticed_unless_the_slow_one_was_asked_for(tmp_path: Path) -> None:
    drivers, factories = ranked(slow=6, fast=100, fake=1000, broken=0)
    slow, fast = await drivers["slow"].probe(), await drivers["fast"].probe()
    assert await has_faster(slow, "auto", tmp_path, (), factories)
    assert not await has_faster(slow, "slow", tmp_path, (), factories)
    assert not await has_faster(fast, None, tmp_path, (), factories)


async def test_of_two_as_fast_the_proven_one_is_taken(tmp_path: Path) -> None:
    drivers, factories = ranked(hoped=100, seen=100)
    drivers["hoped"].is_proven = False
    assert (await choose(None, tmp_path, (), factories))[0] is drivers["seen"]


async def test_all_of_one_driver_is_removed_when_asked(tmp_path: Path) -> None:
    template = tmp_path / "template.raw"
    template.write_bytes(bytes(4096))
    driver = FakeDriver(tmp_path / "vms")
    for vm_id in ("one", "two"):
        await driver.define(VmSpec(vm_id, "Work", 1, 32, (Medium(MediumRole.SCRATCH, template),)))
    factories: dict[str, Factory] = {"old": lambda folder, relay: driver}
    assert await forget("old", tmp_path, (), factories) == ("one", "two")
    assert await driver.list_vms() == () == await forget("old", tmp_path, (), factories)
    with pytest.raises(BadInput):
        await forget("vmware", tmp_path)


def test_what_is_left_with_drivers_that_are_not_used(tmp_path: Path) -> None:
    assert left_with_others((), tmp_path / "none") == {}
    for place in (tmp_path / "work-1", tmp_path / "_virtualbox/work-1/deep", tmp_path / "_virtualbox/_bases"):
        place.mkdir(parents=True)
        (place / "file").write_bytes(b"x" * 5000)
    shared = tmp_path / "shared.iso"
    shared.write_bytes(b"x" * 100_000)
    (tmp_path / "work-1/software.iso").hardlink_to(shared)
    left = left_with_others((), tmp_path)
    assert sorted(left) == ["qemu", "virtualbox"]
    assert all(5000 <= size < 50_000 for size in left.values())
    assert list(left_with_others({"qemu"}, tmp_path)) == ["virtualbox"]
    # They share a folder.
    assert list(left_with_others({"fake"}, tmp_path)) == ["virtualbox"]
    assert list(left_with_others({"virtualbox"}, tmp_path)) == ["qemu"]
