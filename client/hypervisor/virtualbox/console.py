"""What the guest printed on its console: the end of a file that VirtualBox writes for the first UART."""

from pathlib import Path


def tail(path: Path, limit_bytes: int) -> str:
    """The end of what the guest printed; empty when there is nothing."""
    if limit_bytes <= 0:
        return ""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - limit_bytes))
            # A file that was emptied while VirtualBox wrote has a hole at its beginning.
            return file.read(limit_bytes).lstrip(b"\0").decode(errors="replace")
    except OSError:
        return ""
