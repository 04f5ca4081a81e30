"""Coroutines that belong together: the first that ends, however, ends the others."""

import asyncio
from collections.abc import Coroutine


async def together(*parts: Coroutine[None, None, None]) -> None:
    """Run them side by side until one of them returns or fails; the others are cancelled first.

    Raises:
        whatever that one raises: itself, not within a group, so that callers can tell what they expect.
    """
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
