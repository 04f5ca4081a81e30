"""Errors of the Co-Pilot protocol, its transport and its agent."""

from dataclasses import dataclass
from typing import ClassVar, Final

from client.errors import ClientError

#: Behind the cause `memory-limit`, where it was not the project's limit.
NO_MEMORY: Final = "this computer had no more memory for it"


@dataclass(eq=False)
class CopilotError(ClientError):
    """Root of the family."""

    code: ClassVar[str] = "copilot"


@dataclass(eq=False)
class BadStanza(CopilotError):
    """A peer sent a value that no honest peer sends.

    Attributes:
        command: the command it was part of; empty when unknown.
        field: name on the wire.
        said: what is wrong with it.
    """

    code: ClassVar[str] = "bad-stanza"
    command: str
    field: str
    said: str


@dataclass(eq=False)
class TransportDown(CopilotError):
    """There is no XMPP session now, so the message was not sent. jid: the account."""

    code: ClassVar[str] = "transport-down"
    jid: str


@dataclass(eq=False)
class AskFailed(CopilotError):
    """A question to the XMPP server or a service beside it was not answered. to: its address; said: why."""

    code: ClassVar[str] = "ask-failed"
    to: str
    said: str


@dataclass(eq=False)
class TransferFailed(CopilotError):
    """A file could not be moved to or from the file server.

    Attributes:
        server: `host:port` as stated by the project.
        path: on the server.
        said: what went wrong, in the server's or the system's words.
        permanent: the server refused, so that trying again will not help.
    """

    code: ClassVar[str] = "transfer-failed"
    server: str
    path: str
    said: str
    permanent: bool


@dataclass(eq=False)
class FileTooBig(CopilotError):
    """A file is larger than its limit. Sizes in bytes."""

    code: ClassVar[str] = "file-too-big"
    path: str
    size_bytes: int
    limit_bytes: int


@dataclass(eq=False)
class JobFailed(CopilotError):
    """A job cannot reach its end.

    Attributes:
        job_id: the job.
        cause: stable word: `input`, `time-limit`, `output-limit`, `start`, `upload` or `disk-full`.
        said: one line of detail.
    """

    code: ClassVar[str] = "job-failed"
    job_id: str
    cause: str
    said: str


@dataclass(eq=False)
class BadRequirements(CopilotError):
    """The requirements of a job cannot be read.

    Attributes:
        text: its first characters.
        position: of the fault, in characters from 0.
        said: what is wrong there.
    """

    code: ClassVar[str] = "bad-requirements"
    text: str
    position: int
    said: str


@dataclass(eq=False)
class NotDecoded(CopilotError):
    """A message of the original's secure mode cannot be read. said: why, in the original's words."""

    code: ClassVar[str] = "not-decoded"
    said: str


@dataclass(eq=False)
class TicketRefused(CopilotError):
    """A ticket of the original's secure mode is not good. said: why, in the original's words."""

    code: ClassVar[str] = "ticket-refused"
    said: str


@dataclass(eq=False)
class NoKeyOf(CopilotError):
    """Nothing can be encrypted for a JID. jid: whose key is not known."""

    code: ClassVar[str] = "no-key-of"
    jid: str
