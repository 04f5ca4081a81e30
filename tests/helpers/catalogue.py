"""A catalogue that is published in a folder, a web server that shows it and can be made to lie, and a client of it."""

import contextlib
import http.server
import io
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tuf.api.metadata import Metadata, MetaFile, Signed, Targets

from client.appliance.catalog import Catalog, read_catalog
from client.appliance.publish.accept import accept, take_over
from client.appliance.publish.catalogue import Catalogue
from client.appliance.publish.images import Image, read_image
from client.appliance.publish.keyring import KeyRing
from client.appliance.publish.layout import CatalogueFolder, ProjectFolder
from client.appliance.publish.project import MakePatch, Project
from client.appliance.publish.settings import Publisher, Settings
from client.appliance.trust import Order, Refresh
from client.appliance.worker_child import Face

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def write_image(folder: Path, name: str, version: str, content: bytes, /, **more: Any) -> Path:
    """A plain image with its file of facts; returns the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.qcow2").write_bytes(content)
    facts = {"name": name, "version": version, "image": f"{name}.qcow2", "format": "qcow2", "sources": "none", **more}
    lines = ["[appliance]", *(f"{key} = {json.dumps(value)}" for key, value in facts.items())]
    path = folder / f"{name}.toml"
    path.write_text("\n".join(lines))
    return path


class Shop:
    """One catalogue, all keys at hand. Time stands still until a test moves it."""

    def __init__(self, base: Path, *, keys: int = 1, threshold: int = 1, at: datetime = START) -> None:
        self.base = base
        self.now = at
        self.folder = CatalogueFolder(base / "catalogue")
        ring = KeyRing([self.folder.online_keys, self.folder.offline_keys])
        Catalogue.make(self.folder, Settings(), ring, keys=keys, threshold=threshold, clock=self.clock)

    def clock(self) -> datetime:
        return self.now

    def later(self, **by: float) -> None:
        """Let time pass."""
        self.now += timedelta(**by)

    @property
    def catalogue(self) -> Catalogue:
        ring = KeyRing([self.folder.online_keys, self.folder.offline_keys])
        return Catalogue.open(self.folder, ring, clock=self.clock)

    def project(self, id: str, folder: ProjectFolder | None = None) -> Project:
        """A project, made if it is new."""
        own = folder or self.folder.project(id)
        if own.settings.exists():
            return Project.open(own, lambda _: b"", self.clock)
        return Project.make(own, Publisher(id, id.upper()), clock=self.clock)

    def image(self, name: str, version: str, content: bytes, **more: Any) -> Image:
        return read_image(write_image(self.base / "images" / f"{name}-{version}", name, version, content, **more))

    def add(
        self,
        id: str = "demo",
        name: str = "thin",
        version: str = "1.0",
        content: bytes = b"image one",
        make_patch: MakePatch | None = None,
    ) -> None:
        """Publish an image of a project."""
        project = self.project(id)
        project.add(self.image(name, version, content), make_patch=make_patch)
        take_over(self.catalogue, project)

    def accept(self, outbox: Path, trust: Iterable[str] = ()) -> list[str]:
        return accept(self.catalogue, outbox, trust)

    @property
    def root_sha256(self) -> str:
        return self.catalogue.first_root_sha256()

    def forge(self, changed: dict[str, Metadata[Targets]], **versions: int) -> None:
        """Publish lists as they are, with true signatures of the online keys: what a thief of these could do.

        Args:
            versions: role -> version that the snapshot is to name; of the snapshot itself: that of the timestamp.
        """
        repository, ring = self.catalogue.repository, self.catalogue.ring
        snapshot, timestamp = repository.snapshot, repository.timestamp
        for role, one in changed.items():
            self.write(role, one)
            snapshot.signed.meta[f"{role}.json"] = MetaFile.from_data(one.signed.version, one.to_bytes(), ["sha256"])
        for role, version in versions.items():
            if role != "snapshot":
                snapshot.signed.meta[f"{role}.json"] = MetaFile(version)
        if changed or set(versions) - {"snapshot"}:
            snapshot.signed.version += 1
            self.sign(snapshot, ring, "snapshot")
            self.write("snapshot", snapshot)
        timestamp.signed.version += 1
        timestamp.signed.snapshot_meta = MetaFile(versions.get("snapshot", snapshot.signed.version))
        self.sign(timestamp, ring, "timestamp")
        self.write("timestamp", timestamp)

    def sign(self, metadata: Any, ring: KeyRing, *roles: str) -> None:
        """Sign with the keys of these roles (names of key files) alone."""
        metadata.signatures.clear()
        keys = [keyid for keyid, path in ring.files().items() if path.name.split(".")[0] in roles]
        ring.sign(metadata, roles[0], keys, 0)

    def write(self, role: str, metadata: Metadata[Any]) -> None:
        signed: Signed = metadata.signed
        self.folder.metadata_file(role, signed.version).write_bytes(metadata.to_bytes())

    def listed(self, id: str) -> Metadata[Targets]:
        """A copy of a project's list."""
        return Metadata.from_bytes(self.catalogue.repository.lists[id].to_bytes())


