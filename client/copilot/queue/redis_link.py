"""The connection to Redis: one script with all verbs, sent once and then named by its digest.

A verb is one round trip, and one step in Redis. When a connection breaks before the answer has come, the verb is
asked once more; so all of them are safe to repeat. Redis that hangs holds a manager up for TIMEOUT_S at most, and is
then left alone for PAUSE_S, during which all verbs fail at once.
"""

import contextlib
import hashlib
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from client.copilot.queue.errors import RedisUnusable
from client.copilot.queue.redis_place import RedisPlace
from client.log import logger

log = logger("site")

TIMEOUT_S: Final = 2.0
PAUSE_S: Final = 1.0
_SCRIPTS: Final = Path(__file__).parent / "lua"
#: In the order in which they use each other.
_PARTS: Final = (
    "base",
    "lanes",
    "states",
    "replicas",
    "leases",
    "results",
    "orders",
    "staging",
    "views",
    "prune",
    "agents",
    "original",
    "run",
)
_MOST_SAID: Final = 200
_Answer = TypeVar("_Answer", list[Any], int, str)


@cache
def script() -> str:
    """All verbs."""
    return "\n".join((_SCRIPTS / f"{part}.lua").read_text(encoding="utf-8") for part in _PARTS)


@cache
def _digest() -> str:
    # Not for secrecy: it is Redis's own name for the script.
    return hashlib.sha1(script().encode(), usedforsecurity=False).hexdigest()


class RedisLink:
    """One connection. Nothing is asked before the first verb.

    Args:
        prefix: of all keys.
        terms: JSON that every verb gets.
        clock: monotonic seconds.
    """

    def __init__(
        self, place: RedisPlace, prefix: str, terms: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.place = place
        self._client = connect(place)
        self._prefix = prefix
        self._terms = terms
        self._clock = clock
        self._down_until = 0.0
        self._said = ""
        self._is_checked = False

    def ask_list(self, verb: str, now: float, *arguments: str | float) -> list[Any]:
        """Run a verb that answers a list, of texts, numbers and lists; raises as `ask`."""
        return self.expect(list, self.ask(verb, now, *arguments))

    def ask_flag(self, verb: str, now: float, *arguments: str | float) -> bool:
        """Run a verb that answers 1 or 0; raises as `ask`."""
        return bool(self.expect(int, self.ask(verb, now, *arguments)))

    def expect(self, kind: type[_Answer], answer: Any) -> _Answer:
        """An answer of that kind.

        Raises:
            RedisUnusable: it is of another one; this is not the server that it should be.
        """
        if not isinstance(answer, kind):
            raise RedisUnusable(self.place.name, "it gives answers that make no sense")
        return answer

    def ask(self, verb: str, now: float, *arguments: str | float) -> Any:
        """Run a verb; its answer with texts as str.

        Raises:
            RedisUnusable: Redis is down, hangs, or refuses.
        """
        if self._clock() < self._down_until:
            raise RedisUnusable(self.place.name, self._said)
        try:
            answer = self._run(self._prefix, self._terms, verb, repr(now), *arguments)
            self._check_memory()
            return answer
        except redis.RedisError as error:
            failed = unusable(self.place, error)
            log.debug("Redis said to %s: %s", verb, error)
            if isinstance(error, redis.ConnectionError | redis.TimeoutError):
                self._down_until, self._said = self._clock() + PAUSE_S, failed.said
            raise failed from error

    def close(self) -> None:
        """Close it; idempotent."""
        self._client.close()

    def _check_memory(self) -> None:
        """Warn once of a server that throws jobs away when its memory is short; not all users may ask."""
        if self._is_checked:
            return
        self._is_checked = True
        with contextlib.suppress(redis.RedisError, AttributeError):
            policy = str(self._client.info("memory").get("maxmemory_policy", ""))
            if policy.startswith("allkeys"):
                log.warning(
                    "%s will throw jobs away when its memory is short (maxmemory-policy %s): set noeviction",
                    self.place.name,
                    policy,
                )

    def _run(self, *arguments: str | float) -> Any:
        try:
            return self._client.evalsha(_digest(), 0, *arguments)
        except redis.exceptions.NoScriptError:
            # The server was started anew: it gets the whole text once more, and does the verb at the same time.
            return self._client.eval(script(), 0, *arguments)


def connect(place: RedisPlace) -> "redis.Redis":
    """A client that asks a second time when a connection breaks, but does not wait; it connects when first used.

    Texts that are not UTF-8 are kept byte for byte.
    """
    where: dict[str, Any] = {"unix_socket_path": place.socket} if place.socket else {}
    if not place.socket:
        where = {"host": place.host, "port": place.port, "ssl": place.tls}
        where |= {"ssl_ca_certs": place.ca} if place.ca else {}
    return redis.Redis(
        **where,
        db=place.db,
        username=place.username or None,
        password=place.password or None,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        decode_responses=True,
        encoding_errors="surrogateescape",
        protocol=2,
    )


def unusable(place: RedisPlace, error: redis.RedisError) -> RedisUnusable:
    """What to raise for an error of Redis."""
    is_silent = isinstance(error, redis.ConnectionError | redis.TimeoutError)
    has_refused = isinstance(error, redis.AuthenticationError | redis.BusyLoadingError)
    return RedisUnusable(place.name, explain(error), is_silent=is_silent and not has_refused)


def explain(error: redis.RedisError) -> str:
    """What an error of Redis means, in a few words."""
    # Which line of which script it was is of no use to an operator.
    said = str(error).partition(" script: ")[0][:_MOST_SAID].rstrip(". ")
    match error:
        case redis.BusyLoadingError():
            return "it was just started and still reads its data"
        case redis.AuthenticationError():
            return f"it does not take the password ({said})"
        case redis.ReadOnlyError():
            return "it is a copy of another Redis and takes no changes"
        case redis.exceptions.OutOfMemoryError():
            return "its memory is used up (maxmemory)"
        case redis.TimeoutError():
            return f"it does not answer within {TIMEOUT_S:g} s"
        case redis.exceptions.NoPermissionError():
            return f"its user may not do that ({said})"
        case redis.ConnectionError():
            return f"there is no connection ({said})"
    if said.startswith("MISCONF"):
        return "it cannot write its data to the disk"
    if said.startswith("NOAUTH"):
        return "it wants a password"
    return said.removeprefix("NEWER ")
