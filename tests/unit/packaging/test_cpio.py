import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from packaging.appliance.cpio import Archive


def sample() -> Archive:
    archive = Archive(1767225600)
    archive.file("bin/busybox", b"program", 0o755)
    archive.link("bin/sh", "busybox")
    archive.folder("new")
    return archive


def test_same_bytes_whatever_the_order() -> None:
    other = Archive(1767225600)
    other.folder("new")
    other.link("bin/sh", "busybox")
    other.file("bin/busybox", b"program", 0o755)
    assert other.pack() == sample().pack()


def test_folders_come_before_what_is_in_them() -> None:
    packed = sample().pack()
    assert packed.index(b"bin\0") < packed.index(b"bin/busybox\0") < packed.index(b"TRAILER!!!")


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed")
def test_cpio_reads_it(tmp_path: Path) -> None:
    subprocess.run(["cpio", "-i", "--quiet"], input=sample().pack(), cwd=tmp_path, check=True, timeout=10)
    assert (tmp_path / "bin/sh").read_bytes() == b"program"
    assert (tmp_path / "bin/sh").is_symlink()
    assert stat.S_IMODE((tmp_path / "bin/busybox").stat().st_mode) == 0o755
    assert (tmp_path / "new").is_dir()
