"""The instance's end of `main.py vm`: commands, files and messages of a guest, over the control socket.

    -> {"token": "...", "do": "vm exec", "with": {"vm": "work-1", "argv": ["ls"], "input": true}}
    <- {"ok": true, "id": "..."}                 then, as they come:
    <- {"note": "..."}, {"stdout": base64}, {"stderr": base64}, {"progress": [done, total]}, {"text": "..."}
    -> {"stdin": base64}, {"end": true}           at most MOST_UNTAKEN before they are confirmed: {"took": true}
    -> {"kill": true}
    <- {"done": {...}}                           or {"ok": false, "error": "...", "text": "...", "doing": "..."}

A connection that ends before `done`: a command goes on and its result is kept; a file's copying is given up.
"""

import asyncio
import base64
import contextlib
import json
import shlex
from asyncio import StreamReader
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Protocol

from client.board import Board
from client.errors import BadInput, ClientError
from client.guest.commands import Command, Order
from client.guest.errands import Errands
from client.guest.errors import NoSuchErrand
from client.guest.ledger import STREAMS, Entry
from client.hypervisor.errors import NoSuchVm
from client.log import logger
from client.own_vm import PROJECTS_NAME
from client.service.errors import GuestNotReady
from client.service.refusal import Send, refusals_told
from client.snapshot import Activity, VmState, VmView

#: longest part of an input that one line may carry, in base64
_INPUT_LIMIT: Final = 48 * 1024
#: pieces of input that an asker may send ahead
MOST_UNTAKEN: Final = 4
_PROGRESS_INTERVAL_S: Final = 0.2
_LOOK_INTERVAL_S: Final = 0.5
_CONSOLE_BYTES: Final = 64 * 1024
_DOWN: Final = frozenset({VmState.ABSENT, VmState.DEFINED, VmState.SAVED, VmState.FAILED})
_WAITS: Final = {
    VmState.PAUSED: "{vm} is paused; this is done as soon as it goes on.",
    VmState.SAVING: "{vm} is being saved; this is done as soon as it goes on.",
    VmState.SAVED: "{vm} is saved; this is done as soon as it goes on.",
}


class Machine(Protocol):
    """One VM, as the core keeps it."""

    @property
    def errands(self) -> Errands | None:
        """Of its guest; None: no agent is in it."""

    async def console(self, limit_bytes: int) -> str:
        """The end of what the guest printed."""


