"""What a guest can reach, tried from inside the guest. docs/security.md rests on this file."""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from client.hypervisor.driver import Route, Traffic
from client.hypervisor.qemu.driver import QemuDriver
from client.meter import CREDIT_S, FILE, UP, Meter, clock_ns
from tests.integration.hypervisor.conftest import need_appliance, need_qemu, qemu_driver
from tests.integration.hypervisor.guests import Line, appliance_spec, build_context

pytestmark = pytest.mark.integration
OPEN = Route("open", "10.0.2.100", 7000, "127.0.0.1", 1)
SLOW = Route("slow", "10.0.2.101", 7001, "127.0.0.1", 1, limit_bytes_s=100_000)
DOWN = Route("down", "10.0.2.102", 7002, "127.0.0.1", 1)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handle: Serve, host: str = "127.0.0.1") -> AsyncIterator[tuple[int, list[str]]]:
    """A server that closes what it serves; gives its port and the connections that it got."""
    got: list[str] = []

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(str(writer.get_extra_info("peername")))
        try:
            await handle(reader, writer)
        except OSError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(served, host, 0)
    async with server:
        yield server.sockets[0].getsockname()[1], got


async def digest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says the hash of all that it was sent, once the sender has ended."""
    sent = await reader.read()
    writer.write(hashlib.sha256(sent).hexdigest().encode())
    await writer.drain()


def own_address() -> str:
    """An address of this computer other than the loopback's, as its own network knows it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this computer has no network")
        return str(probe.getsockname()[0])


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[QemuDriver]:
    need_qemu()
    need_appliance()
    driver = qemu_driver(tmp_path / "vms")
    yield driver
    await driver.destroy("one")
    await driver.close()


async def boot(driver: QemuDriver, tmp_path: Path, routes: tuple[Route, ...]) -> Line:
    await driver.define(appliance_spec("one", build_context(tmp_path / "context.iso"), routes=routes))
    await driver.start("one")
    line = await Line.open(driver, "one")
    await line.wait_boot()
    return line


def tcp(host: str, port: int, data: str = "b''", timeout_s: float = 30) -> str:
    return f"attempt(lambda: tcp({host!r}, {port}, {data}, {timeout_s}))"


def in_vain(host: str, port: int, data: str = "b''") -> str:
    """The same where nothing answers: not for long."""
    return tcp(host, port, data, 4)


async def told(driver: QemuDriver, sent_bytes: int) -> Traffic:
    """What the driver tells of the traffic once it has heard of so much; the guest may be a moment before it."""
    async with asyncio.timeout(30):
        while (traffic := await driver.traffic("one")).sent_bytes < sent_bytes:
            await asyncio.sleep(0.05)
    return traffic


async def test_nothing_but_the_routes(driver: QemuDriver, tmp_path: Path) -> None:
    async with serving(digest) as (loopback, on_loopback), serving(digest, own_address()) as (lan, on_lan):
        line = await boot(driver, tmp_path, (OPEN,))
        tries = {
            "the host's loopback through the gateway": in_vain("10.0.2.2", loopback),
            "the host's own address": in_vain(own_address(), lan),
            "an address out there": in_vain("192.0.2.1", 80),
            "another port of the route's address": in_vain(OPEN.guest_host, OPEN.guest_port + 1),
            "the name server": "attempt(lambda: udp('10.0.2.3', 53, bytes(12) + b'\\x07example\\0\\0\\1\\0\\1'))",
            "a datagram to the host": f"attempt(lambda: udp('10.0.2.2', {loopback}, b'x'))",
        }
        for what, attempt in tries.items():
            answer = await line.value(attempt)
            assert answer in {"TimeoutError", "ConnectionRefusedError", "OSError"}, f"{what}: {answer}"
        # QEMU's own TFTP server has no folder to serve and refuses whatever is asked of it.
        asked = r"attempt(lambda: udp('10.0.2.2', 69, b'\0\1/etc/passwd\0octet\0'))"
        assert "Access violation" in await line.value(asked)
        assert on_loopback == on_lan == []
        await line.close()


