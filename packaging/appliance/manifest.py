"""What a build says about itself: manifest.json for programs, sources.json for licences."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.appliance.debian import DebianPackage
from packaging.appliance.recipe import Recipe
from packaging.appliance.wheels import Wheel

ISO = "volunteer-cloud.iso"
KERNEL = "vmlinux"
INITRD = "initrd.img"
ROOT = "root.squashfs"
SCRATCH = "scratch.qcow2"
MANIFEST = "manifest.json"
SOURCES = "sources.json"


def software_file(name: str) -> str:
    """The file name of a software disk."""
    return f"software-{name}.squashfs"


def write_manifest(recipe: Recipe, folder: Path, inputs: str, kernel: str) -> None:
    """Write manifest.json about the files in a folder."""
    software = {name: {"file": software_file(name), **about} for name, about in recipe.table["software"].items()}
    roles = {ISO: "iso", KERNEL: "kernel", INITRD: "initrd", ROOT: "system", SCRATCH: "scratch"}
    roles |= {str(about["file"]): "software" for about in software.values()}
    shared = [SCRATCH, *(str(about["file"]) for about in software.values())]
    body = {
        "schema": 1,
        "name": recipe.name,
        "version": recipe.version,
        "inputs": inputs,
        "kernel": kernel,
        "formats": [
            {"format": "direct", "files": [KERNEL, INITRD, ROOT, *shared]},
            {"format": "iso", "files": [ISO, *shared]},
        ],
        "files": {name: _describe(folder / name, role) for name, role in sorted(roles.items())},
        "direct": {"kernel": KERNEL, "initrd": INITRD, "system": ROOT, **recipe.table["direct"]},
        "iso": {"system": ISO},
        "software": software,
        "scratch": SCRATCH,
        "confines_jobs": True,
    }
    _write(folder / MANIFEST, body)


def write_sources(folder: Path, packages: list[DebianPackage], suite: str, pins: Mapping[str, list[Wheel]]) -> None:
    """Write sources.json: every part that went in, exactly, and the source that belongs to it."""
    body = {
        "debian": {"suite": suite, "packages": [vars(package) for package in sorted(packages)]},
        "python": {place: [vars(wheel) for wheel in sorted(wheels)] for place, wheels in sorted(pins.items())},
    }
    _write(folder / SOURCES, body)


def is_complete(folder: Path, inputs: str) -> bool:
    """Whether a folder holds what these inputs gave; sizes are looked at, contents are not read."""
    try:
        said = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        sizes = {folder / name: about["size_bytes"] for name, about in said["files"].items()}
        whole = all(path.stat().st_size == size for path, size in sizes.items())
        return bool(said["inputs"] == inputs and whole and (folder / SOURCES).is_file())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _describe(path: Path, role: str) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"size_bytes": path.stat().st_size, "sha256": digest, "role": role}


def _write(path: Path, body: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
