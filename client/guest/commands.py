"""Commands in the guest, from the host's side: asked once, output as it comes, and how they ended.

A command is noted on disk before the guest hears of it, and is meant for one boot of the guest: it is run once or not
at all, whatever is killed and restarted in between. Output goes to whoever asked; when nobody does, it is kept.
"""

import asyncio
import base64
import binascii
import json
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

from client.errors import BadInput
from client.guest.ledger import STREAMS, Entry, Ledger
from client.link import MAX_ARGV_BYTES, MAX_PATH, PIECE_BYTES, PIECES_UNDER_WAY, Message
from client.log import logger

#: as many as the guest runs at a time; others wait
MAX_RUNNING: Final = 4
MAX_OPEN: Final = 64
#: a year; the link carries no longer one
MAX_TIME_LIMIT_S: Final = 366 * 24 * 3600
#: unread output beyond this is more than any well-behaved guest sends unasked
_MOST_UNREAD_BYTES: Final = 4 * PIECES_UNDER_WAY * PIECE_BYTES


class Say(Protocol):
    """Sends a message of the link, now or when the guest can be reached."""

    def __call__(self, kind: str, **fields: Any) -> None:
        """See LinkChannel.send."""


@dataclass(frozen=True)
class Order:
    """What is to be run.

    Attributes:
        root: as the guest's root, with its network; else as a user of its own, confined as a job is.
        time_limit_s: of the guest's running time; 0: none.
        memory_limit_mib: address space of each of its processes; 0: none.
        has_input: whether `Command.write` and `end_input` will be called; else its input is empty.
    """

    argv: tuple[str, ...]
    root: bool = False
    cwd: str = "/"
    time_limit_s: float = 0
    memory_limit_mib: int = 0
    has_input: bool = False

    def check(self) -> None:
        """Whether the link can carry it.

        Raises:
            BadInput: it cannot.
        """
        try:
            words = len(json.dumps(self.argv)) if "".join((*self.argv, self.cwd)).encode() else 0
        except UnicodeEncodeError as error:
            raise BadInput("command", "a word of it is not UTF-8", "rename the file, or use a shell pattern") from error
        if not self.argv or not self.argv[0] or "\0" in "".join((*self.argv, self.cwd)):
            raise BadInput("command", "there is no program to run", "write it after --")
        if words > MAX_ARGV_BYTES or len(self.cwd) > MAX_PATH:
            raise BadInput("command", f"it is longer than {MAX_ARGV_BYTES} bytes", "put a script there and run that")
        if not 0 <= self.time_limit_s <= MAX_TIME_LIMIT_S or self.memory_limit_mib < 0:
            raise BadInput("command", "such a limit makes no sense", "leave it out, or write 0, for no limit")


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        exit_code: 0 to 255; of no meaning when a signal ended it.
        signal: the signal that ended it; 0 for none.
        cause: empty, or `time-limit`, `killed`, `not-started`, `guest-restarted`, `guest-gone`, `input-lost`, `busy`,
            `forgotten`, `broken`: why it did not end by itself.
        text: more on the cause, or empty.
        cpu_s: processor time that it took.
    """

    exit_code: int = 0
    signal: int = 0
    cause: str = ""
    text: str = ""
    cpu_s: float = 0.0

    @property
    def status(self) -> int:
        """As a shell has it: 128 and the signal's number; 124 at a time limit; 125 when it was not run to its end."""
        if self.cause == "time-limit":
            return 124
        if self.cause not in {"", "killed", "not-started"}:
            return 125
        return 128 + self.signal if self.signal else self.exit_code


