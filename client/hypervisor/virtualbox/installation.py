"""The installed VirtualBox as the rest of the driver sees it."""

from dataclasses import dataclass
from typing import Protocol

from client.hypervisor.virtualbox.shape import Abilities


class Manage(Protocol):
    """What is asked of VBoxManage; see `client.hypervisor.virtualbox.vboxmanage`."""

    async def read(self, *words: str, timeout_s: float = 20.0) -> str:
        """A query."""

    async def change(self, *words: str, timeout_s: float = 60.0) -> str:
        """A verb."""


@dataclass(frozen=True)
class Installation:
    """VBoxManage, and what its VirtualBox has."""

    manage: Manage
    version_text: str
    abilities: Abilities
