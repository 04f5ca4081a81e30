"""Where a catalogue is, and where trust in it begins."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

from client import filenames

#: folders below a catalogue's address
METADATA: Final = "metadata/"
TARGETS: Final = "targets/"


@dataclass(frozen=True)
class Source:
    """A catalogue: its folder's address with its slash, and where trust in it begins; root: a file, None: by hash."""

    url: str
    root_sha256: str
    root: Path | None = None

    def order(self, appliances: Path) -> dict[str, Any]:
        """The order to bring it up to date. appliances: the folder of all that is kept."""
        return {
            "metadata_urls": [urljoin(self.url, METADATA)],
            "target_urls": [urljoin(self.url, TARGETS)],
            "folder": str(appliances / filenames.TRUST / self.root_sha256[:16]),
            "root_sha256": self.root_sha256,
            "root": str(self.root) if self.root else None,
        }
