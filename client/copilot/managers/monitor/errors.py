"""Errors of the monitor."""

from dataclasses import dataclass
from typing import ClassVar

from client.copilot.errors import CopilotError


@dataclass(eq=False)
class StoreUnusable(CopilotError):
    """The monitor's file cannot be read or written.

    Attributes:
        path: the file.
        said: what the system says.
    """

    code: ClassVar[str] = "monitor-store"
    path: str
    said: str
