"""A small client of the Chirp file protocol, with `address` authentication only.

A request is a line of words; the answer starts with a line that holds a number, negative for an error. `putfile` waits
for a first answer before it sends the bytes; sending them unasked would make a refusing server read them as commands.

Source: conversation with chirp_server 8.0.0 of Debian 12's coop-computing-tools, and its manual of the protocol.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from client.copilot.errors import FileTooBig, TransferFailed
from client.copilot.storage.pace import USUAL, Pace, PaceLimits

DEFAULT_PORT: Final = 9094
CHUNK_BYTES: Final = 256 * 1024
#: What a server must take within its longest silence; on slow lines that should not be much.
_SENT_BYTES: Final = 64 * 1024
_LINE_LIMIT: Final = 64 * 1024
_MAX_ENTRIES: Final = 100_000
_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./:~+,=@*")
_ERRORS: Final = {
    -1: "not authenticated",
    -2: "not authorized",
    -3: "does not exist",
    -4: "exists already",
    -5: "too big",
    -6: "no space left",
    -7: "out of memory",
    -8: "invalid request",
    -9: "too many open files",
    -10: "busy",
    -11: "try again",
    -13: "is a directory",
    -14: "is not a directory",
    -15: "is not empty",
}
_NOT_AUTHORIZED: Final = -2
_EXISTS: Final = -4
_TRANSIENT: Final = frozenset({-6, -7, -9, -10, -11})


class Refused(Exception):
    """The server answered with an error number. An inner signal: callers of this module see TransferFailed."""

    def __init__(self, number: int) -> None:
        super().__init__(_ERRORS.get(number, f"error {number}"))
        self.number = number


@dataclass(frozen=True)
class FileStatus:
    """What `stat` tells, as far as it is used. mode as in stat(2)."""

    mode: int
    size_bytes: int
    modified_at: int


def encode_path(path: str) -> str:
    """A path as one word of a request."""
    letters = path.encode("utf-8", "surrogateescape")
    return "".join(chr(letter) if letter in _PLAIN else f"%{letter:02x}" for letter in letters)


def split_server(server: str) -> tuple[str, int]:
    """Host and port of `host[:port]`.

    Raises:
        ValueError: the port is not a number.
    """
    host, colon, port = server.rpartition(":")
    if not colon or port.endswith("]"):
        return server.strip("[]"), DEFAULT_PORT
    number = int(port)
    if not 0 < number < 65536 or not host:
        raise ValueError(f"not host:port: {server}")
    return host.strip("[]"), number


class ChirpSession:
    """One authenticated connection. Not for use by two tasks at once.

    All verbs raise OSError (TimeoutError included) or EOFError when the connection fails, Refused when the server says
    no, ValueError when it speaks nonsense; after all but Refused the session is of no more use.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        idle_limit_s: float,
        pace: PaceLimits = USUAL,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._idle_limit_s = idle_limit_s
        self._pace = pace

    @classmethod
    async def open(cls, host: str, port: int, idle_limit_s: float = 60.0, pace: PaceLimits = USUAL) -> "ChirpSession":
        """Connects and authenticates. idle_limit_s: longest silence of the server; pace: of files."""
        async with asyncio.timeout(idle_limit_s):
            reader, writer = await asyncio.open_connection(host, port, limit=_LINE_LIMIT)
        session = cls(reader, writer, idle_limit_s, pace)
        try:
            await session._authenticate()
        except BaseException:
            session.abort()
            raise
        return session

    async def putfile(self, path: str, local: Path, mode: int = 0o644) -> int:
        """Stores a local file; returns its size in bytes."""
        source = local.open("rb")
        try:
            size = os.fstat(source.fileno()).st_size
            await self._ask(f"putfile {encode_path(path)} {mode} {size}")
            await self._send(source, size)
        finally:
            source.close()
        return await self._answer()

    async def getfile(self, path: str, local: Path, *, limit_bytes: int) -> int:
        """Fetches a file; returns its size in bytes. Raises FileTooBig, after which the session is of no more use."""
        size = await self._ask(f"getfile {encode_path(path)}")
        if size > limit_bytes:
            raise FileTooBig(path, size, limit_bytes)
        target = local.open("wb")
        try:
            await self._receive(target, size)
        finally:
            target.close()
        return size

    async def mkdir(self, path: str, mode: int = 0o755) -> None:
        """Makes a directory; one that exists already is fine."""
        try:
            await self._ask(f"mkdir {encode_path(path)} {mode}")
        except Refused as refused:
            if refused.number != _EXISTS:
                raise

    async def rename(self, old: str, new: str) -> None:
        """Renames; an existing file of the new name is replaced."""
        await self._ask(f"rename {encode_path(old)} {encode_path(new)}")

    async def unlink(self, path: str) -> None:
        """Removes a file."""
        await self._ask(f"unlink {encode_path(path)}")

    async def rmall(self, path: str) -> None:
        """Removes a directory and what is in it."""
        await self._ask(f"rmall {encode_path(path)}")

    async def setacl(self, path: str, subject: str, rights: str) -> None:
        """Sets what a subject (`address:*`) may do in a directory (letters of `rwldpa`)."""
        await self._ask(f"setacl {encode_path(path)} {encode_path(subject)} {rights}")

    async def stat(self, path: str) -> FileStatus:
        """Kind, size and time of a file or directory."""
        await self._ask(f"stat {encode_path(path)}")
        numbers = [int(word) for word in (await self._line()).split()]
        return FileStatus(mode=numbers[2], size_bytes=numbers[7], modified_at=numbers[11])

    async def getdir(self, path: str) -> list[str]:
        """Names in a directory, without `.` and `..`, sorted."""
        await self._ask(f"getdir {encode_path(path)}")
        names: list[str] = []
        while name := await self._line():
            names.append(name)
            if len(names) > _MAX_ENTRIES:
                raise ValueError("directory listing without end")
        return sorted(name for name in names if name not in {".", ".."})

    async def whoami(self) -> str:
        """The subject as which the server knows us."""
        size = await self._ask("whoami 1000")
        async with asyncio.timeout(self._idle_limit_s):
            said = await self._reader.readexactly(min(size, 1000))
        return said.decode("utf-8", "replace")

    async def close(self) -> None:
        """Ends the connection; idempotent, never raises for a peer that is gone."""
        self._writer.close()
        try:
            async with asyncio.timeout(1.0):
                await self._writer.wait_closed()
        except OSError:
            self.abort()

    def abort(self) -> None:
        """Drops the connection without waiting."""
        self._writer.transport.abort()

    async def _authenticate(self) -> None:
        await self._write(b"address\n")
        for _step in range(3):
            if await self._line() != "yes":
                raise Refused(-1)
        await self._line()
        await self._line()

    async def _ask(self, request: str) -> int:
        await self._write(request.encode("ascii") + b"\n")
        return await self._answer()

    async def _answer(self) -> int:
        number = int(await self._line())
        if number < 0:
            raise Refused(number)
        return number

    async def _line(self) -> str:
        async with asyncio.timeout(self._idle_limit_s):
            line = await self._reader.readuntil(b"\n")
        return line[:-1].decode("utf-8", "surrogateescape")

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        async with asyncio.timeout(self._idle_limit_s):
            await self._writer.drain()

    async def _send(self, source: BinaryIO, size: int) -> None:
        left, pace = size, Pace(self._pace, _now())
        while left:
            chunk = source.read(min(_SENT_BYTES, left))
            if not chunk:
                raise EOFError("the file became shorter while it was sent")
            left -= len(chunk)
            await self._write(chunk)
            _check(pace, size - left)

    async def _receive(self, target: BinaryIO, size: int) -> None:
        left, pace = size, Pace(self._pace, _now())
        while left:
            async with asyncio.timeout(self._idle_limit_s):
                chunk = await self._reader.read(min(CHUNK_BYTES, left))
            if not chunk:
                raise EOFError("the connection ended in the middle of a file")
            left -= len(chunk)
            target.write(chunk)
            _check(pace, size - left)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _check(pace: Pace, moved: int) -> None:
    trouble = pace.trouble(moved, _now())
    if trouble:
        raise TimeoutError(trouble)


