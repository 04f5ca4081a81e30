"""Appliances over real HTTP: whatever the server or the disk does, only right bytes are used."""

import asyncio
import hashlib
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from client.appliance import fault
from client.appliance.cache import ApplianceCache
from client.appliance.errors import (
    ApplianceAltered,
    ApplianceMissing,
    ApplianceTruncated,
    BadManifest,
    DownloadFailed,
)
from client.errors import DiskFull
from client.snapshot import TransferView

pytestmark = pytest.mark.integration
CONTENT = {"vmlinux": os.urandom(3_000_000), "initrd.img": b"i" * 5000, "root.squashfs": b"hsqs" * 9000}
ROLES = {"vmlinux": "kernel", "initrd.img": "initrd", "root.squashfs": "system"}


def manifest() -> bytes:
    files = {
        name: {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "role": ROLES[name]}
        for name, data in CONTENT.items()
    }
    direct = {
        "kernel": "vmlinux",
        "initrd": "initrd.img",
        "system": "root.squashfs",
        "command_line": "quiet",
        "machine": {},
    }
    formats = [{"format": "direct", "files": sorted(files)}]
    said = {"schema": 1, "name": "test", "version": "1", "formats": formats, "files": files, "direct": direct}
    return json.dumps(said).encode()


class Server:
    """A real HTTP server that can be told to misbehave.

    Attributes:
        served: file name -> bytes to send in place of the right ones; None: 404.
        cut_after: close the connection after so many bytes of vmlinux.
    """

    def __init__(self) -> None:
        self.served: dict[str, bytes | None] = dict(CONTENT) | {"manifest.json": manifest()}
        self.cut_after = 0
        self.slow_s = 0.0
        self.asked: list[str] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        self.asked.append(name)
        data = self.served.get(name)
        if data is None:
            raise web.HTTPNotFound
        if name != "vmlinux" or not (self.cut_after or self.slow_s):
            return web.Response(body=data)
        reply = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await reply.prepare(request)
        await reply.write(data[: self.cut_after or 100_000])
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        assert request.transport is not None
        request.transport.abort()
        return reply


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    one = Server()
    app = web.Application()
    app.router.add_get("/appliance/{name}", one.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    one.url = f"http://127.0.0.1:{port}/appliance/manifest.json"
    yield one
    await runner.cleanup()


SHA256 = hashlib.sha256(manifest()).hexdigest()


def nothing(_: TransferView | None) -> None:
    return


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.endswith(".part") or path.name.startswith(".")]


async def test_a_fetch_shows_progress_and_gives_verified_files(server: Server, tmp_path: Path) -> None:
    cache, shown = ApplianceCache(tmp_path, direct=True), []
    assert not cache.is_ready(SHA256)
    await cache.fetch(server.url, SHA256, shown.append)
    assert cache.is_ready(SHA256)
    appliance = await cache.verified(SHA256, nothing)
    assert appliance.name == "test"
    assert cache.place(SHA256, "vmlinux").read_bytes() == CONTENT["vmlinux"]
    assert shown[-1] is None
    full = [view for view in shown if view is not None][-1]
    assert full.done_bytes == full.total_bytes == sum(map(len, CONTENT.values()))


@pytest.mark.parametrize(
    ("name", "sent", "error"),
    [
        ("vmlinux", CONTENT["vmlinux"][:-1], ApplianceTruncated),
        ("vmlinux", CONTENT["vmlinux"] + b"x", ApplianceTruncated),
        ("vmlinux", b"X" + CONTENT["vmlinux"][1:], ApplianceAltered),
        ("vmlinux", None, DownloadFailed),
        ("manifest.json", b"{}", BadManifest),
        ("manifest.json", None, DownloadFailed),
        ("manifest.json", b"x" * (2 << 20), DownloadFailed),
    ],
)
async def test_wrong_bytes_are_refused_and_nothing_half_done_stays(
    server: Server, tmp_path: Path, name: str, sent: bytes | None, error: type[Exception]
) -> None:
    server.served[name] = sent
    cache = ApplianceCache(tmp_path, direct=True)
    with pytest.raises(error):
        await cache.fetch(server.url, SHA256, nothing)
    assert not cache.is_ready(SHA256)
    assert leftovers(tmp_path) == []


async def test_a_cut_connection_is_tried_again_and_whole_files_are_kept(server: Server, tmp_path: Path) -> None:
    cache = ApplianceCache(tmp_path, direct=True)
    server.cut_after = 1_000_000
    with pytest.raises(DownloadFailed):
        await cache.fetch(server.url, SHA256, nothing)
    server.cut_after = 0
    server.asked.clear()
    await cache.fetch(server.url, SHA256, nothing)
    assert cache.is_ready(SHA256)
    assert server.asked == ["manifest.json", "vmlinux"]


async def test_calling_it_off_ends_it_at_once(server: Server, tmp_path: Path) -> None:
    server.slow_s = 2.0
    cache = ApplianceCache(tmp_path, direct=True)
    fetching = asyncio.create_task(cache.fetch(server.url, SHA256, nothing))
    while "vmlinux" not in server.asked:
        await asyncio.sleep(0.01)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("harm", ["cut", "flip", "remove"])
async def test_a_file_that_was_harmed_on_disk_is_noticed_and_only_it_is_fetched_again(
    server: Server, tmp_path: Path, harm: str
) -> None:
    cache = ApplianceCache(tmp_path, direct=True)
    await cache.fetch(server.url, SHA256, nothing)
    victim = cache.place(SHA256, "root.squashfs")
    data: Any = bytearray(victim.read_bytes())
    data[100] ^= 1
    {"cut": lambda: victim.write_bytes(data[:-1]), "flip": lambda: victim.write_bytes(data), "remove": victim.unlink}[
        harm
    ]()
    with pytest.raises((ApplianceMissing, ApplianceTruncated, ApplianceAltered)):
        await cache.verified(SHA256, nothing)
    assert not cache.is_ready(SHA256)
    server.asked.clear()
    await cache.fetch(server.url, SHA256, nothing)
    assert server.asked == ["manifest.json", "root.squashfs"]
    await cache.verified(SHA256, nothing)


async def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    cache = ApplianceCache(tmp_path, direct=True)
    with pytest.raises(DownloadFailed):
        await cache.fetch("http://127.0.0.1:9/appliance/manifest.json", SHA256, nothing)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


async def test_a_disk_without_room_is_said_before_anything_is_fetched(server: Server, small_disk: Path) -> None:
    cache = ApplianceCache(small_disk, direct=True)
    with pytest.raises(DiskFull):
        await cache.fetch(server.url, SHA256, nothing)
    assert server.asked == ["manifest.json"]


async def test_a_disk_that_fills_up_while_fetching(
    server: Server, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fault, "SPARE_BYTES", -(1 << 40))
    cache = ApplianceCache(small_disk, direct=True)
    with pytest.raises(DiskFull):
        await cache.fetch(server.url, SHA256, nothing)
    assert leftovers(small_disk) == []
    assert not cache.is_ready(SHA256)
