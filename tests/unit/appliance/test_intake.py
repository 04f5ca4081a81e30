"""What is taken in leaves the volunteer's disk some room, however much comes out of it; and nothing when it fails."""

import gzip
import io
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from client.appliance import intake
from client.appliance.worker_child import Face
from client.errors import DiskFull

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize("packer", ["gzip", "zstd"])
def test_what_grows_without_end_stops_before_the_disk_is_full(
    packer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, bomb = tmp_path / "folder", tmp_path / "bomb"
    folder.mkdir()
    bomb.write_bytes(gzip.compress(b"\1" * (8 << 20)) if packer == "gzip" else b"\x28\xb5\x2f\xfd")
    looks = 0

    def free(_: object) -> Usage:
        nonlocal looks
        looks += 1
        return Usage(1 << 40, 0, 1 << 40 if looks == 1 else 1 << 20)

    # A program that writes until somebody ends it.
    zstd = tmp_path / "zstd"
    zstd.write_text("#!/bin/sh\nexec sleep 100\n")
    zstd.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(shutil, "disk_usage", free)
    monkeypatch.setattr(intake, "_LOOK_BYTES", 1 << 20)
    with pytest.raises(DiskFull):
        intake.take({"path": str(bomb), "folder": str(folder)}, Face(io.StringIO()))
    assert list(folder.iterdir()) == []
