"""Answers the guests: what stands in the cache from there, anything else that is allowed from its server."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Final, Protocol

from aiohttp import web

from client.appliance.cvmfs.doorman import Visitor
from client.appliance.cvmfs.fetch import BLOCK_BYTES, Broken, Fetch, Fetches
from client.appliance.cvmfs.rules import AllowList, ObjectName, Wanted
from client.appliance.cvmfs.shortlived import Denied, ShortLived
from client.appliance.cvmfs.store import ObjectStore, Stored
from client.appliance.cvmfs.upstream import Away, Upstream

#: an object up to this long is read and checked before the first byte of it goes out
AT_ONCE_BYTES: Final = 2 * 2**20
#: a guest that takes nothing for so long has gone
WRITE_LIMIT_S: Final = 60.0
_RANGE: Final = re.compile(r"bytes=[0-9]{0,18}-[0-9]{0,18}", re.ASCII)
#: of a request; with them it could mean two things
_AMBIGUOUS: Final = ("Transfer-Encoding", "Upgrade", "Expect")
_PASSED: Final = (200, 206, 404, 416)


@dataclass
class Counts:
    """What the proxy did since its start. served: to guests."""

    hits: int = 0
    misses: int = 0
    stale: int = 0
    refused: int = 0
    served_bytes: int = 0

    def facts(self) -> dict[str, int]:
        """For the client."""
        return asdict(self)


class _Source(Protocol):
    size: int

    def read(self, offset: int, size: int) -> bytes: ...


class Proxy:
    """Handler of requests."""

    def __init__(
        self, allowed: AllowList, store: ObjectStore, fetches: Fetches, short_lived: ShortLived, upstream: Upstream
    ) -> None:
        self.counts = Counts()
        self._allowed = allowed
        self._store = store
        self._fetches = fetches
        self._short_lived = short_lived
        self._upstream = upstream

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request; never raises for what a guest or a server does wrong."""
        visitor = request.protocol
        assert isinstance(visitor, Visitor)
        visitor.answer()
        try:
            return await self._answer(request)
        except (Away, Broken) as error:
            return _say(502, f"The server does not give it: {error}")
        finally:
            visitor.listen()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in {"GET", "HEAD"}:
            return self._refuse(405, "Only GET and HEAD.")
        if request.headers.get("Content-Length", "0") != "0" or any(name in request.headers for name in _AMBIGUOUS):
            return self._refuse(400, "A request without a body, please.")
        wanted = self._allowed.find(request.raw_path)
        if wanted is None:
            return self._refuse(403, "Not on the list of the project's file servers and repositories.")
        if wanted.name is not None:
            return await self._object(request, wanted, wanted.name)
        if wanted.short_lived_s is not None:
            return await self._changing(request, wanted)
        return await self._pass(request, wanted)

    def _refuse(self, status: int, why: str) -> web.StreamResponse:
        self.counts.refused += 1
        response = _say(status, why)
        response.force_close()
        return response

    # -- objects

    async def _object(self, request: web.BaseRequest, wanted: Wanted, name: ObjectName) -> web.StreamResponse:
        stored = await asyncio.to_thread(self._store.load, name)
        if stored is not None:
            try:
                response = await self._stored(request, stored)
            finally:
                stored.close()
            if response is not None:
                return response
        if request.method == "HEAD":
            return await self._pass(request, wanted)
        fetch, is_new = self._fetches.join(wanted, name)
        self.counts.misses += is_new
        self.counts.hits += not is_new
        try:
            return await self._fetched(request, wanted, fetch)
        finally:
            fetch.leave()

    async def _stored(self, request: web.BaseRequest, stored: Stored) -> web.StreamResponse | None:
        """From the cache; None when what stands there is not the object (it is forgotten then)."""
        span = _span(request, stored)
        if request.method == "HEAD":
            response = _start(stored.name, None, stored.size)
        elif stored.size <= AT_ONCE_BYTES or span is not None:
            data = await asyncio.to_thread(_checked, stored)
            if data is None:
                await asyncio.to_thread(self._store.remove, stored.name)
                return None
            response = await self._sliced(request, stored, span, stored.name, data)
        else:
            response = _start(stored.name, None, stored.size)
            await self._stream(request, response, self._checked_pieces(stored))
        self.counts.hits += 1
        return response

    async def _checked_pieces(self, stored: Stored) -> AsyncIterator[bytes]:
        """A long object; its last piece is held back until all of it is known to be right."""
        check = stored.name.new_check()

        def take(offset: int) -> bytes:
            piece = stored.read(offset, BLOCK_BYTES)
            if check is not None:
                check.take(piece)
            return piece

        offset, held = 0, b""
        while piece := await asyncio.to_thread(take, offset):
            if held:
                yield held
            offset, held = offset + len(piece), piece
        if check is None or not check.fits():
            await asyncio.to_thread(self._store.remove, stored.name)
            raise Broken("it was damaged in the cache")
        yield held

    async def _fetched(self, request: web.BaseRequest, wanted: Wanted, fetch: Fetch) -> web.StreamResponse:
        await fetch.until_answered()
        if fetch.is_refused:
            return await self._pass(request, wanted)
        if fetch.status not in {0, 200}:
            return _denied(fetch.status)
        if "Range" in request.headers:
            await fetch.until_done()
        if fetch.done and not fetch.is_good:
            raise Broken(fetch.error)
        part = fetch.part
        assert part is not None
        if fetch.done:
            return await self._sliced(request, part, _span(request, part), fetch.name, b"")
        response = _start(fetch.name, None, fetch.length)
        await self._stream(request, response, fetch.pieces())
        return response

    async def _sliced(
        self, request: web.BaseRequest, source: _Source, span: slice | None, name: ObjectName, data: bytes
    ) -> web.StreamResponse:
        """All or a range of something that is whole; `data` holds all of it, or nothing if it is long."""
        begin, end = (span.start, span.stop) if span else (0, source.size)
        if span is not None and begin >= end:
            refusal = _say(416, "There is no such range.")
            refusal.headers["Content-Range"] = f"bytes */{source.size}"
            return refusal
        response = _start(name, (begin, end, source.size) if span else None, end - begin)
        pieces = _once(data[begin:end]) if data else _read(source, begin, end)
        await self._stream(request, response, pieces)
        return response

    # -- what changes, and what is not kept

    async def _changing(self, request: web.BaseRequest, wanted: Wanted) -> web.StreamResponse:
        told = f"{request.headers.get('Cache-Control', '')} {request.headers.get('Pragma', '')}"
        afresh = "no-cache" in told or "max-age=0" in told
        entry = await self._short_lived.get(wanted, afresh=afresh)
        if isinstance(entry, Denied):
            return _denied(entry.status)
        self.counts.misses += entry.came
        self.counts.hits += not entry.came
        self.counts.stale += entry.is_stale
        response = web.Response(body=entry.body, headers={"Content-Type": entry.media_type})
        response.headers["Age"] = str(self._short_lived.age_s(entry))
        if entry.is_stale:
            response.headers["Warning"] = '110 - "Response is Stale"'
        if entry.last_modified.isprintable() and entry.last_modified:
            response.headers["Last-Modified"] = entry.last_modified
        self.counts.served_bytes += len(entry.body) if request.method == "GET" else 0
        return response

    async def _pass(self, request: web.BaseRequest, wanted: Wanted) -> web.StreamResponse:
        """From the server to the guest, past the cache."""
        said = request.headers.get("Range", "")
        headers = {"Range": said} if _RANGE.fullmatch(said) else {}
        self.counts.misses += 1
        async with self._upstream.open(wanted, headers, request.method) as answer:
            if answer.status not in _PASSED:
                return _denied(answer.status)
            response = web.StreamResponse(status=answer.status)
            response.content_type = "application/octet-stream"
            response.content_length = answer.content_length
            if "Content-Range" in answer.headers and answer.headers["Content-Range"].isprintable():
                response.headers["Content-Range"] = answer.headers["Content-Range"]
            await self._stream(request, response, self._upstream.body(answer))
            return response

    async def _stream(
        self, request: web.BaseRequest, response: web.StreamResponse, pieces: AsyncIterator[bytes]
    ) -> None:
        """Send pieces. What breaks in the middle cuts the connection, so that nobody takes it for the whole."""
        if response.content_length is None and request.version >= (1, 1):
            response.enable_chunked_encoding()
        try:
            await response.prepare(request)
            if request.method == "HEAD":
                return
            async for piece in pieces:
                async with asyncio.timeout(WRITE_LIMIT_S):
                    await response.write(piece)
                self.counts.served_bytes += len(piece)
            await response.write_eof()
        except (Away, Broken, TimeoutError, OSError) as error:
            visitor = request.protocol
            assert isinstance(visitor, Visitor)
            visitor.abort()
            raise ConnectionResetError("cut") from error


