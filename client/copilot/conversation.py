"""Questions and answers over a transport: who may speak, what is expected, what is sent again.

The gate of the protocol: a command that nobody waits for is dropped. `redirect` is served here, in any state.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from client.copilot.errors import BadStanza
from client.copilot.messages import Command, GetJob, Info, Redirect, build_info, parse_info
from client.copilot.once import Once
from client.copilot.timers import doubling

log = logging.getLogger("agent.talk")

#: Most redirects served for one project in one run; a manager that redirects without end is ignored.
MAX_REFERRALS: Final = 100
#: Most messages that are remembered in case they bounce.
MAX_SLOTS: Final = 1000
#: Most answers to one question that wait to be looked at.
MAX_HEARD: Final = 100


class Messenger(Protocol):
    """What the agent needs of a transport; `client.copilot.transport.XmppTransport` is one."""

    @property
    def connected(self) -> bool:
        """Whether there is a session."""

    async def drained(self) -> None:
        """Returns when the receivers have confirmed all messages."""

    async def confirmed(self, message_id: str) -> None:
        """Returns when the receiver has confirmed a message, or it is not sent again any more."""

    async def send(self, to: str, info: Info, *, noack: bool = False) -> str:
        """Sends, now or at the next session; returns the message's id."""

    def forget(self, message_id: str) -> None:
        """Stops sending a message again."""

    def reset(self) -> None:
        """Opens a fresh session."""


class Delivered(Protocol):
    """What arrives; `client.copilot.transport.Incoming` is one."""

    @property
    def sender(self) -> str:
        """Full JID."""

    @property
    def info(self) -> Info:
        """The map."""


@dataclass(frozen=True)
class Answer:
    """A command and the full JID that sent it."""

    command: Any
    sender: str


@dataclass(eq=False)
class _Expectation:
    kinds: tuple[type[Any], ...]
    job_id: str
    future: "asyncio.Future[Answer]"

    def fits(self, command: Command) -> bool:
        if not isinstance(command, self.kinds) or self.future.done():
            return False
        return not self.job_id or getattr(command, "job_id", self.job_id) == self.job_id

    def hear(self, answer: Answer) -> None:
        self.future.set_result(answer)


class Heard:
    """Commands of some kinds, kept from the moment they come until somebody takes them."""

    def __init__(self, kinds: tuple[type[Any], ...]) -> None:
        self._kinds = kinds
        self._answers: deque[Answer] = deque()
        self._news = asyncio.Event()

    def fits(self, command: Command) -> bool:
        """Whether it is one of them, and there is room for it."""
        return isinstance(command, self._kinds) and len(self._answers) < MAX_HEARD

    def hear(self, answer: Answer) -> None:
        """Keep one."""
        self._answers.append(answer)
        self._news.set()

    def take(self) -> Answer | None:
        """The oldest; None when there is none."""
        if self._answers:
            return self._answers.popleft()
        self._news.clear()
        return None

    async def wait(self) -> None:
        """Returns when there is one that came after `take` found none."""
        await self._news.wait()


@dataclass(frozen=True)
class _Posted:
    message_id: str
    to: str
    command: Command


def bare(jid: str) -> str:
    """A JID without its resource."""
    return jid.partition("/")[0]


