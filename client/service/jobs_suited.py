"""Which of the computers that were seen lately may do a job that waits, and what rules the others out."""

from dataclasses import dataclass
from typing import Any, Final

from client.copilot.fields import printable
from client.copilot.queue.queue import Job, JobQueue, JobState
from client.copilot.requirements import parse_requirements, split_clauses
from client.service.table import counted, span

#: Our agents ask every minute, the original's every 32 minutes at the least.
LATELY_S: Final = 3600.0


@dataclass(frozen=True)
class Suited:
    """Numbers of owners' computers, by what they said last of themselves.

    Attributes:
        seen: that asked for a job within LATELY_S; meet: of these, that meet the requirements.
        fails: part of the requirements -> computers that do not meet it, most first.
    """

    seen: int
    meet: int
    fails: dict[str, int]


def look_for_suited(queue: JobQueue, job: Job, now: float) -> Suited | None:
    """Who may do a job; None unless it waits."""
    if job.state is not JobState.WAITING:
        return None
    hosts = queue.hosts(now - LATELY_S)
    whole = parse_requirements(job.new.requirements)
    fails = {
        clause: sum(not parse_requirements(clause).met_by(host) for host in hosts)
        for clause in split_clauses(job.new.requirements)
    }
    most_first = sorted(fails.items(), key=lambda item: -item[1])
    return Suited(len(hosts), sum(map(whole.met_by, hosts)), {clause: n for clause, n in most_first if n})


def suited_facts(suited: Suited | None) -> dict[str, Any] | None:
    """For JSON."""
    return vars(suited) | {"within_s": LATELY_S} if suited is not None else None


def suited_line(suited: Suited | None) -> str:
    """For people; empty where there is nothing to say."""
    if suited is None:
        return ""
    within = f"in the last {span(LATELY_S)}"
    if not suited.seen:
        return f"nobody: no computer asked for a job {within}"
    if suited.meet:
        return f"{suited.meet:,} of {counted(suited.seen, 'computer')} that asked {within}"
    said = f"nobody: of {counted(suited.seen, 'computer')} that asked {within} none meets the requirements"
    clause, number = next(iter(suited.fails.items()), ("", 0))
    return f"{said}; {printable(clause)} rules out {number:,}" if len(suited.fails) > 1 else said
