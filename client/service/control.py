"""One instance per base folder, and how others speak to it: loopback TCP with a token, JSON lines both ways.

    -> {"token": "...", "do": "pause", "with": {"until": "2026-11-20T18:00:00+00:00"}}
    <- {"ok": true, "snapshot": {...}}            or {"ok": false, "error": "...", "text": "...", "doing": "..."}
    -> {"token": "...", "do": "watch"}            then one snapshot a line until the connection closes
    -> {"token": "...", "do": "vm exec", ...}     see client.service.vm_desk
    -> {"token": "...", "do": "images list", ...} see client.service.images_desk
    -> {"token": "...", "do": "own create", ...}  see client.service.own_desk

Loopback TCP because Windows' asyncio has no Unix sockets; the token is in a file that only the user can read.
"""

import asyncio
import contextlib
import hmac
import json
import secrets
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from filelock import FileLock, Timeout

from client.board import Board
from client.commands import Command, Finish, Pause, PauseEnd, PowerOff, Quit, Reset, Resume, Start, Stop, WhatOfWork
from client.errors import AlreadyRunning, BadInput, NotRunning
from client.log import logger
from client.paths import Paths, write_atomic
from client.service.images_desk import ImagesDesk
from client.service.own_desk import OwnDesk
from client.service.vm_desk import VmDesk
from client.snapshot import Activity, ClientSnapshot, VmKind, VmState

LINE_LIMIT: Final = 65536
TIMEOUT_S: Final = 10.0
#: commands that need something that runs
MEANINGLESS_AT_REST: Final = frozenset({"pause", "resume", "finish"})
#: commands that a machine that is about to end does not obey any more
BOUND_TO_A_RUN: Final = frozenset({"pause", "resume", "reset"})
COMMANDS: Final = ("status", "start", "pause", "resume", "finish", "stop", "quit")


class InstanceLock:
    """Held for the life of the program; the system lets go of it when the program is killed."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._lock = FileLock(paths.lock, timeout=0)

    def __enter__(self) -> "InstanceLock":
        self._paths.make()
        try:
            self._lock.acquire()
        except Timeout as error:
            raise AlreadyRunning(str(self._paths.base)) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _parse_moment(text: str) -> datetime:
    """ValueError for a time without a zone: it could not be compared with the clock."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)


def parse_command(word: str, given: dict[str, Any]) -> Command:
    """The command that a face asked for by name.

    Raises:
        BadInput: no such command, or its arguments do not fit.
    """
    plain: dict[str, Command] = {
        "start": Start(),
        "resume": Resume(),
        "stop": Stop(),
        "reset": Reset(),
        "poweroff": PowerOff(),
    }
    if word in plain:
        return plain[word]
    try:
        match word:
            case "pause":
                until = given.get("until")
                return Pause(_parse_moment(until) if until else None, PauseEnd(given.get("end", "")))
            case "finish":
                return Finish(bool(given.get("undo", False)))
            case "quit":
                return Quit(WhatOfWork(given.get("work", "save")))
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise BadInput(word, str(error), "see main.py ctl --help") from error
    raise BadInput("command", f"there is no command {word!r}", f"known are {', '.join(COMMANDS)}")


