"""Is a file on disk the one that the manifest names? Its bytes are hashed, every time."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from client.appliance.errors import ApplianceAltered, ApplianceMissing, ApplianceTruncated

CHUNK_BYTES = 1 << 18


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
        # One buffer for all of it: large ones that come and go make a process grow that lives for weeks.
        buffer = memoryview(bytearray(CHUNK_BYTES))
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                digest.update(buffer[:count])
                seen(count)
    except FileNotFoundError as error:
        raise ApplianceMissing(str(path)) from error
    if digest.hexdigest() != sha256:
        raise ApplianceAltered(str(path), sha256, digest.hexdigest())
