"""Names whose content changes (a repository's manifest, its whitelist, the servers by distance): kept for a minute.

After that the server is asked whether there is something new. When it is away, what is there is served on for a
limited time and marked as stale; the guests check dates and signatures themselves.
"""

import asyncio
import contextlib
import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

from client.appliance.cvmfs.rules import Wanted
from client.appliance.cvmfs.upstream import Away, Upstream
from client.clock import Clock
from client.paths import write_atomic

#: how long after the last word of the server its last answer is good for
STALE_LIMIT_S: Final = 24 * 3600.0
MOST_BYTES: Final = 256 * 1024
_SETTLED_S: Final = 2.0
#: a guest that makes names up fills no disk
MOST_ENTRIES: Final = 256


@dataclass(frozen=True)
class Entry:
    """An answer of a server.

    Attributes:
        checked_at: when the server last said that it is so, seconds since 1970.
        is_stale: the server could not be asked again in time.
        came: it has just come over the network, and did not stand here already.
    """

    body: bytes
    checked_at: float
    etag: str = ""
    last_modified: str = ""
    media_type: str = "application/octet-stream"
    is_stale: bool = False
    came: bool = False


@dataclass(frozen=True)
class Denied:
    """The server answers, and has it not. status: as it said."""

    status: int


class ShortLived:
    """The answers, in memory and on disk. `open` comes first, and blocks."""

    def __init__(self, upstream: Upstream, folder: Path, clock: Clock) -> None:
        self._upstream = upstream
        self._folder = folder
        self._clock = clock
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._asking: dict[str, asyncio.Task[Entry | Denied]] = {}

    def open(self) -> None:
        """Read what the last run left. What cannot be read is removed; raises OSError if the folder cannot be used."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.iterdir():
            url, entry = _read(path)
            if entry is None or path.name != _file_name(url) or len(self._entries) >= MOST_ENTRIES:
                path.unlink(missing_ok=True)
            else:
                self._entries[url] = entry

    async def get(self, wanted: Wanted, *, afresh: bool) -> Entry | Denied:
        """What a server has under a name.

        Args:
            afresh: have the server send it in any case; a guest that found it damaged asks for that.

        Raises:
            Away: it cannot be asked, and there is no answer of it that may still be used.
        """
        known = self._entries.get(wanted.url)
        if known is not None and not afresh and self._age_s(known) < (wanted.short_lived_s or 0):
            self._entries.move_to_end(wanted.url)
            return known
        try:
            return await self._ask_once(wanted, known, {} if afresh else _conditions(known))
        except Away:
            if known is None or self._age_s(known) > STALE_LIMIT_S:
                raise
            return replace(known, is_stale=True)

    def age_s(self, entry: Entry) -> int:
        """How long ago the server said so."""
        return max(0, int(self._clock.now().timestamp() - entry.checked_at))

    async def close(self) -> None:
        """Give up what is being asked."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    def _age_s(self, entry: Entry) -> float:
        age_s = self._clock.now().timestamp() - entry.checked_at
        # A clock that was set back makes everything too old rather than too young.
        return age_s if age_s >= 0 else float("inf")

    async def _ask_once(self, wanted: Wanted, known: Entry | None, conditions: Mapping[str, str]) -> Entry | Denied:
        task = self._asking.get(wanted.url)
        if task is None:
            task = self._asking[wanted.url] = asyncio.create_task(self._ask(wanted, known, conditions))
            task.add_done_callback(lambda done: self._asked(wanted.url, done))
        return await asyncio.shield(task)

    def _asked(self, url: str, task: "asyncio.Task[Entry | Denied]") -> None:
        self._asking.pop(url, None)
        if not task.cancelled():
            task.exception()  # looked at, should all who waited have gone

    async def _ask(self, wanted: Wanted, known: Entry | None, conditions: Mapping[str, str]) -> Entry | Denied:
        async with self._upstream.open(wanted, conditions) as response:
            now = self._clock.now().timestamp()
            if response.status == 304 and known is not None and conditions:
                entry = replace(known, checked_at=now)
            elif response.status == 200:
                entry = Entry(await self._body(response), now, *_facts(response.headers))
            elif response.status >= 500:
                raise Away(f"status {response.status}")
            else:
                return Denied(response.status)
        self._put(wanted.url, entry)
        await asyncio.to_thread(self._write, wanted.url, entry)
        return replace(entry, came=response.status == 200)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for piece in self._upstream.body(response):
            body += piece
            if len(body) > MOST_BYTES:
                raise Away("more than such a file can have")
        return bytes(body)

    def _put(self, url: str, entry: Entry) -> None:
        self._entries[url] = entry
        self._entries.move_to_end(url)
        while len(self._entries) > MOST_ENTRIES:
            gone, _ = self._entries.popitem(last=False)
            with contextlib.suppress(OSError):
                (self._folder / _file_name(gone)).unlink(missing_ok=True)

    def _write(self, url: str, entry: Entry) -> None:
        facts = {"url": url, **asdict(replace(entry, body=b""))}
        del facts["body"], facts["is_stale"], facts["came"]
        facts["sha256"] = hashlib.sha256(entry.body).hexdigest()
        # A full disk costs what would have been served while the server is away, no more.
        with contextlib.suppress(OSError):
            write_atomic(self._folder / _file_name(url), json.dumps(facts).encode() + b"\n" + entry.body)


def _conditions(known: Entry | None) -> dict[str, str]:
    if known is None:
        return {}
    said = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
    return {name: value for name, value in said.items() if value}


def _facts(headers: Mapping[str, str]) -> tuple[str, str, str]:
    """Validators and media type; none that could not be repeated."""
    names = ("ETag", "Last-Modified", "Content-Type")
    etag, modified, kind = (headers.get(name, "")[:200] for name in names)
    if not _is_past(modified, headers.get("Date", "")):
        modified = ""
    return etag, modified, kind if kind.isascii() and kind.isprintable() and kind else Entry.media_type


def _is_past(modified: str, date: str) -> bool:
    """Whether a file was left alone long enough for its date, in whole seconds, to tell it from a later one.

    Source: RFC 9110, 8.8.2.2.
    """
    try:
        return (parsedate_to_datetime(date) - parsedate_to_datetime(modified)).total_seconds() >= _SETTLED_S
    except (TypeError, ValueError):
        return False


def _file_name(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()


def _read(path: Path) -> tuple[str, Entry | None]:
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        said: dict[str, Any] = json.loads(head)
        if said.pop("sha256") != hashlib.sha256(body).hexdigest():
            return "", None
        etag, modified, kind = (str(said[name]) for name in ("etag", "last_modified", "media_type"))
        return str(said["url"]), Entry(body, float(said["checked_at"]), etag, modified, kind)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "", None
