"""A signed catalogue of 50 appliances: what a refresh costs, in its process and over the wire, and what publishing."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from client.appliance.publish.keyring import KeyRing
from client.appliance.publish.store import hash_file
from client.appliance.target import PIECE_BYTES, piece_count
from tests.bench.harness import TOP, Row, bench, plain
from tests.helpers.catalogue import Server, Shop, served

APPLIANCES, PROJECTS, TIMES = 50, 10, 5
#: of each image, as the lists tell of it; the files themselves are short
IMAGE_BYTES = 1_000_000_000
_REFRESH = """
import io, json, resource, sys, time
began = time.perf_counter()
from client.appliance.trust import refresh
from client.appliance.worker_child import Face
loaded = time.perf_counter()
result = refresh(json.loads(sys.argv[1]), Face(io.StringIO()))
said = {
    "load": loaded - began,
    "refresh": time.perf_counter() - loaded,
    "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    "result": len(json.dumps(result)),
    "fresh": result["is_fresh"],
    "number": sum(len(one["appliances"]) for one in result["projects"]),
}
print(json.dumps(said))
"""


@bench("catalogue")
def catalogue() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-") as name:
        shop = _filled(Path(name))
        lists = [path for path in shop.folder.metadata.iterdir() if path.name != "1.root.json"]
        yield plain(f"Catalogue of {APPLIANCES}: all lists", [sum(one.stat().st_size for one in lists) / 1e3], "KB")
        with served(shop) as server:
            runs = [_sent(server, _order(shop, server.base, Path(name) / f"trust{number}")) for number in range(TIMES)]
            more = [_sent(server, _order(shop, server.base, Path(name) / "trust0")) for _ in range(TIMES)]
        first, again = [run[0] for run in runs], [run[0] for run in more]
        sent, unchanged = runs[0][1], more[0][1]
        yield plain("Catalogue: first refresh", [one["refresh"] * 1000 for one in first], "ms")
        yield plain("Catalogue: refresh when nothing is new", [one["refresh"] * 1000 for one in again], "ms")
        yield plain("Catalogue: start of the worker, libraries", [one["load"] * 1000 for one in first], "ms")
        yield plain("Catalogue: memory of the worker", [one["rss"] / 1024 for one in first], "MiB")
        yield plain("Catalogue: bytes of the first refresh", [sent / 1e3], "KB")
        yield plain("Catalogue: bytes when nothing is new", [unchanged / 1e3], "KB")
        yield plain("Catalogue: result of the worker", [first[0]["result"] / 1e3], "KB")
    yield from _publishing()


def _publishing() -> Iterator[Row]:
    appliance = TOP / "build" / "appliance"
    size = sum(path.stat().st_size for path in appliance.iterdir())
    times, floor = [], []
    for _ in range(3):
        with tempfile.TemporaryDirectory(prefix="vc-bench-", dir=TOP / "build") as name:
            command = [
                sys.executable,
                str(TOP / "main.py"),
                "publish",
                "add",
                f"{name}/c",
                str(appliance),
                "--project",
                "demo",
            ]
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - began)
            began = time.perf_counter()
            for path in appliance.iterdir():
                hash_file(path)
                shutil.copyfile(path, f"{name}/{path.name}")
            os.sync()
            floor.append(time.perf_counter() - began)
    yield plain(
        f"Publishing our appliance ({size / 1e6:.0f} MB), new catalogue",
        times,
        "s",
        peer="hash, copy, sync",
        peer_value=min(floor),
    )


def _filled(base: Path) -> Shop:
    """A catalogue whose lists are as long as those of large images."""
    shop = Shop(base, at=datetime.now(UTC).replace(microsecond=0))
    each = ["0" * 64] * piece_count(IMAGE_BYTES, PIECE_BYTES)
    changed = {}
    for id in (f"project-{number}" for number in range(PROJECTS)):
        for number in range(APPLIANCES // PROJECTS):
            shop.add(id, f"image{number}", "1.0", f"{id} {number}".encode())
        listed = changed[id] = shop.listed(id)
        listed.signed.version += 1
        for name, target in listed.signed.targets.items():
            if name.endswith(".qcow2"):
                target.length = IMAGE_BYTES
                pieces = {"bytes": PIECE_BYTES, "sha256": each, "prefixes": [*each[1:], target.hashes["sha256"]]}
                target.unrecognized_fields["custom"] = {"pieces": pieces}
        shop.sign(listed, KeyRing([shop.folder.project(id).keys]), id)
    shop.forge(changed)
    shop.catalogue.tidy()
    return shop


def _order(shop: Shop, base: str, folder: Path) -> dict[str, Any]:
    urls = {"metadata_urls": [f"{base}metadata/"], "target_urls": [f"{base}targets/"]}
    return {**urls, "folder": str(folder), "root_sha256": shop.root_sha256, "proxy": ""}


def _refresh(order: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", _REFRESH, json.dumps(order)], cwd=TOP, capture_output=True, check=True)
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["fresh"] and said["number"] == APPLIANCES
    return said


def _sent(server: Server, order: dict[str, Any]) -> tuple[dict[str, Any], int]:
    before = server.sent_bytes
    return _refresh(order), server.sent_bytes - before
