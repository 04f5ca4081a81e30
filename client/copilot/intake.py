"""How the agent comes to a job: want_getJob to all managers, getJob to the one that answers first, runJob."""

import asyncio
import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

from client.copilot.checkpoint import JobRecord
from client.copilot.conversation import Answer, Conversation, Heard
from client.copilot.jdl import describe_host
from client.copilot.messages import EXTENSIONS, Error, GetJob, HaveGetJob, RunJob, Sleep, WantGetJob
from client.copilot.timers import Timers

log = logging.getLogger("agent")

#: What may come of want_getJob; a job is one that an earlier getJob asked for.
_ANSWERS: Final = (HaveGetJob, RunJob, Sleep, Error)


class Intake:
    """Asks for jobs.

    Args:
        manager: bare JID of all managers.
        agent_host: this computer's name.
        disk: a folder on the file system of the jobs, for the description of this computer.
        may_ask: whether the agent still wants a job.
        extensions: what it announces.
    """

    def __init__(
        self,
        talk: Conversation,
        manager: str,
        agent_host: str,
        disk: Path,
        timers: Timers,
        may_ask: Callable[[], bool],
        extensions: frozenset[str] = EXTENSIONS,
    ) -> None:
        self._talk = talk
        self._manager = manager
        self._agent_host = agent_host
        self._disk = disk
        self._timers = timers
        self._may_ask = may_ask
        self._extensions = extensions
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
            await self._stay_away(answer)
        return None

    async def _want(self) -> Answer:
        """Repeats the question; the first usable answer wins, later ones are dropped by the gate."""
        jdl = describe_host(self._agent_host, self._disk)
        command = WantGetJob(jdl, self._agent_host, self._extensions)
        for wait_s in self._talk.waits(self._timers.want_first_s, self._timers.want_last_s):
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
        command = GetJob(describe_host(self._agent_host, self._disk), self._agent_host, self._extensions)
        self.awaits_job = True
        try:
            return await self._talk.ask(
                "get", manager, command, RunJob, Sleep, Error, timeout_s=self._timers.get_answer_s
            )
        finally:
            self.awaits_job = False

    async def _stay_away(self, answer: Answer) -> None:
        if isinstance(answer.command, Sleep):
            # Drawn, so that agents that were sent away at once do not come back at once.
            wait_s = random.uniform(0.0, self._timers.sleep_longest_s)
            log.info("%s asks for a pause: %.0f s", answer.sender, wait_s)
        else:
            wait_s = self._timers.error_pause_s
            log.error("%s says: %s", answer.sender, answer.command.text)
        await asyncio.sleep(wait_s)


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
