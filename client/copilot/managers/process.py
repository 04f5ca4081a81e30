"""The process around a manager's handlers: transport, signals, ticks, log, and a file that says "ready"."""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, Final, Protocol
from xml.etree.ElementTree import Element

from client.copilot.account import bare
from client.copilot.errors import BadStanza, NoKeyOf, TransportDown
from client.copilot.events import Report
from client.copilot.heartbeat import Heartbeat
from client.copilot.managers.config import Config, ProcessSettings
from client.copilot.managers.failure import said_of
from client.copilot.managers.monitor.reporter import Reporter
from client.copilot.managers.reply import Reply
from client.copilot.messages import Command, build_info, parse_info
from client.copilot.once import Once
from client.copilot.queue.errors import QueueError
from client.copilot.transport import Account, Incoming, XmppTransport
from client.errors import BadInput
from client.log import logger, to_file

log = logger("site")

TICK_S: Final = 1.0
#: A queue that fails is told of so often.
SAID_AGAIN_S: Final = 60.0
#: Managers that can be configured as the original's.
ORIGINAL_ROLES: Final = ("job-manager", "storage-manager")
#: so many of the last stanzas for the monitor are known when they come back
_REPORTS_KEPT: Final = 1000


class Desk(Protocol):
    """A manager's handlers; what cannot be answered at once is sent later through `Sender`."""

    def handle(self, sender: str, command: Command, now: float) -> list[Reply]:
        """Replies to a command."""

    def tick(self, now: float) -> list[Reply]:
        """Called about once a second."""


Sender = Callable[[Iterable[Reply]], Awaitable[None]]


class ManagerProcess:
    """Joins desks to one XMPP account. reporter: counts for the monitor, if there is one."""

    def __init__(self, account: Account, settings: ProcessSettings) -> None:
        self._desks: list[Desk] = []
        self._settings = settings
        self._more: list[Coroutine[Any, Any, None]] = []
        self.reporter = Reporter(settings.report)
        # Managers do not send again, as the original's: agents ask again themselves.
        secure = settings.secure
        codec = secure.provider() if secure else None
        self._transport = XmppTransport(account, self._on_info, resend=False, on_state=self._on_state, codec=codec)
        if secure and secure.gives_tickets:
            self.add(secure.ticket_desk())
        self._heartbeat = Heartbeat(settings.room, (account.jid,), is_private=True) if settings.room else None
        self._transport.greeting = self._heartbeat.greeting(account.resource) if self._heartbeat else ""
        self._transport.on_bounce = self._on_bounce
        self._reported: OrderedDict[str, Report] = OrderedDict()
        self._refused = Once()
        self._failure, self._failure_at = "", 0.0

    def add(self, desk: Desk) -> None:
        """Let a desk have all commands that arrive."""
        self._desks.append(desk)

    def duty(self, duty: Coroutine[Any, Any, None]) -> None:
        """Have this done, for ever, while it runs."""
        self._more.append(duty)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set."""
        await self._transport.connect(0)
        own: list[Coroutine[Any, Any, Any]] = [stop.wait(), self._tick(), self._transport.wait_closed()]
        duties = [asyncio.create_task(duty) for duty in (*own, *self._more)]
        try:
            done, _ = await asyncio.wait(duties, return_when=asyncio.FIRST_COMPLETED)
            for duty in done:
                duty.result()
        finally:
            for duty in duties:
                duty.cancel()
            await self._transport.close()
            self._on_state(False)

    async def send(self, replies: Iterable[Reply]) -> None:
        """Send replies; without a session they are dropped, since their askers ask again."""
        for reply in replies:
            try:
                await self._transport.send(reply.to, build_info(reply.command))
            except TransportDown:
                log.info("no session, %s not sent to %s", reply.command.command, reply.to)
            except NoKeyOf:
                log.info("nothing encrypted came of %s, %s not sent", reply.to, reply.command.command)

    async def ask(self, to: str, request: Element, timeout_s: float) -> Element:
        """See XmppTransport.ask."""
        return await self._transport.ask(to, request, timeout_s)

    async def _on_info(self, incoming: Incoming) -> None:
        if self._heartbeat and self._heartbeat.asks(incoming.info):
            await self._heartbeat.serve(incoming, self._transport)
            return
        if self._heartbeat and bare(incoming.sender) == self._settings.room:
            # Who is in the room has a JID of his own; with a second one he could agree with himself.
            return
        try:
            command = parse_info(incoming.info)
        except BadStanza as bad:
            if self._refused.is_new(bare(incoming.sender), bad.command, bad.field):
                log.warning("refused from %s, said once: %s", incoming.sender, bad)
            return
        if command is None:
            log.debug("unknown command of %s", incoming.sender)
            return
        await self._answer(lambda desk: desk.handle(incoming.sender, command, time.time()))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            await self._answer(lambda desk: desk.tick(time.time()))
            await self._report()

    async def _report(self) -> None:
        """Tell the monitor; it is told again what comes back."""
        # The loop's time: a clock that is set back would have nothing told until it has caught up.
        now = asyncio.get_running_loop().time()
        for report in self.reporter.due(now):
            try:
                sent = await self._transport.send(self._settings.report.address, build_info(report), noack=True)
            except (TransportDown, NoKeyOf):
                self.reporter.bounced(report, now)
            else:
                self._reported[sent] = report
                if len(self._reported) > _REPORTS_KEPT:
                    self._reported.popitem(last=False)

    def _on_bounce(self, message_id: str) -> None:
        report = self._reported.pop(message_id, None)
        if report is not None:
            self.reporter.bounced(report, asyncio.get_running_loop().time())

    async def _answer(self, ask: Callable[[Desk], list[Reply]]) -> None:
        for desk in self._desks:
            try:
                replies = ask(desk)
            except QueueError as failed:
                # A full disk or a long wait for the lock: the asker asks again, and leases keep the job safe.
                self._log_failure(said_of(failed), time.monotonic())
            else:
                await self.send(replies)

    def _log_failure(self, said: str, now: float) -> None:
        """Every stanza may meet it, and the log's disk may be the full one."""
        if said != self._failure or now - self._failure_at >= SAID_AGAIN_S:
            log.error("not answered, and whoever asked asks again (said once a minute): %s", said)
            self._failure, self._failure_at = said, now

    def _on_state(self, connected: bool) -> None:
        if self._settings.ready_file is None:
            return
        with contextlib.suppress(OSError):
            if connected:
                self._settings.ready_file.touch()
            else:
                self._settings.ready_file.unlink(missing_ok=True)


