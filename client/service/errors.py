"""What a face may be told by the instance that it asks."""

from dataclasses import dataclass
from typing import ClassVar

from client.errors import ClientError


@dataclass(eq=False)
class GuestNotReady(ClientError):
    """A guest that does not run, and is not going to, was asked for something. state: what it is instead."""

    code: ClassVar[str] = "guest-not-ready"
    vm_id: str
    state: str
