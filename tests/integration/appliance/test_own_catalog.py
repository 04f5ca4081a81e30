"""An operator's plain disk image, from `publish` over the wire to an image that a virtual machine can be made from."""

import asyncio
import hashlib
import json
import random
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from client.appliance.catalog import CatalogAppliance
from client.appliance.catalog_source import Source
from client.appliance.errors import ApplianceAltered, BadManifest, NeedsNotMet, NotInCatalog
from client.appliance.formats import Format
from client.appliance.needs import Offer
from client.appliance.own_catalog import fetch_image, images_of, read_source
from client.appliance.own_images import OwnImages
from client.appliance.own_import import ready_file
from client.appliance.publish.accept import take_over
from client.appliance.publish.images import read_image
from client.appliance.target import PIECE_BYTES
from tests.helpers import images as made
from tests.helpers.appliances import Operator, Volunteer

pytestmark = pytest.mark.integration
TOP = Path(__file__).resolve().parents[3]
DISK = made.mbr(12 * made.MIB)[:512] + random.Random(5).randbytes(12 * made.MIB - 512)
TEMPLATE = '[template]\nname = "CernVM"\nsystem = "cernvm"\n'
FACTS = """
[appliance]
name = "cernvm4-micro"
version = "2020.07-1"
image = "cernvm4-micro-2020.07-1.hdd"
format = "hdd"
sources = "none"
licence = "several"
end_of_life = "2024-06-30"
first_boot_bytes = 300000000
context = "demo/templates/cernvm.toml"
[needs]
memory_mib = 1024
cpus = 2
network = "open"
"""


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "cernvm4-micro-2020.07-1.hdd").write_bytes(DISK)
    (folder / "facts.toml").write_text(FACTS)
    (folder / "cernvm.toml").write_text(TEMPLATE)
    async with Operator(tmp_path / "operator").serving() as one:
        one.publish()
        project = one.shop.project("demo")
        project.put(folder / "cernvm.toml", "template")
        project.add(read_image(folder / "facts.toml"))
        take_over(one.shop.catalogue, project)
        yield one


@pytest.fixture
def images(tmp_path: Path) -> OwnImages:
    return OwnImages(tmp_path / "base" / "appliances")


async def offered(operator: Operator, images: OwnImages) -> tuple[Source, CatalogAppliance]:
    source = Source(operator.url, operator.shop.root_sha256)
    (found,) = images_of(await read_source(source, images.folder.parent))
    return source, found


async def test_a_plain_disk_comes_out_of_a_catalogue_ready_to_be_booted(operator: Operator, images: OwnImages) -> None:
    source, found = await offered(operator, images)
    image = await fetch_image(images, source, found)
    assert images.find("cernvm4-micro") == image
    assert (image.end_of_life, image.came_as) == ("2024-06-30", "raw")
    assert image.origin == f"{operator.url} (demo cernvm4-micro 2020.07-1)"
    assert image.asked is not None
    assert (image.asked.memory_mib, image.asked.cpus) == (1024, 2)
    place = await ready_file(images, image, image.files[0], (Format.QCOW2, Format.RAW), {})
    assert place.read_bytes() == DISK
    assert images.template(image.name).read_text() == TEMPLATE
    assert sorted(path.name for path in images.folder.iterdir()) == [".lock", "cernvm4-micro.toml", "templates"]
    images.remove(image, {})
    assert not images.template(image.name).exists()


async def test_broken_off_it_is_gone_on_with(operator: Operator, images: OwnImages) -> None:
    source, found = await offered(operator, images)
    operator.rate_bytes_per_s = 6 << 20
    fetching = asyncio.create_task(fetch_image(images, source, found))
    while operator.sent_of("hdd") < 2 * PIECE_BYTES:
        await asyncio.sleep(0.01)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    operator.rate_bytes_per_s = 0
    await fetch_image(images, source, found)
    assert operator.sent_of("hdd") < len(DISK) + 2 * PIECE_BYTES


async def test_other_bytes_are_not_taken_in(operator: Operator, images: OwnImages) -> None:
    source, found = await offered(operator, images)
    operator.lies[".hdd"] = made.mbr(len(DISK))
    with pytest.raises(ApplianceAltered):
        await fetch_image(images, source, found)
    assert images.images() == ()


async def test_without_its_template_it_is_not_taken_in(operator: Operator, images: OwnImages) -> None:
    source, found = await offered(operator, images)
    operator.lies["cernvm.toml"] = b"#" * len(TEMPLATE)
    with pytest.raises(ApplianceAltered):
        await fetch_image(images, source, found)
    assert images.images() == ()
    del operator.lies["cernvm.toml"]
    assert await fetch_image(images, source, found) == images.find("cernvm4-micro")


async def test_what_it_needs_is_looked_at_before_it_is_fetched(operator: Operator, images: OwnImages) -> None:
    source, found = await offered(operator, images)
    with pytest.raises(NeedsNotMet, match="1024 MiB of memory"):
        await fetch_image(images, source, found, offer=Offer(512, 4, internet=True))
    assert operator.sent_of("hdd") == 0


async def test_files_for_jobs_make_no_machine_of_ones_own(operator: Operator, images: OwnImages) -> None:
    source = Source(operator.url, operator.shop.root_sha256)
    catalog = await read_source(source, images.folder.parent)
    with pytest.raises(NotInCatalog):
        await fetch_image(images, source, catalog.choose("thin", "9"))


async def test_a_disk_is_no_appliance_for_jobs_and_that_is_said(operator: Operator, tmp_path: Path) -> None:
    volunteer = Volunteer(tmp_path / "client", replace(operator.wish, name="cernvm4-micro"))
    with pytest.raises(BadManifest, match="virtual machines of your own"):
        await volunteer.fetch()
    assert operator.sent_of("hdd") == 0


async def test_the_command_lists_and_gets(operator: Operator, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "preferences.toml").write_text("[guest]\nmemory_mib = 2048\ncpus = 4\n[network]\ninternet = true\n")
    words = [sys.executable, str(TOP / "main.py"), "image", "get", "--basedir", str(base)]
    words += ["--catalogue", operator.url, "--root-sha256", operator.shop.root_sha256]

    async def said(*more: str) -> str:
        child = await asyncio.create_subprocess_exec(*words, *more, stdout=asyncio.subprocess.PIPE)
        out, _ = await child.communicate()
        assert child.returncode == 0
        return out.decode()

    listed = await said()
    assert "cernvm4-micro 2020.07-1 of demo: 12.6 MB, hdd" in listed
    assert "its first boot downloads 300 MB; no updates since 2024-06-30" in listed
    told = json.loads(await said("cernvm4-micro", "--json"))["image"]
    assert told["files"][0]["sha256"] == hashlib.sha256(DISK).hexdigest()
