"""What agents that ask for a job once more are told of a result that they handed in before."""

from typing import Final

from client.copilot.account import owner_of
from client.copilot.messages import JobVerdict
from client.copilot.queue.queue import JobQueue, JobState

WAITS: Final = "valid; waits for others to agree"


def earlier_verdict(queue: JobQueue, job_id: str, sender: str) -> JobVerdict | None:
    """The verdict on the sender's result, if that is the one that was taken; of its owner, an agent's account changes.

    To be said before that the job is done: the agent then knows that it is so because of its own result.
    """
    job = queue.get(job_id)
    if job is None or job.state is not JobState.DONE or owner_of(job.agent) != owner_of(sender):
        return None
    whole = queue.get(job.group) if job.group else job
    waits = whole is not None and whole.state in (JobState.WAITING, JobState.LEASED)
    return JobVerdict(job_id, True, WAITS if waits else "")