def _say(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers={"Cache-Control": "no-store"})


def _denied(status: int) -> web.Response:
    """The server has it not; a redirect is followed nowhere."""
    if 400 <= status < 500:
        return _say(status, f"The server answers {status}.")
    return _say(502, f"The server answers {status}, which is not passed on.")


def _start(name: ObjectName, span: tuple[int, int, int] | None, length: int | None) -> web.StreamResponse:
    response = web.StreamResponse(status=200 if span is None else 206)
    response.content_type = "application/octet-stream"
    response.content_length = length
    response.headers["ETag"] = f'"{name}"'
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    if span is not None:
        response.headers["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{span[2]}"
    return response


def _span(request: web.BaseRequest, source: _Source) -> slice | None:
    """The one range that is asked for, within the source; None for all of it, as for anything odd."""
    if not _RANGE.fullmatch(request.headers.get("Range", "")) or "If-Range" in request.headers:
        return None
    first, _, last = request.headers["Range"].removeprefix("bytes=").partition("-")
    if first:
        end = min(source.size, int(last) + 1) if last else source.size
        return slice(int(first), end) if not last or int(last) >= int(first) else None
    return slice(max(0, source.size - int(last)), source.size) if last else None


def _checked(stored: Stored) -> bytes | None:
    """A short object whole, nothing of a long one (it was only looked through), None if it is not the object."""
    check = stored.name.new_check()
    data, offset = b"", 0
    while piece := stored.read(offset, AT_ONCE_BYTES):
        if check is not None:
            check.take(piece)
        offset += len(piece)
        data = piece if stored.size <= AT_ONCE_BYTES else b""
    return data if check is not None and check.fits() else None


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _read(source: _Source, begin: int, end: int) -> AsyncIterator[bytes]:
    while begin < end and (piece := await asyncio.to_thread(source.read, begin, min(BLOCK_BYTES, end - begin))):
        begin += len(piece)
        yield piece
