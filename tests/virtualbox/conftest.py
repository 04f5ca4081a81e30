"""The kit of the real VirtualBox for the contract test, and what its own tests share."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from client.hypervisor.driver import Driver, VmSpec
from client.hypervisor.virtualbox.driver import VirtualBoxDriver
from tests.integration.hypervisor.conftest import bare_spec
from tests.integration.hypervisor.kit import Kit
from tests.virtualbox.golden import BootedDriver, Golden, boot_once, context_medium, guest_spec
from tests.virtualbox.guest.build import build
from tests.virtualbox.lane import Lane

T = TypeVar("T")
TOP = Path(__file__).resolve().parents[2]
#: A test may boot a guest three times.
TEST_LIMIT_S = 900


#: What boots a guest for real and shows little that a test of the lane does not show too.
SOAK = {
    "test_discarding_a_saved_state_boots_afresh",
    "test_the_cable_over_a_new_start_and_a_new_driver",
    "test_files_reach_the_guest_and_come_back",
}


# First, so that the selection by marks sees them.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_LIMIT_S))
        if item.name in SOAK:
            item.add_marker(pytest.mark.soak)


@dataclass(frozen=True)
class Booted:
    """What the session made once."""

    guest: Path
    template: Path
    golden: Golden
    shape: VmSpec


@pytest.fixture(scope="session")
def session_folder() -> Iterator[Path]:
    """Short, for sockets lie in it."""
    folder = Path(tempfile.mkdtemp(prefix="vc-lane-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def lane(session_folder: Path) -> Iterator[Lane]:
    if "VIRTUALBOX_LANE" not in os.environ:
        pytest.skip("the real VirtualBox is not set up for this run: make test-virtualbox")
    lane = Lane(session_folder / "home")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in lane.environment.items():
            patch.setenv(name, value)
        yield lane
        lane.end()


@pytest.fixture(scope="session")
def booted(lane: Lane, session_folder: Path) -> Booted:
    guest = build(TOP / "build/virtualbox/guest.iso")
    template = session_folder / "template.raw"
    template.write_bytes(b"SCRATCH".ljust(1 << 20, b"\0"))
    spec = guest_spec("golden", guest, template, context_medium(session_folder / "golden.iso", "gold"))
    golden = in_a_thread(boot_once(session_folder, spec))
    print(f"\nvirtualbox: the tiny guest booted in {golden.boot_s:.0f} s")
    return Booted(guest, template, golden, spec)


def in_a_thread(deed: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of the session's, whose loop must not be in the way of the tests' own."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, deed).result()


@pytest.fixture
async def kit(lane: Lane, booted: Booted, tmp_path: Path) -> AsyncIterator[Kit]:
    folder = tmp_path / "vms"
    template = tmp_path / "template.raw"
    template.write_bytes(bytes(1 << 20))
    made: list[Driver] = []

    def make() -> Driver:
        made.append(BootedDriver(folder, lane, booted.golden, booted.shape))
        return made[-1]

    def bare(vm_id: str) -> VmSpec:
        return bare_spec(vm_id, template)

    def speaking(vm_id: str) -> VmSpec:
        context = context_medium(tmp_path / f"{vm_id}.iso", vm_id)
        return guest_spec(vm_id, booted.guest, booted.template, context)

    kit = Kit("virtualbox", folder, make, bare, speaking, speaking, slowness=booted.golden.slowness)
    yield kit
    await kit.hang_up()
    for driver in made:
        await driver.close()
    last = VirtualBoxDriver(folder)
    for info in await last.list_vms():
        await last.destroy(info.vm_id)
    await last.close()
    lane.assert_nothing_left(folder)