class ControlServer:
    """Answers on loopback while the program runs."""

    def __init__(
        self,
        paths: Paths,
        board: Board,
        handle: Callable[[Command], Awaitable[None]],
        show: Callable[[], bool],
        desk: VmDesk | None = None,
        images: ImagesDesk | None = None,
        own: OwnDesk | None = None,
    ) -> None:
        """Build it; nothing is opened.

        Args:
            show: brings this instance's window to the front; False if it has none.
            desk: answers what is asked of a guest.
            images: answers what is asked of the appliances.
            own: answers what is asked of the volunteer's own VMs.
        """
        self._paths = paths
        self._board = board
        self._handle = handle
        self._show = show
        self._desk = desk
        self._images = images
        self._own = own
        self._token = secrets.token_urlsafe(24)
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen on a free port and leave port and token for others of the same user."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=LINE_LIMIT)
        port = self._server.sockets[0].getsockname()[1]
        write_atomic(self._paths.control, json.dumps({"port": port, "token": self._token}).encode())

    async def close(self) -> None:
        """Stop listening; connections end."""
        self._paths.control.unlink(missing_ok=True)
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while line := await reader.readline():
                await self._answer(line, reader, writer)
        except (OSError, ValueError, asyncio.CancelledError):
            logger("control").debug("A control connection ended")
        finally:
            writer.close()

    async def _answer(self, line: bytes, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            said = json.loads(line)
            allowed = hmac.compare_digest(str(said["token"]).encode(), self._token.encode())
            word, given = str(said["do"]), said.get("with") or {}
        except (ValueError, KeyError, TypeError):
            allowed, word, given = False, "", {}
        if not allowed:
            await _write(writer, {"ok": False, "error": "refused", "text": "That is not this instance's token."})
            return
        if word == "watch":
            await self._watch(writer)
            return
        if word.startswith("vm ") and self._desk is not None:
            await self._desk.answer(word, given, reader, lambda said: _write(writer, said))
            return
        if word.startswith("images ") and self._images is not None:
            await self._images.answer(word, given, lambda said: _write(writer, said))
            return
        if word.startswith("own ") and self._own is not None:
            await self._own.answer(word, given, reader, lambda said: _write(writer, said))
            return
        await self._obey(word, given, writer)

    async def _obey(self, word: str, given: dict[str, Any], writer: StreamWriter) -> None:
        try:
            if word == "show":
                await _write(writer, {"ok": self._show(), "error": "no-window", "text": "This instance has no window."})
                return
            if self._is_meaningless(word):
                text = f"Nothing runs, so there is nothing to {word}."
                await _write(writer, {"ok": False, "error": "nothing-runs", "text": text, "doing": "Start first."})
                return
            if word in BOUND_TO_A_RUN and self._board.facts.activity is Activity.STOPPING:
                text = f"It is being stopped already, so this was not done: {word}."
                await _write(writer, {"ok": False, "error": "stopping", "text": text, "doing": "Start it again first."})
                return
            note = self._note_on(word)
            if word != "status":
                await self._handle(parse_command(word, given))
        except BadInput as error:
            await _write(writer, {"ok": False, "error": error.code, "text": error.what, "doing": error.remedy})
            return
        await _write(writer, {"ok": True, "note": note, "snapshot": self._board.snapshot().to_json()})

    def _note_on(self, word: str) -> str:
        """What a power-off finds that does not run; empty for all else."""
        facts = self._board.facts
        if word != "poweroff" or facts.activity is not Activity.STOPPED:
            return ""
        saved = any(vm.state is VmState.SAVED for vm in facts.vms if vm.kind is VmKind.PROJECT)
        return "Throwing its saved state away; it is off then." if saved else "It is off already."

    def _is_meaningless(self, word: str) -> bool:
        if word == "reset":
            ours = (vm for vm in self._board.facts.vms if vm.kind is VmKind.PROJECT)
            return not any(vm.state in {VmState.STARTING, VmState.RUNNING} for vm in ours)
        return word in MEANINGLESS_AT_REST and self._board.facts.activity is Activity.STOPPED

    async def _watch(self, writer: StreamWriter) -> None:
        fresh: asyncio.Queue[ClientSnapshot] = asyncio.Queue(1)

        def take(snapshot: ClientSnapshot) -> None:
            with contextlib.suppress(asyncio.QueueEmpty):
                fresh.get_nowait()
            fresh.put_nowait(snapshot)

        end = self._board.subscribe(take)
        try:
            while True:
                await _write(writer, (await fresh.get()).to_json())
        finally:
            end()


async def _write(writer: StreamWriter, said: dict[str, Any]) -> None:
    writer.write(json.dumps(said).encode() + b"\n")
    await writer.drain()


async def ask(paths: Paths, word: str, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask the running instance; its reply.

    Raises:
        NotRunning: none answers.
    """
    async for reply in _lines(paths, word, given or {}):
        return reply
    raise NotRunning(str(paths.base))


async def watch(paths: Paths) -> AsyncIterator[dict[str, Any]]:
    """Snapshots of the running instance, as plain data, until it ends.

    Raises:
        NotRunning: none answers.
    """
    async for said in _lines(paths, "watch", {}):
        yield said


async def converse(paths: Paths, word: str, given: dict[str, Any]) -> tuple[StreamReader, StreamWriter]:
    """A connection on which the running instance was asked something; the caller reads, writes and closes.

    Raises:
        NotRunning: none answers.
        BadInput: it is too long to be asked.
    """
    if len(json.dumps(given)) > LINE_LIMIT - 1024:
        raise BadInput(word, "that is too long for one request", "write it into a file, and put that")
    try:
        place = json.loads(paths.control.read_text(encoding="utf-8"))
        said = {"token": place["token"], "do": word, "with": given}
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(place["port"]), limit=8 * 2**20)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotRunning(str(paths.base)) from error
    await _write(writer, said)
    return reader, writer


async def _lines(paths: Paths, word: str, given: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    reader, writer = await converse(paths, word, given)
    try:
        while line := await _line(reader, TIMEOUT_S if word != "watch" else None):
            yield json.loads(line)
    finally:
        writer.close()


async def _line(reader: asyncio.StreamReader, timeout_s: float | None) -> bytes:
    async with asyncio.timeout(timeout_s):
        return await reader.readline()