class Command:
    """One command. Whoever asked reads, until None; `let_go` when they go away."""

    def __init__(self, entry: Entry, say: Say, ledger: Ledger, on_end: Callable[["Command"], None]) -> None:
        self.entry = entry
        self.ended: Ended | None = None
        self._say = say
        self._ledger = ledger
        self._on_end = on_end
        self._attended = True
        self._read_to_end = False
        self._pieces: deque[tuple[str, bytes]] = deque()
        self._inherited = False
        self._came: dict[str, int] | None = dict.fromkeys(STREAMS, 0)
        self._taken = dict.fromkeys(STREAMS, 0)
        self._outcome: tuple[Ended, dict[str, int]] | None = None
        self._news = asyncio.Event()
        self._told = asyncio.Event()
        self._input_said = self._input_taken = 0
        self._input_end = -1

    @property
    def exec_id(self) -> str:
        """Its name, by which the result can be asked for later."""
        return self.entry.errand_id

    @property
    def told(self) -> bool:
        """Whether a guest was told of it."""
        return bool(self.entry.boot)

    async def read(self) -> tuple[str, bytes] | None:
        """The next piece of output: (`stdout` or `stderr`, bytes); None at the end, when `ended` is set."""
        while not self._pieces and self.ended is None:
            self._news.clear()
            await self._news.wait()
        if not self._pieces:
            self._read_to_end = True
            return None
        stream, data = self._pieces.popleft()
        self._note_taken(stream, data)
        return stream, data

    async def write(self, data: bytes) -> None:
        """Give it input, as fast as it reads; what it does not read any more is dropped."""
        await self._until(lambda: self._told.is_set())
        for begin in range(0, len(data), PIECE_BYTES):
            piece = data[begin : begin + PIECE_BYTES]
            await self._until(lambda: self._input_said - self._input_taken < PIECES_UNDER_WAY * PIECE_BYTES)
            if self.ended is not None:
                return
            self._say_input(piece, end=False)

    async def end_input(self) -> None:
        """There is no more input."""
        await self._until(lambda: self._told.is_set())
        if self.ended is None and self._input_end < 0:
            self._input_end = self._input_said
            self._say_input(b"", end=True)
            self._note_input()

    def kill(self) -> None:
        """Ask the guest to end it, then by force. It has ended when `read` says so."""
        if self.ended is not None:
            return
        self.entry.marks["kill"] = True
        if self.told:
            self._ledger.save(self.entry)
            self._say("exec_kill", exec_id=self.exec_id)
        else:
            self.finish(Ended(cause="killed", signal=15))

    def let_go(self) -> None:
        """Nobody reads any more: what was not read, and how it ends, is kept for later. Idempotent."""
        if self._read_to_end or not self._attended:
            return
        self._attended = False
        while self._pieces:
            self._spool(*self._pieces.popleft())
        if self.ended is not None:
            self._ledger.settle(self.entry, asdict(self.ended))
        self._finish_if_all()

    # -- the guest

    def tell(self, boot: str, *, again: bool = False) -> None:
        """Have a boot of the guest run it; noted first. again: another client has told it already, perhaps."""
        wants = self.entry.wants
        if again:
            self._inherited, self._came = True, None
        else:
            self.entry.boot = boot
            self._ledger.save(self.entry)
        self._say(
            "exec",
            exec_id=self.exec_id,
            boot=boot,
            argv=wants["argv"],
            user="root" if wants["root"] else "job",
            cwd=wants["cwd"],
            time_limit_s=wants["time_limit_s"],
            memory_limit_mib=wants["memory_limit_mib"],
            input=wants["has_input"],
        )
        if self.entry.marks.get("kill"):
            self._say("exec_kill", exec_id=self.exec_id)
        self._told.set()
        self._news.set()

    def take(self, message: Message) -> None:
        """What the guest says of it."""
        said = message.fields
        match message.kind:
            case "exec_took":
                self._input_taken = min(int(said.get("stdin", 0)), self._input_said)
                self._note_input()
                if self._inherited:
                    self._skip({name: int(said.get(name, 0)) for name in STREAMS})
            case "exec_output":
                self._take_output(str(said.get("stream", "")), int(said.get("offset", -1)), said.get("data", ""))
            case "exec_done":
                totals = {name: int(said.get(name, 0)) for name in STREAMS}
                self._outcome = _ended(said), totals
                if self._outcome[0].cause in {"guest-restarted", "forgotten", "busy"}:
                    self.finish(self._outcome[0])
        self._finish_if_all()
        self._news.set()

    def finish(self, ended: Ended) -> None:
        """It has ended, or nobody will ever know more. Idempotent."""
        if self.ended is not None:
            return
        self.ended = ended
        if self.told:
            self._say("exec_end", exec_id=self.exec_id)
        if self._attended:
            self._ledger.drop(self.entry)
        else:
            self._ledger.settle(self.entry, asdict(ended))
        self._news.set()
        self._told.set()
        self._on_end(self)

    def _skip(self, taken: dict[str, int]) -> None:
        """Another client took all up to there."""
        self._came = {name: max(at, (self._came or taken)[name]) for name, at in taken.items()}
        self._taken = {name: max(at, self._taken[name]) for name, at in taken.items()}

    def _take_output(self, stream: str, offset: int, data: str) -> None:
        came = self._came
        if came is None or self.ended is not None or stream not in came or not 0 <= offset <= came[stream]:
            return
        try:
            # What came before is said once more to another client, in pieces that may begin elsewhere.
            piece = base64.b64decode(data)[came[stream] - offset :]
        except binascii.Error:
            return
        if not piece:
            return
        came[stream] += len(piece)
        if not self._attended:
            self._spool(stream, piece)
            return
        self._pieces.append((stream, piece))
        if sum(len(one) for _, one in self._pieces) > _MOST_UNREAD_BYTES:
            self._say("exec_kill", exec_id=self.exec_id)
            self.finish(Ended(cause="broken", text="the guest sent more than it was asked for"))

    def _spool(self, stream: str, data: bytes) -> None:
        try:
            self._ledger.spool(self.entry, stream, data)
        except OSError as error:
            logger("guest").warning("An output of the command %s could not be kept: %s", self.exec_id, error)
        self._note_taken(stream, data)

    def _note_taken(self, stream: str, data: bytes) -> None:
        self._taken[stream] += len(data)
        if self.ended is None:
            self._say("exec_room", exec_id=self.exec_id, **self._taken)
        self._finish_if_all()

    def _finish_if_all(self) -> None:
        if self._outcome is not None and self.ended is None and not self._pieces:
            ended, totals = self._outcome
            if all(self._taken[name] >= totals[name] for name in STREAMS):
                self.finish(ended)

    def _say_input(self, piece: bytes, *, end: bool) -> None:
        data = base64.b64encode(piece).decode()
        self._say("exec_input", exec_id=self.exec_id, offset=self._input_said, data=data, end=end)
        self._input_said += len(piece)

    def _note_input(self) -> None:
        if 0 <= self._input_end <= self._input_taken and not self.entry.marks.get("input"):
            # From here on another client can go on with it.
            self.entry.marks["input"] = True
            self._ledger.save(self.entry)

    async def _until(self, fits: Callable[[], bool]) -> None:
        while not fits() and self.ended is None:
            self._news.clear()
            await self._news.wait()


