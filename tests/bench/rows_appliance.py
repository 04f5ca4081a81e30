"""Downloads and updates of appliances, over loopback, each by the real worker process."""

import random
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from client.appliance.target import Patch
from client.appliance.xdelta import make_patch
from packaging.appliance import build as builder
from packaging.appliance.failure import BuildFailed
from packaging.appliance.recipe import RECIPE, Recipe, read_recipe
from tests.bench import downloads
from tests.bench.downloads import target_of, timed, work, worked, zsync_bytes
from tests.bench.harness import TOP, Row, against, at_most, bench, plain
from tests.helpers import hostile_http

SIZE = 512 * 2**20
PAIRS = 7
#: what the fastest homes have
GIGABIT = 125_000_000
CUTS = 10
#: the version before that of the recipe
OLDER = "slixmpp==1.16.0 --hash=sha256:0642e32262abaa4563ff323c3cfc75ddc2f6390a72ed979cc706628244a2c60f"


def memory_folder() -> str | None:
    """A disk in memory, so that the disk's own mood is not measured; None where there is none."""
    shm = Path("/dev/shm")
    return str(shm) if shm.is_dir() and shutil.disk_usage(shm).free > 8 * SIZE else None


def order(folder: Path, path: Path, url: str) -> dict[str, Any]:
    paths = {"to": str(folder / "ours"), "part": str(folder / "ours.part")}
    return {"target": target_of(path, url).to_json(), **paths, "proxy": ""}


@bench("download throughput")
def throughput() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-", dir=memory_folder()) as name:
        folder = Path(name)
        chance = random.Random(1)
        with (folder / "file").open("wb") as file:
            for _ in range(SIZE // 2**20):
                file.write(chance.randbytes(2**20))
        with downloads.serving(folder) as served:
            yield from _beside_curl(folder, f"{served.url}/file")
            yield from _at_a_gigabit(folder, f"{served.url}/file?rate={GIGABIT}")


def _beside_curl(folder: Path, url: str) -> Iterator[Row]:
    ours: list[tuple[float, float]] = []
    curl: list[tuple[float, float]] = []
    checked: list[float] = []
    for _ in range(PAIRS):
        ours.append(_ours(folder, url))
        curl.append(_curl(folder, url))
        checked.append(curl[-1][0] + timed(["sha256sum", folder / "curl"])[0])
    times = [one[0] for one in ours]
    yield against("download: 512 MB, the whole worker process", times, "s", "curl", [one[0] for one in curl], 1.11)
    yield against("download: 512 MB, received and verified", times, "s", "curl, then sha256sum", checked, 1.11)
    yield plain("download: throughput", [SIZE / 1e6 / one for one in times], "MB/s")
    cpu = [one[1] for one in curl]
    yield plain("download: CPU", [one[1] for one in ours], "s", peer="curl", peer_value=statistics.median(cpu))


def _at_a_gigabit(folder: Path, url: str) -> Iterator[Row]:
    ours, curl = zip(*[(_ours(folder, url)[0], _curl(folder, url)[0]) for _ in range(3)], strict=True)
    yield against("download: 512 MB over a line of 1 Gbit/s", list(ours), "s", "curl", list(curl), 1.11)


def _ours(folder: Path, url: str) -> tuple[float, float]:
    (folder / "ours").unlink(missing_ok=True)
    return worked("download", order(folder, folder / "file", url))


def _curl(folder: Path, url: str) -> tuple[float, float]:
    (folder / "curl").unlink(missing_ok=True)
    return timed(["curl", "--silent", "--output", folder / "curl", url])


@bench("download after cuts")
def cuts() -> Iterator[Row]:
    content = random.Random(2).randbytes(100_000_000)
    yield at_most("download: bytes sent / size, 10 cuts at random", _sent(content, reset=False), "", 1.02)
    yield plain("download: the same, what is on its way is lost too", _sent(content, reset=True), "")


def _sent(content: bytes, *, reset: bool) -> list[float]:
    chance, shares = random.Random(3), []
    for _ in range(3):
        places = sorted(chance.sample(range(len(content)), CUTS))
        plays = [hostile_http.cut(there - here, reset=reset) for here, there in zip([0, *places], places, strict=False)]
        with tempfile.TemporaryDirectory(prefix="vc-bench-") as name:
            file = Path(name) / "file"
            file.write_bytes(content)
            with hostile_http.serving(content, *plays) as server:
                work("download", order(Path(name), file, server.url) | {"pause_s": 0.01})
                shares.append(server.sent / len(content))
    return shares


@bench("update by difference: appliance")
def appliance() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-") as name:
        old, new = _builds(Path(name))
        for file in ("volunteer-cloud.iso", "root.squashfs"):
            yield from _update(f"update of {file}, one Python package newer", old / file, new / file, 15)


def _builds(folder: Path) -> tuple[Path, Path]:
    """The appliance with the version before of one package, and as it is; both made now, of the same Debian."""
    older = folder / "recipe"
    shutil.copytree(RECIPE, older)
    pins = older / "root/wheels.txt"
    lines = pins.read_text().splitlines()
    pins.write_text("\n".join(OLDER if line.startswith("slixmpp==") else line for line in lines) + "\n")
    try:
        return _build(read_recipe(older), folder / "old"), _build(read_recipe(), folder / "new")
    except BuildFailed as failed:
        raise OSError(str(failed)) from failed


def _build(recipe: Recipe, output: Path) -> Path:
    # The software disks have nothing to do with it, and take long.
    recipe.table["software"] = {}
    work_folder = output.with_name(output.name + "-work")
    output.mkdir()
    work_folder.mkdir()
    cache = output.with_name(output.name + "-cache")
    shutil.copytree(TOP / "build/appliance-cache", cache)
    # Another version of a wheel beside the wanted one would go in as well.
    shutil.rmtree(cache / "wheels")
    builder.build(recipe, output, cache, work_folder, "bench")
    return output


@bench("update by difference: disk image of 1 GB")
def image() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="vc-bench-") as name:
        old, new = Path(name) / "old", Path(name) / "new" / "image"
        new.parent.mkdir()
        _write_images(old, new)
        yield from _update("update of 1 GB, 1 % of its blocks changed", old, new, 5)


