"""What agents have handed in and nobody has looked at yet, for a storage manager that is stopped or killed meanwhile.

    <folder>/claims/<instance>/<hash of a claim>    the claim, as JSON

An agent whose jobDone was confirmed does not say it again, so without this its job would be done once more.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from client.copilot.managers.shelf import Claim


class ClaimNotes:
    """Notes of claims that wait. instance: name of this storage manager, of which no other runs."""

    def __init__(self, folder: Path, instance: str) -> None:
        self._folder = folder / "claims" / instance
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def note(self, claim: Claim) -> None:
        """Write it down. On a full disk it is not: then it is known while this process runs."""
        path, said = self._place(claim)
        with contextlib.suppress(OSError):
            path.write_text(said, encoding="utf-8")

    def settle(self, claim: Claim) -> None:
        """It was looked at. Idempotent."""
        with contextlib.suppress(OSError):
            self._place(claim)[0].unlink(missing_ok=True)

    def left(self) -> Iterator[Claim]:
        """Those of an earlier run; what cannot be read is removed.

        Raises:
            OSError: the folder cannot be read.
        """
        for path in sorted(self._folder.iterdir()):
            try:
                claim = Claim(**json.loads(path.read_text(encoding="utf-8")))
            except (ValueError, TypeError):
                path.unlink(missing_ok=True)
            else:
                yield claim

    def _place(self, claim: Claim) -> tuple[Path, str]:
        said = json.dumps(asdict(claim), sort_keys=True)
        return self._folder / hashlib.sha256(said.encode()).hexdigest()[:32], said