class Commands:
    """All commands of one VM that have not ended."""

    def __init__(self, say: Say, ledger: Ledger) -> None:
        self._say = say
        self._ledger = ledger
        self._boot = ""
        self._open: dict[str, Command] = {}
        self._inherited: set[str] = set()

    def load(self, entries: tuple[Entry, ...]) -> None:
        """Take up what another client has left."""
        for entry in entries:
            if entry.kind == "exec":
                command = self._made(entry)
                command.let_go()
                self._inherited.add(entry.errand_id)

    def run(self, order: Order) -> Command:
        """Have a command run as soon as the guest can be spoken to.

        Raises:
            BadInput: it cannot be told to the guest, or too many wait.
            OSError: it cannot be noted.
        """
        order.check()
        if len(self._open) >= MAX_OPEN:
            raise BadInput("command", f"{len(self._open)} commands wait or run already", "wait until some have ended")
        command = self._made(self._ledger.open("exec", asdict(order)))
        self._pump()
        return command

    def take(self, message: Message) -> None:
        """A message of the guest whose kind begins with `exec`."""
        command = self._open.get(str(message.fields.get("exec_id", "")))
        if command is not None and command.told:
            command.take(message)

    def met(self, boot: str) -> None:
        """This boot of the guest speaks. What was meant for another one has ended."""
        self._boot = boot
        for command in tuple(self._open.values()):
            entry = command.entry
            if entry.boot and entry.boot != boot:
                command.finish(Ended(cause="guest-restarted", text="the guest was started afresh meanwhile"))
            elif entry.errand_id in self._inherited:
                self._take_over(command)
        self._inherited.clear()
        self._pump()

    def went_off(self, cause: str = "guest-gone") -> None:
        """The guest is off, or begins anew: what was told to it has ended."""
        text = "the guest went off meanwhile" if cause == "guest-gone" else "the guest was started afresh meanwhile"
        self._boot = ""
        for command in tuple(self._open.values()):
            if command.told:
                command.finish(Ended(cause=cause, text=text))

    def _take_over(self, command: Command) -> None:
        entry = command.entry
        input_lost = bool(entry.wants.get("has_input")) and not entry.marks.get("input")
        if input_lost and not command.told:
            command.finish(Ended(cause="input-lost", text="its input went away with the client"))
            return
        if input_lost:
            logger("guest").warning("Ending the command %s: its input went away with the client", command.exec_id)
            entry.marks["kill"] = True
        if command.told:
            command.tell(self._boot, again=True)

    def _made(self, entry: Entry) -> Command:
        command = self._open[entry.errand_id] = Command(entry, self._say, self._ledger, self._ended)
        return command

    def _ended(self, command: Command) -> None:
        self._open.pop(command.exec_id, None)
        self._pump()

    def _pump(self) -> None:
        running = sum(command.told for command in self._open.values())
        for command in tuple(self._open.values()):
            if self._boot and not command.told and running < MAX_RUNNING:
                running += 1
                command.tell(self._boot)


def _ended(said: Any) -> Ended:
    return Ended(
        int(said.get("exit_code", 0)),
        int(said.get("signal", 0)),
        str(said.get("cause", "")),
        str(said.get("text", "")),
        float(said.get("cpu_s", 0)),
    )
