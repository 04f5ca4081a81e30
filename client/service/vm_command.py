"""`main.py vm`: the virtual machine from the command line: its states, commands in it, files, messages, its console."""

import argparse
import asyncio
import base64
import contextlib
import json
import signal
import sys
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

from client.errors import BadInput
from client.paths import Paths, default_base
from client.service.control import ask, converse
from client.service.standard import Output, StandardInput
from client.service.vm_desk import MOST_UNTAKEN

DEFAULT_VM: Final = "work-1"
#: word -> (what the instance is asked, what is said when it was taken)
VERBS: Final = {
    "start": ("start", "Starting."),
    "pause": ("pause", "Pausing."),
    "resume": ("resume", "Going on."),
    "save": ("stop", "Saving the work and stopping."),
    "reset": ("reset", "Resetting it."),
    "poweroff": ("poweroff", "Powering it off; its state is not saved."),
}
HELP: Final = {
    "start": "let it run, or go on from its saved state",
    "pause": "hold it in memory",
    "resume": "let a held one go on",
    "save": "write its state to disk and end it",
    "reset": "as by the reset button: its guest boots afresh",
    "poweroff": "let its job save itself, then end it without saving its state",
}
_CHUNK_BYTES: Final = 16 * 1024
#: progress is shown for what takes longer
_SHOW_AFTER_S: Final = 1.0
LOST: Final = 125


def main(argv: list[str]) -> int:
    """Do one word; the exit code is 0, 1 when it was refused, or that of the command that was run.

    Raises:
        NotRunning: there is no instance.
        BadInput: a word that does not fit.
    """
    words, command = _split(argv)
    given = _parser().parse_args(words)
    paths = Paths(given.basedir)
    match given.word:
        case "list":
            return asyncio.run(_list(paths, given.json))
        case "exec":
            if not command:
                raise BadInput("vm exec", "no command was given", "write it after --, as in vm exec -- ls /")
            return asyncio.run(_Run(paths).run(_exec_of(given, command)))
        case "result":
            return asyncio.run(_Run(paths, "vm result").run({"id": given.id}))
        case "put" | "get":
            return asyncio.run(_Run(paths, f"vm {given.word}").run(_copy_of(given)))
        case "console":
            return asyncio.run(_Run(paths, "vm console").run({"vm": given.vm, "follow": given.follow}))
        case "send":
            return asyncio.run(_Run(paths, "vm send").run({"topic": given.topic, "text": given.text}))
        case "messages":
            return asyncio.run(_Run(paths, "vm messages").run({"after": given.after, "follow": given.follow}))
    return asyncio.run(_verb(paths, given.word, given.vm))


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    place = argv.index("--") if "--" in argv else len(argv)
    return argv[:place], argv[place + 1 :]


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--basedir", type=Path, default=default_base())
    parser = argparse.ArgumentParser(prog="main.py vm", description="Handle a virtual machine of a running instance.")
    words = parser.add_subparsers(dest="word", required=True, metavar="WORD")

    def word(name: str, told: str) -> argparse.ArgumentParser:
        return words.add_parser(name, help=told, description=told, parents=[shared])

    word("list", "show the virtual machines").add_argument("--json", action="store_true")
    for name in VERBS:
        word(name, HELP[name]).add_argument("vm", nargs="?", default=DEFAULT_VM)
    run = word("exec", "run a command in it: vm exec [VM] -- COMMAND ...")
    run.add_argument("vm", nargs="?", default=DEFAULT_VM)
    run.add_argument("--root", action="store_true", help="as the guest's root, with its network")
    run.add_argument("--timeout", type=float, default=0, metavar="S", help="end it after so many seconds")
    run.add_argument("--memory", type=int, default=0, metavar="MIB", help="most memory of each of its processes")
    run.add_argument("--cwd", default="/", help="the folder that it starts in")
    word("result", "how a command ended that nobody waited for").add_argument("id")
    for name, told, first, second in (
        ("put", "copy a file into it", "local", "path"),
        ("get", "copy a file out of it", "path", "local"),
    ):
        copy = word(name, told)
        copy.add_argument(first)
        copy.add_argument(second)
        copy.add_argument("--vm", default=DEFAULT_VM)
    console = word("console", "what it printed on its console")
    console.add_argument("vm", nargs="?", default=DEFAULT_VM)
    console.add_argument("--follow", action="store_true", help="go on until Ctrl-C")
    send = word("send", "send a message to programs in it")
    send.add_argument("topic")
    send.add_argument("text")
    messages = word("messages", "messages of programs in it, as JSON lines")
    messages.add_argument("--after", type=int, default=0, metavar="NUMBER")
    messages.add_argument("--follow", action="store_true", help="go on until Ctrl-C")
    return parser


def _exec_of(given: argparse.Namespace, command: list[str]) -> dict[str, Any]:
    if given.timeout < 0 or given.memory < 0:
        raise BadInput("vm exec", "a limit below zero makes no sense", "leave it out for no limit")
    return {
        "vm": given.vm,
        "argv": command,
        "root": given.root,
        "cwd": given.cwd,
        "timeout_s": given.timeout,
        "memory_mib": given.memory,
        "input": not sys.stdin.isatty(),
    }


