"""A cpio archive in the form that the kernel takes as initramfs, the same bytes each time.

Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst (newc).
"""

import stat
from dataclasses import dataclass, field


@dataclass
class Archive:
    """Files, folders and links by path, written out in the order of their names."""

    epoch: int
    _entries: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def folder(self, path: str) -> None:
        """Add a folder and those above it."""
        parts = path.split("/")
        for count in range(1, len(parts) + 1):
            self._entries.setdefault("/".join(parts[:count]), (stat.S_IFDIR | 0o755, b""))

    def file(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Add a file."""
        self._add(path, stat.S_IFREG | mode, content)

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def pack(self) -> bytes:
        """The archive's bytes."""
        entries = [*sorted(self._entries.items()), ("TRAILER!!!", (0, b""))]
        return b"".join(self._entry(number, path, *rest) for number, (path, rest) in enumerate(entries, 1))

    def _add(self, path: str, mode: int, content: bytes) -> None:
        if "/" in path:
            self.folder(path.rpartition("/")[0])
        self._entries[path] = (mode, content)

    def _entry(self, number: int, path: str, mode: int, content: bytes) -> bytes:
        name = path.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, self.epoch, len(content), 0, 0, 0, 0, len(name), 0)
        head = b"070701" + b"".join(b"%08X" % value for value in fields) + name
        return _padded(head) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
