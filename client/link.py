"""The guest link: versioned JSON lines with sequence numbers, one definition for both ends.

It runs over anything that carries bytes: a UART, a virtio-serial port, a socket. Each line is one JSON object:

    {"v": 1, "i": "c0ffee", "n": 17, "o": 16, "a": 4, "k": "job", "b": {...}}

`v` is the protocol's version, `i` names this start of the sender, `n` is its sequence number (from 1; 0 for messages
that may be lost), `o` the oldest number that it still keeps, `a` the highest number that it received in order, `k` the
kind and `b` its fields. Messages of RELIABLE kinds are numbered, kept by the sender until acknowledged, and taken by
the receiver in order only: one that comes after a gap is dropped, and a `hello` asks for all that is kept. The others
(heartbeats, pings) are neither numbered nor kept. A new `i` means that the peer began anew, with number 1.
Whatever does not parse, is too long or has a kind or field out of `KINDS` is counted and dropped: the peer is hostile
until proven otherwise. Texts arrive without control characters, as they may be shown on a terminal. Standard library
only: the same file is packed into the agent.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

VERSION: Final = 1
#: Longest line accepted or sent, in bytes, newline included.
MAX_LINE_BYTES: Final = 32 * 1024
#: Most unacknowledged messages kept for sending again; the oldest log lines go first.
MAX_KEPT: Final = 512
#: C0, DEL and C1 (escape sequences of terminals), line and paragraph separators, bidirectional overrides, surrogates
_UNFIT: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")

_Check = Callable[[Any], bool]


def _text(limit: int) -> _Check:
    return lambda value: isinstance(value, str) and len(value) <= limit


def _number(low: float, high: float) -> _Check:
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


_WORD = _text(64)
_LINE = _text(4000)
_ID = _text(128)
_SECONDS = _number(0, 1e9)
_COUNT = _number(0, 1e15)

#: kind -> field -> check. All fields are optional but must pass when there; unknown fields are dropped.
KINDS: Final[Mapping[str, Mapping[str, _Check]]] = {
    # guest -> host
    "hello": {"version": _WORD, "wall_clock": _number(0, 1e11), "peer": _WORD},
    "heartbeat": {
        "uptime_s": _SECONDS,
        "load_1min": _number(0, 1e6),
        "memory_used_mib": _COUNT,
        "memory_total_mib": _COUNT,
        "scratch_free_mib": _COUNT,
        "xmpp": _flag,
        "interval_s": _SECONDS,
    },
    "boot": {"step": _WORD, "uptime_s": _SECONDS},
    "job": {
        "job_id": _ID,
        "state": _WORD,
        "title": _text(200),
        "done": _COUNT,
        "total": _COUNT,
        "unit": _WORD,
        "exit_code": _number(-1e6, 1e6),
        "cause": _text(1000),
        "cpu_s": _SECONDS,
    },
    "verdict": {"job_id": _ID, "accepted": _flag, "reason": _text(1000)},
    "log": {"source": _WORD, "level": _WORD, "text": _LINE},
    "bye": {"reason": _text(200)},
    # host -> guest
    "ping": {"wall_clock": _number(0, 1e11)},
    "resumed": {"wall_clock": _number(0, 1e11), "entropy": _text(200)},
    "finish": {"undo": _flag},
    "checkpoint": {},
    "shutdown": {"reason": _text(200)},
}
#: Kinds that are numbered, kept until acknowledged, and delivered once and in order.
RELIABLE: Final = frozenset({"boot", "job", "verdict", "log", "bye", "finish", "checkpoint", "shutdown", "resumed"})


@dataclass(frozen=True)
class Message:
    """One message of the link: its kind (a key of KINDS), its fields, its number (0: may be lost)."""

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0


@dataclass
class Dropped:
    """What a receiver threw away, by cause."""

    too_long: int = 0
    malformed: int = 0
    unknown: int = 0
    repeated: int = 0

    @property
    def noise(self) -> int:
        """Lines that no well-behaved peer sends."""
        return self.too_long + self.malformed


class LinkEnd:
    """One end of the link, without any I/O: bytes in, messages out; messages in, bytes out.

    Feed it what was read with `receive`, and write what `replies`, `send`, `hello` and `acknowledge` return.
    """

    def __init__(self, boot_id: str) -> None:
        """Args: boot_id: new for each start of this end, so that the peer knows that numbers begin anew."""
        self.dropped = Dropped()
        self.peer_boot_id = ""
        self._boot_id = boot_id
        self._buffer = bytearray()
        self._skipping = False
        self._last_sent = 0
        self._last_received = 0
        self._asked_again_at = -1
        self._kept: dict[int, tuple[str, Mapping[str, Any]]] = {}
        self._is_asked = False
        self._has_gap = False

    @property
    def unacknowledged(self) -> int:
        """How many reliable messages the peer has not confirmed."""
        return len(self._kept)

    def send(self, kind: str, **fields: Any) -> bytes:
        """The line that carries a message; reliable ones are kept until acknowledged."""
        if kind not in RELIABLE:
            return self._line(0, kind, fields)
        self._last_sent += 1
        self._kept[self._last_sent] = (kind, fields)
        if len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        return self._line(self._last_sent, kind, fields)

    def hello(self, **fields: Any) -> bytes:
        """What to write at each (re)connection: who speaks, then all that is unconfirmed."""
        return self._line(0, "hello", fields) + self._all_kept()

    def replies(self, *, resend: bool = True) -> bytes:
        """What `receive` found due: write it after each call of that; often empty.

        However often the peer asked since the last call, it gets one answer.

        Args:
            resend: whether all that is unconfirmed may go out if the peer asked; if not, it stays due.
        """
        due = self._line(0, "hello", {}) if self._has_gap else b""
        self._has_gap = False
        if self._is_asked and resend:
            self._is_asked = False
            due += self._all_kept()
        return due

    def acknowledge(self) -> bytes:
        """A line that only confirms; for ends that have nothing else to say."""
        return self._line(0, "ping", {})

    def receive(self, data: bytes) -> Iterator[Message]:
        """Messages that the bytes complete, in order, each reliable one once."""
        self._buffer += data
        while True:
            end = self._buffer.find(b"\n")
            if end < 0:
                break
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            if self._skipping or len(line) >= MAX_LINE_BYTES:
                self.dropped.too_long += 1
                self._skipping = False
                continue
            message = self._parse(line)
            if message is not None:
                yield message
        if len(self._buffer) >= MAX_LINE_BYTES:
            self._skipping = True
            self._buffer.clear()

    def _all_kept(self) -> bytes:
        return b"".join(self._line(number, kind, fields) for number, (kind, fields) in self._kept.items())

    def _line(self, number: int, kind: str, fields: Mapping[str, Any]) -> bytes:
        oldest = next(iter(self._kept), self._last_sent + 1)
        said = {"v": VERSION, "i": self._boot_id, "n": number, "o": oldest, "a": self._last_received}
        # A leading newline ends whatever half line a reset or a garbled byte left in the peer's buffer.
        return b"\n" + json.dumps({**said, "k": kind, "b": fields}, separators=(",", ":")).encode() + b"\n"

    def _parse(self, line: bytes) -> Message | None:
        if not line.strip():
            return None
        try:
            said = json.loads(line)
            version, number, oldest = int(said["v"]), int(said["n"]), int(said["o"])
            confirmed, peer = int(said["a"]), str(said["i"])[:64]
            kind, body = said["k"], said["b"]
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            self.dropped.malformed += 1
            return None
        if version != VERSION or not isinstance(kind, str) or kind not in KINDS or not isinstance(body, dict):
            self.dropped.unknown += 1
            return None
        if peer != self.peer_boot_id:
            self.peer_boot_id, self._last_received, self._asked_again_at = peer, 0, -1
        for kept in [n for n in self._kept if n <= confirmed]:
            del self._kept[kept]
        if kind == "hello":
            self._is_asked = True
        return Message(kind, _checked(kind, body), number) if self._is_due(number, oldest) else None

    def _is_due(self, number: int, oldest: int) -> bool:
        if number <= 0:
            return True
        if number <= self._last_received:
            self.dropped.repeated += 1
            return False
        if number != max(self._last_received + 1, oldest):
            if self._asked_again_at != self._last_received:
                self._asked_again_at = self._last_received
                self._has_gap = True
            return False
        self._last_received = number
        return True


def _checked(kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    checks = KINDS[kind]
    fit = {name: value for name, value in body.items() if name in checks and checks[name](value)}
    return {name: _clean(value) if isinstance(value, str) else value for name, value in fit.items()}


def _clean(text: str) -> str:
    return _UNFIT.sub(lambda found: " " if found[0] in "\t\n\r" else "\ufffd", text)
