"""What every driver does, as its guest sees it: the link, pause, save, reset, the power button; three at once."""

import asyncio

import pytest

from client.snapshot import VmState
from tests.integration.hypervisor.guests import wait_state
from tests.integration.hypervisor.kit import Kit

pytestmark = pytest.mark.integration


async def test_the_link_over_pause_save_and_reset(kit: Kit) -> None:
    driver = kit.make()
    line, first = await kit.boot(driver, kit.speaking("one"))
    assert await line.ask("11") == (first, "11")
    await driver.saw_life("one")
    await driver.pause("one")
    assert await line.is_silent(0.5 * kit.slowness)
    await driver.resume("one")
    assert (await line.ask("12"))[0] == first
    replaced = await kit.line(driver)
    assert await replaced.ask("13") == (first, "13")
    await driver.save("one")
    await driver.start("one")
    restored = await kit.line(driver)
    assert await restored.ask("14") == (first, "14"), "the guest went on from where it was"
    await driver.reset("one")
    again = await kit.line(driver)
    second = await again.wait_boot()
    assert second != first
    assert await again.ask("15") == (second, "15")
    for one in (line, replaced, restored, again):
        await one.close()


async def test_what_was_saved_paused_goes_on(kit: Kit) -> None:
    driver = kit.make()
    line, first = await kit.boot(driver, kit.speaking("one"))
    await line.value("keep this")
    await driver.pause("one")
    await line.close()
    await driver.save("one")
    await driver.start("one")
    line = await kit.line(driver)
    assert await line.ask("kept") == (first, "this")
    await line.close()


async def test_discarding_a_saved_state_boots_afresh(kit: Kit) -> None:
    driver = kit.make()
    line, first = await kit.boot(driver, kit.speaking("one"))
    await line.close()
    await driver.save("one")
    await driver.discard_saved("one")
    assert (await driver.info("one")).state is VmState.DEFINED
    await driver.start("one")
    line = await kit.line(driver)
    assert await line.wait_boot() != first
    await line.close()


async def test_a_guest_goes_off_when_it_is_asked(kit: Kit) -> None:
    driver = kit.make()
    line, _ = await kit.boot(driver, kit.speaking("one"))
    await line.value("1")
    assert await driver.shut_down("one", 60 * kit.slowness) is kit.heeds_power_button
    assert (await driver.info("one")).state is VmState.DEFINED
    assert await driver.shut_down("one", 1) is True, "already so"
    await line.close()


async def test_one_that_does_not_listen_is_powered_off(kit: Kit) -> None:
    driver = kit.make()
    await driver.define(kit.bare("one"))
    await driver.start("one")
    assert await driver.shut_down("one", 0.5) is False
    assert (await driver.info("one")).state is VmState.DEFINED


async def test_three_at_once(kit: Kit) -> None:
    driver = kit.make()
    names = ("one", "three", "two")
    for name in names:
        await driver.define(kit.speaking(name))
    await asyncio.gather(*(driver.start(name) for name in names))
    lines = {name: await kit.line(driver, name) for name in names}
    heard = await asyncio.gather(*(lines[name].wait_boot(120 * kit.slowness) for name in names))
    boots = dict(zip(names, heard, strict=True))
    assert len(set(boots.values())) == 3
    for name in names:
        await driver.saw_life(name)
        await lines[name].value(f"keep {name}")
    await driver.pause("one")
    await driver.save("two")
    assert await lines["three"].ask("kept") == (boots["three"], "three")
    assert [(info.vm_id, info.state) for info in await driver.list_vms()] == [
        ("one", VmState.PAUSED),
        ("three", VmState.RUNNING),
        ("two", VmState.SAVED),
    ]
    await driver.reset("three")
    await driver.resume("one")
    await driver.start("two")
    await lines["two"].close()
    lines["two"] = await kit.line(driver, "two")
    assert await lines["one"].ask("kept") == (boots["one"], "one")
    assert await lines["two"].ask("kept") == (boots["two"], "two")
    await lines["three"].close()
    lines["three"] = await kit.line(driver, "three")
    assert await lines["three"].wait_boot() != boots["three"]
    await driver.destroy("two")
    assert (await lines["one"].ask("1"))[0] == boots["one"]
    for line in lines.values():
        await line.close()
    await wait_state(driver, "one", VmState.RUNNING, limit_s=60 * kit.slowness)
