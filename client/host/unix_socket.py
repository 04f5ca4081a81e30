"""Connecting to a server of this computer by the name of its socket."""

import asyncio
import sys


async def connect(path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect.

    Raises:
        OSError: nobody listens there, or this system has no such sockets.
    """
    if sys.platform == "win32":
        raise OSError("this system has no such sockets")
    return await asyncio.open_unix_connection(path)
