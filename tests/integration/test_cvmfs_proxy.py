"""The proxy as the client runs it, before a small real repository: what a second guest costs, kills, damage."""

import asyncio
import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from client.appliance.proxy import CvmfsProxy, ProxyOrder
from client.errors import BadInput
from client.meter import FILE, Meter, clock_ns
from tests.helpers.cvmfs import NAME, Damaged, FileServer, Reader, Repository, fill, serve_files
from tests.helpers.program import TOP

pytestmark = pytest.mark.integration
CACHE_BYTES = 64 * 2**20


class Table:
    """A repository, its server, and a proxy before it."""

    def __init__(self, folder: Path, repository: Repository, server: FileServer, proxy: CvmfsProxy) -> None:
        self.cache = folder / "cache"
        self.repository = repository
        self.server = server
        self.proxy = proxy
        self.meter = Meter(str(folder / FILE))

    def new(self, data: bytes) -> str:
        """Publish an object; returns its path."""
        digest = self.repository.put(data, packed=False)
        return f"data/{digest[:2]}/{digest[2:]}"

    async def read(self) -> int:
        """Read all as a guest does; returns what went over the wire, as the server sees it."""
        before = self.server.sent_bytes
        reader = Reader(self.server.base, NAME, self.repository.master.public_key(), self.proxy.port)
        try:
            found = await asyncio.to_thread(reader.read_all)
        finally:
            reader.close()
        assert found == self.repository.contents
        return self.server.sent_bytes - before

    async def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        reader = Reader(self.server.base, NAME, self.repository.master.public_key(), self.proxy.port)
        try:
            return await asyncio.to_thread(lambda: reader.get(path, **headers))
        finally:
            reader.close()

    def objects(self) -> list[Path]:
        return sorted(path for path in (self.cache / "objects").rglob("*") if path.is_file())

    def workers(self) -> list[psutil.Process]:
        return [child for child in psutil.Process().children() if child.cmdline()[-1:] == ["cvmfs-proxy"]]


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[Table]:
    repository = Repository(tmp_path / "www")
    fill(repository)
    with serve_files(tmp_path / "www") as server:
        proxy = CvmfsProxy(ProxyOrder((server.base,), (NAME,), tmp_path / "cache", CACHE_BYTES, tmp_path / FILE))
        await proxy.start()
        try:
            yield Table(tmp_path, repository, server, proxy)
        finally:
            await proxy.stop()


async def until(proxy: CvmfsProxy, **facts: int) -> None:
    async with asyncio.timeout(60):
        while any(proxy.facts.get(name) != value for name, value in facts.items()):
            await asyncio.sleep(0.02)


async def test_the_second_guest_costs_next_to_nothing(table: Table) -> None:
    first = await table.read()
    assert first > 500_000
    assert await table.read() <= 0.02 * first
    everything = [path for path in table.server.asked if "/data/" in path]
    assert len(everything) > 25
    assert max(table.server.asked.values()) == 1


async def test_it_is_all_there_after_a_restart(table: Table) -> None:
    first = await table.read()
    port = table.proxy.port
    await table.proxy.stop()
    assert (table.proxy.port, table.workers()) == (0, [])
    assert await table.proxy.start() == port
    assert await table.read() <= 0.02 * first


async def test_it_is_all_there_after_a_kill(table: Table) -> None:
    first = await table.read()
    (worker,) = table.workers()
    worker.kill()
    worker.wait(10)
    async with asyncio.timeout(60):
        while table.proxy.port:
            await asyncio.sleep(0.01)
    await table.proxy.start()
    assert await table.read() <= 0.02 * first


async def test_killed_in_the_middle_it_has_only_whole_objects(table: Table) -> None:
    for kill_after in (1, 5, 11, 23):
        guest = asyncio.create_task(table.read())
        while sum(table.server.asked.values()) < kill_after and not guest.done():
            await asyncio.sleep(0)
        table.workers()[0].kill()
        with contextlib.suppress(OSError, http.client.HTTPException, Damaged):
            await guest
        async with asyncio.timeout(60):
            while table.proxy.port:
                await asyncio.sleep(0.01)
        await table.proxy.start()
    await table.read()
    assert list((table.cache / "parts").iterdir()) == []
    assert await table.read() == 0


async def test_it_tells_what_it_did(table: Table) -> None:
    await table.read()
    sizes = [path.stat().st_size for path in table.repository.top.rglob("*") if path.is_file()]
    await until(table.proxy, misses=len(sizes), refused=0, stale=0, served_bytes=sum(sizes), network_bytes=sum(sizes))
    await table.read()
    await until(table.proxy, hits=len(sizes), misses=len(sizes), served_bytes=2 * sum(sizes), network_bytes=sum(sizes))
    assert table.proxy.facts["cached_bytes"] >= sum(path.stat().st_size for path in table.objects())


