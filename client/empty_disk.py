"""An empty disk as a file: the least qcow2 there is, which every reader of qcow2 takes. Pure.

Source: QEMU, "qcow2 image file format" (docs/interop/qcow2.txt), version 2: header, reference counts, first table.
"""

import struct
from typing import Final

_CLUSTER_BITS: Final = 16
_CLUSTER: Final = 1 << _CLUSTER_BITS
_HEADER: Final = ">4sIQIIQIIQQIIQ"
#: what one entry of the first table stands for: a table of clusters
_PER_ENTRY: Final = _CLUSTER * (_CLUSTER // 8)


def empty_disk(size_bytes: int) -> bytes:
    """The file for an empty disk of that size, a multiple of 512."""
    entries = -(-size_bytes // _PER_ENTRY)
    table_clusters = max(1, -(-entries * 8 // _CLUSTER))
    counts_at, block_at, table_at = _CLUSTER, 2 * _CLUSTER, 3 * _CLUSTER
    clusters = 3 + table_clusters
    header = struct.pack(
        _HEADER, b"QFI\xfb", 2, 0, 0, _CLUSTER_BITS, size_bytes, 0, entries, table_at, counts_at, 1, 0, 0
    )
    counts = struct.pack(">Q", block_at)
    used = struct.pack(">H", 1) * clusters
    return b"".join(part.ljust(_CLUSTER, b"\0") for part in (header, counts, used)) + bytes(table_clusters * _CLUSTER)
