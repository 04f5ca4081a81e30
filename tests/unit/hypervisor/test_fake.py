"""The fake driver's own ways; what it shares with the others is in the contract test."""

import asyncio
from asyncio import StreamReader, StreamWriter
from dataclasses import replace
from pathlib import Path

import pytest

from client.errors import BadInput
from client.hypervisor.demo_guest import Pace, demo_guest
from client.hypervisor.driver import VmSpec
from client.hypervisor.errors import SaveFailed
from client.hypervisor.fake import FakeDriver
from client.hypervisor.fake_exchange import FakeExchange
from client.hypervisor.fake_live import Asked, FakeLiveControl
from client.link import LinkEnd, Message
from client.snapshot import VmState

SPEC = VmSpec("one", "One", cpus=1, memory_mib=256, media=())
FAST = Pace(time_scale=200, boot_s=4, job_s=10, events=10, heartbeat_s=0.05)


async def hear(reader: StreamReader, link: LinkEnd, enough: str) -> list[Message]:
    heard: list[Message] = []
    async with asyncio.timeout(10):
        while not any(message.kind == enough for message in heard):
            data = await reader.read(65536)
            assert data, f"the guest ended before it said {enough}"
            heard += link.receive(data)
    return heard


async def test_the_demo_guest_boots_works_and_obeys(tmp_path: Path) -> None:
    driver = FakeDriver(tmp_path, demo_guest(FAST))
    await driver.define(SPEC)
    await driver.start("one")
    reader, writer = await driver.open_link("one")
    link = LinkEnd("host")
    heard = await hear(reader, link, "verdict")
    assert [message.fields["step"] for message in heard if message.kind == "boot"] == ["init", "python", "link", "xmpp"]
    assert any(message.kind == "heartbeat" for message in heard)
    first = [message.fields for message in heard if message.fields.get("job_id") == "demo-1"]
    assert [said["done"] for said in first if said.get("state") == "executing"] == [*range(11)]
    writer.write(link.send("finish"))
    await hear(reader, link, "bye")
    async with asyncio.timeout(5):
        while (await driver.info("one")).state is not VmState.DEFINED:
            await asyncio.sleep(0)
    writer.close()
    await driver.close()


async def test_a_held_guest_says_nothing(tmp_path: Path) -> None:
    async def chatter(reader: StreamReader, writer: StreamWriter) -> None:
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0)

    driver = FakeDriver(tmp_path, chatter)
    await driver.define(SPEC)
    await driver.start("one")
    reader, writer = await driver.open_link("one")
    assert await reader.read(1) == b"x"
    await driver.pause("one")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            while await reader.read(65536):
                pass
    await driver.resume("one")
    async with asyncio.timeout(5):
        assert await reader.read(1) == b"x"
    writer.close()
    await driver.close()


async def test_an_ordered_failure_happens_once(tmp_path: Path) -> None:
    driver = FakeDriver(tmp_path, demo_guest(FAST))
    await driver.define(SPEC)
    await driver.start("one")
    driver.failures["save"] = SaveFailed("one", "no")
    with pytest.raises(SaveFailed):
        await driver.save("one")
    assert (await driver.info("one")).state is VmState.RUNNING
    await driver.save("one")
    assert (await driver.info("one")).state is VmState.SAVED
    await driver.close()


async def test_crash_and_reset_are_told(tmp_path: Path) -> None:
    driver = FakeDriver(tmp_path, demo_guest(FAST))
    told: list[str] = []
    driver.on_change(told.append)
    await driver.define(SPEC)
    await driver.start("one")
    await driver.reset_by_guest("one")
    assert (await driver.info("one")).guest_resets == 1
    await driver.crash("one", "killed")
    info = await driver.info("one")
    assert (info.state, info.cause) == (VmState.FAILED, "killed")
    assert told == ["one", "one", "one"]
    await driver.start("one")
    assert (await driver.info("one")).state is VmState.RUNNING
    await driver.close()


async def test_what_was_asked_while_it_ran_can_be_read(tmp_path: Path) -> None:
    driver = FakeDriver(tmp_path, demo_guest(FAST))
    assert isinstance(driver.live, FakeLiveControl)
    await driver.define(SPEC)
    assert driver.live.asked("one") == Asked()
    await driver.live.set_network("one", False)
    await driver.live.set_cpu_cap("one", 40)
    await driver.live.set_memory("one", 128)
    assert driver.live.asked("one") == Asked(network=False, cpu_cap_percent=40, memory_mib=128)
    for percent in (0, 101):
        with pytest.raises(BadInput):
            await driver.live.set_cpu_cap("one", percent)
    await driver.define(replace(SPEC, memory_mib=512))
    assert driver.live.asked("one") == Asked(), "another VM of that name"
    await driver.close()


async def test_a_fake_guest_can_read_and_write_its_exchange(tmp_path: Path) -> None:
    driver = FakeDriver(tmp_path / "vms", demo_guest(FAST))
    assert isinstance(driver.exchange, FakeExchange)
    await driver.define(replace(SPEC, exchange_mib=1))
    await driver.start("one")
    (tmp_path / "file").write_bytes(b"hello".ljust(2048, b"\0"))
    await driver.exchange.insert("one", tmp_path / "file")
    assert driver.exchange.inbox("one").read_bytes().startswith(b"hello")
    await driver.exchange.insert("one", None)
    assert driver.exchange.inbox("one").read_bytes() == bytes(1 << 20)
    await driver.destroy("one")
    await driver.close()
