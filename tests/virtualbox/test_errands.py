"""Commands, files and messages under VirtualBox, and the power button: with the real agent in the real appliance."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.hypervisor.conftest import need_appliance
from tests.integration.hypervisor.kit import Kit
from tests.integration.hypervisor.test_contract_agent import *  # noqa: F403
from tests.integration.hypervisor.test_guest_commands import *  # noqa: F403
from tests.virtualbox.conftest import in_a_thread
from tests.virtualbox.lane import Lane
from tests.virtualbox.ready import Ready, make_ready

pytestmark = [pytest.mark.integration, pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def ready(lane: Lane, session_folder: Path) -> Iterator[Ready]:
    need_appliance()
    folder = session_folder / "appliance" / "vms"
    folder.mkdir(parents=True)
    ready = in_a_thread(make_ready(folder))
    print(f"\nvirtualbox: the appliance ended its first command after {ready.ready_s:.0f} s")
    yield ready
    in_a_thread(ready.destroy())
    lane.assert_nothing_left(folder)


@pytest.fixture
async def kit(ready: Ready) -> AsyncIterator[Kit]:
    """Instead of the tiny guest's."""
    await ready.go_back()
    yield ready.kit()
    driver = ready.make()
    await driver.power_off("one")
    await driver.close()
