"""What every hypervisor driver does, shown on each; more of it, by topic, in the other files of this name."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from client.errors import BadInput
from client.hypervisor.driver import Driver, Medium, MediumRole, Route, Traffic
from client.hypervisor.errors import InvalidVmState, LinkUnavailable, MediumMissing, NoSuchVm
from client.snapshot import VmState
from tests.integration.hypervisor.kit import Kit

pytestmark = pytest.mark.integration
ON = (VmState.STARTING, VmState.RUNNING)


async def state(driver: Driver, vm_id: str = "one") -> VmState:
    return (await driver.info(vm_id)).state


async def test_probe_says_what_there_is(kit: Kit) -> None:
    driver = kit.make()
    report = await driver.probe()
    assert report.available and report.name == kit.name == driver.name
    assert report.speed > 0 and report.version and not report.problem
    again = await driver.probe()
    assert replace(again, reasons=()) == replace(report, reasons=())
    assert [type(one) for one in again.reasons] == [type(one) for one in report.reasons]


async def test_a_whole_life(kit: Kit) -> None:
    driver = kit.make()
    assert await state(driver) is VmState.ABSENT
    await driver.define(kit.bare("one"))
    assert await state(driver) is VmState.DEFINED
    await driver.start("one")
    assert await state(driver) in ON
    await driver.pause("one")
    assert await state(driver) is VmState.PAUSED
    await driver.resume("one")
    assert await state(driver) in ON
    await driver.reset("one")
    assert await state(driver) in ON
    await driver.save("one")
    assert await state(driver) is VmState.SAVED
    await driver.start("one")
    assert await state(driver) in ON
    await driver.power_off("one")
    assert await state(driver) is VmState.DEFINED
    await driver.destroy("one")
    assert await state(driver) is VmState.ABSENT
    assert not (kit.folder / "one").exists()


async def test_every_verb_twice_is_no_error(kit: Kit) -> None:
    driver = kit.make()
    for verb in ("define", "start", "pause", "resume", "reset", "save", "discard_saved", "power_off", "destroy"):
        for _ in range(2):
            await (driver.define(kit.bare("one")) if verb == "define" else getattr(driver, verb)("one"))
    assert await driver.list_vms() == ()


async def test_verbs_that_make_no_sense_now_are_refused(kit: Kit) -> None:
    driver = kit.make()
    await driver.define(kit.bare("one"))
    for verb in ("pause", "resume", "reset", "save"):
        with pytest.raises(InvalidVmState):
            await getattr(driver, verb)("one")
    with pytest.raises(LinkUnavailable):
        await driver.open_link("one")
    await driver.start("one")
    await driver.pause("one")
    with pytest.raises(InvalidVmState):
        await driver.start("one")
    with pytest.raises(InvalidVmState):
        await driver.define(replace(kit.bare("one"), memory_mib=48))
    await driver.discard_saved("one")
    assert await state(driver) is VmState.PAUSED


async def test_unknown_ids(kit: Kit) -> None:
    driver = kit.make()
    for verb in ("start", "pause", "resume", "reset", "power_off", "save", "discard_saved", "open_link", "traffic"):
        for vm_id in ("nobody", "../one", "UPPER", ""):
            with pytest.raises(NoSuchVm):
                await getattr(driver, verb)(vm_id)
    with pytest.raises(NoSuchVm):
        await driver.shut_down("nobody", 1)
    await driver.destroy("nobody")
    await driver.destroy("..")
    assert await state(driver, "../one") is VmState.ABSENT
    with pytest.raises(BadInput):
        await driver.define(kit.bare("../one"))
    assert kit.folder.parent.exists()


async def test_a_missing_medium_leaves_nothing(kit: Kit) -> None:
    driver = kit.make()
    missing = Medium(MediumRole.SOFTWARE, kit.folder / "not-there.squashfs")
    spec = kit.bare("one")
    with pytest.raises(MediumMissing) as caught:
        await driver.define(replace(spec, media=(*spec.media, missing)))
    assert caught.value.path == str(missing.path)
    assert await state(driver) is VmState.ABSENT


async def test_a_medium_that_went_away_stops_the_start(kit: Kit, tmp_path: Path) -> None:
    driver = kit.make()
    medium = tmp_path / "software.squashfs"
    medium.write_bytes(bytes(4096))
    spec = kit.bare("one")
    await driver.define(replace(spec, media=(*spec.media, Medium(MediumRole.SOFTWARE, medium))))
    medium.unlink()
    with pytest.raises(MediumMissing):
        await driver.start("one")
    assert await state(driver) is VmState.DEFINED
    medium.write_bytes(bytes(4096))
    await driver.start("one")
    assert await state(driver) in ON


async def test_a_half_made_folder_is_listed_and_can_be_destroyed(kit: Kit) -> None:
    (kit.folder / "half").mkdir(parents=True)
    (kit.folder / "half" / "something").write_text("")
    driver = kit.make()
    (info,) = await driver.list_vms()
    assert (info.vm_id, info.state) == ("half", VmState.FAILED)
    assert info.cause
    await driver.define(kit.bare("half"))
    assert await state(driver, "half") is VmState.DEFINED
    await driver.destroy("half")
    assert await driver.list_vms() == ()


async def test_two_vms_do_not_touch_each_other(kit: Kit) -> None:
    driver = kit.make()
    for vm_id in ("two", "one"):
        await driver.define(kit.bare(vm_id))
        await driver.start(vm_id)
    assert [info.vm_id for info in await driver.list_vms()] == ["one", "two"]
    await driver.pause("one")
    assert await state(driver, "one") is VmState.PAUSED
    assert await state(driver, "two") in ON
    await driver.save("two")
    await driver.destroy("one")
    assert await state(driver, "two") is VmState.SAVED


@pytest.mark.parametrize("verbs", [(), ("start",), ("start", "pause"), ("start", "save")], ids=len)
async def test_a_new_driver_finds_the_same_vms(kit: Kit, verbs: tuple[str, ...]) -> None:
    first = kit.make()
    await first.define(kit.bare("one"))
    for verb in verbs:
        await getattr(first, verb)("one")
    before = await first.info("one")
    await first.close()
    second = kit.make()
    (after,) = await second.list_vms()
    assert (after.state, after.pids, after.accelerator) == (before.state, before.pids, before.accelerator)
    if after.state is VmState.PAUSED:
        await second.resume("one")
    else:
        await second.start("one")
    assert await state(second) in ON
    await second.destroy("one")


async def test_redefinition(kit: Kit) -> None:
    driver = kit.make()
    await driver.define(kit.bare("one"))
    await driver.start("one")
    await driver.save("one")
    await driver.define(kit.bare("one"))
    assert await state(driver) is VmState.SAVED
    await driver.define(replace(kit.bare("one"), memory_mib=48))
    assert await state(driver) is VmState.DEFINED, "a saved state of another machine is of no use"
    await driver.start("one")
    assert await state(driver) in ON


async def test_routes_may_lead_elsewhere_while_it_runs(kit: Kit) -> None:
    driver = kit.make()
    route = Route("xmpp", "10.0.2.100", 5222, "127.0.0.1", 1)
    spec = replace(kit.bare("one"), routes=(route,))
    await driver.define(spec)
    await driver.start("one")
    await driver.set_routes("one", (replace(route, port=2),))
    await driver.define(replace(spec, routes=(replace(route, port=3, limit_bytes_s=1000),)))
    with pytest.raises(InvalidVmState):
        await driver.set_routes("one", (replace(route, name="other"),))
    with pytest.raises(InvalidVmState):
        await driver.set_routes("one", (replace(route, guest_port=1),))
    assert await driver.traffic("one") == Traffic()


async def test_changes_are_told(kit: Kit) -> None:
    driver = kit.make()
    told: list[str] = []
    driver.on_change(told.append)
    await driver.define(kit.bare("one"))
    await driver.start("one")
    told.clear()
    await driver.pause("one")
    async with asyncio.timeout(60 * kit.slowness):
        while not told:
            await asyncio.sleep(0.05)
    assert set(told) == {"one"}
