"""What can be changed while a VM runs, shown on every driver that can."""

import asyncio
from dataclasses import replace

import pytest

from client.hypervisor.driver import Driver, LiveControl
from client.hypervisor.errors import InvalidVmState, NoSuchVm, NotSupportedByDriver
from client.snapshot import VmState
from tests.integration.hypervisor.guests import Line
from tests.integration.hypervisor.kit import Kit

pytestmark = pytest.mark.integration

#: some seconds' worth of traffic; the first MiB may be free
RATE_BYTES_S, MIB = 4 * 2**20, 16


def live_of(driver: Driver) -> LiveControl:
    if driver.live is None:
        pytest.skip("this hypervisor changes nothing while a VM runs")
    return driver.live


async def carrier(line: Line, expected: str) -> str:
    """What the guest says of its cable; asked a few times, for it hears of a change a moment later."""
    for _ in range(50):
        if (said := await line.value("carrier")) == expected:
            break
    return said


async def test_the_cable_in_any_state(kit: Kit) -> None:
    driver = kit.make()
    live = live_of(driver)
    with pytest.raises(NoSuchVm):
        await live.set_network("nobody", False)
    await driver.define(kit.bare("one"))
    await live.set_network("one", False)
    await driver.start("one")
    for connected in (True, True, False, False):
        await live.set_network("one", connected)
    await driver.pause("one")
    await live.set_network("one", True)
    assert (await driver.info("one")).state is VmState.PAUSED
    await driver.save("one")
    await live.set_network("one", False)
    assert (await driver.info("one")).state is VmState.SAVED
    await driver.start("one")
    assert (await driver.info("one")).state in (VmState.STARTING, VmState.RUNNING)


async def test_the_guest_sees_the_cable(kit: Kit) -> None:
    if not kit.has_machine:
        pytest.skip("its guests have no network card")
    driver = kit.make()
    live = live_of(driver)
    line, me = await kit.boot(driver, replace(kit.speaking("one"), network=False))
    assert await carrier(line, "0") == "0", "as the spec begins"
    await live.set_network("one", True)
    assert await carrier(line, "1") == "1"
    await live.set_network("one", False)
    assert await carrier(line, "0") == "0"
    await line.close()
    await driver.save("one")
    await driver.start("one")
    line = await kit.line(driver)
    assert (await line.ask("1"))[0] == me
    assert await carrier(line, "0") == "0", "after a restore"
    await line.close()
    await driver.reset("one")
    line = await kit.line(driver)
    assert await line.wait_boot() != me
    assert await carrier(line, "0") == "0", "after a reset"
    await live.set_network("one", True)
    assert await carrier(line, "1") == "1"
    await line.close()
    await driver.save("one")
    await live.set_network("one", False)
    await driver.start("one")
    line = await kit.line(driver)
    assert await carrier(line, "0") == "0", "plugged out while its state was on disk"
    await line.close()


async def test_the_cable_over_a_new_start_and_a_new_driver(kit: Kit) -> None:
    if not kit.has_machine:
        pytest.skip("its guests have no network card")
    first = kit.make()
    line, _ = await kit.boot(first, kit.speaking("one"))
    assert await carrier(line, "1") == "1"
    await live_of(first).set_network("one", False)
    await line.close()
    await first.power_off("one")
    await first.close()
    second = kit.make()
    await second.start("one")
    line = await kit.line(second)
    await line.wait_boot()
    assert await carrier(line, "0") == "0"
    await line.close()


async def test_limits_are_taken_or_said_to_be_impossible(kit: Kit) -> None:
    driver = kit.make()
    live = live_of(driver)
    await driver.define(kit.bare("one"))
    await driver.start("one")
    deeds = (
        lambda: live.set_cpu_cap("one", 50),
        lambda: live.set_memory("one", 24),
        lambda: live.set_disk_rate("one", 1_000_000),
        lambda: live.set_disk_rate("one", 0),
    )
    for deed in deeds:
        try:
            await deed()
        except NotSupportedByDriver as error:
            assert error.driver and error.verb
    for deed in (lambda: live.set_cpu_cap("nobody", 50), lambda: live.set_memory("nobody", 24)):
        with pytest.raises((NoSuchVm, NotSupportedByDriver)):
            await deed()
    assert (await driver.info("one")).state in (VmState.STARTING, VmState.RUNNING)


async def limiting_disks(kit: Kit) -> tuple[Driver, LiveControl]:
    """A driver that can, with a VM that does not run."""
    if not kit.has_machine:
        pytest.skip("its guests have no disks")
    driver = kit.make()
    live = live_of(driver)
    await driver.define(kit.speaking("one"))
    try:
        await live.set_disk_rate("one", RATE_BYTES_S)
    except NotSupportedByDriver:
        pytest.skip("this hypervisor limits no disks")
    except InvalidVmState as error:
        assert error.vm_id == "one"
    return driver, live


async def test_disks_are_as_fast_as_they_may_be(kit: Kit) -> None:
    driver, live = await limiting_disks(kit)
    line, _ = await kit.boot(driver, kit.speaking("one"))
    await live.set_disk_rate("one", RATE_BYTES_S)
    for _ in range(2):
        # The same again changes nothing.
        await live.set_disk_rate("one", RATE_BYTES_S)
        for words in (f"filled {MIB}", "read"):
            taken_s = float(await line.value(words))
            assert taken_s == pytest.approx(MIB * 2**20 / RATE_BYTES_S, rel=0.2), words
        # As after a restart of the client.
        await line.close()
        await driver.close()
        driver = kit.make()
        live = live_of(driver)
        line = await kit.line(driver)
    await live.set_disk_rate("one", 0)
    assert float(await line.value("read")) < MIB * 2**20 / RATE_BYTES_S / 2
    await line.close()


async def test_a_held_or_saved_guest_does_not_wait_for_its_limit(kit: Kit) -> None:
    driver, live = await limiting_disks(kit)
    line, me = await kit.boot(driver, kit.speaking("one"))
    await line.value(f"filled {MIB}")
    await live.set_disk_rate("one", 1024)
    with pytest.raises(TimeoutError):
        await line.value("read", 1)
    async with asyncio.timeout(60 * kit.slowness):
        await driver.pause("one")
        await line.close()
        await driver.save("one")
        await driver.start("one")
        line = await kit.line(driver)
        await live.set_disk_rate("one", 0)
        assert (await line.ask("1"))[0] == me
    await line.close()
