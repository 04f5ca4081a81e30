"""The little about a VM that no hypervisor can be asked: when its guest's token ends, what it was booted with."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from client.paths import Paths, write_atomic


@dataclass(frozen=True)
class VmRecord:
    """Kept beside the context medium.

    Attributes:
        token_expires_at: aware UTC; None when never booted.
        appliance: id of the version that it was booted with; empty when that is not known.
        token_asked_at: aware UTC; None: the guest was booted by a client that could not renew its token.
        medium_is_old: the guest has a newer token than its context medium.
        has_https: it was booted with a route to the project's HTTPS server; a saved guest keeps the routes it has.
        save_s: how long saving its state took the last time; None when that is not known.
    """

    token_expires_at: datetime | None = None
    appliance: str = ""
    token_asked_at: datetime | None = None
    medium_is_old: bool = False
    has_https: bool = False
    save_s: float | None = None

    @classmethod
    def load(cls, paths: Paths, vm_id: str) -> "VmRecord":
        """What was saved; an unreadable or missing record is an empty one."""
        try:
            said = json.loads(paths.context(vm_id).with_suffix(".json").read_text(encoding="utf-8"))
            expires = datetime.fromisoformat(said["token_expires_at"])
            appliance, is_old, has_https = said.get("appliance", ""), said.get("medium_is_old"), said.get("has_https")
            save_s = float(said["save_s"]) if said.get("save_s") else None
            return cls(expires, str(appliance), _asked_at(said), bool(is_old), bool(has_https), save_s)
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def save(self, paths: Paths, vm_id: str) -> None:
        """Write it whole or not at all."""
        expires, asked = self.token_expires_at, self.token_asked_at
        said = {
            "token_expires_at": expires.isoformat() if expires else "",
            "appliance": self.appliance,
            "token_asked_at": asked.isoformat() if asked else "",
            "medium_is_old": self.medium_is_old,
            "has_https": self.has_https,
            "save_s": self.save_s,
        }
        write_atomic(paths.context(vm_id).with_suffix(".json"), json.dumps(said).encode())


def _asked_at(said: Any) -> datetime | None:
    text = said.get("token_asked_at", "")
    return datetime.fromisoformat(text) if text else None
