"""The queue in Redis, shared by managers on several computers.

A verb is one script, so verbs happen one after the other, each as a whole or not at all (`lua/`). What has been
submitted, accepted, cancelled or put back survives a power cut only if Redis writes before it answers: `appendonly
yes` and `appendfsync always`. With `everysec` the last second can be lost: jobs of that second are handed out again
or must be submitted again.

All keys begin with one prefix (`vc:`):

    job:<id>                hash: a job, or a unit of a replicated one; its fields are those of `Job`
    state:<state>           sorted set: jobs, by their places in the order of submission
    ids                     sorted set: ids of all jobs, for those who know the beginning of one
    places                  the last place given
    lane:<lane>             sorted set: units that wait, by place; lanes: those that are not empty, by priority
    leased                  sorted set: units that agents have, by the end of their lease
    leases:<id>             hash: lease id -> whether it is extended, and the agent
    unconfirmed             hash: agent -> unit that it may not have got
    history:<id>            list: what happened, the last 1000 events
    candidates:<id> had:<id>   of a replicated job: its valid results; which owner had which unit
    looked:<owner>          hash: lane -> up to where the owner has looked for replicated jobs
    virtual held ended waits   hashes by submitter: share used; seconds and number of ended hand-outs; jobs waiting
    requirements requirement_texts   their numbers, and their texts by number
    requirement_uses requirement_free requirement_epoch   jobs by number; free numbers; how often one was given anew
    staged:<token> staged_ids staging committed   jobs of a call that brings very many, until all wait
    agent:<owner> agents holds:<owner> drained   what is remembered of agents

They have no common slot, so Redis Cluster is not supported. Redis 7 or newer.
"""

import uuid
from collections.abc import Sequence
from typing import Any, Final

from client.copilot.account import owner_of
from client.copilot.queue.causes import soon_s
from client.copilot.queue.errors import JobExists, RedisUnusable
from client.copilot.queue.order import check_order
from client.copilot.queue.queue import NO_HOST, Host, JobState, Lease, Lost, NewJob, Taken
from client.copilot.queue.records import write_order
from client.copilot.queue.redis_rows import read_job
from client.copilot.queue.redis_views import RedisBook, RedisViews
from client.copilot.requirements import parse_requirements
from client.log import logger

log = logger("site")

_MAX_CAUSE_CHARS: Final = 500
#: Jobs that are brought in one step; it takes Redis about 20 ms.
_MOST_AT_ONCE: Final = 500
#: Jobs that one verb forgets.
_MOST_PRUNED: Final = 1000


