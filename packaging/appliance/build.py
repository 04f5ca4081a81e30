"""Build the thin appliance: `python -m packaging.appliance.build --output build/appliance`.

No root, no mount, no debootstrap. Nothing is done if the output is there and was made from the same inputs. The output
folder appears whole or not at all.
"""

import argparse
import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from packaging.appliance import debian, manifest, media, root, wheels
from packaging.appliance.failure import BuildFailed, step
from packaging.appliance.initramfs import build_initramfs
from packaging.appliance.kernel import Modules, unpack_image
from packaging.appliance.recipe import Recipe, input_hash, lines_of, read_recipe


def build(recipe: Recipe, output: Path, cache: Path, work: Path, inputs: str) -> None:
    """Build everything into a folder that exists and is empty.

    Args:
        cache: downloaded packages, kept between builds.
        work: a folder for what is in between; the caller removes it.
        inputs: hash of the recipe and the builder, for the manifest.

    Raises:
        BuildFailed: with a sentence.
    """
    archive = debian.Archive(cache, recipe.suite)
    with step(f"looked up packages of Debian {recipe.suite}"):
        archive.update()
        kernel_name = archive.kernel_image(recipe.kernel)
        kernel = archive.resolve([kernel_name])
        packages = archive.resolve(recipe.lines("root/packages.txt"))
    with step(f"fetched {len(packages) + 1} Debian packages ({kernel_name})"):
        root_debs, kernel_debs = archive.fetch(packages), archive.fetch(kernel)
    with step("fetched Python packages"):
        root_wheels = wheels.fetch(recipe.file("root/wheels.txt"), cache, recipe.python)
    with step("unpacked packages"):
        debian.unpack(kernel_debs, work / "kernel")
        debian.unpack(root_debs, work / "root")
    bzimage = next((work / "kernel/boot").glob("vmlinuz-*"))
    with step("unpacked the kernel, packed the initramfs"):
        unpack_image(bzimage, output / manifest.KERNEL, work)
        modules = Modules(work / "kernel")
        build_initramfs(recipe, modules, work / "root/bin/busybox", output / manifest.INITRD, work)
    with step("pruned and compiled the root file system"):
        root.fill_root(recipe, work / "root", root_wheels)
    with step("packed the root file system"):
        root.pack_squashfs(work / "root", output / manifest.ROOT, recipe.epoch)
    with step("made the scratch disk and the ISO"):
        media.build_scratch(recipe, output / manifest.SCRATCH, work)
        files = (bzimage, output / manifest.INITRD, output / manifest.ROOT, output / manifest.ISO)
        media.build_iso(recipe, *files, work)
    pins = {"root": [wheels.parse_pin(line) for line in recipe.lines("root/wheels.txt")]}
    for name in recipe.table["software"]:
        pins[name] = _software(recipe, name, output, cache, work)
    manifest.write_manifest(recipe, output, inputs, modules.version)
    manifest.write_sources(output, [*packages, *kernel], recipe.suite, pins)


def _software(recipe: Recipe, name: str, output: Path, cache: Path, work: Path) -> list[wheels.Wheel]:
    pins = recipe.file(f"software/{name}.wheels.txt")
    with step(f"fetched the wheel of {name}"):
        (wheel,) = wheels.fetch(pins, cache, recipe.python)
    with step(f"packed the software disk {name}"):
        media.build_software(recipe, name, wheel, output / manifest.software_file(name), work)
    return [wheels.parse_pin(line) for line in lines_of(pins)]


def build_whole(recipe: Recipe, output: Path, cache: Path, inputs: str) -> None:
    """Build beside the output folder, then put the result in its place."""
    with tempfile.TemporaryDirectory(prefix=".building-", dir=output.parent) as folder:
        fresh, old = Path(folder) / "new", Path(folder) / "old"
        fresh.mkdir()
        build(recipe, fresh, cache, Path(folder) / "work", inputs)
        if output.exists():
            output.rename(old)
        fresh.rename(output)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: two builds at a time would only do the work twice."""
    with (folder / ".appliance.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="packaging.appliance.build", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("build/appliance"), help="folder to make (replaced whole)")
    parser.add_argument("--cache", type=Path, help="folder for downloads (default: appliance-cache beside the output)")
    parser.add_argument("--force", action="store_true", help="build even if the output is up to date")
    chosen = parser.parse_args(arguments)
    output = chosen.output.resolve()
    started = time.monotonic()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with alone(output.parent):
            inputs = input_hash()
            if not chosen.force and manifest.is_complete(output, inputs):
                print(f"appliance: up to date in {output}")
                return 0
            cache = (chosen.cache or output.parent / "appliance-cache").resolve()
            os.umask(0o022)
            build_whole(read_recipe(), output, cache, inputs)
    except (BuildFailed, OSError, shutil.Error) as failed:
        print(f"appliance: not built: {failed}", file=sys.stderr)
        return 1
    print(f"appliance: {time.monotonic() - started:6.1f} s  all, in {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
