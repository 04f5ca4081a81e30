"""Errors of talking with a project."""

from dataclasses import dataclass
from typing import ClassVar

from client.errors import ClientError


@dataclass(eq=False)
class ProjectUnreachable(ClientError):
    """The project's server does not answer. said: the cause as the system words it."""

    code: ClassVar[str] = "project-unreachable"
    url: str
    said: str


@dataclass(eq=False)
class EnrolmentRefused(ClientError):
    """The project's key manager will not give this client a guest token."""

    code: ClassVar[str] = "enrolment-refused"
    url: str
    status: int
    said: str
