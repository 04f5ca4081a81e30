"""The catalogue that this program brings along, for project files that name an appliance and no catalogue of their own.

<resources>/catalogue/catalogue.toml   [catalogue] url (its folder), root_sha256 (of its first root)
<resources>/catalogue/root.json        the root that trust begins with; without it the first one is fetched and compared

Whoever releases the program puts them there: docs/catalogue.md.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from client.errors import BadInput

FOLDER: Final = Path(__file__).resolve().parents[2] / "resources" / "catalogue"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ShippedCatalogue:
    """A catalogue: its folder's address with its slash, and where trust in it begins; root: a file, None: by hash."""

    url: str
    root_sha256: str
    root: Path | None


def shipped_catalogue(folder: Path = FOLDER) -> ShippedCatalogue | None:
    """The catalogue that came with the program; None if there is none.

    Raises:
        BadInput: it is damaged.
    """
    path, root = folder / "catalogue.toml", folder / "root.json"
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))["catalogue"]
        url, sha256 = str(said["url"]), str(said["root_sha256"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(str(path), f"it cannot be read ({error})", "install this program again") from error
    if not url.startswith("https://") or not _SHA256.fullmatch(sha256):
        raise BadInput(str(path), "it names no https address or no SHA-256 of a root", "install this program again")
    return ShippedCatalogue(url if url.endswith("/") else f"{url}/", sha256, root if root.is_file() else None)
