"""What can be read of a Redis queue, and what it remembers of agents."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from client.copilot.account import bare, owner_of
from client.copilot.queue.agents import facts_of, read_host, write_host
from client.copilot.queue.errors import RedisUnusable
from client.copilot.queue.queue import AgentRecord, Candidate, Event, Host, Job, JobState, SeenAgent, Terms
from client.copilot.queue.redis_link import RedisLink
from client.copilot.queue.redis_met import MetRequirements, readable
from client.copilot.queue.redis_place import RedisPlace
from client.copilot.queue.redis_rows import read_agent, read_candidate, read_event, read_job

#: Jobs in one answer, so that others need not wait for long.
_PAGE: Final = 500


class RedisBase:
    """Asks the scripts, and judges requirements for them."""

    def __init__(
        self,
        place: RedisPlace,
        terms: Terms | None = None,
        *,
        prefix: str = "vc:",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._terms = terms or Terms()
        self._link = RedisLink(place, prefix, json.dumps(vars(self._terms)), clock=clock)
        self._met = MetRequirements()

    def close(self) -> None:
        """Close it; idempotent."""
        self._link.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """For what is made of answers: others may have written to this Redis."""
        try:
            yield
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise RedisUnusable(self._link.place.name, f"its data are damaged ({error!r})") from error

    def _ask_for(self, host: Host, verb: str, now: float, *arguments: str) -> Any:
        """Ask for a host; again when jobs have requirements that were not judged yet, which comes once for each."""
        while True:
            answer = self._link.ask(verb, now, *arguments, *self._met.said_for(host))
            if not isinstance(answer, list) or answer[:1] != ["judge"]:
                return answer
            with self._reading():
                self._met.learn(answer[1], str(answer[2]), answer[3:])


class RedisViews(RedisBase):
    """See `client.copilot.queue.queue.QueueView` for the verbs."""

    def has_work(self, host: Host | None = None) -> bool:
        """Whether a job waits that the host may do; None: any job."""
        if host is None:
            return self._link.ask_flag("has_work", 0, "1")
        return bool(self._link.expect(int, self._ask_for(host, "has_work", 0, "0")))

    def waiting(self, limit: int) -> list[tuple[str, int]]:
        """Requirements of what waits, and the numbers of units, the highest priority first."""
        told = self._link.ask_list("waiting", 0, limit)
        with self._reading():
            return [(readable(str(text)), int(number)) for text, number in zip(told[::2], told[1::2], strict=True)]

    def candidates(self, job_id: str) -> list[Candidate]:
        """Valid results kept so far, oldest first."""
        with self._reading():
            return [read_candidate(line) for line in self._link.ask_list("candidates", 0, job_id)]

    def get(self, job_id: str) -> Job | None:
        """A job or a unit; None if there is none."""
        flat = self._link.ask_list("get", 0, job_id)
        with self._reading():
            return read_job(flat) if flat else None

    def has_lease(self, job_id: str, agent: str) -> bool | None:
        """Whether the agent extends leases; None if it never had this job."""
        had = [str(line).partition(" ") for line in self._link.ask_list("leases", 0, job_id)]
        said = [extends == "1" for extends, _, other in had if bare(other) == bare(agent)]
        return any(said) if said else None

    def find(self, prefix: str, limit: int = 2) -> list[str]:
        """Ids of jobs that begin so, in order."""
        return list(map(str, self._link.ask_list("find", 0, prefix, limit)))

    def jobs(
        self,
        state: JobState | None = None,
        limit: int = 1000,
        *,
        submitter: str = "",
        after: str = "",
        newest: bool = False,
    ) -> list[Job]:
        """Jobs in the order of submission, or the newest first."""
        found: list[Job] = []
        place = self._link.expect(str, self._link.ask("place", 0, after)) if after else "0"
        if newest and place == "0":
            place = "inf"
        while place and len(found) < limit:
            page = min(limit - len(found), _PAGE)
            answer = self._link.ask_list("jobs", 0, state or "", place, page, submitter, int(newest))
            with self._reading():
                looked, place = float(place), str(answer[0])
                if place and (float(place) >= looked if newest else float(place) <= looked):
                    raise ValueError("a page ends before it begins")
                found += [read_job(flat) for flat in answer[1:]]
        return found

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state."""
        with self._reading():
            return {state: int(n) for state, n in zip(JobState, self._link.ask_list("counts", 0), strict=True)}

    def history(self, job_id: str) -> list[Event]:
        """What happened to a job and its units, oldest first."""
        with self._reading():
            return [read_event(line) for line in self._link.ask_list("history", 0, job_id)]


class RedisBook(RedisBase):
    """See `client.copilot.queue.queue.AgentBook` for the verbs."""

    def may_work(self, agent: str, now: float) -> bool:
        """Whether the agent is not drained and need not pause for its failures."""
        return self._link.ask_flag("may_work", now, owner_of(agent))

    def note_agents(self, seen: Sequence[SeenAgent], now: float) -> None:
        """Remember agents that asked."""
        for start in range(0, len(seen), _PAGE):
            rows = [
                (owner_of(one.agent), one.agent, *facts_of(one.host), repr(one.at), write_host(one.host))
                for one in seen[start : start + _PAGE]
            ]
            self._link.ask("note_agents", now, *(value for row in rows for value in row))

    def agents(self, limit: int = 1000) -> list[AgentRecord]:
        """Owners of agents, the last seen first."""
        flats = self._link.ask_list("agents", 0, limit)
        with self._reading():
            return [read_agent(flat) for flat in flats]

    def hosts(self, since: float, limit: int = 10_000) -> list[Host]:
        """What the owners seen since then said of their computers, the last seen first."""
        return [read_host(str(said)) for said in self._link.ask_list("hosts", 0, repr(since), limit)]

    def set_drained(self, owner: str, on: bool, now: float) -> None:
        """Let an owner's agents get no more jobs, or get them again."""
        self._link.ask("set_drained", now, owner, "1" if on else "0")

    def drained(self) -> set[str]:
        """Owners that are drained."""
        return set(map(str, self._link.ask_list("drained", 0)))