async def test_a_damaged_object_is_never_given(table: Table) -> None:
    await table.read()
    victims = table.objects()[::5]
    for path in victims:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    victims[0].write_bytes(b"")
    before = dict(table.server.asked)
    await table.read()
    again = [path for path, times in table.server.asked.items() if times != before.get(path, 0)]
    assert len([path for path in again if "/data/" in path]) == len(victims)
    assert await table.read() == 0


async def test_damage_of_a_long_object_cuts_the_answer_and_is_mended(table: Table) -> None:
    digest = table.repository.put(os.urandom(3 * 2**20), packed=False)
    path = f"data/{digest[:2]}/{digest[2:]}"
    whole = (await table.get(path))[1]
    (stored,) = [one for one in table.objects() if one.stat().st_size == len(whole)]
    stored.write_bytes(whole[:-1] + b"\0" if whole[-1] else whole[:-1] + b"\1")
    with pytest.raises((OSError, http.client.HTTPException)):
        await table.get(path)
    assert await table.get(path) == (200, whole)


@pytest.mark.parametrize("size", [5_000, 3 * 2**20])
async def test_ranges(table: Table, size: int) -> None:
    data = os.urandom(size)
    digest = table.repository.put(data, packed=False)
    path = f"data/{digest[:2]}/{digest[2:]}"
    asked = {"bytes=0-9": data[:10], "bytes=4990-": data[4990:], "bytes=-7": data[-7:], "bytes=10-99999999": data[10:]}
    for _ in range(2):  # the first of them is while it comes, the others from the cache
        for said, part in asked.items():
            assert await table.get(path, Range=said) == (206, part)
    assert (await table.get(path, Range=f"bytes={size}-"))[0] == 416
    for odd in ("bytes=0-1,5-6", "bytes=9-3", "bytes=-", "lines=1-2", "bytes=a-b"):
        assert await table.get(path, Range=odd) == (200, data)
    assert table.server.asked[f"/cvmfs/{NAME}/{path}"] == 1


async def test_while_the_server_is_away_everything_known_is_served(table: Table, tmp_path: Path) -> None:
    await table.read()
    for path in (".cvmfspublished", ".cvmfswhitelist"):
        table.server.faults[f"/cvmfs/{NAME}/{path}"] = lambda handler: handler.answer(b"", status=503)
    assert (await table.get(".cvmfspublished", Pragma="no-cache"))[0] == 200
    await until(table.proxy, stale=1)
    digest = table.repository.put(b"something new")
    table.server.faults[f"/cvmfs/{NAME}/data/{digest[:2]}/{digest[2:]}"] = lambda handler: handler.answer(
        b"", status=503
    )
    assert (await table.get(f"data/{digest[:2]}/{digest[2:]}"))[0] == 502


async def test_a_new_revision_costs_its_difference(table: Table) -> None:
    first = await table.read()
    table.repository.add("/v1/share/new.txt", b"one more\n")
    table.repository.publish(revision=2)
    with pytest.raises(AssertionError):
        await table.read()  # the former revision, for a minute
    await table.get(".cvmfspublished", Pragma="no-cache")
    await table.get(".cvmfswhitelist", Pragma="no-cache")
    assert 0 < await table.read() < 0.1 * first


async def test_hashes_of_other_kinds(table: Table) -> None:
    data = b"shaken"
    digest = hashlib.shake_128(data).hexdigest(20)
    path = f"data/{digest[:2]}/{digest[2:]}-shake128C"
    place = table.repository.top / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    assert [await table.get(path) for _ in range(2)] == [(200, data)] * 2
    assert table.server.asked[f"/cvmfs/{NAME}/{path}"] == 1


async def test_a_limit_holds_at_once_and_hits_are_free_of_it(table: Table) -> None:
    loop = asyncio.get_running_loop()
    table.proxy.set_limit(300_000)
    took = 0.0
    # The word of the limit takes a moment to the process. A quarter of a second's worth, and what the system holds,
    # come at once.
    async with asyncio.timeout(40):
        while took < 1.0:
            digest = table.repository.put(os.urandom(600_000), packed=False)
            path = f"data/{digest[:2]}/{digest[2:]}"
            began = loop.time()
            await table.get(path)
            took = loop.time() - began
    table.proxy.set_limit(1)
    assert (await table.get(path))[0] == 200


