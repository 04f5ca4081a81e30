"""The real agent in a guest that is asked to go off, on every driver."""

import asyncio
from pathlib import Path

import pytest

from client.snapshot import VmState
from tests.integration.hypervisor.errand_guest import booted
from tests.integration.hypervisor.kit import Kit

pytestmark = pytest.mark.integration


async def test_the_agent_heeds_the_power_button(kit: Kit, tmp_path: Path) -> None:
    if not (kit.has_machine and kit.heeds_power_button):
        pytest.skip("its guests have no power button")
    async with booted(kit, tmp_path) as (driver, client):
        assert await client.out("/usr/bin/id", "-u", root=True) == "0"
        asked = asyncio.get_running_loop().time()
        assert await driver.shut_down("one", 30 * kit.slowness) is True
        assert asyncio.get_running_loop().time() - asked < 30 * kit.slowness
        assert (await driver.info("one")).state is VmState.DEFINED
