"""How far the writing of a VM's state is: a save that makes progress is waited for, one that stands still is not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

#: how often it is looked whether a state has grown
LOOK_PAUSE_S: Final = 1.0
#: each step is a line on a terminal
_STEP_MB: Final = 100
_MB: Final = 1_000_000


def size_of(state: Path | None) -> int:
    """Bytes of a state that is being written; 0 where there is none yet."""
    with contextlib.suppress(OSError):
        return state.stat().st_size if state is not None else 0
    return 0


def note_of(written_bytes: int) -> str:
    """For the volunteer, in steps; empty at the beginning."""
    steps = written_bytes // (_STEP_MB * _MB)
    return f"Saving: {steps * _STEP_MB} MB are written so far." if steps else ""


@contextlib.asynccontextmanager
async def limit_of_stillness(limit_s: float, written: Callable[[], int]) -> AsyncIterator[None]:
    """A time limit that begins anew whenever more has been written.

    Args:
        written: bytes so far.

    Raises:
        TimeoutError: nothing was written for so long, and what is done is not done.
    """
    loop = asyncio.get_running_loop()

    async def watch() -> None:
        most = written()
        while True:
            await asyncio.sleep(LOOK_PAUSE_S)
            now = written()
            # One that has run out already cannot begin anew: what it limits is being broken off.
            if now > most and not limit.expired():
                most = now
                limit.reschedule(loop.time() + limit_s)

    async with asyncio.timeout(limit_s) as limit:
        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()
