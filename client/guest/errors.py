"""What can go wrong with errands in a guest."""

from dataclasses import dataclass
from typing import ClassVar

from client.errors import ClientError


@dataclass(eq=False)
class FileNotMoved(ClientError):
    """A file did not get into the guest or out of it; nothing half-done stays. said: why."""

    code: ClassVar[str] = "file-not-moved"
    path: str
    said: str


@dataclass(eq=False)
class GuestLost(ClientError):
    """The guest went off, or was started afresh, before it had done what was asked."""

    code: ClassVar[str] = "guest-lost"
    what: str


@dataclass(eq=False)
class MailboxFull(ClientError):
    """The guest takes no messages, and no more are kept for it."""

    code: ClassVar[str] = "mailbox-full"
    kept: int


@dataclass(eq=False)
class NoSuchErrand(ClientError):
    """There is no result of that name, or not any more."""

    code: ClassVar[str] = "no-such-errand"
    errand_id: str