def _write_images(old: Path, new: Path) -> None:
    """Three quarters of content that nobody can pack, one of zeros; one block of 4 KiB in a hundred is another."""
    chance = random.Random(4)
    with old.open("wb") as one, new.open("wb") as two:
        for number in range(1024):
            block = bytearray(chance.randbytes(2**20) if number % 4 else bytes(2**20))
            one.write(block)
            for place in range(0, len(block), 4096):
                if chance.random() < 0.01:
                    block[place : place + 4096] = chance.randbytes(4096)
            two.write(block)


def _update(words: str, old: Path, new: Path, goal_percent: float) -> Iterator[Row]:
    """Rows of one update: bytes by our patch and by zsync, as parts of the full download; memory and time."""
    size = new.stat().st_size
    with tempfile.TemporaryDirectory(prefix="vc-bench-") as name:
        folder = Path(name)
        patch = folder / "patch"
        make_patch(old, new, patch)
        with downloads.serving(folder) as served:
            said = _patch_order(folder, old, new, patch, f"{served.url}/patch")
            done = work("patch", said)
            (folder / "ours").unlink()
            taken, _ = worked("patch", said)
        assert done["kind"] == "patch", done
        zsync = zsync_bytes(old, new, folder) / size * 100
    share = [done["bytes_fetched"] / size * 100]
    peer = downloads.version_of("zsync")
    yield at_most(f"{words}: bytes", share, "% of full", goal_percent, peer=peer, peer_value=zsync)
    yield at_most(f"{words}: memory", [done["peak_bytes"] / 2**20], "MiB", 256)
    yield plain(f"{words}: time, patch fetched, applied, verified", [taken], "s")


def _patch_order(folder: Path, old: Path, new: Path, patch: Path, url: str) -> dict[str, Any]:
    base = "ab" * 32
    full = replace(target_of(new, "http://127.0.0.1:9/none"), patches=(Patch(base, target_of(patch, url)),))
    paths = {"to": str(folder / "ours"), "part": str(folder / "ours.part"), "from": {base: str(old)}}
    return {"target": full.to_json(), **paths, "proxy": ""}
