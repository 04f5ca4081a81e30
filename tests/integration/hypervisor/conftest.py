"""Drivers for the contract test: the fake one and the real ones that this computer has."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from client.hypervisor.driver import Driver, Medium, MediumRole, VmSpec
from client.hypervisor.fake import FakeDriver
from tests.integration.hypervisor.guests import APPLIANCE, appliance_spec, build_context, play_fake
from tests.integration.hypervisor.guests import tcg_driver as qemu_driver
from tests.integration.hypervisor.kit import EXCHANGE_MIB, Kit
from tests.integration.hypervisor.ready import Ready


def bare_spec(vm_id: str, template: Path) -> VmSpec:
    return VmSpec(vm_id, "Bare", cpus=1, memory_mib=32, media=(Medium(MediumRole.SCRATCH, template),))


@pytest.fixture(params=["fake", "qemu"])
async def kit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kit]:
    folder = tmp_path / "vms"
    template = tmp_path / "template.raw"
    template.write_bytes(bytes(1 << 20))
    made: list[Driver] = []

    def make() -> Driver:
        if request.param == "fake":
            made.append(FakeDriver(folder, play_fake))
        else:
            made.append(qemu_driver(folder))
        return made[-1]

    def bare(vm_id: str) -> VmSpec:
        return bare_spec(vm_id, template)

    def speaking(vm_id: str) -> VmSpec:
        if request.param == "fake":
            return bare(vm_id)
        need_appliance()
        return appliance_spec(vm_id, build_context(tmp_path / f"{vm_id}.iso"))

    def exchanging(vm_id: str) -> VmSpec:
        return replace(speaking(vm_id), exchange_mib=EXCHANGE_MIB)

    if request.param == "qemu":
        need_qemu()
    is_real = request.param != "fake"
    kit = Kit(request.param, folder, make, bare, speaking, exchanging, has_machine=is_real, heeds_power_button=is_real)
    yield kit
    await kit.hang_up()
    for driver in made:
        await driver.close()
    last = make()
    for info in await last.list_vms():
        await last.destroy(info.vm_id)
    await last.close()


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    """The appliance as it is after its agent's first command, for all tests that begin there."""
    need_qemu()
    need_appliance()
    ready = Ready(tmp_path_factory.mktemp("ready") / "vms")
    asyncio.run(ready.boot())
    yield ready
    asyncio.run(ready.destroy())


def need_qemu() -> None:
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("QEMU is not installed")


def need_appliance() -> None:
    if not (APPLIANCE / "manifest.json").exists():
        pytest.skip("the appliance is not built: make appliance")
