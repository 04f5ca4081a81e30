"""From `publish` to a file on the volunteer's disk: refreshed, downloaded, updated by a patch, each by its worker."""

import asyncio
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client.appliance.catalog import Catalog, read_catalog
from client.appliance.target import PIECE_BYTES, Target
from client.appliance.worker import run_worker
from client.appliance.xdelta import make_patch
from tests.helpers.catalogue import Shop, Volunteer, served

pytestmark = pytest.mark.integration


async def refreshed(volunteer: Volunteer) -> Catalog:
    return read_catalog(await run_worker("refresh", volunteer.order()), "test")


def order(target: Target, to: Path) -> dict[str, object]:
    return {"target": target.to_json(), "to": str(to), "part": f"{to}.part", "proxy": "", "pause_s": 0.05}


async def test_an_image_goes_from_its_publisher_to_its_volunteer(tmp_path: Path) -> None:
    shop = Shop(tmp_path, at=datetime.now(UTC).replace(microsecond=0))
    old = os.urandom(2 * PIECE_BYTES + 1000)
    new = old[:5_000_000] + os.urandom(20_000) + old[5_020_000:]
    shop.add(version="1.0", content=old)
    with served(shop) as server, served(shop) as mirror:
        volunteer = Volunteer(shop, tmp_path / "trust", server, mirror)
        first = (await refreshed(volunteer)).choose("thin", "1").files["thin.qcow2"]
        assert len(first.urls) == 2 and len(first.pieces) == 3
        # One of the two mirrors has the second piece altered.
        altered = bytearray(old)
        altered[PIECE_BYTES + 5] ^= 1
        server.lie(".thin.qcow2", bytes(altered))
        await run_worker("download", order(first, tmp_path / "old.img"))
        assert (tmp_path / "old.img").read_bytes() == old

        await asyncio.to_thread(shop.add, version="1.1", content=new, make_patch=make_patch)
        second = (await refreshed(volunteer)).choose("thin", "1").files["thin.qcow2"]
        assert [one.from_sha256 for one in second.patches] == [hashlib.sha256(old).hexdigest()]
        said = await run_worker(
            "patch", order(second, tmp_path / "new.img") | {"from": {first.sha256: str(tmp_path / "old.img")}}
        )
        assert (tmp_path / "new.img").read_bytes() == new
        assert said["kind"] == "patch" and said["bytes_fetched"] < 60_000
