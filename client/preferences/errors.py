"""What can be wrong with preferences beyond bad input."""

from dataclasses import dataclass
from typing import ClassVar

from client.errors import ClientError


@dataclass(eq=False)
class PreferenceLocked(ClientError):
    """A preference is kept by whoever looks after this computer. keys: which; file: that says so."""

    code: ClassVar[str] = "preference-locked"
    keys: str
    file: str