class ChirpTransfer:
    """FileTransfer over Chirp; keeps the last connection for a while, since opening one costs the most.

    Args:
        reach: server as the project states it -> server as it is reached from here; others are reached as stated.
        idle_limit_s: longest silence of a server.
        keep_s: how long a connection that is not in use may be used again.
        pace: how fast files must move.
    """

    def __init__(
        self,
        reach: dict[str, str] | None = None,
        idle_limit_s: float = 60.0,
        keep_s: float = 20.0,
        pace: PaceLimits = USUAL,
    ) -> None:
        self._pace = pace
        self._reach = dict(reach or {})
        self._idle_limit_s = idle_limit_s
        self._keep_s = keep_s
        self._kept: tuple[str, ChirpSession, float] | None = None
        self._no_renames: set[str] = set()

    async def get(self, server: str, path: str, local: Path, *, limit_bytes: int) -> int:
        """See FileTransfer."""
        part = local.with_name(local.name + ".part")
        try:
            async with self._session(server, path) as session:
                size = await session.getfile(path, part, limit_bytes=limit_bytes)
            part.replace(local)
        finally:
            part.unlink(missing_ok=True)
        return size

    async def put(self, server: str, path: str, local: Path) -> int:
        """See FileTransfer."""
        async with self._session(server, path) as session:
            if server not in self._no_renames:
                size = await session.putfile(path + ".part", local)
                try:
                    await session.rename(path + ".part", path)
                    return size
                except Refused as refused:
                    if refused.number != _NOT_AUTHORIZED:
                        raise
                # The original's managers give the right to write only, and to rename takes that to delete.
                self._no_renames.add(server)
            return await session.putfile(path, local)

    async def close(self) -> None:
        """See FileTransfer."""
        kept, self._kept = self._kept, None
        if kept:
            await kept[1].close()

    @asynccontextmanager
    async def _session(self, server: str, path: str) -> AsyncIterator[ChirpSession]:
        session: ChirpSession | None = None
        try:
            session = await self._open(server)
            yield session
        except Refused as refused:
            self._keep(server, session)
            permanent = refused.number not in _TRANSIENT
            raise TransferFailed(server, path, str(refused), permanent) from refused
        except (ConnectionError, TimeoutError, EOFError, ValueError, IndexError, asyncio.LimitOverrunError) as broken:
            _abort(session)
            raise TransferFailed(server, path, _in_words(broken), False) from broken
        except OSError as failed:
            _abort(session)
            if session is None:
                raise TransferFailed(server, path, _in_words(failed), False) from failed
            raise
        except BaseException:
            _abort(session)
            raise
        else:
            self._keep(server, session)

    async def _open(self, server: str) -> ChirpSession:
        kept, self._kept = self._kept, None
        if kept:
            kept_server, session, used_at = kept
            if kept_server == server and asyncio.get_running_loop().time() - used_at < self._keep_s:
                if await _answers(session):
                    return session
                session.abort()
            else:
                await session.close()
        host, port = split_server(self._reach.get(server, server))
        return await ChirpSession.open(host, port, self._idle_limit_s, self._pace)

    def _keep(self, server: str, session: ChirpSession | None) -> None:
        if session is not None:
            self._kept = (server, session, asyncio.get_running_loop().time())


async def _answers(session: ChirpSession) -> bool:
    """Whether a kept connection still lives: it may have been cut, or its server restarted."""
    try:
        await session.whoami()
    except (OSError, EOFError, ValueError, Refused):
        return False
    return True


def _abort(session: ChirpSession | None) -> None:
    if session is not None:
        session.abort()


def _in_words(error: Exception) -> str:
    return str(error) or type(error).__name__
