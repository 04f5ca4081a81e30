"""The caching proxy for CVMFS: what a second guest costs, and how fast a hit is beside a plain file server."""

import asyncio
import contextlib
import hashlib
import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from client.appliance.proxy import CvmfsProxy, ProxyOrder
from tests.bench.harness import Row, at_most, bench, plain
from tests.helpers.cvmfs import NAME, FileServer, Reader, Repository, fill, serve_files
from tests.helpers.servers import free_port, wait_port

TIMES = 5
LONG, LONG_BYTES = 8, 8 * 2**20
SHORT, SHORT_BYTES = 300, 20_000
#: aiohttp's own, which hands files to the kernel; none of the checks of the proxy
_PLAIN = """
import sys
from aiohttp import web
app = web.Application()
app.add_routes([web.static("/", sys.argv[1])])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[2]), print=None, access_log=None)
"""


@bench("cvmfs proxy")
def cvmfs_proxy() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-") as name:
        folder = Path(name)
        repository = Repository(folder / "www")
        fill(repository)
        with (
            serve_files(folder / "www") as server,
            _plain_server(folder / "www") as plain_port,
            asyncio.Runner() as runner,
        ):
            servers = (server.base, f"http://127.0.0.1:{plain_port}")
            proxy = CvmfsProxy(ProxyOrder(servers, (NAME,), folder / "cache", 2**30))
            began = time.perf_counter()
            runner.run(proxy.start())
            yield plain("CVMFS proxy: start", [(time.perf_counter() - began) * 1000], "ms")
            try:
                yield _second(repository, server, proxy)
                yield from _throughput(repository, plain_port, proxy)
                (worker,) = (child for child in psutil.Process().children() if child.cmdline()[-1] == "cvmfs-proxy")
                yield plain("CVMFS proxy: memory of its process", [worker.memory_info().rss / 2**20], "MiB")
            finally:
                runner.run(proxy.stop())


def _second(repository: Repository, server: FileServer, proxy: CvmfsProxy) -> Row:
    sent = [server.sent_bytes]
    for _ in range(2):
        reader = Reader(server.base, NAME, repository.master.public_key(), proxy.port)
        assert reader.read_all() == repository.contents
        reader.close()
        sent.append(server.sent_bytes)
    first, second = sent[1] - sent[0], sent[2] - sent[1]
    return at_most("CVMFS proxy: bytes for the second guest / first", [second / first], "", 0.02)


def _throughput(repository: Repository, plain_port: int, proxy: CvmfsProxy) -> Iterator[Row]:
    """In pairs with a plain server; a miss fetches from that very server."""
    for what, number, size in (("8 MiB objects", LONG, LONG_BYTES), ("20 KB objects", SHORT, SHORT_BYTES)):
        misses, hits, plainly = [], [], []
        for _ in range(TIMES):
            paths = [_put(repository, size) for _ in range(number)]
            urls = [f"http://127.0.0.1:{plain_port}{path}" for path in paths]
            took = [_read(proxy.port, urls), _read(proxy.port, urls), _read(plain_port, paths)]
            for rates, seconds in zip((misses, hits, plainly), took, strict=True):
                rates.append(number * size / seconds / 1e6)
        peer = {"peer": "aiohttp static", "peer_value": sorted(plainly)[TIMES // 2]}
        yield plain(f"CVMFS proxy: hits, {what}", hits, "MB/s", **peer)
        yield plain(f"CVMFS proxy: misses, {what}", misses, "MB/s", **peer)


def _put(repository: Repository, size: int) -> str:
    data = os.urandom(size)
    digest = repository.put(data, packed=False)
    assert hashlib.sha1(data).hexdigest() == digest
    return f"/cvmfs/{NAME}/data/{digest[:2]}/{digest[2:]}"


def _read(port: int, targets: list[str]) -> float:
    """Seconds that it takes to get all, one after the other over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    began = time.perf_counter()
    for target in targets:
        connection.request("GET", target)
        response = connection.getresponse()
        assert response.status == 200
        while response.read(2**18):
            pass
    took = time.perf_counter() - began
    connection.close()
    return took


@contextlib.contextmanager
def _plain_server(folder: Path) -> Iterator[int]:
    port = free_port()
    with subprocess.Popen([sys.executable, "-c", _PLAIN, str(folder), str(port)]) as process:
        try:
            wait_port(port, process)
            yield port
        finally:
            process.terminate()
