"""Decompresses a gzip file of unknown honesty, with bounded memory and a bounded result."""

import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from client.copilot.managers.errors import OutputRefused

_CHUNK_BYTES: Final = 64 * 1024
_GZIP: Final = 16 + zlib.MAX_WBITS


def gunzip(packed: BinaryIO, limit_bytes: int) -> Iterator[bytes]:
    """The content in pieces of at most 64 KiB.

    Raises:
        OutputRefused: not gzip, damaged, cut off, or larger than the limit.
    """
    way = zlib.decompressobj(_GZIP)
    size_bytes = 0
    waiting = b""
    while not way.eof:
        waiting = waiting or packed.read(_CHUNK_BYTES)
        if not waiting:
            raise OutputRefused("the archive is cut off")
        try:
            piece = way.decompress(waiting, _CHUNK_BYTES)
        except zlib.error as error:
            raise OutputRefused(f"the archive is damaged: {error}") from error
        waiting = way.unconsumed_tail
        size_bytes += len(piece)
        if size_bytes > limit_bytes:
            raise OutputRefused(f"the output is larger than {limit_bytes} bytes unpacked")
        if piece:
            yield piece


class Feed:
    """Reads exact lengths from pieces, with no more in memory than asked for plus one piece."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def exactly(self, size_bytes: int) -> bytes:
        """So many bytes; the caller bounds the number.

        Raises:
            OutputRefused: they end before.
        """
        parts: list[bytes] = []
        while size_bytes:
            part = self.some(size_bytes)
            parts.append(part)
            size_bytes -= len(part)
        return b"".join(parts)

    def some(self, most_bytes: int) -> bytes:
        """At least one and at most so many bytes.

        Raises:
            OutputRefused: there are none left.
        """
        if not self._rest:
            self._rest = next(self._pieces, b"")
            if not self._rest:
                raise OutputRefused("the archive is cut off")
        part, self._rest = self._rest[:most_bytes], self._rest[most_bytes:]
        return part

    def drain(self) -> None:
        """Read to the end, so that damage at the very end is noticed."""
        self._rest = b""
        for _ in self._pieces:
            pass
