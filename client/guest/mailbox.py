"""Messages between programs on the host and in the guest: both ways, in order, over every restart of the client.

What is to be sent is on disk until the guest has it; what came is on disk before the guest hears that it did. Both are
numbered by their senders, so nothing is taken twice. A guest that is reset forgets what none of its programs had taken.
"""

import asyncio
import json
import os
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from client import filenames
from client.errors import BadInput
from client.guest.errors import MailboxFull
from client.link import MAX_MESSAGE, Message
from client.log import logger
from client.paths import write_atomic

MOST_KEPT_OUT: Final = 256
MAX_UNDER_WAY: Final = 16
MAX_TOPIC: Final = MAX_MESSAGE // 32
#: messages of the guest that can be read again; the oldest go
MOST_KEPT_IN: Final = 1000


class Say(Protocol):
    """Sends a message of the link, now or when the guest can be reached."""

    def __call__(self, kind: str, **fields: Any) -> None:
        """See LinkChannel.send."""


@dataclass(frozen=True)
class Letter:
    """One message. number: grows by one with each, over restarts too."""

    number: int
    topic: str
    text: str


def check_letter(topic: str, text: str) -> None:
    """Raises BadInput for a message that is too long, or holds a zero byte."""
    if "\0" in topic + text:
        raise BadInput("message", "it holds a zero byte", "send it as a file")
    if len(topic) > MAX_TOPIC:
        raise BadInput("message", f"its topic is longer than {MAX_TOPIC} characters", "name it more shortly")
    if len(text) > MAX_MESSAGE:
        raise BadInput("message", f"it is longer than {MAX_MESSAGE} characters", "send it as a file")


class Mailbox:
    """The host's end for one VM."""

    def __init__(self, say: Say, folder: Path) -> None:
        self._say = say
        self._out = folder / filenames.MAIL_OUT
        self._in = folder / filenames.MAIL_IN
        self._outgoing: list[Letter] = []
        self._sent = 0
        self._said = 0
        self._boot = ""
        self._from = ("", 0)
        self._inbox: deque[Letter] = deque(maxlen=MOST_KEPT_IN)
        self._lines = 0
        self._news = asyncio.Event()

    def load(self) -> None:
        """Read what the last client left; a torn last line (a power cut) was never confirmed to the guest."""
        self._load_out()
        self._load_in()

    @property
    def unconfirmed(self) -> int:
        """How many messages the guest has not taken yet."""
        return len(self._outgoing)

    def send(self, topic: str, text: str) -> int:
        """Send a message; it is on disk when this returns its number.

        Raises:
            BadInput: it is too long.
            MailboxFull: the guest takes none.
            OSError: it cannot be noted.
        """
        check_letter(topic, text)
        if len(self._outgoing) >= MOST_KEPT_OUT:
            raise MailboxFull(len(self._outgoing))
        letter = Letter(self._sent + 1, topic, text)
        self._write_out((*self._outgoing, letter), letter.number)
        self._outgoing.append(letter)
        self._sent = letter.number
        self._push()
        return letter.number

    def inbox(self, after: int = 0) -> tuple[Letter, ...]:
        """What came from the guest with a higher number than `after`, in order; the oldest may be gone."""
        return tuple(letter for letter in self._inbox if letter.number > after)

    async def wait(self, after: int) -> tuple[Letter, ...]:
        """As `inbox`, but at least one."""
        while not (found := self.inbox(after)):
            self._news.clear()
            await self._news.wait()
        return found

    def met(self, boot: str) -> None:
        """This boot of the guest speaks: it gets all that none has confirmed, and hears what came of it so far."""
        self._boot = boot
        if self._from[0] != boot:
            self._from = (boot, 0)
        self._said = 0
        self._say("message_taken", number=self._from[1], again=True)
        self._push()

    def take(self, message: Message) -> None:
        """A message of the guest, or how many of ours it has."""
        number = int(message.fields.get("number", 0))
        if message.kind == "message_taken":
            self._take_confirmation(number)
        elif number == self._from[1] + 1:
            self._record(number, str(message.fields.get("topic", "")), str(message.fields.get("text", "")))
            self._say("message_taken", number=number)
        elif number > self._from[1]:
            # One before it could not be recorded.
            self._say("message_taken", number=self._from[1], again=True)

    def _take_confirmation(self, number: int) -> None:
        left = [letter for letter in self._outgoing if letter.number > number]
        if len(left) < len(self._outgoing):
            self._write_out(tuple(left), self._sent)
            self._outgoing = left
        self._push()

    def _push(self) -> None:
        if not self._boot or not self._outgoing:
            return
        last = self._outgoing[0].number + MAX_UNDER_WAY
        for letter in self._outgoing:
            if self._said < letter.number < last:
                self._said = letter.number
                self._say("message", **asdict(letter))

    def _record(self, number: int, topic: str, text: str) -> None:
        letter = Letter((self._inbox[-1].number if self._inbox else 0) + 1, topic, text)
        line = json.dumps({**asdict(letter), "boot": self._boot, "its": number})
        if self._lines >= 2 * MOST_KEPT_IN:
            self._compact()
        self._in.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._in.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._lines += 1
        self._inbox.append(letter)
        self._from = (self._boot, number)
        self._news.set()

    def _compact(self) -> None:
        boot, its = self._from
        kept = (json.dumps({**asdict(letter), "boot": boot, "its": its}) for letter in self._inbox)
        write_atomic(self._in, "".join(f"{line}\n" for line in kept).encode())
        self._lines = len(self._inbox)

    def _write_out(self, letters: tuple[Letter, ...], sent: int) -> None:
        self._out.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        plain = {"sent": sent, "letters": [asdict(letter) for letter in letters]}
        write_atomic(self._out, json.dumps(plain).encode())

    def _load_out(self) -> None:
        try:
            said = json.loads(self._out.read_text(encoding="utf-8"))
            self._outgoing = [Letter(int(one["number"]), one["topic"], one["text"]) for one in said["letters"]]
            self._sent = int(said["sent"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger("guest").warning("Messages to the guest could not be read (%s)", error)

    def _load_in(self) -> None:
        try:
            lines = self._in.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                said = json.loads(line)
                self._inbox.append(Letter(int(said["number"]), said["topic"], said["text"]))
                self._from = (str(said["boot"]), int(said["its"]))
            except (ValueError, KeyError, TypeError):
                continue
        self._compact()
