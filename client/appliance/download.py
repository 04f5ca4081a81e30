"""A small file over HTTP, read whole: a manifest whose hash is known and whose length is not."""

from typing import Final

from client import web
from client.appliance.errors import DownloadFailed
from client.appliance.fault import cause_of

#: a server that sends nothing for so long is given up
STALL_S: Final = 30.0


def fetch_small(url: str, limit_bytes: int) -> bytes:
    """A small file's bytes. Blocks.

    Raises:
        DownloadFailed: no answer, or more than `limit_bytes`.
    """
    try:
        with web.request(url, timeout_s=STALL_S) as reply:
            if reply.status != 200:
                raise DownloadFailed(url, f"status {reply.status}")
            content = reply.read_at_most(limit_bytes + 1)
    except OSError as error:
        raise DownloadFailed(url, cause_of(error)) from error
    if len(content) > limit_bytes:
        raise DownloadFailed(url, f"more than {limit_bytes} bytes")
    return content
