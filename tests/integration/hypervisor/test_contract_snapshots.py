"""Snapshots, shown on every driver that has them."""

import pytest

from client.errors import BadInput
from client.hypervisor.driver import Driver, Snapshots
from client.hypervisor.errors import InvalidVmState, NoSuchSnapshot, NoSuchVm
from client.snapshot import VmState
from tests.integration.hypervisor.kit import Kit

pytestmark = pytest.mark.integration
ON = (VmState.STARTING, VmState.RUNNING)


def snapshots_of(driver: Driver) -> Snapshots:
    if driver.snapshots is None:
        pytest.skip("this hypervisor has no snapshots")
    return driver.snapshots


async def state(driver: Driver) -> VmState:
    return (await driver.info("one")).state


async def test_points_of_a_vm_that_does_not_run(kit: Kit) -> None:
    driver = kit.make()
    points = snapshots_of(driver)
    await driver.define(kit.bare("one"))
    assert await points.names("one") == ()
    for name in ("second", "a-1", "second"):
        await points.take("one", name)
    assert await points.names("one") == ("a-1", "second"), "the oldest first; one of the same name is replaced"
    assert await state(driver) is VmState.DEFINED
    await points.restore("one", "a-1")
    await points.restore("one", "second")
    assert await state(driver) is VmState.DEFINED
    await driver.start("one")
    assert await state(driver) in ON
    await driver.power_off("one")
    for _ in range(2):
        await points.delete("one", "a-1")
    assert await points.names("one") == ("second",)


async def test_points_keep_the_state(kit: Kit) -> None:
    driver = kit.make()
    points = snapshots_of(driver)
    await driver.define(kit.bare("one"))
    await points.take("one", "off")
    await driver.start("one")
    await points.take("one", "on")
    assert await state(driver) in ON, "it goes on"
    await driver.pause("one")
    for name in ("held", "held-again"):
        await points.take("one", name)
        assert await state(driver) is VmState.PAUSED
    await driver.resume("one")
    assert await state(driver) in ON
    await driver.save("one")
    await points.take("one", "saved")
    assert await state(driver) is VmState.SAVED
    await points.restore("one", "off")
    assert await state(driver) is VmState.DEFINED
    for name in ("on", "held", "held-again", "saved", "on"):
        await points.restore("one", name)
        assert await state(driver) is VmState.SAVED
        await driver.start("one")
        assert await state(driver) in ON
        await driver.power_off("one")
        assert await state(driver) is VmState.DEFINED
    assert await points.names("one") == ("off", "on", "held", "held-again", "saved")


async def test_a_held_vm_can_be_saved_after_a_snapshot(kit: Kit) -> None:
    driver = kit.make()
    points = snapshots_of(driver)
    await driver.define(kit.bare("one"))
    await driver.start("one")
    await driver.pause("one")
    await points.take("one", "held")
    with pytest.raises(InvalidVmState):
        await driver.start("one")
    await driver.save("one")
    assert await state(driver) is VmState.SAVED
    await driver.start("one")
    assert await state(driver) in ON


async def test_what_is_refused(kit: Kit) -> None:
    driver = kit.make()
    points = snapshots_of(driver)
    await driver.define(kit.bare("one"))
    for name in ("", "Upper", "../one", "a b", "-a", ".part", "a/b"):
        for verb in (points.take, points.restore, points.delete):
            with pytest.raises(BadInput):
                await verb("one", name)
    for call in (points.take, points.restore, points.delete):
        with pytest.raises(NoSuchVm):
            await call("nobody", "name")
    with pytest.raises(NoSuchVm):
        await points.names("nobody")
    with pytest.raises(NoSuchSnapshot) as caught:
        await points.restore("one", "name")
    assert (caught.value.vm_id, caught.value.name) == ("one", "name")
    await points.take("one", "name")
    await driver.start("one")
    with pytest.raises(InvalidVmState):
        await points.restore("one", "name")
    assert await state(driver) in ON


async def test_another_driver_knows_the_points_and_destroy_removes_them(kit: Kit) -> None:
    first = kit.make()
    await first.define(kit.bare("one"))
    await first.start("one")
    await snapshots_of(first).take("one", "kept")
    await first.save("one")
    await first.close()
    second = kit.make()
    points = snapshots_of(second)
    assert await points.names("one") == ("kept",)
    await points.restore("one", "kept")
    assert await state(second) is VmState.SAVED
    await second.destroy("one")
    assert not (kit.folder / "one").exists()
    await second.define(kit.bare("one"))
    assert await points.names("one") == ()


async def test_memory_and_disk_come_back_together(kit: Kit) -> None:
    if not kit.has_machine:
        pytest.skip("its guests have neither")
    driver = kit.make()
    points = snapshots_of(driver)
    line, me = await kit.boot(driver, kit.speaking("one"))
    await line.value("keep before")
    await line.value("store before")
    await points.take("one", "here")
    assert await line.ask("kept") == (me, "before"), "its link stays, and it goes on"
    await line.value("keep after")
    await line.value("store after")
    await line.close()
    await driver.power_off("one")
    for _ in range(2):
        await points.restore("one", "here")
        await driver.start("one")
        line = await kit.line(driver)
        assert await line.ask("kept") == (me, "before")
        assert await line.ask("stored") == (me, "before")
        await line.value("keep later")
        await line.value("store later")
        await line.close()
        await driver.power_off("one")


async def test_a_point_with_memory_gets_the_cable_as_it_is_now(kit: Kit) -> None:
    driver = kit.make()
    if not kit.has_machine or driver.live is None:
        pytest.skip("its guests have no network card whose cable can be pulled")
    points = snapshots_of(driver)
    line, me = await kit.boot(driver, kit.speaking("one"))
    await points.take("one", "plugged")
    await line.close()
    await driver.power_off("one")
    await driver.live.set_network("one", False)
    await points.restore("one", "plugged")
    await driver.start("one")
    line = await kit.line(driver)
    for _ in range(50):
        who, plugged = await line.ask("carrier")
        if plugged == "0":
            break
    assert (who, plugged) == (me, "0"), "the guest goes on, without what it may no longer reach"
    await line.close()
