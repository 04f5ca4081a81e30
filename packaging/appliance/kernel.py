"""The kernel: its unpacked image for direct boot, and the modules that the guest needs."""

import re
import struct
from pathlib import Path

from packaging.appliance.failure import BuildFailed, run

_LZ4 = bytes.fromhex("02214c18")
_SIGNED = b"~Module signature appended~\n"


def unpack_image(bzimage: Path, vmlinux: Path, work: Path) -> None:
    """Write the ELF kernel out of a bzImage.

    Source: Linux, Documentation/arch/x86/boot.rst: setup_sects at 0x1f1, payload_offset and payload_length at 0x248;
    the payload's last four bytes are its unpacked size.

    Raises:
        BuildFailed: it is not compressed by LZ4, or does not hold an ELF file of the stated size.
    """
    image = bzimage.read_bytes()
    sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (sectors + 1) * 512 + offset
    payload = image[start : start + length]
    if not payload.startswith(_LZ4):
        raise BuildFailed(f"{bzimage.name} is not compressed by LZ4, so it cannot be unpacked here")
    packed = work / "vmlinux.lz4"
    packed.write_bytes(payload[:-4])
    run(["lz4", "-d", "-q", "-f", packed, vmlinux])
    (size,) = struct.unpack("<I", payload[-4:])
    with vmlinux.open("rb") as unpacked:
        magic = unpacked.read(4)
    if magic != b"\x7fELF" or vmlinux.stat().st_size != size:
        raise BuildFailed(f"{bzimage.name} did not unpack to an ELF kernel of {size} bytes")


class Modules:
    """The kernel modules of one kernel, by name."""

    def __init__(self, tree: Path) -> None:
        """Args: tree: folder into which the kernel package was unpacked."""
        self._files = {_plain(path.stem): path for path in sorted(tree.glob("lib/modules/*/kernel/**/*.ko"))}
        self._version = next(iter(sorted(tree.glob("lib/modules/*")))).name

    @property
    def version(self) -> str:
        """The kernel's release, as `uname -r` says it."""
        return self._version

    def content(self, name: str) -> bytes:
        """A module without its signature, whose check would only cost time: the guest trusts its own initramfs."""
        data = self._file(name).read_bytes()
        if not data.endswith(_SIGNED):
            return data
        (signature,) = struct.unpack_from(">I", data, len(data) - len(_SIGNED) - 4)
        return data[: len(data) - len(_SIGNED) - 12 - signature]

    def depends(self, name: str) -> list[str]:
        """The modules that a module says it needs."""
        found = re.search(rb"\0depends=([^\0]*)\0", self._file(name).read_bytes())
        return [_plain(word) for word in found[1].decode().split(",") if word] if found else []

    def in_order(self, names: list[str]) -> list[str]:
        """These modules and all that they need, each after what it needs."""
        order: list[str] = []
        for name in map(_plain, names):
            for needed in (*self.in_order(self.depends(name)), name):
                if needed not in order:
                    order.append(needed)
        return order

    def _file(self, name: str) -> Path:
        try:
            return self._files[name]
        except KeyError:
            raise BuildFailed(f"kernel {self._version} has no module {name}") from None


def _plain(name: str) -> str:
    return name.replace("-", "_")
