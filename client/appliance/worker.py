"""Work that needs much memory or long waits, each piece in a process of its own (`main.py worker KIND`).

The order goes to the process as a line of JSON, later lines steer it; it answers with lines of progress and of the
log and, last, a result or an error. It ends when its input ends, so none is left behind by a client that was killed.
"""

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import client
from client import process
from client.appliance.errors import WorkerFailed
from client.appliance.worker_words import GRACE_S, error_from
from client.log import AREAS, logger

#: a result may be a whole catalogue, with the hashes of all pieces of all files
MOST_LINE_BYTES: Final = 64 * 2**20

OnProgress = Callable[[Mapping[str, Any]], None]


def worker_command() -> tuple[str, ...]:
    """The program and its first arguments; the kind of work follows. From a bundle: the bundle itself."""
    if getattr(sys, "frozen", False):
        return (sys.executable, "worker")
    return (sys.executable, str(Path(client.__file__).resolve().parent.parent / "main.py"), "worker")


class Steering:
    """What can be asked of a worker at any time, before it begins or while it works; the last word counts."""

    def __init__(self) -> None:
        self._words: dict[str, Any] = {}
        self._changed = asyncio.Event()

    def limit(self, bytes_per_s: int | None) -> None:
        """How much it may fetch a second; None: as much as there is."""
        self._put("limit_bytes_per_s", bytes_per_s)

    def room(self, most_bytes: int) -> None:
        """How much it may take of the disk, if it keeps a cache."""
        self._put("room_bytes", most_bytes)

    def hold(self) -> None:
        """Rest until `go_on`."""
        self._put("hold", True)

    def go_on(self) -> None:
        """Undo `hold`."""
        self._put("hold", False)

    @property
    def words(self) -> Mapping[str, Any]:
        """All that was asked so far."""
        return dict(self._words)

    async def changes(self) -> Mapping[str, Any]:
        """All that was asked, as soon as there is something new. For one worker at a time."""
        await self._changed.wait()
        self._changed.clear()
        return dict(self._words)

    def _put(self, key: str, value: Any) -> None:
        self._words[key] = value
        self._changed.set()


async def run_worker(
    kind: str,
    order: Mapping[str, Any],
    *,
    on_progress: OnProgress = lambda said: None,
    steer: Steering | None = None,
    command: Sequence[str] | None = None,
) -> Mapping[str, Any]:
    """Have a process do one piece of work. Cancelling it ends the process.

    Args:
        kind: a name of `worker_child.KINDS`.
        order: what to do; plain JSON.
        on_progress: called with what the worker tells, at most five times a second.
        command: program and first arguments, if not this program's own.

    Returns:
        The result, as that kind of work defines it.

    Raises:
        ClientError: the same that the work raised in its process.
        WorkerFailed: the process ended without a result.
    """
    dialogue = await process.talk((*(command or worker_command()), kind), most_line_bytes=MOST_LINE_BYTES)
    last: Mapping[str, Any] = {}
    steering: asyncio.Task[None] | None = None
    try:
        await dialogue.say(_line(order))
        steering = asyncio.create_task(_steer(dialogue, steer or Steering()))
        async for said in _answers(dialogue):
            if "progress" in said:
                on_progress(said["progress"])
            elif "log" in said:
                _log(said["log"])
            else:
                last = said
    finally:
        try:
            if steering is not None:
                steering.cancel()
                await asyncio.gather(steering, return_exceptions=True)
            await dialogue.say(_line({"stop": True}))
        finally:
            exit_code = await dialogue.end(GRACE_S)
    return _outcome(kind, last, exit_code, dialogue.last_words)


async def _answers(dialogue: process.Dialogue) -> AsyncIterator[dict[str, Any]]:
    with contextlib.suppress(ValueError):  # a line that is too long, or no JSON: what follows cannot be trusted either
        async for line in dialogue.lines():
            said = json.loads(line)
            if isinstance(said, dict):
                yield said


async def _steer(dialogue: process.Dialogue, steer: Steering) -> None:
    # What an earlier worker was told holds for this one as well.
    await dialogue.say(_line(steer.words))
    while True:
        await dialogue.say(_line(await steer.changes()))


def _log(said: Mapping[str, Any]) -> None:
    """What it would write into the log, if it had one."""
    level = logging.getLevelNamesMapping().get(str(said.get("level")).upper(), logging.INFO)
    area = said.get("area")
    logger(area if area in AREAS else "appliance").log(level, "%s", said.get("text"))


def _outcome(kind: str, last: Mapping[str, Any], exit_code: int, last_words: str) -> Mapping[str, Any]:
    if isinstance(last.get("error"), dict):
        raise error_from(last["error"], kind)
    if isinstance(last.get("result"), dict):
        return dict(last["result"])
    if last_words:
        logger("appliance").error("Worker %s: %s", kind, last_words)
    raise WorkerFailed(kind, last_words.rpartition("\n")[2] or f"exit code {exit_code}")


def _line(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said).encode()
