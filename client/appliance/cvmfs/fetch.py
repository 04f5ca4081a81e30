"""Objects on their way in: each is fetched once, however many guests wait for it, and kept only if it is right."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import aiohttp

from client.appliance.cvmfs.part import MOST_IN_MEMORY, NoRoom, Part
from client.appliance.cvmfs.rules import ObjectName, Server, Wanted
from client.appliance.cvmfs.store import ObjectStore
from client.appliance.cvmfs.upstream import Away, Upstream

BLOCK_BYTES: Final = 256 * 1024
#: the end of an object that waits for its check; what is shorter goes out in one piece
HELD_BYTES: Final = 64 * 1024
#: what is fetched from one server at a time; others wait for their turn, and a slow server holds up no other
MOST_FETCHES: Final = 8
#: so long after one that was too much for disk and memory, long objects are passed through
DIRECT_S: Final = 60.0
#: where a server does not say how long an object is, it is taken for no longer; servers of CVMFS say it
UNSAID_BYTES: Final = MOST_IN_MEMORY


class Broken(Exception):
    """The object cannot be had now. The text says why."""


class Fetch:
    """One object on its way. Readers join and leave; it goes on without them, so that the next one finds it.

    Attributes:
        status: of the server's answer; 0 until there is one, or if there is none.
        length: as the server announced it, in bytes; None: not known.
        most_bytes: it is not taken if it is longer; 0 before there is an answer.
        error: what went wrong, empty for nothing.
        done: no more comes.
        is_good: all came, and it is the object that its name says.
        is_kept: it is in the cache.
        is_refused: the answer is not for keeping (too long, or no check for it): to be asked for again, directly.
    """

    def __init__(self, wanted: Wanted, name: ObjectName) -> None:
        self.wanted = wanted
        self.name = name
        self.status = 0
        self.length: int | None = None
        self.most_bytes = 0
        self.error = ""
        self.done = False
        self.is_good = False
        self.is_kept = False
        self.is_refused = False
        self.part: Part | None = None
        self._readers = 0
        self._news = asyncio.Event()

    def tell(self) -> None:
        """There is something new: wake who waits."""
        self._news.set()
        self._news = asyncio.Event()

    async def until_answered(self) -> None:
        """Wait for the server's answer, or for the failure to get one."""
        while not (self.done or self.part is not None):
            await self._news.wait()

    async def until_done(self) -> None:
        """Wait for the end."""
        while not self.done:
            await self._news.wait()

    def join(self) -> None:
        """One more reads; `leave` must follow."""
        self._readers += 1

    def leave(self) -> None:
        """One reads no more. The last one after the end puts the light out."""
        self._readers -= 1
        self.let_go()

    def let_go(self) -> None:
        """Close what nobody reads any more; at once and not in a thread, since who leaves may be cancelled just now."""
        if self.done and not self._readers and self.part is not None:
            part, self.part = self.part, None
            part.close(kept=self.is_kept)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The object as it comes. The last bytes are held back until all of it is known to be right.

        Raises:
            Broken: it is not, or does not come; what was given so far is to be thrown away.
        """
        sent = 0
        part = self.part
        assert part is not None
        while not self.done or sent < part.size:
            news = self._news
            ready = part.size if self.done else part.size - HELD_BYTES
            if self.done and not self.is_good:
                raise Broken(self.error)
            if sent < ready:
                piece = await asyncio.to_thread(part.read, sent, min(BLOCK_BYTES, ready - sent))
                sent += len(piece)
                yield piece
            elif not self.done:
                await news.wait()
        if not self.is_good:
            raise Broken(self.error)


class Fetches:
    """All that is on its way now."""

    def __init__(self, upstream: Upstream, store: ObjectStore) -> None:
        self._upstream = upstream
        self._store = store
        self._running: dict[ObjectName, Fetch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns: dict[Server, asyncio.Semaphore] = {}
        self._direct_until = 0.0

    def join(self, wanted: Wanted, name: ObjectName) -> tuple[Fetch, bool]:
        """The fetch of an object, begun if there is none. Returns it and whether it was begun. To be left."""
        fetch = self._running.get(name)
        is_new = fetch is None
        if fetch is None:
            fetch = self._running[name] = Fetch(wanted, name)
            task = asyncio.create_task(self._run(fetch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        fetch.join()
        return fetch, is_new

    async def close(self) -> None:
        """Give up what is under way; unfinished parts are swept at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, fetch: Fetch) -> None:
        try:
            async with self._turns.setdefault(fetch.wanted.server, asyncio.Semaphore(MOST_FETCHES)):
                await self._fetch(fetch)
        except (Away, Broken) as error:
            fetch.error = str(error)
        except NoRoom:
            fetch.error = "neither disk nor memory has room for it"
            self._put_off()
        finally:
            fetch.error = fetch.error or ("" if fetch.is_good else "it was called off")
            fetch.done = True
            self._running.pop(fetch.name, None)
            fetch.let_go()
            fetch.tell()

    async def _fetch(self, fetch: Fetch) -> None:
        async with self._upstream.open(fetch.wanted) as response:
            fetch.status = response.status
            if response.status != 200:
                raise Broken(f"status {response.status}")
            fetch.length = response.content_length
            fetch.is_refused = not self._takes(fetch)
            if fetch.is_refused:
                return
            part = fetch.part = await asyncio.to_thread(self._store.begin, fetch.name, self._expected())
            fetch.tell()
            await self._receive(fetch, part, response)
        if fetch.length is not None and part.size != fetch.length:
            raise Broken(f"{part.size} of {fetch.length} bytes came")
        if not part.fits():
            raise Broken("the server sent other bytes than the name says")
        fetch.is_kept = part.is_on_disk and await asyncio.to_thread(self._store.keep, part, fetch.name)
        fetch.is_good = True

    def _takes(self, fetch: Fetch) -> bool:
        """Whether an answer is for keeping: not too much with all that is on its way, and of a kind that is checked."""
        fetch.most_bytes = fetch.length if fetch.length is not None else min(UNSAID_BYTES, self._store.largest_bytes)
        had_room = asyncio.get_running_loop().time() >= self._direct_until
        is_small = fetch.length is not None and fetch.length <= MOST_IN_MEMORY
        if not (had_room or is_small) or fetch.name.new_check() is None:
            return False
        return self._expected() <= self._store.largest_bytes and self._store.has_space(fetch.most_bytes)

    def _expected(self) -> int:
        return sum(fetch.most_bytes for fetch in self._running.values() if not fetch.is_refused)

    def _put_off(self) -> None:
        self._direct_until = asyncio.get_running_loop().time() + DIRECT_S

    async def _receive(self, fetch: Fetch, part: Part, response: aiohttp.ClientResponse) -> None:
        async for piece in self._upstream.body(response):
            await asyncio.to_thread(part.write, piece)
            fetch.tell()
            if part.size > fetch.most_bytes:
                if fetch.length is None:
                    # Should it be in earnest, the next try is passed through.
                    self._put_off()
                raise Broken("it sends more than it said")