def _copy_of(given: argparse.Namespace) -> dict[str, Any]:
    local, path = Path(given.local).absolute(), given.path
    if given.word == "put" and path.endswith("/"):
        path += local.name
    if given.word == "get" and local.is_dir():
        local /= PurePosixPath(path).name
    return {"vm": given.vm, "local": str(local), "path": path}


async def _list(paths: Paths, as_json: bool) -> int:
    reply = await ask(paths, "status")
    vms = reply["snapshot"]["vms"]
    if as_json:
        print(json.dumps(vms, indent=1))
        return 0
    for vm in vms:
        how = f"{vm['hypervisor']} {vm['accelerator']}".strip()
        print(f"{vm['vm_id']:12} {vm['state']:10} {how}")
    if not vms:
        print("There is no virtual machine yet; Start makes one.")
    return 0


async def _verb(paths: Paths, word: str, vm_id: str) -> int:
    if vm_id != DEFAULT_VM:
        raise BadInput(vm_id, "there is no such virtual machine", "main.py vm list shows them")
    asked, said = VERBS[word]
    reply = await ask(paths, asked)
    print(said if reply["ok"] else f"{reply['text']} {reply.get('doing', '')}", file=sys.stdout)
    return 0 if reply["ok"] else 1


class _Run:
    """One conversation with the instance: what comes is shown, what is typed is sent."""

    def __init__(self, paths: Paths, word: str = "vm exec") -> None:
        self._paths = paths
        self._word = word
        self._id = ""
        self._interrupted = False
        self._began = time.monotonic()
        self._progress_shown = False
        self._room = asyncio.Semaphore(MOST_UNTAKEN)
        self._outputs = {"stdout": Output(sys.stdout), "stderr": Output(sys.stderr)}

    async def run(self, given: dict[str, Any]) -> int:
        """Have it done; returns the exit code."""
        reader, writer = await converse(self._paths, self._word, given)
        giving = asyncio.create_task(self._give(writer)) if given.get("input") else None
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(signal.SIGINT, self._interrupt, writer, task)
        try:
            async for said in _lines(reader):
                code = self._take(said)
                if code is not None:
                    return code
        except BrokenPipeError:
            # Who read our output went away; the command would write for nobody.
            await _send(writer, {"kill": True})
            raise
        finally:
            if giving is not None:
                giving.cancel()
                await asyncio.gather(giving, return_exceptions=True)
            writer.close()
        return self._lost()

    def _interrupt(self, writer: StreamWriter, task: "asyncio.Task[int] | None") -> None:
        """Ctrl-C ends the command in the guest; once more, or for anything else, it ends this program."""
        if self._word == "vm exec" and not self._interrupted:
            self._interrupted = True
            writer.write(b'{"kill": true}\n')
        elif task is not None:
            task.cancel()

    async def _give(self, writer: StreamWriter) -> None:
        """Standard input to the command, until it ends, and no faster than it is taken."""
        source = StandardInput(sys.stdin.fileno())
        while data := await source.read(_CHUNK_BYTES):
            await self._room.acquire()
            await _send(writer, {"stdin": base64.b64encode(data).decode()})
        await self._room.acquire()
        await _send(writer, {"end": True})

    def _take(self, said: dict[str, Any]) -> int | None:
        if said.get("ok") is False:
            _complain(f"{said['text']} {said.get('doing', '')}".strip())
            return 1
        self._id = str(said.get("id", self._id))
        for name, out in self._outputs.items():
            if name in said:
                out.write(base64.b64decode(said[name]))
        if "took" in said:
            self._room.release()
        if "note" in said:
            _complain(said["note"])
        if "text" in said:
            self._outputs["stdout"].write(str(said["text"]).encode("utf-8", "replace"))
        if "message" in said:
            print(json.dumps(said["message"]), flush=True)
        if "progress" in said:
            self._show_progress(*said["progress"])
        return self._ended(said["done"]) if "done" in said else None

    def _ended(self, done: dict[str, Any]) -> int:
        if self._progress_shown:
            print(file=sys.stderr)
        if "status" not in done:
            return 0
        cause = str(done.get("cause", ""))
        if cause == "time-limit":
            _complain("It was ended at its time limit.")
        elif cause not in {"", "killed"}:
            _complain(f"It did not run to its end ({cause}): {done.get('text', '')}")
        return 130 if self._interrupted else int(done["status"])

    def _lost(self) -> int:
        _complain("The program that keeps the virtual machine has ended.")
        if self._id:
            _complain(f"The command goes on; when all runs again: main.py vm result {self._id}")
        return LOST

    def _show_progress(self, done: int, total: int) -> None:
        if sys.stderr.isatty() and time.monotonic() - self._began > _SHOW_AFTER_S:
            self._progress_shown = True
            print(f"\r{done / 1e6:.1f} of {total / 1e6:.1f} MB", end="", file=sys.stderr, flush=True)


async def _send(writer: StreamWriter, said: dict[str, Any]) -> None:
    writer.write(json.dumps(said).encode() + b"\n")
    with contextlib.suppress(ConnectionError):
        await writer.drain()


async def _lines(reader: StreamReader) -> AsyncIterator[dict[str, Any]]:
    with contextlib.suppress(ConnectionError):
        while line := await reader.readline():
            yield json.loads(line)


def _complain(text: str) -> None:
    print(f"volunteer-cloud: {text}", file=sys.stderr, flush=True)
