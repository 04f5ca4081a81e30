"""Appliances that are published as operators do it, a web server that counts, and what a client keeps of them."""

import contextlib
import hashlib
import json
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from client.appliance.cache import ApplianceCache
from client.appliance.choice import Wish
from client.appliance.needs import Offer
from client.appliance.publish.accept import take_over
from client.appliance.publish.images import read_image
from client.appliance.publish.project import MakePatch
from client.appliance.store import Store
from client.appliance.target import PIECE_BYTES
from client.appliance.transfers import Transfers
from client.clock import Clock, SystemClock
from client.snapshot import TransferView
from tests.helpers.catalogue import Shop

ROLES = {"vmlinux": "kernel", "initrd.img": "initrd", "root.squashfs": "system", "scratch.qcow2": "scratch"}
#: the system's file has a few pieces, the last one is short
CONTENT = {
    "vmlinux": random.Random(1).randbytes(PIECE_BYTES + 100),
    "initrd.img": b"i" * 5000,
    "root.squashfs": random.Random(2).randbytes(5 * PIECE_BYTES + 12345),
    "scratch.qcow2": b"s" * 3000,
}


def write_appliance(folder: Path, version: str, content: Mapping[str, bytes] = CONTENT, name: str = "thin") -> Path:
    """A built appliance."""
    folder.mkdir(parents=True)
    files = {}
    for file, data in content.items():
        (folder / file).write_bytes(data)
        files[file] = {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "role": ROLES[file]}
    direct = {"kernel": "vmlinux", "initrd": "initrd.img", "system": "root.squashfs", "command_line": "quiet"}
    said = {"schema": 1, "name": name, "version": version, "formats": [], "files": files, "confines_jobs": True}
    said |= {"direct": direct | {"machine": {}}, "scratch": "scratch.qcow2"}
    (folder / "manifest.json").write_text(json.dumps(said))
    (folder / "sources.json").write_text("[]")
    return folder


class Operator:
    """Publishes appliances in a catalogue, and shows it on 127.0.0.1.

    Attributes:
        sent: path -> bytes of it that went out.
        rate_bytes_per_s: how slowly it sends; 0: as fast as it can.
        is_down: answers nothing but errors.
        lies: end of a path -> what is answered instead.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.shop = Shop(base)
        self.shop.now = datetime.now(UTC)
        self.sent: dict[str, int] = {}
        self.rate_bytes_per_s = 0
        self.is_down = False
        self.lies: dict[str, bytes] = {}
        self.url = ""

    def publish(
        self,
        version: str = "1.0",
        content: Mapping[str, bytes] = CONTENT,
        make_patch: MakePatch | None = None,
        **facts: Any,
    ) -> str:
        """Publish a version; returns the SHA-256 of its manifest. facts: as in a file of facts beside it."""
        folder = write_appliance(self.base / "built" / version, version, content)
        said = folder.with_suffix(".toml")
        needs = facts.pop("needs", {})
        sections = {"appliance": facts, "needs": needs}
        lines = [line for name, one in sections.items() for line in (f"[{name}]", *map(_line, one.items()))]
        said.write_text("\n".join(lines))
        project = self.shop.project("demo")
        project.add(read_image(folder, said), make_patch=make_patch)
        take_over(self.shop.catalogue, project)
        return hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()

    @property
    def wish(self) -> Wish:
        return Wish(catalogue_url=self.url, root_sha256=self.shop.root_sha256, name="thin")

    def sent_of(self, name: str) -> int:
        """How much went out of all versions of a file."""
        return sum(count for path, count in self.sent.items() if path.endswith(f".{name}"))

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Operator"]:
        application = web.Application()
        application.router.add_get("/{path:.+}", self._answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.is_down:
            raise web.HTTPServiceUnavailable
        path = request.match_info["path"]
        place = self.shop.folder.public / path
        lie = next((data for end, data in self.lies.items() if path.endswith(end)), None)
        if not place.is_file():
            raise web.HTTPNotFound
        content = place.read_bytes() if lie is None else lie
        start, end = 0, len(content)
        asked = request.http_range
        if asked.start is not None:
            start, end = asked.start, min(asked.stop or len(content), len(content))
        headers = {"Content-Length": str(end - start)}
        if asked.start is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
        reply = web.StreamResponse(status=206 if asked.start is not None else 200, headers=headers)
        await reply.prepare(request)
        await self._send(path, reply, content[start:end])
        return reply

    async def _send(self, path: str, reply: web.StreamResponse, data: bytes) -> None:
        import asyncio

        step = max(1, self.rate_bytes_per_s // 20) if self.rate_bytes_per_s else 1 << 20
        for at in range(0, len(data), step):
            chunk = data[at : at + step]
            await reply.write(chunk)
            self.sent[path] = self.sent.get(path, 0) + len(chunk)
            if self.rate_bytes_per_s:
                await asyncio.sleep(0.05)


def _line(item: tuple[str, Any]) -> str:
    return f"{item[0]} = {json.dumps(item[1])}"


@dataclass
class Volunteer:
    """A base folder with a store, without a hypervisor.

    Attributes:
        shown: all that was shown of transfers.
    """

    base: Path
    wish: Wish
    clock: Clock = field(default_factory=SystemClock)
    limit_bytes: int = 1 << 30
    rate_limit: int | None = None
    offer: Offer | None = None
    shown: list[TransferView | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        """As the start of a client does."""
        self.store = Store(self.base / "appliances", self.base / "vms", self.clock, self.limit_bytes)
        self.transfers = Transfers(self.rate_limit, is_held=self.store.book.held)
        self.cache = ApplianceCache(
            self.store,
            self.transfers,
            self.wish,
            label="the project Demo",
            direct=True,
            offer=lambda: self.offer,
            now=lambda: self.clock.now().timestamp(),
        )

    async def fetch(self, id: str = "") -> None:
        await self.cache.fetch(self.shown.append, id)

    async def verified(self, id: str = "") -> str:
        """The version that would be booted now, all its bytes hashed."""
        return (await self.cache.verified(self.shown.append, id)).version

    def place(self, name: str) -> Path:
        return self.cache.place(name)

    def define_vm(self, vm_id: str = "work-1") -> None:
        """What a driver leaves of a VM that lies over the current version."""
        folder = self.base / "vms" / vm_id
        folder.mkdir(parents=True, exist_ok=True)
        media = [{"role": role, "path": str(self.place(name))} for name, role in ROLES.items()]
        (folder / "spec.json").write_text(json.dumps({"vm_id": vm_id, "media": media}))

    def harm(self, name: str, *offsets: int) -> None:
        """Change bytes of a file in the store."""
        path = self.place(name)
        path.chmod(0o600)
        with path.open("r+b") as file:
            for offset in offsets:
                file.seek(offset)
                byte = file.read(1)
                file.seek(offset)
                file.write(bytes([byte[0] ^ 0xFF]))

    def is_right(self, content: Mapping[str, bytes] = CONTENT) -> bool:
        return all(self.place(name).read_bytes() == data for name, data in content.items())

    def parts(self) -> list[str]:
        folder = self.base / "appliances" / "parts"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
