"""How the agent comes to a job: want_getJob to all managers, getJob to the one that answers first, runJob."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from client.copilot.checkpoint import JobRecord
from client.copilot.conversation import Answer, Conversation, Heard
from client.copilot.jdl import describe_host
from client.copilot.messages import EXTENSIONS, Error, GetJob, HaveGetJob, RunJob, Sleep, WantGetJob
from client.copilot.timers import Timers

log = logging.getLogger("agent")

#: What may come of want_getJob; a job is one that an earlier getJob asked for.
_ANSWERS: Final = (HaveGetJob, RunJob, Sleep, Error)

#: How often it is looked whether there is a session again; one that begins is noticed at once, one taken up is not.
_NO_SESSION_S: Final = 1.0


class Intake:
    """Asks for jobs.

    Args:
        manager: bare JID of all managers.
        agent_host: this computer's name.
        disk: a folder on the file system of the jobs, for the description of this computer.
        may_ask: whether the agent still wants a job.
        has_session: whether what is said goes out now.
        extensions: what it announces.
        about: what it says of this computer besides what is found.
    """

    def __init__(
        self,
        talk: Conversation,
        manager: str,
        agent_host: str,
        disk: Path,
        timers: Timers,
        may_ask: Callable[[], bool],
        has_session: Callable[[], bool],
        extensions: frozenset[str] = EXTENSIONS,
        about: Mapping[str, str | int] = MappingProxyType({}),
    ) -> None:
        self._talk = talk
        self._manager = manager
        self._agent_host = agent_host
        self._disk = disk
        self._timers = timers
        self._may_ask = may_ask
        self._has_session = has_session
        self._extensions = extensions
        self._about = about
        self.awaits_job = False

    async def obtain(self) -> Answer | None:
        """Asks until a job comes; the answer's command is a RunJob. None when the agent wants none any more."""
        while self._may_ask():
            answer = await self._want()
            if isinstance(answer.command, HaveGetJob):
                got = await self._get(answer.sender)
                if got is None:
                    continue
                answer = got
            if isinstance(answer.command, RunJob):
                return answer
            late = await self._stay_away(answer)
            if late is not None:
                return late
        return None

    async def _want(self) -> Answer:
        """Repeats the question; the first usable answer wins, later ones are dropped by the gate."""
        jdl = describe_host(self._agent_host, self._disk, self._about)
        command = WantGetJob(jdl, self._agent_host, self._extensions)
        for wait_s in self._talk.waits(self._timers.want_first_s, self._timers.want_last_s):
            if not self._has_session():
                # It would be sent at the session's begin, and then once more: the original takes two for impatience.
                await self._talk.pause(_NO_SESSION_S)
                continue
            with self._talk.listening(*_ANSWERS) as answers:
                await self._talk.post("want", self._manager, command)
                found = await self._usable(answers, wait_s)
            if found is not None:
                self._talk.settle("want")
                return found
        raise AssertionError("the waits have no end")

    async def _usable(self, answers: Heard, wait_s: float) -> Answer | None:
        """The first answer that this computer can follow; None when none came in time, or a new session began.

        Each manager may want another file, so one that wants too much must not hide the others.
        """
        now = asyncio.get_running_loop().time
        ends_at = now() + wait_s
        while True:
            answer = answers.take() or await self._next(answers, ends_at - now())
            if answer is None:
                return None
            missing = isinstance(answer.command, HaveGetJob) and answer.command.require_file
            if not missing or await asyncio.to_thread(Path(missing).exists):
                return answer
            log.warning("%s has work only for computers with %s", answer.sender, missing)

    async def _next(self, answers: Heard, limit_s: float) -> Answer | None:
        news = asyncio.create_task(answers.wait())
        try:
            await self._talk.pause(max(0.0, limit_s), news)
        finally:
            news.cancel()
        return answers.take()

    async def _get(self, manager: str) -> Answer | None:
        command = GetJob(describe_host(self._agent_host, self._disk, self._about), self._agent_host, self._extensions)
        self.awaits_job = True
        try:
            # Not Sleep: it answers an earlier want_getJob, and the job of this question comes after it.
            return await self._talk.ask("get", manager, command, RunJob, Error, timeout_s=self._timers.get_answer_s)
        finally:
            self.awaits_job = False

    async def _stay_away(self, answer: Answer) -> Answer | None:
        """A pause; a job that an earlier getJob asked for ends it, since the original forgets what it handed out."""
        if isinstance(answer.command, Sleep):
            # Drawn, so that agents that were sent away at once do not come back at once.
            wait_s = random.uniform(0.0, self._timers.sleep_longest_s)
            log.info("%s asks for a pause: %.0f s", answer.sender, wait_s)
        else:
            wait_s = self._timers.error_pause_s
            log.error("%s says: %s", answer.sender, answer.command.text)
        with self._talk.expecting(RunJob) as job:
            await asyncio.wait([job], timeout=wait_s)
            return job.result() if job.done() else None


def record_of(answer: Answer) -> JobRecord:
    """The record with which a job begins."""
    run: RunJob = answer.command
    return JobRecord(
        job=run.job,
        manager=answer.sender,
        lease_s=run.lease_s,
        lease_id=run.lease_id if run.lease_s else "",
        job_data=dict(run.job_data),
    )