class VmDesk:
    """Answers words that begin with `vm `."""

    def __init__(self, board: Board, machine: Callable[[str], Machine | None]) -> None:
        """Args: machine: a VM by its id; None when there is no such VM now."""
        self._board = board
        self._machine = machine

    async def answer(self, word: str, given: dict[str, Any], reader: StreamReader, send: Send) -> None:
        """Answer one word on its own connection."""
        async with refusals_told(send):
            await self._answer(word.removeprefix("vm "), given, reader, send)

    async def _answer(self, word: str, given: dict[str, Any], reader: StreamReader, send: Send) -> None:
        vm_id = str(given.get("vm") or PROJECTS_NAME)
        machine = self._machine(vm_id)
        if machine is None:
            raise self._absent(vm_id)
        if word == "console":
            await _console(machine, bool(given.get("follow")), reader, send)
            return
        errands = machine.errands
        if errands is None:
            what = "it is your own virtual machine, and none of this program's helpers is in it to do that"
            raise BadInput(vm_id, what, "use its console, or log in to it over its network")
        await self._answer_by_guest(word, errands, vm_id, given, reader, send)

    async def _answer_by_guest(
        self, word: str, errands: Errands, vm_id: str, given: dict[str, Any], reader: StreamReader, send: Send
    ) -> None:
        try:
            match word:
                case "exec":
                    await self._exec(errands, vm_id, given, reader, send)
                case "results":
                    await _results(errands, send)
                case "result":
                    await _result(errands, str(given.get("id", "")), send)
                case "put" | "get":
                    await self._copy(word, errands, vm_id, given, reader, send)
                case "send":
                    errands.mailbox.send(str(given["topic"]), str(given["text"]))
                    await self._note_kept(vm_id, send)
                    await send({"done": {}})
                case "messages":
                    await _messages(errands, int(given.get("after", 0)), bool(given.get("follow")), reader, send)
                case _:
                    raise BadInput("command", f"there is no vm {word}", "see main.py vm --help")
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"vm {word}", f"its arguments do not fit ({error})", "see main.py vm --help") from error

    async def _exec(
        self, errands: Errands, vm_id: str, given: dict[str, Any], reader: StreamReader, send: Send
    ) -> None:
        order = Order(
            argv=tuple(str(one) for one in given["argv"]),
            root=bool(given.get("root")),
            cwd=str(given.get("cwd") or "/"),
            time_limit_s=float(given.get("timeout_s") or 0),
            memory_limit_mib=int(given.get("memory_mib") or 0),
            has_input=bool(given.get("input")),
        )
        self._see_ready(vm_id)
        command = errands.commands.run(order)
        hearing = asyncio.create_task(_hear(command, reader, send))
        noting = asyncio.create_task(self._note_waits(vm_id, errands, send))
        try:
            await send({"ok": True, "id": command.exec_id})
            await _pass_on(command, hearing, send)
        finally:
            command.let_go()
            for task in (hearing, noting):
                task.cancel()
            await asyncio.gather(hearing, noting, return_exceptions=True)

    async def _copy(
        self, word: str, errands: Errands, vm_id: str, given: dict[str, Any], reader: StreamReader, send: Send
    ) -> None:
        self._see_ready(vm_id)
        local, path = Path(str(given["local"])), str(given["path"])
        news: dict[str, Any] = {}

        def begin(transfer_id: str) -> None:
            news.update(ok=True, id=transfer_id)

        def show(done: int, total: int) -> None:
            news["progress"] = [done, total]

        files, replace = errands.files, bool(given.get("force"))
        moving = asyncio.create_task(
            files.put(local, path, show, on_begin=begin)
            if word == "put"
            else files.get(path, local, show, replace=replace, on_begin=begin)
        )
        hanging_up = asyncio.create_task(reader.read(1))
        noting = asyncio.create_task(self._note_waits(vm_id, errands, send))
        try:
            while not moving.done() and not hanging_up.done():
                await asyncio.wait([moving, hanging_up], timeout=_PROGRESS_INTERVAL_S)
                # The last word again and again: the asker shows none before it has taken a while.
                if news:
                    await send(news)
            if moving.done():
                await send({"done": asdict(moving.result())})
        finally:
            for task in (moving, hanging_up, noting):
                task.cancel()
            await asyncio.gather(moving, hanging_up, noting, return_exceptions=True)

    # -- whether the guest can do it now

    def _view(self, vm_id: str) -> VmView | None:
        return next((vm for vm in self._board.facts.vms if vm.vm_id == vm_id), None)

    def _absent(self, vm_id: str) -> ClientError:
        if vm_id == PROJECTS_NAME:
            return GuestNotReady(vm_id, "not ready yet")
        return BadInput(vm_id, "there is no such virtual machine", "main.py vm list shows them")

    def _see_ready(self, vm_id: str) -> None:
        """Refuse what nothing would ever do; what only has to wait is taken."""
        view = self._view(vm_id)
        state = view.state if view is not None else VmState.ABSENT
        activity = self._board.facts.activity
        if state is VmState.SAVING and activity is Activity.STOPPING:
            raise GuestNotReady(vm_id, "being saved")
        if activity is Activity.STOPPING:
            raise GuestNotReady(vm_id, "being stopped")
        if state in _DOWN and activity in {Activity.STOPPED, Activity.BLOCKED}:
            raise GuestNotReady(vm_id, "saved" if state is VmState.SAVED else "off")

    async def _note_kept(self, vm_id: str, send: Send) -> None:
        view = self._view(vm_id)
        if view is None or view.state not in {VmState.STARTING, VmState.RUNNING}:
            await send({"note": f"{vm_id} does not run now; the message is kept until it does."})

    async def _note_waits(self, vm_id: str, errands: Errands, send: Send) -> None:
        """Say why nothing happens, once for each reason, until the guest speaks and runs."""
        told, starting = "", ""
        while True:
            view = self._view(vm_id)
            state = view.state if view is not None else VmState.ABSENT
            why = _WAITS.get(state, "" if errands.boot else starting)
            # Not at the first look: a guest that is up may only just meet this client.
            starting = "{vm} is starting; this is done when it is up."
            if why and why != told:
                await send({"note": why.format(vm=vm_id)})
            told = why
            await asyncio.sleep(_LOOK_INTERVAL_S)


async def _hear(command: Command, reader: StreamReader, send: Send) -> None:
    """What the asker gives to a command; returns when they hang up."""
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue(MOST_UNTAKEN)
    feeding = asyncio.create_task(_feed(command, pieces, send))
    try:
        while line := await reader.readline():
            said = json.loads(line)
            if said.get("kill"):
                command.kill()
            elif said.get("end"):
                pieces.put_nowait(None)
            elif len(text := str(said.get("stdin", ""))) <= _INPUT_LIMIT:
                pieces.put_nowait(base64.b64decode(text))
    except (ValueError, AttributeError, asyncio.QueueFull) as error:
        # An asker that does not keep to the rules is heard no more.
        logger("control").debug("A command's input broke off: %r", error)
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)


