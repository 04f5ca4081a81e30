"""A guest that resets itself after it went on from a saved state, which VirtualBox's BIOS alone would not survive."""

import asyncio
import contextlib

import pytest

from client.hypervisor.virtualbox.folder import VmFolder
from client.snapshot import VmState
from tests.integration.hypervisor.kit import Kit

pytestmark = [pytest.mark.integration, pytest.mark.soak]

#: What the core grants a silent guest at least before it is reset.
SILENCE_S = 15.0


async def test_a_restored_guest_that_resets_itself_boots_again(kit: Kit) -> None:
    driver = kit.make()
    line, first = await kit.boot(driver, kit.speaking("one"))
    folder = VmFolder(kit.folder / "one")
    assert folder.record().restored
    before = (await driver.info("one")).pids
    with contextlib.suppress(TimeoutError, AssertionError):
        await line.value("reboot", 1)
    async with asyncio.timeout(SILENCE_S):
        while (info := await driver.info("one")).pids in ((), before) or info.state is not VmState.RUNNING:
            await asyncio.sleep(0.2)
    assert info.guest_resets == 0 and not VmFolder(folder.path).record().restored
    again = await kit.line(driver)
    assert await again.wait_boot() != first