async def test_closed_the_cache_serves_and_nothing_is_fetched(table: Table) -> None:
    await table.read()
    assert table.meter.set_rule(0, 0, True, clock_ns())
    path = table.new(os.urandom(1000))
    # What runs looks for a meter that was not there once a second.
    async with asyncio.timeout(20):
        while (await table.get(path))[0] != 502:
            path = table.new(os.urandom(1000))
            await asyncio.sleep(0.05)
    before = table.server.sent_bytes
    assert (await table.get(".cvmfspublished", Pragma="no-cache"))[0] == 200
    assert await table.read() == 0
    assert (table.server.sent_bytes, table.meter.moved) == (before, (0, 0))
    assert table.meter.set_rule(0, 0, False, clock_ns())
    assert (await table.get(path))[0] == 200


async def test_what_is_fetched_keeps_the_limit_of_all_traffic_and_is_counted(table: Table) -> None:
    await table.proxy.stop()
    assert table.meter.set_rule(300_000, 0, False, clock_ns())
    await table.proxy.start()
    path, loop = table.new(os.urandom(600_000)), asyncio.get_running_loop()
    began = loop.time()
    assert (await table.get(path))[0] == 200
    assert loop.time() - began > 2 - 0.25 - 0.1
    # A guest that reads it once more takes nothing from the network.
    assert (await table.get(path))[0] == 200
    table.meter.look(clock_ns())
    assert table.meter.moved == (600_000, 0)


async def test_the_cache_keeps_to_its_limit(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "www")
    fill(repository)
    limit = 300_000
    with serve_files(tmp_path / "www") as server:
        proxy = CvmfsProxy(ProxyOrder((server.base,), (NAME,), tmp_path / "cache", limit))
        await proxy.start()
        table = Table(tmp_path, repository, server, proxy)
        try:
            for _ in range(3):
                assert await table.read() >= 0
                assert sum(path.stat().st_size for path in table.objects()) <= limit
        finally:
            await proxy.stop()


async def test_the_cache_gives_room_back(table: Table) -> None:
    await table.read()
    assert len(table.objects()) > 1
    table.proxy.set_room(0)
    async with asyncio.timeout(20):
        while table.objects():
            await asyncio.sleep(0.02)
    # What is not kept is passed on.
    assert await table.read() > 0
    table.proxy.set_room(None)
    async with asyncio.timeout(20):
        while await table.read():
            await asyncio.sleep(0.02)


async def test_another_program_on_its_port_moves_it(table: Table) -> None:
    port = table.proxy.port
    await table.proxy.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        assert await table.proxy.start() not in {0, port}
        await table.read()


async def test_an_order_that_is_none_is_refused(tmp_path: Path) -> None:
    proxy = CvmfsProxy(ProxyOrder(("ftp://nowhere",), (NAME,), tmp_path / "cache", 1))
    with pytest.raises(BadInput):
        await proxy.start()
    assert proxy.port == 0
    await proxy.stop()


async def test_it_ends_when_the_client_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\nfrom pathlib import Path\n"
        "from client.appliance.proxy import CvmfsProxy, ProxyOrder\n"
        "async def run():\n"
        f"    proxy = CvmfsProxy(ProxyOrder(('http://127.0.0.1:9',), ('r',), Path({str(tmp_path)!r}), 1000000))\n"
        "    print(await proxy.start(), flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(run())\n"
    )
    client = await asyncio.create_subprocess_exec(sys.executable, "-c", script, cwd=TOP, stdout=asyncio.subprocess.PIPE)
    assert client.stdout is not None
    port = json.loads(await client.stdout.readline())
    (worker,) = psutil.Process(client.pid).children()
    os.kill(client.pid, signal.SIGKILL)
    await client.wait()
    await asyncio.to_thread(psutil.wait_procs, [worker], 20)
    assert not worker.is_running()
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), 2):
        pass


def test_the_reader_finds_damage(tmp_path: Path) -> None:
    """What is asked of a guest here is what a client of CVMFS checks."""
    repository = Repository(tmp_path)
    fill(repository)
    with serve_files(tmp_path) as server:
        reader = Reader(server.base, NAME, repository.master.public_key())
        assert reader.read_all() == repository.contents
        stranger = Reader(server.base, NAME, Repository(tmp_path / "other").master.public_key())
        with pytest.raises(Damaged):
            stranger.read_all()
        stranger.close()
        manifest = repository.top / ".cvmfspublished"
        genuine = manifest.read_bytes()
        manifest.write_bytes(genuine.replace(b"\nS1\n", b"\nS2\n"))
        with pytest.raises(Damaged):
            reader.read_all()
        manifest.write_bytes(genuine)
        victim = next(path for path in (repository.top / "data").rglob("*") if path.is_file())
        victim.write_bytes(victim.read_bytes() + b"!")
        with pytest.raises(Damaged):
            reader.read_all()
        reader.close()
