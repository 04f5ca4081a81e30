"""The real agent in a guest that is asked to go off, on every driver."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from client.snapshot import VmState
from tests.integration.hypervisor.errand_guest import booted
from tests.integration.hypervisor.kit import Kit
from tests.integration.hypervisor.ready import Ready

pytestmark = pytest.mark.integration


@pytest.fixture
async def kit(ready: Ready) -> AsyncIterator[Kit]:
    """Booted once, and gone back to."""
    await ready.go_back()
    yield ready.kit()
    await ready.end()


async def test_the_agent_heeds_the_power_button(kit: Kit, tmp_path: Path) -> None:
    async with booted(kit, tmp_path) as (driver, client):
        assert await client.out("/usr/bin/id", "-u", root=True) == "0"
        asked = asyncio.get_running_loop().time()
        assert await driver.shut_down("one", 60 * kit.slowness) is True
        assert asyncio.get_running_loop().time() - asked < 60 * kit.slowness
        assert (await driver.info("one")).state is VmState.DEFINED