async def test_routes_carry_count_limit_and_move(driver: QemuDriver, tmp_path: Path) -> None:
    async with serving(digest) as (port, _), serving(digest) as (elsewhere, moved):
        targets = (replace(OPEN, port=port), replace(SLOW, port=port), DOWN)
        line = await boot(driver, tmp_path, targets)
        data = bytes(300_000)
        said = repr(hashlib.sha256(data).hexdigest().encode())
        assert await line.value(tcp(OPEN.guest_host, OPEN.guest_port, "bytes(300000)")) == said
        assert await told(driver, 300_000) == Traffic(300_000, 64)
        # Side by side, each connection with a relay of its own.
        many = "(lambda all: [one.start() for one in all] and [one.join() for one in all])"
        each = f"threading.Thread(target=lambda: found.append({tcp(OPEN.guest_host, OPEN.guest_port, 'bytes(1000)')}))"
        await line.value("globals().update(threading=__import__('threading'), found=[])")
        await line.value(f"{many}([{each} for _ in range(8)])")
        assert await line.value("(len(found), len(set(found)))") == "(8, 1)"
        assert await told(driver, 308_000) == Traffic(308_000, 9 * 64)
        begun = asyncio.get_running_loop().time()
        assert await line.value(tcp(SLOW.guest_host, SLOW.guest_port, "bytes(300000)")) == said
        assert 2.0 < asyncio.get_running_loop().time() - begun < 8, "0.3 MB at 0.1 MB/s"
        assert await line.value(tcp(DOWN.guest_host, DOWN.guest_port)) in {"b''", "ConnectionResetError"}
        await driver.set_routes("one", (replace(OPEN, port=elsewhere), *targets[1:]))
        assert await line.value(tcp(OPEN.guest_host, OPEN.guest_port, "b'x'")) != "b''"
        assert len(moved) == 1
        await line.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def test_the_limit_of_all_traffic_holds_and_closed_is_closed(driver: QemuDriver, tmp_path: Path) -> None:
    meter, loop = Meter(str(tmp_path / "vms" / FILE)), asyncio.get_running_loop()
    async with serving(echo) as (port, seen):
        line = await boot(driver, tmp_path, (replace(OPEN, port=port),))
        assert meter.set_rule(0, 0, True, clock_ns())
        where = repr((OPEN.guest_host, OPEN.guest_port))
        await line.value(f"held.update(one=socket.create_connection({where}, 30))")
        await line.value("held['one'].sendall(b'early')")
        assert seen == []
        assert meter.set_rule(0, 100_000, False, clock_ns())
        assert await line.value("held['one'].recv(5)") == "b'early'"
        assert meter.set_rule(0, 100_000, True, clock_ns())
        await line.value("held['one'].sendall(b'while closed')")
        assert (
            await line.value("(held['one'].settimeout(1), attempt(lambda: held['one'].recv(12)))[1]") == "TimeoutError"
        )
        assert meter.set_rule(0, 100_000, False, clock_ns())
        # What waited goes on, on the same connection.
        assert await line.value("(held['one'].settimeout(30), held['one'].recv(12))[1]") == "b'while closed'"
        begun = loop.time()
        assert await line.value(f"len(tcp(*{where}, bytes(300000), 30))") == "300000"
        assert loop.time() - begun > 3 - CREDIT_S - 0.1
        await line.value("held.pop('one').close()")
        async with asyncio.timeout(10):
            while meter.look(clock_ns()) and meter.moved[UP] < 300_017:
                await asyncio.sleep(0.05)
        assert meter.moved == (300_017, 300_017)
        assert await told(driver, 300_017) == Traffic(300_017, 300_017)
        await line.close()


async def test_connections_over_a_saved_state(driver: QemuDriver, tmp_path: Path) -> None:
    """An old connection is closed at the guest's next word on it, new ones work, and the counts go on."""
    async with serving(digest) as (port, _):
        line = await boot(driver, tmp_path, (replace(OPEN, port=port),))
        connect = f"held.update(old=socket.create_connection({(OPEN.guest_host, OPEN.guest_port)!r}, 30))"
        await line.value(connect)
        await line.value("held['old'].sendall(b'before')")
        await line.close()
        assert (await told(driver, 6)).sent_bytes == 6
        await driver.save("one")
        await driver.start("one")
        line = await Line.open(driver, "one")
        await line.value("attempt(lambda: held['old'].sendall(b'after'))")
        assert await line.value("attempt(lambda: held['old'].recv(100))") in {"b''", "ConnectionResetError"}
        assert await line.value(tcp(OPEN.guest_host, OPEN.guest_port, "b'new'")) == repr(
            hashlib.sha256(b"new").hexdigest().encode()
        )
        assert (await told(driver, 9)).sent_bytes == 9
        await line.close()


async def test_internet_opens_the_hosts_own_services_too(driver: QemuDriver, tmp_path: Path) -> None:
    """The reason why no project gets it without the volunteer's leave: QEMU has no switch between these two."""
    async with serving(digest) as (loopback, on_loopback):
        await driver.define(appliance_spec("one", build_context(tmp_path / "context.iso"), internet=True))
        await driver.start("one")
        line = await Line.open(driver, "one")
        await line.wait_boot()
        answer = await line.value(tcp("10.0.2.2", loopback, "b'x'"))
        assert answer == repr(hashlib.sha256(b"x").hexdigest().encode())
        assert len(on_loopback) == 1
        await line.close()


async def test_with_the_cable_out_not_even_the_routes(driver: QemuDriver, tmp_path: Path) -> None:
    """Whatever the guest does: the cable is cut at the host's end, and a restored guest does not bring it back."""
    assert driver.live is not None
    async with serving(digest) as (port, got):
        line = await boot(driver, tmp_path, (replace(OPEN, port=port),))
        right = repr(hashlib.sha256(b"x").hexdigest().encode())
        assert await line.value(tcp(OPEN.guest_host, OPEN.guest_port, "b'x'")) == right
        attempt = in_vain(OPEN.guest_host, OPEN.guest_port, "b'x'")
        await driver.live.set_network("one", False)
        assert await line.value(attempt) in {"TimeoutError", "OSError"}
        await line.value("os.system('/bin/busybox ip link set eth0 down; /bin/busybox ip link set eth0 up')")
        assert await line.value(attempt) in {"TimeoutError", "OSError"}
        await line.close()
        await driver.save("one")
        await driver.start("one")
        line = await Line.open(driver, "one")
        assert await line.value(attempt) in {"TimeoutError", "OSError"}
        assert len(got) == 1
        await driver.live.set_network("one", True)
        for _ in range(20):
            if (said := await line.value(attempt)) == right:
                break
        assert said == right
        await line.close()
