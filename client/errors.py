"""The root of the error tree: every error has a stable code and typed fields, and no sentence of its own.

The sentence for people is made by `client.messages` from code and fields; logs get the fields.
Families live with their rooms (`client.hypervisor.errors`, `client.appliance.errors`, ...).
"""

from dataclasses import dataclass, fields
from typing import Any, ClassVar


@dataclass(eq=False)
class ClientError(Exception):
    """Root of all errors that this program raises on purpose.

    Attributes:
        code: stable, kebab-case; the key into `client.messages`.
    """

    code: ClassVar[str] = "internal"

    def details(self) -> dict[str, Any]:
        """The error's own fields by name, for logs, `--json` and message templates."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __str__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in self.details().items())
        return f"{self.code}({said})"


@dataclass(eq=False)
class BadInput(ClientError):
    """Something that a person wrote cannot be used.

    Attributes:
        where: file, option or field that holds it.
        what: what is wrong with it.
        remedy: what to do about it.
    """

    code: ClassVar[str] = "bad-input"
    where: str
    what: str
    remedy: str


@dataclass(eq=False)
class DiskFull(ClientError):
    """A file could not be written for lack of space. Sizes in bytes; needed_bytes is 0 when unknown."""

    code: ClassVar[str] = "disk-full"
    folder: str
    needed_bytes: int
    free_bytes: int


@dataclass(eq=False)
class AlreadyRunning(ClientError):
    """Another instance holds the base folder."""

    code: ClassVar[str] = "already-running"
    base_folder: str


@dataclass(eq=False)
class NotRunning(ClientError):
    """No instance answers in the base folder."""

    code: ClassVar[str] = "not-running"
    base_folder: str


@dataclass(eq=False)
class CommandFailed(ClientError):
    """A child process failed.

    Attributes:
        command: the program and its arguments.
        exit_code: None when it was ended at its time limit.
        stderr: the last lines of what it said.
    """

    code: ClassVar[str] = "command-failed"
    command: tuple[str, ...]
    exit_code: int | None
    stderr: str


@dataclass(eq=False)
class ToolMissing(ClientError):
    """A program that this one drives is not installed."""

    code: ClassVar[str] = "tool-missing"
    tool: str
    package: str
