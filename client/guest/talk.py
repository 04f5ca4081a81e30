"""What the guest has said of one transfer of a file so far, and how to wait for more of it."""

import asyncio
import base64
import binascii
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from client.errors import ClientError
from client.guest.errors import FileNotMoved, GuestLost
from client.guest.ledger import Entry
from client.link import PIECES_UNDER_WAY, Message

#: pieces that wait; a guest that sends more unasked loses them
_MOST_PIECES: Final = 2 * PIECES_UNDER_WAY


class Talk:
    """One transfer.

    Attributes:
        room: how much of the file the guest has; -1 before it said.
        size: bytes and mode of the guest's file; None before it said.
        rounds: offset -> (length, SHA-256) of what lies in the outbox; the newest only.
        pieces: (offset, bytes) that came and were not taken.
        done: the guest's last word; empty before that.
    """

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.room = -1
        self.size: tuple[int, int] | None = None
        self.rounds: dict[int, tuple[int, str]] = {}
        self.pieces: deque[tuple[int, bytes]] = deque(maxlen=_MOST_PIECES)
        self.done: dict[str, Any] = {}
        self._expecting = False
        self._error: ClientError | None = None
        self._news = asyncio.Event()

    def expect_pieces(self) -> None:
        """From here on pieces are wanted; those of before were for another client."""
        self._expecting = True

    def take(self, message: Message) -> None:
        """A message of the guest."""
        said = message.fields
        match message.kind:
            case "file_room":
                self.room = max(self.room, int(said.get("offset", -1)))
            case "file_size":
                self.size = int(said.get("size_bytes", 0)), int(said.get("mode", 0o644))
            case "file_round":
                length, sha256 = int(said.get("size_bytes", 0)), str(said.get("sha256", ""))
                self.rounds = {int(said.get("offset", -1)): (length, sha256)}
            case "file_data" if self._expecting:
                self._take_piece(int(said.get("offset", -1)), said.get("data", ""))
            case "file_done":
                self._take_end(said)
        self._news.set()

    def fail(self, error: ClientError) -> None:
        """Nothing more will come; of no matter for one that has ended well."""
        if not self.done or self.done.get("cause"):
            self._error = self._error or error
        self._news.set()

    async def until(self, fits: Callable[[], bool]) -> None:
        """Wait until what was said fits.

        Raises:
            FileNotMoved: the guest could not do it.
            GuestLost: there is no guest any more to say it.
        """
        while self._error is None and not fits():
            self._news.clear()
            await self._news.wait()
        if self._error is not None:
            raise self._error

    async def until_room(self, least: int) -> None:
        """Wait until the guest has so much of the file; raises as `until`."""
        await self.until(lambda: self.room >= least)

    async def next_round(self, offset: int) -> tuple[int, str]:
        """Length and SHA-256 of the round that begins there, when it lies in the outbox; raises as `until`."""
        await self.until(lambda: offset in self.rounds)
        return self.rounds[offset]

    def _take_piece(self, offset: int, data: str) -> None:
        try:
            self.pieces.append((offset, base64.b64decode(data)))
        except binascii.Error:
            return

    def _take_end(self, said: Any) -> None:
        path = str(self.entry.wants["path"])
        cause = str(said.get("cause", ""))
        self.done = dict(said)
        if cause == "guest-restarted":
            self.fail(GuestLost(path))
        elif cause:
            self.fail(FileNotMoved(path, str(said.get("text", "")) or cause))
