"""The local site shows its appliance as a signed catalogue on loopback, and a client trusts it by its root."""

import json
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from client.appliance.catalog import read_catalog
from client.appliance.publish.store import hash_file
from client.appliance.worker import run_worker
from client.copilot.managers.key_files import add_files
from client.service.site_catalog import is_publishable, publish_appliance, renew
from client.service.site_files import SiteTerms
from client.service.site_plan import Ports, SitePlan
from tests.helpers.servers import free_port

pytestmark = pytest.mark.integration


def built(folder: Path, content: bytes) -> Path:
    """What the appliance's build leaves, in small."""
    folder.mkdir(exist_ok=True)
    (folder / "a.iso").write_bytes(content)
    about = {"size_bytes": len(content), "sha256": hash_file(folder / "a.iso").sha256, "role": "iso"}
    body = {"schema": 1, "name": "thin", "version": "1.0", "files": {"a.iso": about}, "iso": {"system": "a.iso"}}
    (folder / "manifest.json").write_text(json.dumps(body))
    (folder / "sources.json").write_text("{}")
    return folder


async def test_a_client_finds_the_sites_appliance(tmp_path: Path) -> None:
    plan = SitePlan(Ports(1, 2, free_port()), "s", "e", "m")
    appliance = built(tmp_path / "appliance", b"first build")
    assert is_publishable(appliance)
    shown = publish_appliance(tmp_path / "catalogue", appliance, plan, SiteTerms())
    assert publish_appliance(tmp_path / "catalogue", appliance, plan, SiteTerms()) == shown
    application = web.Application()
    add_files(application, None, tmp_path / "catalogue" / "public")
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", plan.ports.key).start()
        order = {
            "metadata_urls": [f"{shown.url}metadata/"],
            "target_urls": [f"{shown.url}targets/"],
            "folder": str(tmp_path / "trust"),
            "root_sha256": shown.root_sha256,
        }
        first = read_catalog(await run_worker("refresh", order), "site")
        found = first.choose(shown.appliance, "0.1.0", project="local", version=shown.version)
        async with aiohttp.ClientSession() as session:
            async with session.get(found.files["a.iso"].urls[0]) as reply:
                assert await reply.read() == b"first build"
            for path in ("..%2fkeys", "metadata/..%2f..%2fcatalogue.toml", "metadata/", "targets/local/.x", "x"):
                async with session.get(f"{shown.url}{path}") as reply:
                    assert reply.status == 404, path
        # A new build under the same version.
        publish_appliance(tmp_path / "catalogue", built(appliance, b"second build"), plan, SiteTerms())
        renew(tmp_path / "catalogue")
        second = read_catalog(await run_worker("refresh", order), "site")
        assert second.is_fresh and second.choose("thin", "0.1.0").files["a.iso"].size_bytes == 12
    finally:
        await runner.cleanup()
