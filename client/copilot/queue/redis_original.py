"""A Redis queue that the original's copilot-job-submit feeds, and feeding the original's own.

Jobs are taken from the original's list, oldest first, once a second and when none of ours waits; they are ours from
then on, with leases and attempts. (The original hands out the newest first: it pushes and pops at the same end.) Each
leaves the list in the same step in which it comes into the queue. What cannot be read goes to the dead jobs and tells
why; pushed again with a better description, it is taken again.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

import redis

from client.copilot.messages import JobDescription
from client.copilot.queue.original import WAITING_LIST, build_original, parse_original
from client.copilot.queue.queue import NO_HOST, Host, Lease, Terms
from client.copilot.queue.redis import RedisQueue, order_values
from client.copilot.queue.redis_link import connect, unusable
from client.copilot.queue.redis_place import RedisPlace, parse_place
from client.errors import BadInput
from client.log import logger

log = logger("site")

#: Jobs moved at once; while there are more, the rest comes with the next look.
_MOST_TAKEN: Final = 500
#: So many jobs are pushed in one step.
_MOST_PUSHED: Final = 5000
#: An id that has a description was pushed before the connection broke.
_PUSH: Final = """
for at = 2, #ARGV, 2 do
  if redis.call('SETNX', 'job:' .. ARGV[at] .. ':description', ARGV[at + 1]) == 1 then
    redis.call('LPUSH', ARGV[1], ARGV[at])
  end
end
return 1
"""


class FedRedisQueue(RedisQueue):
    """Takes jobs from the original's list as well. waiting: the list's name."""

    def __init__(
        self,
        place: RedisPlace,
        terms: Terms | None = None,
        *,
        waiting: str = WAITING_LIST,
        prefix: str = "vc:",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(place, terms, prefix=prefix, clock=clock)
        self._waiting = waiting
        self._warned = False

    def hand_out(self, agent: str, now: float, *, extends: bool, host: Host = NO_HOST) -> Lease | None:
        """Lease the next job; when there is none of ours, the original's list may have one."""
        lease = super().hand_out(agent, now, extends=extends, host=host)
        if lease is None and self._take(now):
            lease = super().hand_out(agent, now, extends=extends, host=host)
        return lease

    def expire(self, now: float) -> list[str]:
        """Take back jobs whose lease has ended."""
        self._take(now)
        return super().expire(now)

    def _take(self, now: float) -> bool:
        """Move jobs from the original's list to ours; whether there were any."""
        kind, *found = self._link.ask_list("look_at_original", now, self._waiting, _MOST_TAKEN) or ["wrong"]
        if kind != "jobs":
            self._warn(str(found))
            return False
        values: list[str | int] = []
        for word, said in zip(found[::2], found[1::2], strict=True):
            new, wrong = parse_original(word, said)
            values += (word, wrong, *order_values(new))
        if values:
            taken = self._link.ask("take_original", now, self._waiting, *values)
            log.info("%s jobs taken from the original's list %s", taken, self._waiting)
        return bool(values)

    def _warn(self, said: str) -> None:
        if not self._warned:
            log.warning("the original's list %s cannot be read: %s", self._waiting, said)
        self._warned = True


def push_original(url: str, jobs: Sequence[JobDescription], *, waiting: str = WAITING_LIST) -> None:
    """Submit jobs to a job manager of the original, as copilot-job-submit does; the last is at the list's head.

    Their input must lie where chirp_url and input_dir say. A job whose id has a description already is left out, so
    that pushing may be repeated after an error. Many jobs are pushed in steps of 5000.

    Raises:
        BadInput: the URL, or a job that the original's layout cannot hold; nothing was pushed.
        RedisUnusable: Redis is down or refuses.
    """
    try:
        place = parse_place(url)
    except ValueError as wrong:
        raise BadInput("the address of the original's queue", str(wrong), "correct it") from wrong
    values = [value for job in jobs for value in (job.id, build_original(job))]
    client = connect(place)
    try:
        for start in range(0, len(values), 2 * _MOST_PUSHED):
            client.eval(_PUSH, 0, waiting, *values[start : start + 2 * _MOST_PUSHED])
    except redis.RedisError as error:
        raise unusable(place, error) from error
    finally:
        client.close()
