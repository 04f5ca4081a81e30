"""A guest without a machine: a coroutine at the guest's end of a link, that can be held and let go."""

import asyncio
import contextlib
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Generator
from typing import Any

#: Plays a guest: gets its end of the link; returns when the guest powers itself off.
Guest = Callable[[StreamReader, StreamWriter], Awaitable[None]]
_CHUNK_BYTES = 65536


class FakeGuest:
    """One boot of a guest.

    Its end of the link stays when the host's end comes and goes; what it says while nobody listens waits, as on a
    virtio port. Held, it executes nothing (but for tasks that it has made beside itself).
    """

    def __init__(self, play: Guest, on_end: Callable[[], None]) -> None:
        """Args: on_end: called when the guest has ended by itself."""
        self._play = play
        self._on_end = on_end
        self._goes = asyncio.Event()
        self._listened = asyncio.Event()
        self._host: StreamWriter | None = None
        self._inner: StreamWriter | None = None
        self._own: StreamWriter | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._down: asyncio.Task[None] | None = None
        self._is_off = False

    async def boot(self) -> None:
        """Start to execute."""
        guest_side, our_side = socket.socketpair()
        try:
            reader, self._own = await asyncio.open_connection(sock=guest_side)
            inner_reader, self._inner = await asyncio.open_connection(sock=our_side)
        except asyncio.CancelledError:
            # Given up half-way: what has no writer yet would be left open.
            our_side.close()
            if self._own is None:
                guest_side.close()
            raise
        if self._is_off:
            # Its plug was pulled while it began.
            await self.stop()
            return
        self._goes.set()
        self._tasks = [
            asyncio.create_task(self._run(reader, self._own)),
            asyncio.create_task(self._carry_up(inner_reader)),
        ]

    def hold(self) -> None:
        """Stop at the guest's next step."""
        self._goes.clear()

    def let_go(self) -> None:
        """Go on from where it was held."""
        self._goes.set()

    async def open_link(self) -> tuple[StreamReader, StreamWriter]:
        """A new host's end; the former one is closed.

        Raises:
            ConnectionError: its plug was pulled meanwhile.
        """
        await self._close_host()
        ours, theirs = socket.socketpair()
        host: StreamWriter | None = None
        try:
            from_host, host = await asyncio.open_connection(sock=ours)
            reader, writer = await asyncio.open_connection(sock=theirs)
        except asyncio.CancelledError:
            (host or ours).close()
            theirs.close()
            raise
        if self._is_off:
            await _close(host)
            await _close(writer)
            raise ConnectionResetError("the guest is off")
        self._host = host
        self._down = asyncio.create_task(self._carry_down(from_host))
        self._listened.set()
        return reader, writer

    async def stop(self) -> None:
        """Pull the plug."""
        self._is_off = True
        tasks, self._tasks = self._tasks, []
        self._goes.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._close_host()
        for writer in (self._inner, self._own):
            if writer is not None:
                await _close(writer)

    async def _run(self, reader: StreamReader, writer: StreamWriter) -> None:
        # OSError: its link broke, as when the driver is closed.
        with contextlib.suppress(OSError):
            await _Holdable(self._play(reader, writer), self._goes)
        writer.close()
        self._on_end()

    async def _carry_up(self, inner: StreamReader) -> None:
        while data := await inner.read(_CHUNK_BYTES):
            await self._listened.wait()
            if self._host is not None:
                self._host.write(data)
                with contextlib.suppress(OSError):
                    await self._host.drain()
        # The guest is off: whoever listens sees the end.
        for writer in (self._host, self._inner):
            if writer is not None:
                writer.close()

    async def _carry_down(self, from_host: StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await from_host.read(_CHUNK_BYTES):
                if self._inner is not None:
                    self._inner.write(data)
                    await self._inner.drain()
        self._listened.clear()

    async def _close_host(self) -> None:
        self._listened.clear()
        if self._down is not None:
            self._down.cancel()
            await asyncio.gather(self._down, return_exceptions=True)
        if self._host is not None:
            await _close(self._host)
        self._down = self._host = None


class _Holdable:
    """Awaits something, but takes no step of it while the gate is shut."""

    def __init__(self, inner: Awaitable[None], gate: asyncio.Event) -> None:
        self._inner = inner
        self._gate = gate

    def __await__(self) -> Generator[Any, Any, None]:
        steps = self._inner.__await__()
        send: Callable[[], Any] = lambda: next(steps)  # noqa: E731 - replaced below by what to do next
        while True:
            try:
                waited_for = send()
            except StopIteration:
                return
            try:
                yield waited_for
                send = lambda: next(steps)  # noqa: E731
            except (asyncio.CancelledError, GeneratorExit) as error:
                send = _thrower(steps, error)
            while not self._gate.is_set():
                try:
                    yield from self._gate.wait().__await__()
                except asyncio.CancelledError as error:
                    # A time limit of the guest's own ran out; it will notice when it goes on.
                    send = _thrower(steps, error)


def _thrower(steps: Any, error: BaseException) -> Callable[[], Any]:
    return lambda: steps.throw(error)


async def _close(writer: StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
