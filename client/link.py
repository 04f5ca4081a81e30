"""The guest link: versioned JSON lines with sequence numbers, one definition for both ends.

It runs over anything that carries bytes: a UART, a virtio-serial port, a socket. Each line is one JSON object:

    {"v": 1, "i": "c0ffee", "n": 17, "o": 16, "a": 4, "t": "beef", "k": "job", "b": {...}}

`v` is the protocol's version, `i` names this start of the sender, `n` is its sequence number (from 1; 0 for messages
that may be lost), `o` the oldest number that it still keeps, `a` the highest number that it received in order
from the start of the peer that `t` names (one that began anew must not take it for a word on its own numbers), `k` the
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
#: Longest piece of a stream (output of a command, a file) in one message, in bytes before base64.
PIECE_BYTES: Final = 8192
#: Pieces of one stream that may be under way: the taker says how far it is, so no stream fills what a link end keeps.
PIECES_UNDER_WAY: Final = 3
#: Longest list of a command's words, as JSON.
MAX_ARGV_BYTES: Final = 12 * 1024
MAX_PATH: Final = 1024
#: Longest text of a program's message, in characters.
MAX_MESSAGE: Final = 2000
#: What lies in an inbox begins with a header of this length; see `inbox_header`.
INBOX_HEADER_BYTES: Final = 4096
#: What one message tells of what a job prints: so many lines of so many characters.
MAX_OUTPUT_LINES: Final = 20
MAX_OUTPUT_LINE: Final = 200
_INBOX_MARK: Final = b"VOLUNTEER-CLOUD-INBOX\n"
_UNFIT: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")
#: what no argument, path or text of a program may hold
_MISSHAPEN: Final = re.compile("[\\x00\\ud800-\\udfff]")
_BASE64: Final = re.compile("[A-Za-z0-9+/]*={0,2}")
_BASE64_LIMIT: Final = 4 * (PIECE_BYTES + 2) // 3 + 4
_SHA256: Final = re.compile("[0-9a-f]{64}")

_Check = Callable[[Any], bool]


def _text(limit: int) -> _Check:
    return lambda value: isinstance(value, str) and len(value) <= limit


def _number(low: float, high: float) -> _Check:
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _exact(limit: int) -> _Check:
    """Text that is carried unchanged: a path, a program's words; not what no file name and no UTF-8 can hold."""
    return lambda value: isinstance(value, str) and len(value) <= limit and not _MISSHAPEN.search(value)


def _data(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _BASE64_LIMIT and _BASE64.fullmatch(value) is not None


def _argv(value: Any) -> bool:
    word = _exact(MAX_ARGV_BYTES)
    fits = isinstance(value, list) and len(value) > 0 and all(map(word, value))
    return fits and len(json.dumps(value)) <= MAX_ARGV_BYTES


def _digest(value: Any) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _lines(value: Any) -> bool:
    line = _text(MAX_OUTPUT_LINE)
    return isinstance(value, list) and len(value) <= MAX_OUTPUT_LINES and all(map(line, value))


_WORD = _text(64)
_LINE = _text(4000)
_ID = _text(128)
_SECONDS = _number(0, 1e9)
_COUNT = _number(0, 1e15)
_PATH = _exact(MAX_PATH)

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
    "output": {"job_id": _ID, "lines": _lines, "left_out": _COUNT},
    "verdict": {"job_id": _ID, "accepted": _flag, "reason": _text(1000)},
    "log": {"source": _WORD, "level": _WORD, "text": _LINE},
    "bye": {"reason": _text(200)},
    "exec_took": {"exec_id": _ID, "stdin": _COUNT, "stdout": _COUNT, "stderr": _COUNT},
    "exec_output": {"exec_id": _ID, "stream": _WORD, "offset": _COUNT, "data": _data},
    "exec_done": {
        "exec_id": _ID,
        "exit_code": _number(0, 255),
        "signal": _number(0, 255),
        "cause": _WORD,
        "text": _text(1000),
        "cpu_s": _SECONDS,
        "stdout": _COUNT,
        "stderr": _COUNT,
    },
    "file_size": {"transfer_id": _ID, "size_bytes": _COUNT, "mode": _number(0, 0o7777)},
    "file_done": {"transfer_id": _ID, "sha256": _digest, "size_bytes": _COUNT, "cause": _WORD, "text": _text(1000)},
    "account_taken": {"jid": _exact(256)},
    # host -> guest
    "ping": {"wall_clock": _number(0, 1e11), "share": _number(0, 1)},
    "resumed": {"wall_clock": _number(0, 1e11), "entropy": _text(200)},
    "finish": {"undo": _flag},
    "checkpoint": {},
    "shutdown": {"reason": _text(200)},
    "exec": {
        "exec_id": _ID,
        "boot": _WORD,
        "argv": _argv,
        "user": _WORD,
        "cwd": _PATH,
        "time_limit_s": _SECONDS,
        "memory_limit_mib": _COUNT,
        "input": _flag,
    },
    "exec_input": {"exec_id": _ID, "offset": _COUNT, "data": _data, "end": _flag},
    "exec_room": {"exec_id": _ID, "stdout": _COUNT, "stderr": _COUNT},
    "exec_kill": {"exec_id": _ID},
    "exec_end": {"exec_id": _ID},
    "file_put": {
        "transfer_id": _ID,
        "boot": _WORD,
        "path": _PATH,
        "size_bytes": _COUNT,
        "sha256": _digest,
        "mode": _number(0, 0o7777),
    },
    "file_get": {"transfer_id": _ID, "boot": _WORD, "path": _PATH},
    "file_end": {"transfer_id": _ID},
    "account": {"jid": _exact(256), "password": _exact(256), "expires_at": _number(0, 1e11)},
    # both ways
    "file_data": {"transfer_id": _ID, "offset": _COUNT, "data": _data},
    "file_room": {"transfer_id": _ID, "offset": _COUNT},
    "file_round": {"transfer_id": _ID, "offset": _COUNT, "size_bytes": _COUNT, "sha256": _digest},
    "message": {"number": _COUNT, "topic": _WORD, "text": _exact(MAX_MESSAGE)},
    "message_taken": {"number": _COUNT, "again": _flag},
}
#: Kinds that may be lost: the next one says it all, or they are only looked at.
_FLEETING: Final = frozenset({"hello", "heartbeat", "ping", "output"})
#: Kinds that are numbered, kept until acknowledged, and delivered once and in order.
RELIABLE: Final = frozenset(KINDS) - _FLEETING
#: Fields that are no words for people but data: they arrive as they were sent, or not at all.
_EXACT_FIELDS: Final = frozenset({"data", "path", "cwd", "sha256", "password"})