async def _feed(command: Command, pieces: "asyncio.Queue[bytes | None]", send: Send) -> None:
    while (piece := await pieces.get()) is not None:
        await command.write(piece)
        await send({"took": True})
    await command.end_input()


async def _pass_on(command: Command, hearing: "asyncio.Task[None]", send: Send) -> None:
    while True:
        reading = asyncio.ensure_future(command.read())
        try:
            await asyncio.wait([reading, hearing], return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                return
        finally:
            if not reading.done():
                reading.cancel()
        piece = reading.result()
        if piece is None:
            ended = command.ended
            await send({"done": {**asdict(ended), "status": ended.status} if ended else {}})
            return
        await send({piece[0]: base64.b64encode(piece[1]).decode()})


async def _result(errands: Errands, errand_id: str, send: Send) -> None:
    entry = errands.ledger.result(errand_id)
    if entry is None:
        raise NoSuchErrand(errand_id)
    await send({"ok": True, "id": errand_id})
    if entry.outcome is None:
        await send({"note": "It has not ended yet."})
    if entry.kind != "exec":
        await _copy_result(entry, send)
        return
    await _send_kept(errands, entry, send)
    if entry.marks.get("cut"):
        await send({"note": "It said more than is kept; this is the beginning."})
    await send({"done": {**(entry.outcome or {}), "status": _status_of(entry)}})


async def _copy_result(entry: Entry, send: Send) -> None:
    outcome = entry.outcome
    if outcome is not None:
        await send({"note": outcome["text"] if "text" in outcome else f"{_words_of(entry)}: it has arrived whole."})
    await send({"done": {"status": 0 if outcome is not None and "text" not in outcome else 125}})


async def _results(errands: Errands, send: Send) -> None:
    for entry in errands.ledger.entries():
        how = "open" if entry.outcome is None else str(_status_of(entry))
        await send({"text": f"{entry.errand_id}  {entry.asked_at:%Y-%m-%d %H:%M}Z  {how:4}  {_words_of(entry)}\n"})
    await send({"done": {}})


def _words_of(entry: Entry) -> str:
    wants = entry.wants
    if entry.kind == "exec":
        return shlex.join(str(one) for one in wants.get("argv", ()))[:120]
    places = [str(wants.get("local")), str(wants.get("path"))]
    return " ".join([entry.kind, *(places if entry.kind == "put" else reversed(places))])


async def _send_kept(errands: Errands, entry: Entry, send: Send) -> None:
    for stream in STREAMS:
        data = errands.ledger.output(entry, stream)
        for begin in range(0, len(data), _INPUT_LIMIT // 2):
            await send({stream: base64.b64encode(data[begin : begin + _INPUT_LIMIT // 2]).decode()})


def _status_of(entry: Entry) -> int:
    from client.guest.commands import Ended

    if entry.outcome is None:
        return 125
    if entry.kind != "exec":
        return 125 if "text" in entry.outcome else 0
    return Ended(**entry.outcome).status


async def _console(machine: Machine, follow: bool, reader: StreamReader, send: Send) -> None:
    shown = await _printed(machine)
    await send({"text": shown} if shown or follow else {"note": "It has printed nothing yet."})
    while follow and not await _hung_up(reader):
        now = await _printed(machine)
        if now != shown:
            await send({"text": new_part(shown, now)})
        shown = now
    await send({"done": {}})


async def _printed(machine: Machine) -> str:
    with contextlib.suppress(NoSuchVm):
        return await machine.console(_CONSOLE_BYTES)
    # It was not started yet, or is being made anew.
    return ""


def new_part(before: str, now: str) -> str:
    """What a console's end has beyond an earlier one; all of it when it was cut in between."""
    if now.startswith(before):
        return now[len(before) :]
    # The beginning was cut off as more was printed: the last of the old text must be somewhere in the new one.
    anchor = before[-400:]
    place = now.rfind(anchor) if anchor else -1
    return now[place + len(anchor) :] if place >= 0 else now


async def _messages(errands: Errands, after: int, follow: bool, reader: StreamReader, send: Send) -> None:
    while True:
        for letter in errands.mailbox.inbox(after):
            after = letter.number
            await send({"message": asdict(letter)})
        if not follow or await _hung_up(reader):
            break
    await send({"done": {}})


async def _hung_up(reader: StreamReader) -> bool:
    """Wait for a moment; whether the asker went away meanwhile."""
    try:
        async with asyncio.timeout(_LOOK_INTERVAL_S):
            return not await reader.read(1)
    except TimeoutError:
        return False
