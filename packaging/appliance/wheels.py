"""Python wheels for the guest: fetched by pip for the guest's Python, checked by hash, unpacked."""

import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from packaging.appliance.failure import BuildFailed, run

#: Platforms whose wheels run on the guest's C library (glibc 2.36), best first.
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


@dataclass(frozen=True, order=True)
class Wheel:
    """One pinned wheel."""

    name: str
    version: str
    sha256: str


def parse_pin(line: str) -> Wheel:
    """Read a line like `name==1.0 --hash=sha256:...`.

    Raises:
        BuildFailed: it has another form.
    """
    requirement, _, digest = line.partition(" --hash=sha256:")
    name, _, version = requirement.partition("==")
    if not (name and version and len(digest.strip()) == 64):
        raise BuildFailed(f"not a pinned wheel: {line!r}")
    return Wheel(name.strip(), version.strip(), digest.strip())


def fetch(pins: Path, cache: Path, python: str) -> list[Path]:
    """The wheels of a list of pins, sorted by name, downloaded unless the cache has them.

    Raises:
        BuildFailed: pip could not fetch one, or its hash is another.
    """
    folder = cache / "wheels" / pins.stem
    folder.mkdir(parents=True, exist_ok=True)
    tag = "cp" + python.replace(".", "")
    platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
    asked = ["--only-binary=:all:", "--implementation", "cp", "--python-version", python, "--abi", tag, *platforms]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "download"]
    # Exact pins with hashes that lie in the folder are taken from there without a question to an index.
    local = ["--no-index", "--find-links", str(folder)]
    common = ["--no-deps", "--require-hashes", "--requirement", str(pins), "--dest", str(folder), *asked]
    try:
        run([*pip, *local, *common])
    except BuildFailed:
        run([*pip, *common])
    return sorted(folder.glob("*.whl"))


def unpack(wheels: list[Path], folder: Path) -> None:
    """Unpack pure and compiled wheels into a folder of importable packages."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