class Server:
    """Shows a folder over http on this computer.

    Attributes:
        folder: may be changed at any time.
        lies: end of a path -> what is answered instead.
        asked: the paths that were asked for.
    """

    def __init__(self, folder: Path, clock: Callable[[], datetime]) -> None:
        self.folder = folder
        self.clock = clock
        self.lies: dict[str, Callable[[http.server.BaseHTTPRequestHandler], None]] = {}
        self.asked: list[str] = []
        self.sent_bytes = 0
        self.stopping = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    outer._answer(self)

            def log_message(self, *_: object) -> None:
                pass

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(outer.clock().timestamp())  # type: ignore[arg-type]

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def http_server(self) -> http.server.ThreadingHTTPServer:
        return self._server

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/"

    def lie(self, end: str, content: bytes) -> None:
        """Answer with other bytes where a path ends so."""
        self.lies[end] = lambda handler: answer(handler, content)

    def close(self) -> None:
        if self.stopping.is_set():
            return
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        for end, lie in self.lies.items():
            if handler.path.endswith(end):
                return lie(handler)
        path = self.folder / handler.path.lstrip("/")
        if not path.is_file():
            return handler.send_error(404)
        self.sent_bytes += path.stat().st_size
        return answer(handler, path.read_bytes())


def answer(handler: http.server.BaseHTTPRequestHandler, content: bytes, status: int = 200) -> None:
    """A whole and well-formed answer."""
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def endless(server: Server) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    """An answer without end; counts what it could send."""

    def lie(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not server.stopping.is_set():
            handler.wfile.write(b"[" * 65536)
            server.sent_bytes += 65536

    return lie


def dripping(server: Server, *, headers: bool = False) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    """An answer of one byte now and then, its head too if `headers`."""

    def lie(handler: http.server.BaseHTTPRequestHandler) -> None:
        if headers:
            handler.wfile.write(b"HTTP/1.0 200 OK\r\nX-Long: ")
        else:
            handler.send_response(200)
            handler.end_headers()
        while not server.stopping.wait(0.05):
            handler.wfile.write(b"x")
            handler.wfile.flush()

    return lie


@contextlib.contextmanager
def served(shop: Shop) -> Iterator[Server]:
    """A server of a catalogue for the time of a test; its clock is the shop's."""
    server = Server(shop.folder.public, shop.clock)
    try:
        yield server
    finally:
        server.close()


class Volunteer:
    """A client of one or more addresses of a catalogue, with its own folder of what it has seen."""

    def __init__(self, shop: Shop, folder: Path, *servers: Server) -> None:
        self.shop = shop
        self.folder = folder
        self.servers = servers
        self.root_sha256 = shop.root_sha256
        self.out = io.StringIO()

    def order(self, **more: Any) -> dict[str, Any]:
        return {
            "metadata_urls": [f"{server.base}metadata/" for server in self.servers],
            "target_urls": [f"{server.base}targets/" for server in self.servers],
            "folder": str(self.folder),
            "root_sha256": self.root_sha256,
            "proxy": "",
            **more,
        }

    def refresh(self, **more: Any) -> Catalog:
        """Refresh as the worker does, by the shop's clock."""
        order = Order.from_json(self.order(**more))
        order.folder.mkdir(exist_ok=True)
        found = Refresh(order, Face(self.out), self.shop.clock).run()
        return read_catalog(json.loads(json.dumps(found.to_json())), "test")

    def versions(self) -> list[str]:
        """`project/appliance version` of all that is shown now."""
        return versions(self.refresh())


def versions(catalog: Catalog) -> list[str]:
    every = (one for project in catalog.projects for one in project.appliances)
    return [f"{one.project}/{one.facts.name} {one.facts.version}" for one in every]


def until(is_so: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait for something that a thread does."""
    ends = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < ends
        # What is waited for is any fact, such as a file that another thread writes: nothing would wake this one.
        time.sleep(0.01)
