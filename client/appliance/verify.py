"""Is a file on disk the one that the manifest names? Its bytes are hashed, every time."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from client.appliance.errors import ApplianceAltered, ApplianceMissing, ApplianceTruncated

CHUNK_BYTES = 1 << 20


def verify_file(path: Path, size_bytes: int, sha256: str, seen: Callable[[int], None] = lambda _: None) -> None:
    """Check length and digest. Blocks; call it in a thread.

    Args:
        sha256: lower-case hex.
        seen: called with the number of bytes of each piece hashed.

    Raises:
        ApplianceMissing, ApplianceTruncated, ApplianceAltered
    """
    try:
        found_bytes = path.stat().st_size
        if found_bytes != size_bytes:
            raise ApplianceTruncated(str(path), size_bytes, found_bytes)
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                seen(len(chunk))
    except FileNotFoundError as error:
        raise ApplianceMissing(str(path)) from error
    if digest.hexdigest() != sha256:
        raise ApplianceAltered(str(path), sha256, digest.hexdigest())
