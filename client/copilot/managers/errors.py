"""Errors of managers."""

from dataclasses import dataclass
from typing import ClassVar

from client.copilot.errors import CopilotError


@dataclass(eq=False)
class OutputRefused(CopilotError):
    """The output of a job cannot be taken.

    Attributes:
        said: one line for the agent, the history and the operator.
    """

    code: ClassVar[str] = "output-refused"
    said: str


@dataclass(eq=False)
class InstanceRunning(CopilotError):
    """There is a storage manager of that name in that folder."""

    code: ClassVar[str] = "instance-running"
    instance: str
    folder: str
