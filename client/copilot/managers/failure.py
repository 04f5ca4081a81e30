"""What managers write into their log of a disk or a queue that fails."""

import errno

from client.copilot.queue.errors import QueueUnusable

#: What SQLite says of a full disk.
_FULL = "disk is full"


def said_of(error: Exception) -> str:
    """One sentence, without its full stop."""
    if isinstance(error, QueueUnusable):
        if _FULL in error.said:
            return f"there is no space left on the disk of the queue {error.path}"
        return f"the queue {error.path} cannot be used: {error.said}"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "there is no space left on the disk"
    return str(error)