class RedisQueue(RedisViews, RedisBook):
    """See `client.copilot.queue.queue.JobQueue` for the verbs."""

    def submit(self, jobs: Sequence[NewJob], now: float) -> None:
        """Take all jobs or none; more than 500 begin to wait bit by bit."""
        for new in jobs:
            check_order(new)
        try:
            if len(jobs) > _MOST_AT_ONCE:
                self._submit_in_parts(jobs, now)
            else:
                self._bring("submit", jobs, uuid.uuid4().hex, now)
        except RedisUnusable as error:
            if not error.is_silent:
                raise
            # Who submits them once more would have them done twice.
            said = f"{error.said}; it may have taken the jobs all the same, so look before you submit them again"
            raise RedisUnusable(error.path, said, is_silent=True) from error

    def hand_out(self, agent: str, now: float, *, extends: bool, host: Host = NO_HOST) -> Lease | None:
        """Lease the next job, or again the one that the agent has not confirmed."""
        said = (agent, owner_of(agent), "1" if extends else "0", uuid.uuid4().hex)
        answer = self._read_lease(self._ask_for(host, "hand_out", now, *said))
        return answer if isinstance(answer, Lease) else None

    def confirm(self, job_id: str, agent: str, now: float) -> None:
        """Note that the agent has the job."""
        self._link.ask("confirm", now, job_id, agent)

    def extend(self, job_id: str, lease_id: str, agent: str, now: float) -> Lease | Lost:
        """Prolong a lease."""
        return self._read_lease(self._link.ask("extend", now, job_id, lease_id, agent, owner_of(agent)))

    def claim(self, job_id: str, lease_id: str, agent: str, now: float) -> Lease | Lost:
        """Take a job up again."""
        return self._read_lease(self._link.ask("claim", now, job_id, lease_id, agent, owner_of(agent)))

    def fail(self, job_id: str, lease_id: str, agent: str, cause: str, now: float) -> bool:
        """The holder gives the job back."""
        soon = soon_s(cause)
        said = (job_id, lease_id, agent, owner_of(agent), cause[:_MAX_CAUSE_CHARS], "" if soon is None else repr(soon))
        return self._link.ask_flag("fail", now, *said)

    def accept(self, job_id: str, agent: str, detail: str, now: float, *, agreement: str = "", seen: int = 0) -> Taken:
        """A valid result has been stored; the same agent may say so again with the same detail."""
        said = (job_id, agent, owner_of(agent), detail[:_MAX_CAUSE_CHARS], agreement, seen)
        answer = self._link.ask("accept", now, *said)
        with self._reading():
            return Taken(answer)

    def refuse(self, job_id: str, agent: str, reason: str, now: float) -> None:
        """The agent's result is not valid."""
        self._link.ask("refuse", now, job_id, agent, owner_of(agent), reason[:_MAX_CAUSE_CHARS])

    def expire(self, now: float) -> list[str]:
        """Take back jobs whose lease has ended; at most 1000 at once, the next call goes on."""
        return list(map(str, self._link.ask_list("expire", now)))

    def cancel(self, job_id: str, now: float) -> bool:
        """Have nobody do the job."""
        return self._link.ask_flag("cancel", now, job_id, uuid.uuid4().hex)

    def retry(self, job_id: str, now: float) -> bool:
        """Let a dead job wait again."""
        return self._link.ask_flag("retry", now, job_id, uuid.uuid4().hex)

    def prune(self, before: float, now: float) -> int:
        """Forget jobs that ended before then; at most 1000."""
        forgotten = 0
        for state in (JobState.DONE, JobState.DEAD):
            place = "0"
            while place and forgotten < _MOST_PRUNED:
                said = (state, place, repr(min(before, now)), _MOST_PRUNED - forgotten)
                answer = self._link.ask_list("prune", now, *said)
                with self._reading():
                    forgotten, place = forgotten + int(answer[0]), str(answer[1])
        return forgotten

    def _bring(self, verb: str, jobs: Sequence[NewJob], token: str, now: float) -> None:
        taken = self._link.ask_list(verb, now, token, *(value for new in jobs for value in order_values(new)))
        if taken:
            raise JobExists(str(taken[0]))

    def _submit_in_parts(self, jobs: Sequence[NewJob], now: float) -> None:
        token = uuid.uuid4().hex
        try:
            for start in range(0, len(jobs), _MOST_AT_ONCE):
                self._bring("stage", jobs[start : start + _MOST_AT_ONCE], token, now)
        except JobExists:
            while self._link.ask_flag("unstage", now, token):
                pass
            raise
        if not self._link.ask_flag("commit", now, token, len(jobs)):
            said = "the jobs were brought too slowly, or this computer's clock is an hour behind"
            raise RedisUnusable(self._link.place.name, said, is_silent=True)
        try:
            while self._link.ask_flag("publish", now, token):
                pass
        except RedisUnusable as error:
            # They are the queue's by now, and the managers' `expire` goes on with them.
            log.warning("the jobs are submitted, but do not all wait yet: %s", error)

    def _read_lease(self, answer: Any) -> Lease | Lost:
        """`lease`, its id, seconds and job; or `lost` and why; or `none`."""
        with self._reading():
            match self._link.expect(list, answer):
                case ["lease", lease_id, seconds, flat]:
                    return Lease(read_job(flat), str(lease_id), int(seconds))
                case ["lost", reason]:
                    return Lost(str(reason))
                case ["none"]:
                    return Lost("")
            raise ValueError(f"no lease: {answer!r:.100}")


def order_values(new: NewJob) -> tuple[str | int, ...]:
    """A job as the script `submit` wants it."""
    job, replication = new.description, new.replication
    limits = (job.time_limit_s or "", new.max_attempts or "")
    requirement = parse_requirements(new.requirements).text
    order = (job.id, write_order(new), new.priority, new.submitter, requirement)
    return (*order, *limits, replication.copies, replication.quorum)
