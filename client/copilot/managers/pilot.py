"""Hands tokens of outside services to agents that hold a job which needs one; the key manager's side on XMPP.

What is handed out is what the operator's own command prints (or a file of theirs holds): this program neither makes
such tokens nor keeps them.

TOML of `[key] pilots`, one table for each service:
[atlas]    command = ["/usr/local/bin/make-token", "--hours", "1"]     or     file = "token.pem"
           lifetime_s (3600): how long a token is good
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from client.copilot.account import bare
from client.copilot.managers.config import Config
from client.copilot.managers.process import Sender
from client.copilot.managers.reply import Reply
from client.copilot.managers.revoked import RevokedList
from client.copilot.messages import Command, GetPilotToken, NoPilotToken, PilotToken
from client.copilot.once import Once
from client.copilot.queue.queue import JobQueue, JobState
from client.errors import ClientError
from client.log import logger

log = logger("site")

#: Runs a command and returns what it printed; raises ClientError or OSError.
RunCommand = Callable[[Sequence[str]], Awaitable[bytes]]

LIFETIME_S: Final = 3600
MOST_BYTES: Final = 60_000
#: one job gets a token at most so often
AGAIN_S: Final = 20.0
#: commands that run at one time
_AT_ONCE: Final = 4
_REMEMBERED: Final = 100_000


@dataclass(frozen=True)
class PilotSource:
    """Where the tokens of a service come from: a command's output, or a file if there is no command."""

    command: tuple[str, ...] = ()
    file: Path | None = None
    lifetime_s: int = LIFETIME_S


def read_sources(config: Config) -> dict[str, PilotSource]:
    """The services of a file; see the module.

    Raises:
        BadInput: it cannot be used.
    """
    return {
        name: PilotSource(
            command=config.words(name, "command"),
            file=None if config.words(name, "command") else config.file(name, "file"),
            lifetime_s=config.whole(name, "lifetime_s", LIFETIME_S),
        )
        for name in config.sections()
    }


class PilotDesk:
    """Answers getPilotToken; see `Desk` of the managers' process."""

    def __init__(
        self,
        queue: JobQueue,
        revoked: RevokedList,
        sources: Mapping[str, PilotSource],
        run: RunCommand,
        send: Sender,
    ) -> None:
        self._queue = queue
        self._revoked = revoked
        self._sources = sources
        self._run = run
        self._send = send
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._given: dict[str, float] = {}
        self._refused = Once()
        self._tasks: set[asyncio.Task[None]] = set()

    def handle(self, sender: str, command: Command, now: float) -> list[Reply]:
        """Refusals at once; tokens come later, since the operator's command takes its time."""
        if not isinstance(command, GetPilotToken):
            return []
        no = self._why_not(sender, command)
        if not no and now - self._given.get(command.job_id, 0.0) < AGAIN_S:
            no = "it has just been given one"
        if no:
            return [self._refusal(sender, command, no)]
        self._given[command.job_id] = now
        if len(self._given) > _REMEMBERED:
            del self._given[next(iter(self._given))]
        task = asyncio.create_task(self._hand_out(sender, command))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return []

    def tick(self, now: float) -> list[Reply]:
        """Nothing is due."""
        return []

    async def close(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _why_not(self, sender: str, asked: GetPilotToken) -> str:
        """Why the sender gets no token; empty: it gets one."""
        if asked.service not in self._sources:
            return "this project has no such service"
        job = self._queue.get(asked.job_id)
        if job is None or job.state is not JobState.LEASED or job.cancelled:
            return "nobody works on that job"
        if job.lease_id != asked.lease_id or bare(job.agent) != bare(sender):
            return "the job is another's"
        if job.new.description.pilot_service != asked.service:
            return "the job does not name that service"
        return "the account was revoked" if self._revoked.holds(sender) else ""

    async def _hand_out(self, sender: str, asked: GetPilotToken) -> None:
        source = self._sources[asked.service]
        try:
            async with self._at_once:
                made_at = int(time.time())
                token = await self._made(source)
            # The lease may have ended meanwhile.
            no = self._why_not(sender, asked)
        except (ClientError, OSError, UnicodeDecodeError) as error:
            log.error("no token for %s: %s", asked.service, error)
            await self._send([self._refusal(sender, asked, "the project could not make one")])
            return
        if no:
            await self._send([self._refusal(sender, asked, no)])
            return
        log.info("token of %s for job %s to %s", asked.service, asked.job_id, sender)
        answer = PilotToken(asked.service, asked.job_id, token=token, expires_at=made_at + source.lifetime_s)
        await self._send([Reply(sender, answer)])

    async def _made(self, source: PilotSource) -> str:
        if source.command:
            made = await self._run(source.command)
        else:
            assert source.file is not None
            made = await asyncio.to_thread(source.file.read_bytes)
        if not 0 < len(made) <= MOST_BYTES:
            raise OSError(f"it has {len(made)} bytes, not 1 to {MOST_BYTES}")
        return made.decode("ascii")

    def _refusal(self, sender: str, asked: GetPilotToken, reason: str) -> Reply:
        if self._refused.is_new(bare(sender), reason):
            log.warning("no token of %s for %s: %s; said once", asked.service, sender, reason)
        return Reply(sender, NoPilotToken(asked.service, asked.job_id, reason=reason))
