import struct
from pathlib import Path

import pytest

from packaging.appliance.failure import BuildFailed
from packaging.appliance.kernel import Modules, unpack_image

SIGNED = b"~Module signature appended~\n"


def module(depends: str, signature: bytes = b"") -> bytes:
    body = b"\x7fELF...\0license=GPL\0depends=" + depends.encode() + b"\0name=x\0"
    return body + signature + (struct.pack(">8xI", len(signature)) + SIGNED if signature else b"")


@pytest.fixture
def modules(tmp_path: Path) -> Modules:
    folder = tmp_path / "lib/modules/6.1.0-test/kernel/drivers"
    folder.mkdir(parents=True)
    for name, depends in {"virtio": "", "virtio_ring": "", "virtio-rng": "virtio,virtio_ring"}.items():
        (folder / f"{name}.ko").write_bytes(module(depends))
    (folder / "signed.ko").write_bytes(module("virtio-rng", b"s" * 77))
    return Modules(tmp_path)


def test_what_is_needed_comes_first_and_once(modules: Modules) -> None:
    assert modules.in_order(["signed", "virtio"]) == ["virtio", "virtio_ring", "virtio_rng", "signed"]


def test_the_signature_goes(modules: Modules) -> None:
    assert modules.content("signed") == module("virtio-rng")
    assert modules.content("virtio") == module("")


def test_release(modules: Modules) -> None:
    assert modules.version == "6.1.0-test"


def test_missing_module(modules: Modules) -> None:
    with pytest.raises(BuildFailed, match="no module floppy"):
        modules.in_order(["floppy"])


def test_kernel_with_another_compression(tmp_path: Path) -> None:
    image = bytearray(8192)
    struct.pack_into("<II", image, 0x248, 16, 64)
    (tmp_path / "vmlinuz").write_bytes(image)
    with pytest.raises(BuildFailed, match="not compressed by LZ4"):
        unpack_image(tmp_path / "vmlinuz", tmp_path / "vmlinux", tmp_path)
