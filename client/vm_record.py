"""The little about a VM that no hypervisor can be asked: when its guest's token ends, what it was booted with."""

import json
from dataclasses import dataclass
from datetime import datetime

from client.paths import Paths, write_atomic


@dataclass(frozen=True)
class VmRecord:
    """Kept beside the context medium.

    Attributes:
        token_expires_at: aware UTC; None when never booted.
        appliance: id of the version that it was booted with; empty when that is not known.
    """

    token_expires_at: datetime | None = None
    appliance: str = ""

    @classmethod
    def load(cls, paths: Paths, vm_id: str) -> "VmRecord":
        """What was saved; an unreadable or missing record is an empty one."""
        try:
            said = json.loads(paths.context(vm_id).with_suffix(".json").read_text(encoding="utf-8"))
            return cls(datetime.fromisoformat(said["token_expires_at"]), str(said.get("appliance", "")))
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def save(self, paths: Paths, vm_id: str) -> None:
        """Write it whole or not at all."""
        expires = self.token_expires_at
        said = {"token_expires_at": expires.isoformat() if expires else "", "appliance": self.appliance}
        write_atomic(paths.context(vm_id).with_suffix(".json"), json.dumps(said).encode())
