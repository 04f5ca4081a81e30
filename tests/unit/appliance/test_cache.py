"""What a wish leaves in the store when it is not fulfilled at once; workers are played."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from client.appliance.cache import ApplianceCache
from client.appliance.catalog_facts import ApplianceNeeds, Facts
from client.appliance.choice import Wish, from_manifest
from client.appliance.errors import DownloadFailed, NeedsNotMet
from client.appliance.needs import Offer
from client.appliance.objects import Objects
from client.appliance.store import Store
from client.appliance.transfers import Transfers
from tests.helpers.client_core import FILES, URL, make_manifest
from tests.helpers.clock import FakeClock

WISH = Wish("", "", "https://c.example/", "1" * 64, "tiny")
SYSTEM = "root.squashfs"


class Server:
    """Plays the workers: one appliance at a time, and lines that break in the middle of a file."""

    def __init__(self, folder: Path) -> None:
        self.objects = Objects(folder)
        self.breaks_at = ""
        self.facts: Facts | None = None
        #: name -> how many bytes of it were here already when it was asked for
        self.found: dict[str, int] = {}
        self.publish("1")

    def publish(self, version: str) -> None:
        said = json.loads(make_manifest()) | {"version": version}
        self.files = {name: data + version.encode() for name, (_, data) in FILES.items()}
        for name, data in self.files.items():
            said["files"][name] |= {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        self.manifest = json.dumps(said).encode()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.manifest).hexdigest()

    async def work(self, kind: str, order: Mapping[str, Any], **_: Any) -> Mapping[str, Any]:
        if kind == "look":
            choice = from_manifest(URL, self.sha256, self.manifest)
            self._put(self.sha256, "manifest.json", self.manifest)
            about = choice.to_json() | {"facts": self.facts.to_json() if self.facts else None}
            return {"choice": about, "is_fresh": True, "problem": None}
        for one in order["files"]:
            self._fetch(one["target"]["name"], Path(one["part"]))
        return {"files": []}

    def _fetch(self, name: str, part: Path) -> None:
        self.found[name] = part.stat().st_size if part.exists() else 0
        if name == self.breaks_at:
            part.write_bytes(self.files[name][:3])
            raise DownloadFailed(URL, "the connection broke")
        self._put(hashlib.sha256(self.files[name]).hexdigest(), name, self.files[name])

    def _put(self, sha256: str, name: str, data: bytes) -> None:
        part = self.objects.part(sha256)
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        self.objects.take_in(part, sha256, name)


class Volunteer:
    """A store and one wish; `open` is what the start of a client does."""

    def __init__(self, base: Path) -> None:
        self.base, self.server, self.offer = base, Server(base / "appliances"), Offer(256, 1)
        self.open()

    def open(self) -> None:
        self.store = Store(self.base / "appliances", self.base / "vms", FakeClock(), 1 << 20)
        transfers = Transfers(None, is_held=False, run=self.server.work)
        self.cache = ApplianceCache(
            self.store, transfers, WISH, label="the project", direct=True, offer=lambda: self.offer
        )

    async def renew(self) -> bool:
        return await self.cache.renew(lambda view: None)

    async def fetch(self) -> None:
        await self.cache.fetch(lambda view: None)


@pytest.fixture
def volunteer(tmp_path: Path) -> Volunteer:
    return Volunteer(tmp_path)


async def broken_off(volunteer: Volunteer) -> None:
    """Version 1 is here, and the beginning of version 2."""
    await volunteer.fetch()
    volunteer.server.publish("2")
    volunteer.server.breaks_at = SYSTEM
    with pytest.raises(DownloadFailed):
        await volunteer.renew()


async def test_the_beginning_of_a_newer_version_waits_for_its_rest(volunteer: Volunteer) -> None:
    await broken_off(volunteer)
    volunteer.store.tidy()
    volunteer.open()
    volunteer.store.tidy()
    assert (await volunteer.cache.verified(lambda view: None)).version == "1", "what is not whole is not booted"
    volunteer.server.breaks_at = ""
    assert await volunteer.renew()
    assert volunteer.server.found[SYSTEM] == 3
    assert (await volunteer.cache.verified(lambda view: None)).version == "2"


async def test_the_beginning_of_a_version_that_nobody_wants_any_more_goes(volunteer: Volunteer) -> None:
    await broken_off(volunteer)
    volunteer.server.publish("3")
    volunteer.server.breaks_at = ""
    assert await volunteer.renew()
    volunteer.store.tidy()
    parts = volunteer.base / "appliances" / "parts"
    assert not parts.exists() or list(parts.iterdir()) == []


async def test_a_version_that_cannot_run_here_is_not_the_one_that_comes(volunteer: Volunteer) -> None:
    await volunteer.fetch()
    volunteer.server.publish("2")
    volunteer.server.facts = Facts("tiny", "2", ("direct",), needs=ApplianceNeeds(memory_mib=512))
    with pytest.raises(NeedsNotMet):
        await volunteer.renew()
    assert volunteer.cache.standing.coming == ""
