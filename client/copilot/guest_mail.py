"""Messages between programs in the guest and programs on the host, in order, through a socket in the guest.

A program connects to SOCKET and writes JSON lines: `{"topic": "...", "text": "..."}` sends a message to the host, and
`{"listen": ["topic", ...]}` asks for the host's messages of those topics (an empty list: of all), which come as the
same lines for as long as the connection is open. Messages that nobody has asked for yet wait, at most MAX_WAITING of
them; the host keeps the others.
"""

import asyncio
import json
import socket
from asyncio import StreamReader, StreamWriter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from client.link import MAX_MESSAGE, Message

SOCKET: Final = Path("/run/volunteer-cloud.sock")
MAX_WAITING: Final = 64
MAX_UNDER_WAY: Final = 16
MAX_PROGRAMS: Final = 16
_LINE_LIMIT: Final = 64 * 1024


class Say(Protocol):
    """Sends a message of the link."""

    def __call__(self, kind: str, **fields: Any) -> None:
        """See GuestLink.send."""


@dataclass(frozen=True)
class Letter:
    """One message with its sender's number."""

    number: int
    topic: str
    text: str


class Mail:
    """The guest's end."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._server: asyncio.Server | None = None
        self._programs = 0
        self._came = 0
        self._waiting: list[Letter] = []
        self._news = asyncio.Event()
        self._last = 0
        self._said = 0
        self._outgoing: list[Letter] = []
        self._room = asyncio.Event()
        self._room.set()

    async def open(self, path: Path) -> None:
        """Lets programs connect. Raises OSError."""
        self._server = await asyncio.start_unix_server(self._serve, sock=_door(path), limit=_LINE_LIMIT)

    def close(self) -> None:
        """Lets no more programs connect."""
        if self._server is not None:
            self._server.close()

    def take(self, message: Message) -> None:
        """A message of the host, or how many of ours it has."""
        number = int(message.fields.get("number", 0))
        if message.kind == "message_taken":
            self._outgoing = [letter for letter in self._outgoing if letter.number > number]
            if message.fields.get("again"):
                self._said = number
            self._push(number)
            return
        if number > self._came:
            self._came = number
            self._waiting.append(Letter(number, message.fields.get("topic", ""), message.fields.get("text", "")))
            self._news.set()
        self._confirm()

    def _confirm(self) -> None:
        held = self._waiting[MAX_WAITING:]
        self._say("message_taken", number=held[0].number - 1 if held else self._came)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._programs += 1
        listening: asyncio.Task[None] | None = None
        try:
            while self._programs <= MAX_PROGRAMS and (line := await reader.readline()):
                topics = await self._obey(line)
                if topics is not None and listening is None:
                    listening = asyncio.create_task(self._hand_out(topics, writer))
        except (OSError, ValueError, KeyError, TypeError):
            pass
        finally:
            self._programs -= 1
            if listening is not None:
                listening.cancel()
            writer.close()

    async def _obey(self, line: bytes) -> frozenset[str] | None:
        said = json.loads(line)
        if "listen" in said:
            return frozenset(map(str, said["listen"]))
        topic, text = str(said["topic"]), str(said["text"])
        if len(topic) > MAX_MESSAGE // 32 or len(text) > MAX_MESSAGE:
            raise ValueError("too long")
        await self._room.wait()
        self._last += 1
        self._outgoing.append(Letter(self._last, topic, text))
        self._push(self._outgoing[0].number - 1)
        return None

    def _push(self, taken: int) -> None:
        for letter in self._outgoing:
            if self._said < letter.number <= taken + MAX_UNDER_WAY:
                self._said = letter.number
                self._say("message", number=letter.number, topic=letter.topic, text=letter.text)
        if len(self._outgoing) < MAX_WAITING:
            self._room.set()
        else:
            self._room.clear()

    async def _hand_out(self, topics: frozenset[str], writer: StreamWriter) -> None:
        while True:
            fit = [letter for letter in self._waiting if not topics or letter.topic in topics]
            for letter in fit:
                writer.write(json.dumps({"topic": letter.topic, "text": letter.text}).encode() + b"\n")
                self._waiting.remove(letter)
                await writer.drain()
            if fit:
                self._confirm()
            self._news.clear()
            await self._news.wait()


def _door(path: Path) -> socket.socket:
    """A socket that every program of the guest may connect to."""
    path.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        door.bind(str(path))
        path.chmod(0o666)
    except OSError:
        door.close()
        raise
    return door
