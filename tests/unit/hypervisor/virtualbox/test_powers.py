"""Optional powers of the driver, against a VirtualBox in memory: snapshots, exchange, routes."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from client.errors import BadInput, ClientError, DiskFull
from client.hypervisor.driver import Exchange, Route, Snapshots, Traffic, VmSpec
from client.hypervisor.errors import InvalidVmState, LinkUnavailable, NoSuchSnapshot, RoutePortTaken, SaveFailed
from client.hypervisor.virtualbox import problems
from client.hypervisor.virtualbox.driver import VirtualBoxDriver
from client.hypervisor.virtualbox.installation import Installation
from client.hypervisor.virtualbox.relays import LOOPBACK
from client.hypervisor.virtualbox.shape import CD_CONTROLLER, EMPTY, HOST_ADDRESS, Abilities
from client.snapshot import VmState
from tests.helpers.clock import FakeClock
from tests.unit.hypervisor.virtualbox.fake_virtualbox import FakeVirtualBox


@pytest.fixture
async def driver(tmp_path: Path, box: FakeVirtualBox) -> AsyncIterator[VirtualBoxDriver]:
    made = VirtualBoxDriver(tmp_path / "vms", clock=FakeClock(), installation=Installation(box, "7.2.22", Abilities()))
    yield made
    await made.close()


def snapshots(driver: VirtualBoxDriver) -> Snapshots:
    assert driver.snapshots is not None
    return driver.snapshots


def exchange(driver: VirtualBoxDriver) -> Exchange:
    assert driver.exchange is not None
    return driver.exchange


async def test_points_with_and_without_memory(driver: VirtualBoxDriver, spec: VmSpec) -> None:
    points = snapshots(driver)
    await driver.define(spec)
    await points.take("one", "off")
    await driver.start("one")
    await points.take("one", "on")
    with pytest.raises(InvalidVmState):
        await points.restore("one", "off")
    await driver.power_off("one")
    for name, state in (("on", VmState.SAVED), ("off", VmState.DEFINED)):
        await points.restore("one", name)
        assert (await driver.info("one")).state is state
    assert await points.names("one") == ("off", "on")
    with pytest.raises(NoSuchSnapshot):
        await points.restore("one", "other")
    with pytest.raises(BadInput):
        await points.take("one", ".hidden")


async def test_a_point_that_two_need_is_hidden_and_goes_later(
    driver: VirtualBoxDriver, spec: VmSpec, box: FakeVirtualBox
) -> None:
    points = snapshots(driver)
    await driver.define(spec)
    await points.take("one", "first")
    box.failures["snapshot delete"] = problems.VirtualBoxFailed(("snapshot",), 1, "has more than one child")
    await points.delete("one", "first")
    assert await points.names("one") == () and len(box.only().snapshots) == 0, "the second try went well"
    await points.take("one", "first")
    box.failures["snapshot delete"] = problems.MediumInUse("", "has 2 children")
    await points.take("one", "first")
    assert await points.names("one") == ("first",) and len(box.only().snapshots) == 2
    await points.delete("one", "first")
    assert box.only().snapshots == []


async def test_a_snapshot_that_fails_says_why(driver: VirtualBoxDriver, spec: VmSpec, box: FakeVirtualBox) -> None:
    await driver.define(spec)
    for error, expected in (
        (problems.VirtualBoxDiskFull("VERR_DISK_FULL"), "disk-full"),
        (problems.VirtualBoxFailed((), 1, "odd"), SaveFailed.code),
    ):
        box.failures["snapshot take"] = error
        with pytest.raises(ClientError) as caught:
            await snapshots(driver).take("one", "name")
        assert caught.value.code == expected


async def test_the_inbox_is_a_cd_that_changes(
    driver: VirtualBoxDriver, spec: VmSpec, box: FakeVirtualBox, tmp_path: Path
) -> None:
    await driver.define(replace(spec, exchange_mib=1))
    inbox = (CD_CONTROLLER, "1", "1")
    assert box.only().drives[inbox] == EMPTY
    file = tmp_path / "file"
    file.write_bytes(b"first".ljust(2048, b"\0"))
    with pytest.raises(InvalidVmState):
        await exchange(driver).insert("one", file)
    await driver.start("one")
    await exchange(driver).insert("one", file)
    first = Path(box.only().drives[inbox])
    assert first.read_bytes().startswith(b"first") and first.stat().st_size > 32768
    file.write_bytes(b"second".ljust(65536, b"\0"))
    await exchange(driver).insert("one", file)
    second = Path(box.only().drives[inbox])
    assert second != first and second.read_bytes() == file.read_bytes()
    assert not first.exists() and str(first) not in box.media
    await exchange(driver).insert("one", None)
    assert box.only().drives[inbox] == EMPTY and not second.is_symlink() and file.exists()


async def test_a_cd_that_virtualbox_keeps_is_forgotten_later(
    driver: VirtualBoxDriver, spec: VmSpec, box: FakeVirtualBox, tmp_path: Path
) -> None:
    await driver.define(replace(spec, exchange_mib=1))
    file = tmp_path / "file"
    file.write_bytes(bytes(2048))
    await driver.start("one")
    await exchange(driver).insert("one", file)
    kept = Path(box.only().drives[(CD_CONTROLLER, "1", "1")])
    box.failures["closemedium"] = problems.MediumInUse(str(kept), "a saved state has it")
    await exchange(driver).insert("one", None)
    assert kept.exists() and str(kept) in box.media
    await driver.destroy("one")
    assert not kept.exists() and str(kept) not in box.media


async def test_a_redefinition_gives_and_takes_the_exchange(
    driver: VirtualBoxDriver, spec: VmSpec, box: FakeVirtualBox
) -> None:
    await driver.define(spec)
    await driver.define(replace(spec, exchange_mib=2))
    assert (await exchange(driver).outbox("one")).stat().st_size == 2 << 20
    assert len(box.only().drives) == 4
    await driver.define(spec)
    assert len(box.only().drives) == 2
    with pytest.raises(InvalidVmState):
        await exchange(driver).outbox("one")


async def planned(driver: VirtualBoxDriver, spec: VmSpec, port: int) -> VmSpec:
    routes = await driver.plan_routes("one", (Route("xmpp", "10.0.2.100", 5222, LOOPBACK, port),))
    return replace(spec, routes=routes)


async def test_routes_serve_while_it_runs_and_with_a_new_client(
    driver: VirtualBoxDriver, spec: VmSpec, box: FakeVirtualBox, tmp_path: Path
) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(greet, LOOPBACK, 0)
    spec = await planned(driver, spec, server.sockets[0].getsockname()[1])
    port = spec.routes[0].guest_port
    assert spec.routes[0].guest_host == HOST_ADDRESS
    assert (await planned(driver, spec, 1)).routes[0].guest_port == port

    async def greeting() -> bytes:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write_eof()
        said = await reader.read()
        writer.close()
        return said

    await driver.define(spec)
    with pytest.raises(ConnectionRefusedError):
        await greeting()
    await driver.start("one")
    assert await greeting() == b"hello"
    await driver.close()
    second = VirtualBoxDriver(
        tmp_path / "vms", clock=FakeClock(), installation=Installation(box, "7.2.22", Abilities())
    )
    await second.info("one")
    assert await greeting() == b"hello"
    assert await second.traffic("one") == Traffic(0, 10)
    await second.power_off("one")
    with pytest.raises(ConnectionRefusedError):
        await greeting()
    await second.close()
    server.close()


async def test_a_port_that_is_taken_stops_the_start_and_gives_way_to_another(
    driver: VirtualBoxDriver, spec: VmSpec
) -> None:
    spec = await planned(driver, spec, 1)
    await driver.define(spec)
    with contextlib.closing(socket.socket()) as other:
        other.bind((LOOPBACK, spec.routes[0].guest_port))
        other.listen()
        with pytest.raises(RoutePortTaken):
            await driver.start("one")
        assert (await driver.info("one")).state is VmState.DEFINED
        again = await planned(driver, spec, 1)
        assert again.routes != spec.routes
        await driver.define(again)
        await driver.start("one")
    assert (await driver.info("one")).state is VmState.RUNNING


async def test_a_link_that_nobody_serves(driver: VirtualBoxDriver, spec: VmSpec) -> None:
    await driver.define(spec)
    with pytest.raises(LinkUnavailable):
        await driver.open_link("one")
    await driver.start("one")
    with pytest.raises(LinkUnavailable):
        await driver.open_link("one")


async def test_a_redefinition_does_not_need_what_the_vm_had_before(
    driver: VirtualBoxDriver, spec: VmSpec, box: FakeVirtualBox, tmp_path: Path
) -> None:
    await driver.define(spec)
    for name in ("system.iso", "template.raw"):
        (tmp_path / name).rename(tmp_path / f"new-{name}")
    media = tuple(replace(one, path=one.path.with_name(f"new-{one.path.name}")) for one in spec.media)
    await driver.define(replace(spec, media=media))
    assert str(tmp_path / "new-system.iso") in box.only().drives.values()


async def test_a_point_brings_back_neither_cable_nor_machine(
    driver: VirtualBoxDriver, spec: VmSpec, box: FakeVirtualBox
) -> None:
    points = snapshots(driver)
    await driver.define(replace(spec, exchange_mib=1, internet=True))
    await points.take("one", "open")
    await driver.start("one")
    await points.take("one", "lives")
    await driver.power_off("one")
    before = (dict(box.only().options), dict(box.only().drives))
    await driver.define(replace(spec, memory_mib=32, network=False))
    after = (dict(box.only().options), dict(box.only().drives))
    for name in ("open", "lives"):
        box.only().options, box.only().drives = dict(before[0]), dict(before[1])
        await points.restore("one", name)
        assert (await driver.info("one")).state is VmState.DEFINED, "the memory is another machine's"
        assert box.only().options == after[0]
        assert box.only().options["--cableconnected1"] == "off" and box.only().options["--nic1"] == "null"
        assert box.only().drives == after[1]


async def test_a_point_with_memory_gets_the_cable_as_it_is_now(
    driver: VirtualBoxDriver, spec: VmSpec, box: FakeVirtualBox
) -> None:
    assert driver.live is not None
    points = snapshots(driver)
    await driver.define(spec)
    await driver.start("one")
    await points.take("one", "on")
    await driver.power_off("one")
    await driver.live.set_network("one", False)
    box.only().options["--cableconnected1"] = "on"
    await points.restore("one", "on")
    assert (await driver.info("one")).state is VmState.SAVED
    await driver.start("one")
    calls = [words[0] for words in box.calls if words[0] in ("modifyvm", "startvm")]
    assert calls[-2:] == ["modifyvm", "startvm"], "before the guest executes"
    assert box.only().options["--cableconnected1"] == "off"


async def test_of_two_points_of_a_name_the_later_counts(
    driver: VirtualBoxDriver, spec: VmSpec, box: FakeVirtualBox
) -> None:
    points = snapshots(driver)
    await driver.define(spec)
    await points.take("one", "p")
    box.failures["snapshot delete"] = problems.VirtualBoxSilent(("snapshot",), "")
    await points.take("one", "p")
    assert await points.names("one") == ("p",) and len(box.only().snapshots) == 2
    await points.restore("one", "p")
    assert box.said("snapshot")[-1][2:] == ("restore", box.only().snapshots[-1][0])


async def test_a_state_that_is_not_written_is_a_save_that_failed(
    driver: VirtualBoxDriver, spec: VmSpec, box: FakeVirtualBox
) -> None:
    await driver.define(spec)
    box.failures["snapshot take"] = problems.StateNotSaved("odd")
    with pytest.raises((SaveFailed, DiskFull)):
        await snapshots(driver).take("one", "name")
