"""The initramfs: busybox, the kernel modules and the guest's first program."""

from pathlib import Path

from packaging.appliance.cpio import Archive
from packaging.appliance.failure import run
from packaging.appliance.kernel import Modules
from packaging.appliance.recipe import Recipe

_APPLETS = ("sh", "mount", "modprobe", "mkdir", "dd", "sleep", "ifconfig", "ip", "chroot", "switch_root")
_FOLDERS = ("dev", "proc", "sys", "ro", "rw", "cd", "new")


def build_initramfs(recipe: Recipe, modules: Modules, busybox: Path, output: Path, work: Path) -> None:
    """Write the initramfs, compressed by zstd."""
    archive = Archive(recipe.epoch)
    for folder in _FOLDERS:
        archive.folder(folder)
    archive.file("bin/busybox", busybox.read_bytes(), 0o755)
    for applet in _APPLETS:
        archive.link(f"bin/{applet}", "busybox")
    archive.file("init", recipe.file("boot/init").read_bytes(), 0o755)
    _add_modules(archive, recipe, modules)
    plain = work / "initrd"
    plain.write_bytes(archive.pack())
    run(["zstd", "-q", "-19", "-f", "--no-progress", plain, "-o", output])


def _add_modules(archive: Archive, recipe: Recipe, modules: Modules) -> None:
    folder = f"lib/modules/{modules.version}"
    wanted = recipe.modules
    everything = modules.in_order([name for names in wanted.values() for name in names])
    lines = []
    for name in everything:
        archive.file(f"{folder}/{name}.ko", modules.content(name))
        needed = " ".join(f"{needed}.ko" for needed in reversed(modules.in_order(modules.depends(name))))
        lines.append(f"{name}.ko: {needed}".rstrip())
    archive.file(f"{folder}/modules.dep", ("\n".join(lines) + "\n").encode())
    for when, names in wanted.items():
        archive.file(f"modules/{when}", (" ".join(modules.in_order(names)) + "\n").encode())
