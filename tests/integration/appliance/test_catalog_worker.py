"""The refresh in its own process: what it writes, what it refuses to follow, and what it costs."""

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from client.appliance.catalog import read_catalog
from client.appliance.errors import CatalogUnreachable, ClockWrong
from client.appliance.publish import renewal
from client.appliance.worker import run_worker
from client.errors import BadInput
from client.service.site_certificate import Certificates
from tests.helpers.catalogue import Server, Shop, Volunteer, served, versions

pytestmark = pytest.mark.integration
TOP = Path(__file__).resolve().parents[3]
#: stands in every answer of a lying server
EVIL = b"evil-marker-5f2c"

#: refreshes, and tells of every file that was opened and of all that was written
_WATCHED = """
import io, json, os, sys
opened, order = [], json.loads(sys.argv[1])
from client.appliance.errors import ApplianceError
from client.appliance.trust import Refresh, Order
from client.appliance.worker_child import Face
def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        opened.append((os.fsdecode(arguments[0]), arguments[2]))
from datetime import datetime
now = datetime.fromisoformat(sys.argv[2])
sys.addaudithook(hook)
try:
    Refresh(Order.from_json(order), Face(io.StringIO()), lambda: now).run()
    said = "good"
except ApplianceError as error:
    said = error.code
print(json.dumps({"said": said, "opened": opened}))
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    shop.add(version="1.0", content=b"image one")
    return shop


def watched(volunteer: Volunteer, **more: object) -> tuple[str, set[str]]:
    """Refresh in a process that tells what it opened for writing below its folders."""
    temporary = volunteer.folder.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    volunteer.folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", _WATCHED, json.dumps(volunteer.order(**more)), volunteer.shop.now.isoformat()]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    ended = subprocess.run(command, cwd=TOP, env=environment, capture_output=True, text=True, check=True, timeout=60)
    said = json.loads(ended.stdout)
    written = {path for path, flags in said["opened"] if flags & (os.O_WRONLY | os.O_RDWR)}
    return said["said"], {path for path in written if not path.startswith("/dev/")}


def test_nothing_unverified_is_ever_written_or_opened(shop: Shop, tmp_path: Path) -> None:
    """Whatever comes, when it is not proven no file is opened but the lock and those of what was proven before it."""
    with served(shop) as server:
        volunteer = Volunteer(shop, tmp_path / "trust", server)
        said, written = watched(volunteer)
        assert said == "good"
        shop.add(version="1.1", content=b"image two")
        renewal.renew(shop.catalogue, everything=True)
        renewal.rotate(shop.catalogue, "root")
        names = [path.name for path in shop.folder.metadata.iterdir() if path.name != "1.root.json"]
        for name in [*names, "catalog.json"]:
            fresh = Volunteer(shop, tmp_path / f"trust-{name}", server)
            server.lies = {}
            server.lie(f"/{name}" if name != "catalog.json" else name, b'{"signatures": [], "signed": "%s"}' % EVIL)
            said, written = watched(fresh)
            asked = [path for path in server.asked if path.endswith(name)]
            assert not asked or said != "good" or "demo" in name
            for path in written:
                assert Path(path).parent.is_relative_to(fresh.folder), "something is written outside its folder"
                assert not path.endswith((f"/{name}", "/tmp")), path
            for path in (*fresh.folder.rglob("*"), *(tmp_path / "tmp").rglob("*")):
                assert not path.is_file() or EVIL not in path.read_bytes(), path
            server.asked.clear()
        assert not list((tmp_path / "tmp").iterdir())


def test_what_is_returned_are_names_and_hashes_and_no_image_is_fetched(shop: Shop, tmp_path: Path) -> None:
    with served(shop) as server:
        Volunteer(shop, tmp_path / "trust", server).refresh()
        assert not [path for path in server.asked if path.endswith((".qcow2", "manifest.json"))]


async def test_the_worker_returns_a_catalogue_and_tells_errors(shop: Shop, tmp_path: Path) -> None:
    shop.now = datetime.now(UTC).replace(microsecond=0)
    renewal.renew(shop.catalogue, everything=True)
    project = shop.project("demo")
    project.sign()
    shop.accept(project.folder.outbox)
    with served(shop) as server:
        volunteer = Volunteer(shop, tmp_path / "trust", server)
        found = read_catalog(await run_worker("refresh", volunteer.order()), "worker")
        assert found.is_fresh and versions(found) == ["demo/thin 1.0"]
        server.lies["timestamp.json"] = lambda handler: handler.send_error(503)
        again = read_catalog(await run_worker("refresh", volunteer.order()), "worker")
        assert not again.is_fresh and again.problem is not None and again.problem["code"] == CatalogUnreachable.code
        shop.later(days=3)
        renewal.renew(shop.catalogue)
        server.lies.clear()
        early = read_catalog(await run_worker("refresh", volunteer.order()), "worker")
        assert not early.is_fresh and early.problem is not None and early.problem["code"] == ClockWrong.code


# Redirects


@pytest.fixture
def safe(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The same server behind https, its authority trusted by this process."""
    (tmp_path / "tls").mkdir()
    certificates = Certificates(tmp_path / "tls")
    certificates.make("localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    server = Server(shop.folder.public, shop.clock)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server, certificates.server_key)
    server.http_server.socket = context.wrap_socket(server.http_server.socket, server_side=True)
    yield server
    server.close()


def redirect(to: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def lie(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", to.rstrip("/") + handler.path)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return lie


def test_a_redirect_from_https_to_http_is_not_followed(shop: Shop, safe: Server, tmp_path: Path) -> None:
    volunteer = Volunteer(shop, tmp_path / "trust", safe)
    base = f"https://localhost:{safe.http_server.server_port}/"
    order = {"metadata_urls": [f"{base}metadata/"], "target_urls": [f"{base}targets/"]}
    assert versions(volunteer.refresh(**order)) == ["demo/thin 1.0"]
    with served(shop) as plain:
        safe.lies["timestamp.json"] = redirect(plain.base)
        found = volunteer.refresh(**order)
        assert plain.asked == []
    assert not found.is_fresh and found.problem is not None
    assert "https" in found.problem["fields"]["said"]


def test_redirects_on_the_same_computer_are_followed_but_not_for_ever(shop: Shop, tmp_path: Path) -> None:
    with served(shop) as first, served(shop) as second:
        volunteer = Volunteer(shop, tmp_path / "trust", first)
        first.lies[".json"] = redirect(second.base)
        assert versions(volunteer.refresh()) == ["demo/thin 1.0"]
        first.lies[".json"] = redirect(first.base)
        assert not volunteer.refresh().is_fresh
        assert len(first.asked) < 60


def test_an_address_without_https_is_not_asked(shop: Shop, tmp_path: Path) -> None:
    with served(shop) as server:
        volunteer = Volunteer(shop, tmp_path / "trust", server)
        for url in (
            "http://example.org/metadata/",
            "ftp://127.0.0.1/",
            "file:///etc/",
            f"{server.base}../",
            "https://u:p@h/",
        ):
            with pytest.raises(BadInput):
                volunteer.refresh(metadata_urls=[url])
        assert server.asked == []
