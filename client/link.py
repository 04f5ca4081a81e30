"""The guest link: versioned JSON lines with sequence numbers, one definition for both ends.

It runs over anything that carries bytes: a UART, a virtio-serial port, a socket. Each line is one JSON object:

    {"v": 1, "n": 17, "a": 4, "k": "heartbeat", "b": {...}}

`v` is the protocol's version, `n` the sender's sequence number (from 1; 0 for messages that may be lost), `a` the
highest number received so far without a gap, `k` the kind and `b` its fields. Messages of RELIABLE kinds are numbered
and kept by the sender until acknowledged, and sent again after `hello`; the others (heartbeats, pings) are not.
Whatever does not parse, is too long or has a kind or field out of `KINDS` is counted and dropped: the peer is hostile
until proven otherwise. Standard library only: the same file is packed into the agent.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

VERSION: Final = 1
#: Longest line accepted or sent, in bytes, newline included.
MAX_LINE_BYTES: Final = 32 * 1024
#: Most unacknowledged messages kept for sending again; the oldest log lines go first.
MAX_KEPT: Final = 512

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
    "hello": {"version": _WORD, "boot_id": _ID, "received": _COUNT, "wall_clock": _number(0, 1e11), "peer": _WORD},
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
RELIABLE: Final = frozenset({"boot", "job", "verdict", "log", "bye", "finish", "checkpoint", "shutdown"})


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

    Feed it what was read with `receive`; write what `send`, `hello` and `acknowledge` return.
    """

    def __init__(self, boot_id: str = "") -> None:
        """Args: boot_id: of a guest, one per boot, so that the host knows a fresh peer; of a host, empty."""
        self.dropped = Dropped()
        self.peer_boot_id = ""
        self._boot_id = boot_id
        self._buffer = bytearray()
        self._skipping = False
        self._last_sent = 0
        self._last_received = 0
        self._kept: dict[int, bytes] = {}

    @property
    def unacknowledged(self) -> int:
        """How many reliable messages the peer has not confirmed."""
        return len(self._kept)

    def send(self, kind: str, **fields: Any) -> bytes:
        """The line that carries a message; reliable ones are kept until acknowledged."""
        if kind not in RELIABLE:
            return self._line(0, kind, fields)
        self._last_sent += 1
        line = self._line(self._last_sent, kind, fields)
        self._kept[self._last_sent] = line
        if len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        return line

    def hello(self, **fields: Any) -> bytes:
        """What to write at each (re)connection: who speaks, what was received, then all that is unconfirmed."""
        line = self._line(0, "hello", {**fields, "boot_id": self._boot_id, "received": self._last_received})
        return line + b"".join(self._kept.values())

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

    def _line(self, number: int, kind: str, fields: Mapping[str, Any]) -> bytes:
        body = {"v": VERSION, "n": number, "a": self._last_received, "k": kind, "b": fields}
        # A leading newline ends whatever half line a reset or a garbled byte left in the peer's buffer.
        return b"\n" + json.dumps(body, separators=(",", ":")).encode() + b"\n"

    def _parse(self, line: bytes) -> Message | None:
        if not line.strip():
            return None
        try:
            said = json.loads(line)
            version, number, confirmed = int(said["v"]), int(said["n"]), int(said["a"])
            kind, body = said["k"], said["b"]
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            self.dropped.malformed += 1
            return None
        if version != VERSION or not isinstance(kind, str) or kind not in KINDS or not isinstance(body, dict):
            self.dropped.unknown += 1
            return None
        fields = _checked(kind, body)
        if kind == "hello":
            self._meet(fields)
        for kept in [n for n in self._kept if n <= confirmed]:
            del self._kept[kept]
        if number:
            if number <= self._last_received:
                self.dropped.repeated += 1
                return None
            self._last_received = number
        return Message(kind, fields, number)

    def _meet(self, fields: Mapping[str, Any]) -> None:
        boot_id = str(fields.get("boot_id", ""))
        if boot_id and boot_id != self.peer_boot_id:
            self.peer_boot_id = boot_id
            self._last_received = 0


def _checked(kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    checks = KINDS[kind]
    return {name: value for name, value in body.items() if name in checks and checks[name](value)}
