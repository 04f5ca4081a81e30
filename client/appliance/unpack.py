"""Unpacks gzip, xz and zstd with bounded memory, in worker processes. What comes out may be a bomb: bounded, too."""

import asyncio
import contextlib
import lzma
import secrets
import shutil
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol

from client import process
from client.appliance.errors import ImageRefused
from client.appliance.fault import need_space
from client.appliance.formats import MAX_FILE_BYTES, Format
from client.appliance.worker_child import Face
from client.errors import CommandFailed, ToolMissing

ZSTD: Final = "zstd"
_CHUNK_BYTES: Final = 1 << 20
#: of a decoder; what `xz -9` and `zstd -19` need
_MEMORY_BYTES: Final = 128 * 2**20
_PROCESS_MEMORY_BYTES: Final = 512 * 2**20
_GZIP_WINDOW: Final = 31
_POLL_S: Final = 0.1


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def feed(self, data: bytes) -> Iterator[bytes]: ...


def unpacked(packed: Iterable[bytes], format: Format, path: str) -> Iterator[bytes]:
    """What is packed with gzip or xz, in pieces of at most 1 MiB.

    Raises:
        ImageRefused: it is damaged, not whole, or more than can be.
    """
    total, decoder = 0, None
    try:
        for data in packed:
            rest = data
            while rest:
                # Several packed parts in a row are one file; zeros may fill up after the last one.
                if decoder is None and not rest.strip(b"\0"):
                    break
                decoder = decoder or (_Gzip() if format is Format.GZIP else _Xz())
                for plain in decoder.feed(rest):
                    total += len(plain)
                    if total > MAX_FILE_BYTES:
                        raise _bomb(path)
                    yield plain
                rest = decoder.unused_data if decoder.eof else b""
                decoder = None if decoder.eof else decoder
    except (zlib.error, lzma.LZMAError) as error:
        raise ImageRefused(path, f"it cannot be unpacked ({error})", "get it again") from error
    if decoder is not None or not total:
        raise ImageRefused(path, "it is not whole: it ends in the middle of what is packed", "get it again")


def unpack_zstd(path: Path, part: Path, said: str, face: Face) -> None:
    """Unpack with the program zstd, which is bounded in memory and in what it writes.

    Args:
        said: the file's name for errors.

    Raises:
        ToolMissing, ImageRefused, DiskFull
        Stopped
    """
    program = shutil.which(ZSTD)
    if program is None:
        raise ToolMissing(ZSTD, ZSTD)
    # One of its words for a file would be taken for an option; an absolute path is none.
    words = (program, "-d", "-q", "-f", f"--memory={_MEMORY_BYTES}", "-o", str(part), str(path.absolute()))
    log = part.with_name(f"{secrets.token_hex(8)}.part")
    try:
        exit_code = asyncio.run(_run((*_limits(), *words), log, part, said, face))
        if exit_code:
            words_said = log.read_bytes()[:300].decode(errors="replace").strip().rpartition(":")[2].strip()
            raise ImageRefused(said, f"it cannot be unpacked ({words_said or exit_code})", "get it again")
    except CommandFailed as error:
        raise ImageRefused(said, f"it cannot be unpacked ({error.stderr})", "get it again") from error
    finally:
        log.unlink(missing_ok=True)


async def _run(command: tuple[str, ...], log: Path, part: Path, said: str, face: Face) -> int | None:
    child = await process.start(command, output=log)
    try:
        while await child.wait(_POLL_S) is None:
            face.check()
            need_space(part.parent, 0)
            size = _size(part)
            face.progress(step="unpacking", done_bytes=size, total_bytes=0)
            if size > MAX_FILE_BYTES:
                raise _bomb(said)
    finally:
        await child.stop()
    return child.exit_code


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def _limits() -> tuple[str, ...]:
    """A command before the command. Source: prlimit(1) of util-linux."""
    found = shutil.which("prlimit") if sys.platform == "linux" else None
    return (found, f"--as={_PROCESS_MEMORY_BYTES}", f"--fsize={MAX_FILE_BYTES}", "--core=0") if found else ()


class _Gzip:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(_GZIP_WINDOW)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data and not self._inner.eof:
            yield self._inner.decompress(data, _CHUNK_BYTES)
            data = self._inner.unconsumed_tail


class _Xz:
    def __init__(self) -> None:
        self._inner = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY_BYTES)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield self._inner.decompress(data, _CHUNK_BYTES)
        while not self._inner.needs_input and not self._inner.eof:
            yield self._inner.decompress(b"", _CHUNK_BYTES)


def _bomb(path: str) -> ImageRefused:
    what = f"unpacked it is more than {MAX_FILE_BYTES >> 30} GiB"
    return ImageRefused(path, what, "use a form that leaves out what is empty, as qcow2")
