"""Builds the lane's tiny guest, a bootable CD of kernel and busybox: `python -m tests.virtualbox.guest.build OUTPUT`.

It is made of the packages that the appliance was built from, out of the builder's cache. Nothing is done if the output
is there and was made from the same inputs.
"""

import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

from packaging.appliance import debian
from packaging.appliance.cpio import Archive
from packaging.appliance.failure import run
from packaging.appliance.kernel import Modules
from packaging.appliance.media import ISOLINUX, SYSLINUX

HERE = Path(__file__).parent
TOP = HERE.parents[2]
_MODULES = [
    "button",
    "evdev",
    "virtio_pci",
    "virtio_scsi",
    "virtio_net",
    "virtio_balloon",
    "ata_piix",
    "sr_mod",
    "sd_mod",
]
_EPOCH = 1767225600


def _packages(sources: Path) -> list[debian.DebianPackage]:
    """Kernel and busybox, exactly as the appliance has them."""
    table = json.loads(sources.read_text())["debian"]["packages"]
    found = [debian.DebianPackage(**entry) for entry in table]
    return [package for package in found if package.name.startswith(("linux-image-", "busybox-static"))]


def _initramfs(tree: Path) -> bytes:
    archive = Archive(_EPOCH)
    for folder in ("dev", "proc", "sys"):
        archive.folder(folder)
    archive.file("bin/busybox", (tree / "bin/busybox").read_bytes(), 0o755)
    for applet in (HERE / "applets.txt").read_text().split():
        archive.link(f"bin/{applet}", "busybox")
    for name in ("init", "udhcpc.sh"):
        archive.file(name, (HERE / name).read_bytes(), 0o755)
    modules = Modules(tree)
    folder = f"lib/modules/{modules.version}"
    lines = []
    for name in modules.in_order(_MODULES):
        archive.file(f"{folder}/{name}.ko", modules.content(name))
        needed = " ".join(f"{needed}.ko" for needed in reversed(modules.in_order(modules.depends(name))))
        lines.append(f"{name}.ko: {needed}".rstrip())
    archive.file(f"{folder}/modules.dep", ("\n".join(lines) + "\n").encode())
    archive.file("modules/all", (" ".join(modules.in_order(_MODULES)) + "\n").encode())
    return archive.pack()


def _pack(tree: Path, output: Path) -> None:
    boot = ["-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot", "-boot-load-size", "4"]
    run(["xorriso", "-as", "mkisofs", "-quiet", "-volid", "TINY", "-R", *boot, "-boot-info-table", "-o", output, tree])


def build(output: Path) -> Path:
    """Build the CD unless it is there.

    Raises:
        BuildFailed: a tool or package is missing.
    """
    sources = TOP / "build/appliance/sources.json"
    inputs = [sources, *sorted(path for path in HERE.iterdir() if path.is_file())]
    stamp = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()
    said = output.with_suffix(".stamp")
    if output.exists() and said.exists() and said.read_text() == stamp:
        return output
    output.parent.mkdir(parents=True, exist_ok=True)
    archive = debian.Archive(TOP / "build/appliance-cache", "bookworm")
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        work = Path(folder)
        debian.unpack(archive.fetch(_packages(sources)), work / "tree")
        (work / "initrd").write_bytes(_initramfs(work / "tree"))
        cd = work / "cd"
        for path, source in {
            "boot/vmlinuz": next((work / "tree/boot").glob("vmlinuz-*")),
            "boot/initrd.img": work / "initrd",
            "isolinux/isolinux.cfg": HERE / "isolinux.cfg",
            "isolinux/isolinux.bin": ISOLINUX / "isolinux.bin",
            "isolinux/ldlinux.c32": SYSLINUX / "ldlinux.c32",
        }.items():
            (cd / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, cd / path)
            (cd / path).chmod(0o644)
        _pack(cd, work / "guest.iso")
        (work / "guest.iso").replace(output)
    said.write_text(stamp)
    return output


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