def role_parser(role: str, about: str) -> argparse.ArgumentParser:
    """The command line of a manager."""
    parser = argparse.ArgumentParser(prog=f"main.py {role}", description=about)
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML; docs/operator-guide.md")
    original = "configuration of the original Co-Pilot's generic job manager: its file, or the folder that it is in"
    if role in ORIGINAL_ROLES:
        parser.add_argument("--original-config", type=Path, metavar="FILE", help=original)
    return parser


def read_arguments(role: str, about: str, argv: list[str]) -> Config:
    """The configuration that a manager's command line names."""
    given = role_parser(role, about).parse_args(argv)
    if role in ORIGINAL_ROLES and given.original_config and not given.config:
        return read_original_config(role, given.original_config)
    if not given.config:
        raise BadInput(f"main.py {role}", "no configuration was named", "write --config FILE")
    return Config(given.config)


def read_original_config(role: str, path: Path) -> Config:
    """What a configuration of the original says; what is ignored of it is told on standard error."""
    from client.copilot.original_config import JOB_MANAGER, manager_sections, read_original

    sections, ignored = manager_sections(read_original(path, JOB_MANAGER), storage=role == "storage-manager")
    for name in ignored:
        print(f"main.py {role}: ignored: {name}", file=sys.stderr)
    return Config.of(path, sections)


def run_until_signal(serve: Callable[[asyncio.Event], Awaitable[None]], settings: ProcessSettings) -> int:
    """Run `serve(stop)` until SIGTERM or SIGINT; returns the exit code."""
    logging.basicConfig(level=logging.WARNING)
    if settings.log:
        to_file(settings.log)

    async def guarded() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            # Windows has no such handlers; there a manager ends by KeyboardInterrupt.
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, stop.set)
        await serve(stop)

    asyncio.run(guarded())
    return 0