def inbox_header(transfer_id: str, offset: int, size_bytes: int, sha256: str) -> bytes:
    """What a piece of a large file is preceded by in the inbox, so that no reader takes an old one for it."""
    said = {"transfer_id": transfer_id, "offset": offset, "size_bytes": size_bytes, "sha256": sha256}
    return (_INBOX_MARK + json.dumps(said).encode() + b"\n").ljust(INBOX_HEADER_BYTES, b"\0")


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
    echoed: int = 0

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
        self.boot_id = boot_id
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

    @property
    def oldest_kept(self) -> int:
        """The number of the oldest reliable message that the peer has not confirmed; 0: it has confirmed all."""
        return next(iter(self._kept), 0)

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
        return self._line(0, "hello", fields) + self.resend()

    def resend(self) -> bytes:
        """All that is unconfirmed once more, for a peer that confirms nothing."""
        return b"".join(self._line(number, kind, fields) for number, (kind, fields) in self._kept.items())

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
            due += self.resend()
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

    def _line(self, number: int, kind: str, fields: Mapping[str, Any]) -> bytes:
        oldest = next(iter(self._kept), self._last_sent + 1)
        said = {"v": VERSION, "i": self.boot_id, "n": number, "o": oldest, "a": self._last_received}
        said["t"] = self.peer_boot_id
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
            # A guest that was saved by an older client says no `t`.
            meant = said.get("t", self.boot_id) == self.boot_id
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            self.dropped.malformed += 1
            return None
        if peer == self.boot_id:
            # A serial line echoes until the guest has made it raw; that is no peer, and no start of one.
            self.dropped.echoed += 1
            return None
        if version != VERSION or not isinstance(kind, str) or kind not in KINDS or not isinstance(body, dict):
            self.dropped.unknown += 1
            return None
        if peer != self.peer_boot_id:
            self.peer_boot_id, self._last_received, self._asked_again_at = peer, 0, -1
        for kept in [n for n in self._kept if meant and n <= confirmed]:
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
    return {name: _for_people(value) if _is_for_people(kind, name) else value for name, value in fit.items()}


def _is_for_people(kind: str, name: str) -> bool:
    return name not in _EXACT_FIELDS and name != "argv" and (kind, name) != ("message", "text")


def _for_people(value: Any) -> Any:
    if isinstance(value, list):
        return [_clean(line) for line in value]
    return _clean(value) if isinstance(value, str) else value


def _clean(text: str) -> str:
    return _UNFIT.sub(lambda found: " " if found[0] in "\t\n\r" else "\ufffd", text)
