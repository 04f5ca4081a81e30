"""The instance's end of `main.py vm create` and of what is asked of own VMs, over the control socket.

    -> {"token": "...", "do": "own create", "with": {"name": "...", "image": "...", ...}}
    <- {"progress": {"step": "...", "done_bytes": 0, "total_bytes": 0}}       while its image is taken in
    <- {"ok": true, "vm": {...}, "waits": "why it does not run soon, or nothing", "notes": ["..."]}
                                                 or {"ok": false, "error": "...", "text": "...", "doing": "..."}
    -> {"token": "...", "do": "own order", "with": {"vm": "...", "verb": "remove"}}     <- as the last one

A connection that ends before the answer to `create`: it is given up, and nothing of it stays.
"""

import asyncio
from asyncio import StreamReader
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from client.board import Board
from client.commands import CreateVm, OrderVm, VmVerb
from client.errors import BadInput
from client.own_vm import OwnVm
from client.own_vms import OwnVms
from client.service.refusal import Send, refusals_told

_HELP: Final = "see main.py vm --help"


class OwnDesk:
    """Answers words that begin with `own `."""

    def __init__(self, board: Board, own: OwnVms) -> None:
        self._board = board
        self._own = own

    async def answer(self, word: str, given: dict[str, Any], reader: StreamReader, send: Send) -> None:
        """Answer one word."""
        async with refusals_told(send):
            await self._answer(word.removeprefix("own "), given, reader, send)

    async def _answer(self, word: str, given: dict[str, Any], reader: StreamReader, send: Send) -> None:
        match word:
            case "create":
                await self._create(parse_create(given), reader, send)
            case "order":
                wanted = parse_order(given)
                vm = self._own.order(wanted)
                await send(self._taken(vm, runs=wanted.verb in {VmVerb.START, VmVerb.RESUME}))
            case _:
                raise BadInput("command", f"there is no own {word}", _HELP)

    async def _create(self, wanted: CreateVm, reader: StreamReader, send: Send) -> None:
        news: deque[Mapping[str, Any]] = deque(maxlen=1)
        is_news = asyncio.Event()

        def hear(said: Mapping[str, Any]) -> None:
            news.append(said)
            is_news.set()

        making = asyncio.create_task(self._own.create(wanted, hear))
        hanging_up = asyncio.create_task(reader.read(1))
        telling = asyncio.create_task(_tell(news, is_news, send))
        try:
            await asyncio.wait((making, hanging_up), return_when=asyncio.FIRST_COMPLETED)
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            if making.cancelled():
                raise BadInput(wanted.name, "it was removed while it was being made", "make it again if you want it")
            if making.done():
                await send(self._taken(making.result(), runs=wanted.starts))
        finally:
            for task in (making, hanging_up, telling):
                task.cancel()
            await asyncio.gather(making, hanging_up, telling, return_exceptions=True)

    def _taken(self, vm: OwnVm | None, *, runs: bool) -> dict[str, Any]:
        if vm is None:
            return {"ok": True, "vm": None, "waits": "", "notes": []}
        obstacle = self._own.obstacle(vm) if runs else None
        notes = [f"{one.text} {one.doing}" for one in self._board.problems if one.about == vm.image_name]
        return {"ok": True, "vm": self._view(vm.vm_id), "waits": obstacle.text if obstacle else "", "notes": notes}

    def _view(self, vm_id: str) -> dict[str, Any] | None:
        vms: list[dict[str, Any]] = self._board.snapshot().to_json()["vms"]
        return next((vm for vm in vms if vm["vm_id"] == vm_id), None)


async def _tell(news: deque[Mapping[str, Any]], is_news: asyncio.Event, send: Send) -> None:
    """Send the last of the news whenever there is some; an asker who reads slowly misses the others."""
    while True:
        await is_news.wait()
        is_news.clear()
        if said := news.pop():
            await send({"progress": dict(said)})


def parse_create(given: dict[str, Any]) -> CreateVm:
    """What is to be made.

    Raises:
        BadInput: the arguments do not fit.
    """
    try:
        values = given.get("values") or {}
        if not isinstance(values, dict) or not all(isinstance(value, str | int | bool) for value in values.values()):
            raise TypeError("values")
        return CreateVm(
            name=str(given["name"]),
            image=str(given["image"]),
            template=str(given.get("template") or ""),
            values={str(name): value for name, value in values.items()},
            cpus=int(given.get("cpus") or 0),
            memory_mib=int(given.get("memory_mib") or 0),
            disk_gib=int(given.get("disk_gib") or 0),
            network=str(given.get("network") or "none"),
            starts=given.get("starts") is True,
        )
    except (KeyError, TypeError, ValueError) as error:
        # Not what was given: it may be a secret.
        raise BadInput("vm create", f"its arguments do not fit ({type(error).__name__})", _HELP) from error


def parse_order(given: dict[str, Any]) -> OrderVm:
    """What is to be done with one.

    Raises:
        BadInput: the arguments do not fit.
    """
    try:
        return OrderVm(str(given["vm"]), VmVerb(given["verb"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput("vm", f"its arguments do not fit ({error})", _HELP) from error
