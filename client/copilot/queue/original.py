"""Jobs in the Redis layout of the original Co-Pilot, read and written.

    waiting_jobs               list of job ids; copilot-job-submit pushes at its head
    job:<id>:description       chirpUrl::::inputDir::::inputFiles::::command::::arguments::::environment::::packages::::

Input files stand with `###` before each name. Nothing can be escaped, and empty fields at the end may be missing.

Source: the original's jobmanager-generic and copilot-job-submit, tried.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from client.copilot.errors import BadStanza
from client.copilot.fields import FILES, check_id
from client.copilot.messages import JobDescription, RunJob, parse_info
from client.copilot.queue.queue import NewJob
from client.errors import BadInput

#: Where the original's job manager and copilot-job-submit look unless told otherwise.
WAITING_LIST: Final = "waiting_jobs"
#: Whose share of the queue jobs of the original's list are.
SUBMITTER: Final = "copilot-job-submit"
_SEPARATOR: Final = "::::"
_FIELDS: Final = ("chirpUrl", "inputDir", "inputFiles", "command", "arguments", "environment", "packages")
_MOST_SHOWN: Final = 80


def description_key(job_id: str) -> str:
    """Where a job's description is."""
    return f"job:{job_id}:description"


def parse_original(job_id: str, said: str | None) -> tuple[NewJob, str]:
    """A job of the original's list.

    Args:
        said: its description; None when there is none.

    Returns:
        The job; and why it cannot be done, empty when it can. One that cannot stands for a dead letter: it has an id
        of ours when its own is none, and no command.
    """
    try:
        check_id(job_id)
    except ValueError:
        shown = ascii(job_id[:_MOST_SHOWN])
        return _dead(made_up_id(job_id)), f"the list of waiting jobs held {shown}, which is not an id"
    if said is None:
        return _dead(job_id), f"it has no description: there is no text {description_key(job_id)}"
    values = dict(zip(_FIELDS, said.split(_SEPARATOR), strict=False))
    try:
        found = parse_info({"command": RunJob.command, "job": {"id": job_id, "command": "", **values}})
    except BadStanza as bad:
        return _dead(job_id), f"its description cannot be used: {bad.field} {bad.said}"
    if not isinstance(found, RunJob):
        return _dead(job_id), "its description cannot be used"
    return NewJob(found.job, submitter=SUBMITTER), ""


def made_up_id(word: str) -> str:
    """An id for a word of the list that cannot be one; the same for the same word."""
    return "original-" + hashlib.sha256(word.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def build_original(job: JobDescription) -> str:
    """The description as copilot-job-submit writes it.

    Raises:
        BadInput: the layout cannot hold it.
    """
    values = (
        job.chirp_url,
        job.input_dir,
        FILES.build(job.input_files),
        job.command,
        job.arguments,
        job.environment,
        job.packages,
    )
    written = "".join(value + _SEPARATOR for value in values)
    # A value that ends in a colon would lend it to the separator; one that holds the separator would be two.
    if tuple(written.split(_SEPARATOR)[:-1]) != values or not job.command:
        said = "holds :::: or ends in a colon, which the original's queue cannot keep, or there is no command"
        raise BadInput(f"job {job.id}", f"one of its texts {said}", "write it otherwise, or use a queue of ours")
    _check_files(job.id, job.input_files)
    return written


def _check_files(job_id: str, names: Sequence[str]) -> None:
    if any("###" in name for name in names):
        raise BadInput(f"job {job_id}", "the name of an input file holds ###", "give it another name")


def _dead(job_id: str) -> NewJob:
    return NewJob(JobDescription(id=job_id), submitter=SUBMITTER)
