"""Processes that are busy, in place of virtual machines, and what the system says of them."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from client import process
from client.process import Identity

#: as many threads as processors a guest would have; each is a process of its own to Python's lock, one to the system
LOOP = "while True: pass"


@contextlib.contextmanager
def busy(count: int = 1, program: str = LOOP) -> Iterator[tuple[Identity, ...]]:
    """So many processes, each of which takes a whole processor if it gets one."""
    children = [subprocess.Popen([sys.executable, "-S", "-c", program], start_new_session=True) for _ in range(count)]
    try:
        yield tuple(who for child in children if (who := process.identity(child.pid)))
    finally:
        for child in children:
            child.kill()
            child.wait()


def state_of(who: Identity) -> str:
    """Its state as the system writes it (R, S, T, ...); empty when it has gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{who.pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def executed_s(*processes: Identity) -> float:
    """CPU seconds of all of them, to the nanosecond."""
    return sum(time.clock_gettime((~who.pid << 3) | 2) for who in processes)


async def percent_of(seconds: float, *processes: Identity) -> float:
    """Of one processor, all together, over the next seconds."""
    began, before = time.monotonic(), executed_s(*processes)
    await asyncio.sleep(seconds)
    return 100 * (executed_s(*processes) - before) / (time.monotonic() - began)


async def never_stopped(seconds: float, *processes: Identity) -> bool:
    """Whether none of them is found stopped by a signal over the next seconds."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if any(state_of(who) == "T" for who in processes):
            return False
        await asyncio.sleep(0.005)
    return True
