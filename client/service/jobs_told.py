"""Jobs as JSON objects and as lines for people."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from client.copilot.account import owner_of
from client.copilot.fields import printable
from client.copilot.queue.queue import Candidate, Event, Job, JobState
from client.service.table import ago, clock, span

COLUMNS: Final = ("ID", "STATE", "TRIES", "SUBMITTED", "BY", "AGENT", "WHAT")
#: of an id, on a terminal; unlike by far in any queue
_SHORT: Final = 8


def job_facts(job: Job) -> dict[str, Any]:
    """A job for JSON."""
    facts = {name: value for name, value in vars(job).items() if name != "new"}
    description = job.new.description
    more = {"title": description.title, "command": description.command, "arguments": description.arguments}
    return {"id": job.id, **facts, **more, "submitter": job.new.submitter, "priority": job.new.priority}


def order_facts(job: Job) -> dict[str, Any]:
    """What was submitted, for JSON."""
    return asdict(job.new)


def job_row(job: Job, *, short: bool) -> tuple[object, ...]:
    """A line of the table. short: for a terminal."""
    name = job.id[:_SHORT] if short and len(job.id) == 36 else job.id
    at = ago(job.submitted_at, time.time()) if short else clock(job.submitted_at).replace(" ", "T")
    agent = owner_of(job.agent)[:16] if short else job.agent
    return name, job.state, job.attempts, at, job.new.submitter, agent, what_of(job)


def what_of(job: Job) -> str:
    """The reason where there is one that counts now, else what the job does."""
    description = job.new.description
    if job.reason and job.state is not JobState.DONE:
        return job.reason
    return description.title or f"{description.command} {description.arguments}".strip()


def job_lines(job: Job, candidates: Sequence[Candidate], result: Path | None, suited: str = "") -> list[str]:
    """Everything but the history, for people. suited: who may do it."""
    new, description = job.new, job.new.description
    lines = [f"{job.id}: {job.state}{f' ({printable(job.reason)})' if job.reason else ''}"]
    replication = new.replication
    copies = f"{replication.copies}, of which {replication.quorum} must agree" if replication.quorum > 1 else ""
    facts = {
        "title": description.title,
        "runs": f"./{description.command} {description.arguments}".strip(),
        "environment": description.environment.replace("\n", "; "),
        "input files": ", ".join(description.input_files),
        "packages": description.packages,
        "requirements": new.requirements,
        "who may": suited,
        "copies": f"{copies} ({replication.compare or 'equal bytes'})" if copies else "",
        "validator": new.validator,
        "priority": new.priority or "",
        "time limit": span(description.time_limit_s) if description.time_limit_s else "",
        "submitted": f"{clock(job.submitted_at)}{f' by {new.submitter}' if new.submitter else ''}",
        "ended": clock(job.finished_at),
        "agent": _holder(job),
        "attempts": job.attempts,
        "output": "" if new.output else "none; the exit code is the result",
        "result": result or "",
    }
    lines += [f"  {name + ':':14}{printable(str(value))}" for name, value in facts.items() if value != ""]
    for candidate in candidates:
        lines.append(f"  candidate:    {candidate.unit_id} of {candidate.agent}, class {candidate.agreement[:16]}")
    return lines


def event_line(event: Event, job_id: str) -> str:
    """A line of the history; the unit is named where it is not the job itself."""
    unit = f"{event.job_id}: " if event.job_id != job_id else ""
    said = " ".join(filter(None, [event.what, event.agent, event.detail]))
    return f"  {clock(event.at)}  {unit}{printable(said)}"


def _holder(job: Job) -> str:
    if job.state is not JobState.LEASED:
        return job.agent
    left = job.lease_ends_at - time.time()
    return f"{job.agent}; its lease ends in {span(left)}" if left > 0 else f"{job.agent}; its lease is over"
