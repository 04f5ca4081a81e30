"""Errors of job queues."""

from dataclasses import dataclass
from typing import ClassVar

from client.errors import ClientError


@dataclass(eq=False)
class QueueError(ClientError):
    """Root of the family."""

    code: ClassVar[str] = "queue"


@dataclass(eq=False)
class JobExists(QueueError):
    """A job of that id was submitted before."""

    code: ClassVar[str] = "job-exists"
    job_id: str


@dataclass(eq=False)
class QueueUnusable(QueueError):
    """The queue's file cannot be used. said: in the system's words."""

    code: ClassVar[str] = "queue-unusable"
    path: str
    said: str


@dataclass(eq=False)
class BadOrder(QueueError):
    """A job cannot be submitted as it is. said: what is wrong with it."""

    code: ClassVar[str] = "bad-order"
    job_id: str
    said: str


@dataclass(eq=False)
class RedisUnusable(QueueUnusable):
    """A Redis server is down, hangs or refuses.

    Attributes:
        path: where it is, without the password.
        is_silent: it gave no answer, so it is not known whether it did what it was asked to.
    """

    code: ClassVar[str] = "redis-unusable"
    is_silent: bool = False