class Conversation:
    """The agent's end of the talk with the managers of one project.

    Args:
        transport: carries the messages.
        manager: bare JID that all managers share; it and those it refers to are heard, nobody else.
        on_unasked: is given commands that nobody waits for (verdicts, sleep, late jobs).
    """

    def __init__(self, transport: Messenger, manager: str, on_unasked: Callable[[Answer], None]) -> None:
        self._transport = transport
        self._manager = manager
        self._on_unasked = on_unasked
        self._trusted = {bare(manager)}
        self._referrals = 0
        self._expected: list[_Expectation | Heard] = []
        self._slots: dict[str, _Posted] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._sessions = 0
        self._refused = Once()
        self._pausing: set[asyncio.Future[None]] = set()

    def session_began(self) -> None:
        """For the transport's owner: ends all pauses, and the series of `waits` begin anew."""
        self._sessions += 1
        for pause in self._pausing:
            if not pause.done():
                pause.set_result(None)

    def waits(self, first_s: float, last_s: float) -> Iterator[float]:
        """Seconds to wait for answers to a question asked again and again: doubling, from the first in each session."""
        while True:
            session = self._sessions
            for wait_s in doubling(first_s, last_s):
                yield wait_s
                if session != self._sessions:
                    break

    async def pause(self, limit_s: float, *ends: "asyncio.Future[Any]") -> None:
        """Waits for one of the futures, at most `limit_s`, and at most until the next session begins."""
        began: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pausing.add(began)
        try:
            await asyncio.wait([began, *ends], timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._pausing.discard(began)

    async def post(self, slot: str, to: str, command: Command) -> None:
        """Sends a command; an unconfirmed earlier one of the same slot is not sent again any more."""
        posted = _Posted(await self._transport.send(to, build_info(command)), to, command)
        # Only now, so that who waits for its confirmation finds the one or the other.
        self.settle(slot)
        self._slots[slot] = posted
        if len(self._slots) > MAX_SLOTS:
            del self._slots[next(iter(self._slots))]

    async def confirmed(self, slot: str) -> None:
        """Returns when what was posted last in a slot is confirmed, to whomever it had to be said."""
        before: _Posted | None = None
        while (posted := self._slots.get(slot)) is not None and posted is not before:
            await self._transport.confirmed(posted.message_id)
            before = posted

    def take_back(self, slot: str) -> tuple[str, Command] | None:
        """What was posted last in a slot, and to whom, which is not sent again any more."""
        posted = self._slots.get(slot)
        self.settle(slot)
        return (posted.to, posted.command) if posted else None

    def settle(self, slot: str) -> None:
        """The slot's question needs no answer any more."""
        posted = self._slots.pop(slot, None)
        if posted:
            self._transport.forget(posted.message_id)

    def on_bounce(self, message_id: str) -> None:
        """For the transport: a message found nobody. What any manager may hear goes to all of them instead.

        Not so getJob: two managers would hand out two jobs.
        """
        for slot, posted in list(self._slots.items()):
            if (
                posted.message_id == message_id
                and posted.to != bare(posted.to)
                and not isinstance(posted.command, GetJob)
            ):
                task = asyncio.create_task(self.post(slot, bare(posted.to), posted.command))
                self._background.add(task)
                task.add_done_callback(self._background.discard)

    @contextmanager
    def expecting(self, *kinds: type[Any], job_id: str = "") -> "Iterator[asyncio.Future[Answer]]":
        """A future for the next command of these kinds (and about this job), heard while the context lasts."""
        wish = _Expectation(kinds, job_id, asyncio.get_running_loop().create_future())
        self._expected.append(wish)
        try:
            yield wish.future
        except asyncio.CancelledError:
            if wish.future.done() and not wish.future.cancelled():
                # It came in the moment in which its asker was stopped: a job in it must be given back.
                self._on_unasked(wish.future.result())
            raise
        finally:
            self._expected.remove(wish)
            wish.future.cancel()

    @contextmanager
    def listening(self, *kinds: type[Any]) -> "Iterator[Heard]":
        """All commands of these kinds while the context lasts; what nobody took of them then counts as unasked."""
        heard = Heard(kinds)
        self._expected.append(heard)
        try:
            yield heard
        finally:
            self._expected.remove(heard)
            while (left := heard.take()) is not None:
                self._on_unasked(left)

    async def ask(
        self,
        slot: str,
        to: str,
        command: Command,
        *kinds: type[Any],
        timeout_s: float,
        job_id: str = "",
        one_session: bool = False,
    ) -> Answer | None:
        """Sends a command and waits for one of the answers; None when none came in time.

        Args:
            one_session: gives up when a new session begins; for questions that may be asked any number of times.
        """
        with self.expecting(*kinds, job_id=job_id) as future:
            await self.post(slot, to, command)
            if one_session:
                await self.pause(timeout_s, future)
            else:
                await asyncio.wait([future], timeout=timeout_s)
            if not future.done():
                return None
            self.settle(slot)
            return future.result()

    async def deliver(self, incoming: Delivered) -> None:
        """Takes what the transport delivered."""
        if bare(incoming.sender) not in self._trusted:
            if self._refused.is_new(bare(incoming.sender)):
                log.warning("messages of %s, who is no manager of this project, dropped", incoming.sender)
            return
        try:
            command = parse_info(incoming.info)
        except BadStanza as bad:
            if self._refused.is_new(bare(incoming.sender), bad.command, bad.field):
                log.warning("message of %s dropped, said once: %s", incoming.sender, bad)
            return
        if isinstance(command, Redirect):
            await self._redirect(command)
        elif command is not None:
            self._hand_over(Answer(command, incoming.sender))

    def _hand_over(self, answer: Answer) -> None:
        for wish in self._expected:
            if wish.fits(answer.command):
                wish.hear(answer)
                return
        self._on_unasked(answer)

    async def _redirect(self, command: Redirect) -> None:
        self._referrals += 1
        if self._referrals > MAX_REFERRALS:
            if self._refused.is_new("redirects"):
                log.warning("too many redirects, %s and all further ones dropped", command.referral)
            return
        self._trusted.add(bare(command.referral))
        await self._transport.send(command.referral, command.info)
