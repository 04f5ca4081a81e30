"""The builder, for real, once more: it needs the package archive, and what an earlier build left in its cache."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from packaging.appliance import build, manifest
from packaging.appliance.failure import BuildFailed
from packaging.appliance.recipe import input_hash, read_recipe

pytestmark = pytest.mark.integration

TOP = Path(__file__).resolve().parents[2]
BUILT = TOP / "build" / "appliance"
CACHE = TOP / "build" / "appliance-cache"
ISO_LIMIT_BYTES = 32_000_000


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def build_in(folder: Path) -> Path:
    """Build in a folder of its own; only downloads are shared with other builds."""
    output, cache = folder / "out", folder / "cache"
    output.mkdir(parents=True)
    for part in ("debs", "wheels"):
        shutil.copytree(CACHE / part, cache / part)
    build.build(read_recipe(), output, cache, folder / "work", input_hash())
    return output


def test_two_builds_from_the_same_packages_give_the_same_bytes(tmp_path: Path) -> None:
    if not (CACHE / "debs").is_dir():
        pytest.skip("the appliance was not built on this machine: make appliance")
    try:
        fresh = build_in(tmp_path / "a")
    except BuildFailed as failed:
        if "apt-get" not in str(failed):
            raise
        pytest.skip(f"the package archive does not answer: {failed}")
    same_packages = (BUILT / manifest.SOURCES).read_bytes() == (fresh / manifest.SOURCES).read_bytes()
    # What `make appliance` left is the other build, unless the archive has newer packages by now.
    other = BUILT if same_packages and manifest.is_complete(BUILT, input_hash()) else build_in(tmp_path / "another")
    assert digests(fresh) == digests(other)
    said = json.loads((fresh / manifest.MANIFEST).read_text())
    assert said["files"][manifest.ISO]["size_bytes"] <= ISO_LIMIT_BYTES
    assert {name: about["sha256"] for name, about in said["files"].items()}.items() <= digests(fresh).items()
