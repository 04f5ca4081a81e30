"""The appliance's other media: software disk, scratch disk, hybrid ISO."""

import fnmatch
import shutil
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from packaging.appliance.failure import BuildFailed, run
from packaging.appliance.recipe import Recipe
from packaging.appliance.root import pack_squashfs

ISOLINUX = Path("/usr/lib/ISOLINUX")
SYSLINUX = Path("/usr/lib/syslinux/modules/bios")


def build_software(recipe: Recipe, name: str, wheel: Path, output: Path, work: Path) -> None:
    """Pack the wanted parts of a wheel as a software disk; they lie below a folder of the software's name."""
    tree = work / f"software-{name}"
    shutil.rmtree(tree, ignore_errors=True)
    rules = [line.split() for line in recipe.lines(f"software/{name}.keep.txt")]
    used: set[str] = set()
    with zipfile.ZipFile(wheel) as archive:
        for member in sorted(archive.namelist()):
            pattern, place = next((rule for rule in rules if fnmatch.fnmatchcase(member, rule[0])), ("", ""))
            if not pattern or member.endswith("/"):
                continue
            used.add(pattern)
            target = tree / name / place / member.rpartition("/")[2]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(member))
    unused = [pattern for pattern, _ in rules if pattern not in used]
    if unused:
        raise BuildFailed(f"{wheel.name} has nothing that matches {', '.join(unused)}")
    for path in tree.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    pack_squashfs(tree, output, recipe.epoch)


def build_scratch(recipe: Recipe, output: Path, work: Path) -> None:
    """Make the empty scratch disk: an ext4 whose every byte the recipe decides, as a compressed qcow2."""
    wanted = recipe.table["scratch"]
    plain = work / "scratch.raw"
    plain.unlink(missing_ok=True)
    with plain.open("wb") as raw:
        raw.truncate(int(wanted["size_mib"]) * 1024 * 1024)
    # Nothing is left to a background thread of the guest's kernel; few inodes keep its tables small.
    extended = f"lazy_itable_init=0,lazy_journal_init=0,nodiscard,root_owner=0:0,hash_seed={wanted['uuid']}"
    options = ["-q", "-F", "-t", "ext4", "-m", "0", "-N", "16384", "-J", "size=16", "-E", extended]
    dates = {"SOURCE_DATE_EPOCH": str(recipe.epoch), "E2FSPROGS_FAKE_TIME": str(recipe.epoch)}
    path = {"PATH": "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"}
    run(["mke2fs", *options, "-L", wanted["label"], "-U", wanted["uuid"], plain], {**dates, **path})
    run(["qemu-img", "convert", "-q", "-c", "-m", "1", "-f", "raw", "-O", "qcow2", plain, output])
    plain.unlink()


def build_iso(recipe: Recipe, kernel: Path, initrd: Path, root: Path, output: Path, work: Path) -> None:
    """Make the hybrid ISO that a BIOS boots from CD.

    Raises:
        BuildFailed: the boot loader's files are not installed.
    """
    tree = work / "iso"
    shutil.rmtree(tree, ignore_errors=True)
    for path, source in {
        "boot/vmlinuz": kernel,
        "boot/initrd.img": initrd,
        "root.squashfs": root,
        "isolinux/isolinux.cfg": recipe.file("boot/isolinux.cfg"),
        "isolinux/isolinux.bin": ISOLINUX / "isolinux.bin",
        "isolinux/ldlinux.c32": SYSLINUX / "ldlinux.c32",
    }.items():
        if not source.exists():
            raise BuildFailed(f"{source} is missing: install the Debian packages isolinux and syslinux-common")
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, tree / path)
        (tree / path).chmod(0o644)
    boot = ["-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot"]
    boot += ["-boot-load-size", "4", "-boot-info-table", "-isohybrid-mbr", str(ISOLINUX / "isohdpfx.bin")]
    options = ["-quiet", "-volid", "VCLOUD", "-R", "-uid", "0", "-gid", "0"]
    options += ["--set_all_file_dates", f"={recipe.epoch}", f"--modification-date={_date(recipe.epoch)}"]
    dates = {"SOURCE_DATE_EPOCH": str(recipe.epoch), "TZ": "UTC"}
    run(["xorriso", "-as", "mkisofs", *options, *boot, "-o", output, tree], dates)


def _date(epoch: int) -> str:
    """Year to hundredths of a second, as xorriso wants a volume's date."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y%m%d%H%M%S00")
