"""The root file system: Debian packages and wheels, pruned, compiled, packed as a squashfs."""

import fnmatch
import shutil
from pathlib import Path

from packaging.appliance import wheels
from packaging.appliance.failure import run
from packaging.appliance.recipe import Recipe

_MERGED = ("bin", "sbin", "lib", "lib64")


def fill_root(recipe: Recipe, tree: Path, pythons: list[Path]) -> None:
    """Turn unpacked packages into the guest's root file system, in place."""
    _merge_usr(tree)
    _write_certificates(tree)
    prune(tree, recipe.lines("root/prune.txt"))
    packages = tree / "usr/lib/python3/dist-packages"
    wheels.unpack(pythons, packages)
    _lay_over(recipe.file("root/files"), tree)
    for line in recipe.lines("root/folders.txt"):
        mode, path = line.split()
        (tree / path).mkdir(parents=True, exist_ok=True)
        (tree / path).chmod(int(mode, 8))
    (tree / "usr/bin").mkdir(parents=True, exist_ok=True)
    for applet in recipe.lines("root/applets.txt"):
        _link(tree / "usr/bin" / applet, "busybox")
    _link(tree / "usr/bin/python3", f"python{recipe.python}")
    _compile(recipe, tree, [tree / f"usr/lib/python{recipe.python}", packages])
    _drop_empty(tree / "usr")
    _plain_modes(tree)


def pack_squashfs(tree: Path, output: Path, epoch: int) -> None:
    """Pack a folder as a squashfs owned by root, every date the same."""
    output.unlink(missing_ok=True)
    options = ["-comp", "zstd", "-Xcompression-level", "19", "-all-root", "-no-xattrs", "-no-progress", "-quiet"]
    # mksquashfs refuses time options beside this variable.
    dates = ["-mkfs-time", str(epoch), "-all-time", str(epoch)]
    run(["env", "-u", "SOURCE_DATE_EPOCH", "mksquashfs", tree, output, "-noappend", *options, *dates])


def prune(tree: Path, patterns: list[str]) -> None:
    """Remove what matches a pattern; paths below the tree, a folder with all it holds."""
    for path in sorted(tree.rglob("*")):
        name = str(path.relative_to(tree))
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _merge_usr(tree: Path) -> None:
    for name in _MERGED:
        old, new = tree / name, tree / "usr" / name
        new.mkdir(parents=True, exist_ok=True)
        if old.is_dir() and not old.is_symlink():
            shutil.copytree(old, new, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(old)
        _link(old, f"usr/{name}")


def _write_certificates(tree: Path) -> None:
    found = sorted((tree / "usr/share/ca-certificates").rglob("*.crt"))
    bundle = tree / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_bytes(b"".join(path.read_bytes().rstrip() + b"\n" for path in found))
    # Python's ssl looks here by default.
    (tree / "usr/lib/ssl").mkdir(parents=True, exist_ok=True)
    for name, target in (("certs", "/etc/ssl/certs"), ("cert.pem", "/etc/ssl/certs/ca-certificates.crt")):
        _link(tree / "usr/lib/ssl" / name, target)


def _compile(recipe: Recipe, tree: Path, folders: list[Path]) -> None:
    """Replace every source by its byte code, which the guest need not check against anything.

    The guest's own Python does it, through its own C library, whatever this machine has.
    """
    libraries = tree / "usr/lib/x86_64-linux-gnu"
    loader = libraries / "ld-linux-x86-64.so.2"
    python = [loader, "--library-path", libraries, tree / f"usr/bin/python{recipe.python}"]
    environment = {"PYTHONHOME": str(tree / "usr"), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    options = ["-q", "-f", "-b", "--invalidation-mode", "unchecked-hash", "-s", str(tree), "-p", "/"]
    run([*python, "-S", "-m", "compileall", *options, *folders], environment)
    for folder in folders:
        for source in folder.rglob("*.py"):
            if source.with_suffix(".pyc").exists():
                source.unlink()
        for cache in list(folder.rglob("__pycache__")):
            shutil.rmtree(cache)


def _lay_over(source: Path, tree: Path) -> None:
    """Copy the recipe's own files; scripts become executable whatever the checkout made of their modes."""
    for path in sorted(source.rglob("*")):
        target = tree / path.relative_to(source)
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            data = path.read_bytes()
            target.write_bytes(data)
            target.chmod(0o755 if data.startswith(b"#!") else 0o644)


def _link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _drop_empty(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()


def _plain_modes(tree: Path) -> None:
    """One mode for all folders and files but the sticky ones, whatever this machine's umask is; no set-id bits."""
    for path in tree.rglob("*"):
        if path.is_symlink():
            continue
        mode = path.stat().st_mode
        if path.is_dir():
            path.chmod(0o1777 if mode & 0o1000 else 0o755)
        else:
            path.chmod(0o755 if mode & 0o100 else 0o644)
