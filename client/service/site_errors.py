"""Errors of a local site."""

from dataclasses import dataclass
from typing import ClassVar

from client.errors import ClientError


@dataclass(eq=False)
class SiteError(ClientError):
    """Root of the family."""

    code: ClassVar[str] = "site"


@dataclass(eq=False)
class SiteRunning(SiteError):
    """Another process runs this site."""

    code: ClassVar[str] = "site-running"
    folder: str


@dataclass(eq=False)
class SiteNotRunning(SiteError):
    """Nobody runs this site."""

    code: ClassVar[str] = "site-not-running"
    folder: str


@dataclass(eq=False)
class NoSite(SiteError):
    """The folder holds no site."""

    code: ClassVar[str] = "no-site"
    folder: str


@dataclass(eq=False)
class ChildNotReady(SiteError):
    """A part of the site did not begin to serve.

    Attributes:
        child: its name.
        said: the last lines of its log.
    """

    code: ClassVar[str] = "site-child-not-ready"
    child: str
    said: str


@dataclass(eq=False)
class NoSuchJob(SiteError):
    """The queue has no job of that id."""

    code: ClassVar[str] = "no-such-job"
    job_id: str
    remedy: str = "main.py jobs list shows them"


@dataclass(eq=False)
class NoSuchAgent(SiteError):
    """The queue has never heard of an agent of that owner."""

    code: ClassVar[str] = "no-such-agent"
    owner: str
    remedy: str = "main.py agents list shows them"


@dataclass(eq=False)
class JobNotChanged(SiteError):
    """A job cannot be cancelled or put back in its present state."""

    code: ClassVar[str] = "job-not-changed"
    job_id: str
    verb: str
    state: str
