"""Waits for the end of jobs."""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from client.copilot.queue.queue import Job, JobQueue, JobState

#: between two looks
LOOK_S: Final = 0.5
#: Of very many jobs so many are looked at each time, so that a look stays short.
_AT_ONCE: Final = 2000


@dataclass
class Ended:
    """How jobs ended. dead: job id -> reason. gone: ids that the queue does not know any more."""

    done: int = 0
    dead: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)

    @property
    def number(self) -> int:
        """So many have ended."""
        return self.done + len(self.dead) + len(self.gone)

    def take(self, job_id: str, job: Job | None) -> bool:
        """Note a job if it has ended; whether it has."""
        if job is None:
            self.gone.append(job_id)
        elif job.state is JobState.DONE:
            self.done += 1
        elif job.state is JobState.DEAD:
            self.dead[job_id] = job.reason
        else:
            return False
        return True


async def until_ended(
    queue: JobQueue,
    ids: Sequence[str],
    on_look: Callable[[Ended, int], None],
    timeout_s: float | None = None,
) -> tuple[Ended, bool]:
    """Wait until each job is done or dead.

    Args:
        on_look: told after each look what has ended, and how many of the others that were looked at are at work.

    Returns:
        What has ended, and whether that is all of them.
    """
    ended, open_ids = Ended(), deque(ids)
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + timeout_s if timeout_s is not None else None
    while True:
        at_work = 0
        for job_id in list(itertools.islice(open_ids, _AT_ONCE)):
            open_ids.popleft()
            job = queue.get(job_id)
            if not ended.take(job_id, job):
                open_ids.append(job_id)
                at_work += job is not None and job.state is JobState.LEASED
        on_look(ended, at_work)
        if not open_ids:
            return ended, True
        if ends_at is not None and loop.time() >= ends_at:
            return ended, False
        await asyncio.sleep(LOOK_S)
