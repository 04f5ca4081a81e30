"""The way for large files, shown on every driver that has it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from client.errors import BadInput
from client.hypervisor.driver import INBOX_BLOCK_BYTES, OUTBOX_HEADER_BYTES, OUTBOX_MARK, Driver, Exchange
from client.hypervisor.errors import InvalidVmState, MediumMissing, NoSuchVm
from client.snapshot import VmState
from tests.integration.hypervisor.guests import Line
from tests.integration.hypervisor.kit import EXCHANGE_MIB, Kit

pytestmark = pytest.mark.integration
SHOWN = 64


def exchange_of(driver: Driver) -> Exchange:
    if driver.exchange is None:
        pytest.skip("this hypervisor has no exchange")
    return driver.exchange


def write(path: Path, beginning: bytes, blocks: int = 3) -> Path:
    path.write_bytes(beginning + os.urandom(blocks * INBOX_BLOCK_BYTES - len(beginning)))
    return path


def header(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(OUTBOX_HEADER_BYTES)


async def seen(line: Line, expected: bytes) -> bytes:
    """What the guest finds in its inbox; asked a few times, for a medium may take a moment to change."""
    for _ in range(50):
        said = await line.value(f"inbox {SHOWN}")
        if said == expected.hex():
            break
    return bytes.fromhex(said) if all(digit in "0123456789abcdef" for digit in said) else said.encode()


async def test_a_vm_without_one(kit: Kit, tmp_path: Path) -> None:
    driver = kit.make()
    exchange = exchange_of(driver)
    await driver.define(kit.bare("one"))
    await driver.start("one")
    with pytest.raises(InvalidVmState):
        await exchange.insert("one", write(tmp_path / "file", b"x"))
    with pytest.raises(InvalidVmState):
        await exchange.outbox("one")
    with pytest.raises(NoSuchVm):
        await exchange.outbox("nobody")
    with pytest.raises(NoSuchVm):
        await exchange.insert("nobody", None)


async def test_what_can_be_put_in(kit: Kit, tmp_path: Path) -> None:
    driver = kit.make()
    exchange = exchange_of(driver)
    await driver.define(replace(kit.bare("one"), exchange_mib=EXCHANGE_MIB))
    fits = write(tmp_path / "fits", b"x", (EXCHANGE_MIB << 20) // INBOX_BLOCK_BYTES)
    with pytest.raises(InvalidVmState):
        await exchange.insert("one", fits)
    await driver.start("one")
    with pytest.raises(MediumMissing):
        await exchange.insert("one", tmp_path / "not there")
    (tmp_path / "odd").write_bytes(bytes(INBOX_BLOCK_BYTES + 1))
    (tmp_path / "long").write_bytes(bytes((EXCHANGE_MIB << 20) + INBOX_BLOCK_BYTES))
    for name in ("odd", "long"):
        with pytest.raises(BadInput):
            await exchange.insert("one", tmp_path / name)
    for file in (fits, fits, None, None, write(tmp_path / "small", b"y", 1)):
        await exchange.insert("one", file)
    assert (await driver.info("one")).state in (VmState.STARTING, VmState.RUNNING)


async def test_the_outbox_has_its_header_from_the_beginning(kit: Kit) -> None:
    driver = kit.make()
    exchange = exchange_of(driver)
    await driver.define(replace(kit.bare("one"), exchange_mib=EXCHANGE_MIB))
    outbox = await exchange.outbox("one")
    assert header(outbox) == OUTBOX_MARK.ljust(OUTBOX_HEADER_BYTES, b"\0")
    assert outbox.stat().st_size == EXCHANGE_MIB << 20
    await driver.start("one")
    assert await exchange.outbox("one") == outbox
    await driver.save("one")
    await driver.close()
    assert await exchange_of(kit.make()).outbox("one") == outbox
    assert header(outbox) == OUTBOX_MARK.ljust(OUTBOX_HEADER_BYTES, b"\0")


async def test_a_redefinition_gives_takes_and_resizes_it(kit: Kit) -> None:
    driver = kit.make()
    exchange = exchange_of(driver)
    for size_mib in (0, 2, 3):
        await driver.define(replace(kit.bare("one"), exchange_mib=size_mib))
        if size_mib:
            assert (await exchange.outbox("one")).stat().st_size == size_mib << 20
        await driver.start("one")
        await driver.power_off("one")
    await driver.define(kit.bare("one"))
    with pytest.raises(InvalidVmState):
        await exchange.outbox("one")


async def test_files_reach_the_guest_and_come_back(kit: Kit, tmp_path: Path) -> None:
    if not kit.has_machine:
        pytest.skip("its guests have no disks")
    driver = kit.make()
    exchange = exchange_of(driver)
    line, me = await kit.boot(driver, kit.exchanging("one"))
    for name in ("first", "second"):
        file = write(tmp_path / name, name.encode())
        await exchange.insert("one", file)
        assert await seen(line, file.read_bytes()[:SHOWN]) == file.read_bytes()[:SHOWN]
    assert await line.value("outbox hello") == "done"
    with (await exchange.outbox("one")).open("rb") as outbox:
        assert outbox.read(OUTBOX_HEADER_BYTES).startswith(OUTBOX_MARK)
        assert outbox.read(5) == b"hello"
    await line.close()
    await driver.save("one")
    await driver.start("one")
    line = await kit.line(driver)
    third = write(tmp_path / "third", b"third", 500)
    await exchange.insert("one", third)
    assert await seen(line, third.read_bytes()[:SHOWN]) == third.read_bytes()[:SHOWN]
    assert await line.ask("outbox again") == (me, "done")
    await exchange.insert("one", None)
    assert await seen(line, bytes(SHOWN)) != third.read_bytes()[:SHOWN]
    with (await exchange.outbox("one")).open("rb") as outbox:
        outbox.seek(OUTBOX_HEADER_BYTES)
        assert outbox.read(5) == b"again"
    await line.close()
