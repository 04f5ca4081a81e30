"""`main.py vm`: the virtual machine from the command line: its states, commands in it, files, messages, its console.

The exit code is that of the command that was run; of all else 0, or LOST for whatever was not done.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import math
import re
import signal
import sys
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath
from typing import Any, Final, TextIO

from client.command_line import Parser
from client.errors import BadInput, ClientError
from client.guest.commands import Order
from client.guest.files import check_guest_path, check_source, place_for
from client.guest.mailbox import check_letter
from client.hypervisor.registry import left_with_others
from client.messages import sentence
from client.own_vm import PROJECTS_NAME
from client.paths import Paths, default_base
from client.service import own_command
from client.service.control import ask, converse
from client.service.standard import Output, StandardInput, silence
from client.service.vm_desk import MOST_UNTAKEN

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
    "poweroff": "end it at once, but for a moment in which its job may save itself; a saved state goes too",
}
_PLACES: Final = {
    "local": "a file of this computer; get: or a folder",
    "path": "absolute, in the virtual machine; put: a folder if it ends with /",
}
_CHUNK_BYTES: Final = 16 * 1024
#: progress is shown for what takes longer
_SHOW_AFTER_S: Final = 1.0
LOST: Final = 125
#: ends this program, not the command: 128 and its number is the exit code
_ENDINGS: Final = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


def main(argv: list[str]) -> int:
    """Do one word; the exit code is 0, LOST when it was not done, or that of the command that was run."""
    try:
        code = _main(argv)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except ClientError as error:
        said = sentence(error)
        _complain(f"{said.text} {said.doing}")
    except BrokenPipeError:
        raise
    except OSError as error:
        silence(sys.stdout)
        _complain(f"What was to be said cannot be written: {error.strerror or error}.")
    return LOST


def _main(argv: list[str]) -> int:
    words, command = _split(argv)
    given = build_parser().parse_args(words)
    paths = Paths(given.basedir)
    match given.word:
        case "list":
            return asyncio.run(_list(paths, given.json))
        case "exec":
            if not command and given.vm != PROJECTS_NAME:
                remedy = f"write vm exec -- {given.vm}, if that is the command"
                raise BadInput("vm exec", "the command has to stand after --", remedy)
            if not command:
                raise BadInput("vm exec", "no command was given", "write it after --, as in vm exec -- ls /")
            return _Run(paths).to_end(_exec_of(given, command))
        case "result" | "results":
            name = getattr(given, "id", None)
            return _Run(paths, "vm result" if name else "vm results").to_end({"id": name})
        case "put" | "get":
            return _Run(paths, f"vm {given.word}").to_end(_copy_of(given))
        case "console":
            return _Run(paths, "vm console").to_end({"vm": given.vm, "follow": given.follow})
        case "send":
            check_letter(given.topic, given.text)
            return _Run(paths, "vm send").to_end({"topic": given.topic, "text": given.text})
        case "messages":
            return _Run(paths, "vm messages").to_end({"after": given.after, "follow": given.follow})
    return _handle(paths, given)


def _handle(paths: Paths, given: argparse.Namespace) -> int:
    """What is done to a whole virtual machine."""
    if given.word == "create":
        return _told(*own_command.create(paths, given), as_json=given.json)
    if given.word == "remove" and given.vm == PROJECTS_NAME:
        raise BadInput(given.vm, "it is the project's, not your own", "main.py vm poweroff ends it")
    if given.word == "remove":
        return _told(
            *own_command.order(paths, given.vm, "remove", as_json=given.json, is_sure=given.yes), as_json=given.json
        )
    if given.vm != PROJECTS_NAME:
        return _told(*own_command.order(paths, given.vm, given.word))
    return asyncio.run(_verb(paths, given.word))


def _told(failed: int, text: str, *, as_json: bool = False) -> int:
    if failed and not as_json:
        _complain(text)
    else:
        print(text)
    return LOST if failed else 0


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    place = argv.index("--") if "--" in argv else len(argv)
    return argv[:place], argv[place + 1 :]


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if math.isfinite(seconds := float(text)):
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not zero or a whole number above it")
    return int(text)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    shared = Parser(add_help=False)
    shared.add_argument("--basedir", type=Path, default=default_base())
    parser = Parser(prog="main.py vm", description="Handle a virtual machine of a running instance.")
    words = parser.add_subparsers(dest="word", required=True, metavar="WORD")

    def word(name: str, told: str) -> argparse.ArgumentParser:
        return words.add_parser(name, help=told, description=told, parents=[shared])

    word("list", "show the virtual machines").add_argument("--json", action="store_true")
    for name in VERBS:
        word(name, HELP[name]).add_argument("vm", nargs="?", default=PROJECTS_NAME)
    run = word("exec", "run a command in it: vm exec [VM] -- COMMAND ...")
    run.add_argument("vm", nargs="?", default=PROJECTS_NAME)
    run.add_argument("--root", action="store_true", help="as the guest's root, with its network")
    run.add_argument("--timeout", type=_seconds, default=0, metavar="S", help="end it after so many; 0: none")
    run.add_argument("--memory", type=int, default=0, metavar="MIB", help="most of each of its processes; 0: no limit")
    run.add_argument("--cwd", default="/", help="the folder that it starts in")
    result = word("result", "what a command said, and how it ended, after you went away; without a name: all of them")
    result.add_argument("id", nargs="?", metavar="NAME")
    word("results", "list the commands and copies that run, or ended without anybody who waited")
    for name, told, places in (
        ("put", "copy a file into it", ("local", "path")),
        ("get", "copy a file out of it", ("path", "local")),
    ):
        copy = word(name, told)
        for place in places:
            copy.add_argument(place, help=_PLACES[place])
        copy.add_argument("--vm", default=PROJECTS_NAME)
        if name == "get":
            copy.add_argument("--force", action="store_true", help="replace a file of this computer that is there")
    own_command.add_words(word)
    console = word("console", "what it printed on its console")
    console.add_argument("vm", nargs="?", default=PROJECTS_NAME)
    console.add_argument("--follow", action="store_true", help="go on until Ctrl-C")
    send = word("send", "send a message to programs in it")
    send.add_argument("topic", help="programs in it listen for topics; at most 62 characters")
    send.add_argument("text", help="at most 2000 characters")
    messages = word("messages", "messages of programs in it, as JSON lines")
    messages.add_argument("--after", type=_natural, default=0, metavar="NUMBER", help="only those with a higher number")
    messages.add_argument("--follow", action="store_true", help="go on until Ctrl-C")
    return parser


def _exec_of(given: argparse.Namespace, command: list[str]) -> dict[str, Any]:
    Order(tuple(command), given.root, given.cwd, given.timeout, given.memory).check()
    return {
        "vm": given.vm,
        "argv": command,
        "root": given.root,
        "cwd": given.cwd,
        "timeout_s": given.timeout,
        "memory_mib": given.memory,
        "input": sys.stdin is not None and not sys.stdin.isatty(),
    }


def _copy_of(given: argparse.Namespace) -> dict[str, Any]:
    local, path = Path(given.local).absolute(), given.path
    if given.word == "put" and path.endswith("/"):
        path += local.name
    if given.word == "get" and local.is_dir():
        local /= PurePosixPath(path).name
    check_guest_path(path)
    # Looked at here too: what /dev/stdout and the like mean, only this process knows.
    if given.word == "put":
        check_source(local)
        return {"vm": given.vm, "local": str(local.resolve()), "path": path}
    place = place_for(local, replace=given.force)
    return {"vm": given.vm, "local": str(place), "path": path, "force": given.force}


async def _list(paths: Paths, as_json: bool) -> int:
    reply = await ask(paths, "status")
    vms = reply["snapshot"]["vms"]
    if as_json:
        print(json.dumps(vms, indent=1))
        return 0
    for vm in vms:
        how = f"{vm['hypervisor']} {vm['accelerator']}".strip()
        print(f"{vm['vm_id']:12} {vm['state']:10} {how}".rstrip())
        more = (f"{vm['name']}: {vm['about']}" if vm.get("about") else "", (vm.get("reason") or {}).get("text"))
        for line in filter(None, more):
            print(f"    {line}")
    if not vms:
        print("There is no virtual machine yet; Start makes one.")
    for name, size in left_with_others({vm["hypervisor"] for vm in vms}, paths.vms).items() if vms else ():
        print(f"{size / 2**20:,.0f} MiB are left of virtual machines of {name}; main.py hypervisors tells more.")
    return 0


async def _verb(paths: Paths, word: str) -> int:
    asked, said = VERBS[word]
    reply = await ask(paths, asked)
    print((reply.get("note") or said) if reply["ok"] else f"{reply['text']} {reply.get('doing', '')}", file=sys.stdout)
    return 0 if reply["ok"] else LOST


class _Run:
    """One conversation with the instance: what comes is shown, what is typed is sent."""

    def __init__(self, paths: Paths, word: str = "vm exec") -> None:
        self._paths = paths
        self._word = word
        self._id = ""
        self._interrupted = False
        self._left = 0
        self._began = time.monotonic()
        self._progress_shown = False
        self._room = asyncio.Semaphore(MOST_UNTAKEN)
        self._outputs = {"stdout": Output(sys.stdout), "stderr": Output(sys.stderr)}

    def to_end(self, given: dict[str, Any]) -> int:
        """Have it done; returns the exit code."""
        try:
            return asyncio.run(self._run(given))
        except asyncio.CancelledError:
            self._tell_name()
            return 128 + self._left

    async def _run(self, given: dict[str, Any]) -> int:
        reader, writer = await converse(self._paths, self._word, given)
        giving = asyncio.create_task(self._give(writer)) if given.get("input") else None
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(signal.SIGINT, self._interrupt, writer, task)
            for number in _ENDINGS:
                loop.add_signal_handler(number, self._leave, number, task)
        try:
            async for said in _lines(reader):
                code = self._take(said)
                if code is not None:
                    return code
        except OSError:
            # Who read our output went away, or it has no room; the command would write for nobody.
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
            _complain("Ending it in the guest ...")
        else:
            self._leave(signal.SIGINT, task)

    def _leave(self, number: int, task: "asyncio.Task[int] | None") -> None:
        self._left = number
        if task is not None:
            task.cancel()

    def _tell_name(self) -> None:
        if self._id and self._word == "vm exec":
            how = "is being ended" if self._interrupted else "goes on"
            _complain(f"The command {how}; what becomes of it: main.py vm result {self._id}")

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
            self._end_progress()
            _complain(f"{said['text']} {said.get('doing', '')}".strip())
            return LOST
        self._id = str(said.get("id", self._id))
        for name, out in self._outputs.items():
            if name in said:
                out.write(base64.b64decode(said[name]))
        if "took" in said:
            self._room.release()
        if "note" in said:
            _complain(said["note"])
        if "text" in said:
            # A console ends its lines with as many returns as went through it.
            text = re.sub("\r+\n", "\n", str(said["text"]))
            self._outputs["stdout"].write(text.encode("utf-8", "replace"))
        if "message" in said:
            print(json.dumps(said["message"]), flush=True)
        if "progress" in said:
            self._show_progress(*said["progress"])
        return self._ended(said["done"]) if "done" in said else None

    def _ended(self, done: dict[str, Any]) -> int:
        self._end_progress()
        if self._word == "vm exec" and not self._outputs["stdout"].used and _is_terminal(sys.stdin):
            _complain("Its input was empty: standard input is not passed on from a terminal; pipe it in.")
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
        if self._id and self._word != "vm result":
            what = "command" if self._word == "vm exec" else "copying"
            _complain(f"The {what} goes on when all runs again; how it ended: main.py vm result {self._id}")
        return LOST

    def _end_progress(self) -> None:
        if self._progress_shown:
            self._progress_shown = False
            print(file=sys.stderr)

    def _show_progress(self, done: int, total: int) -> None:
        if _is_terminal(sys.stderr) and time.monotonic() - self._began > _SHOW_AFTER_S:
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


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _complain(text: str) -> None:
    print(f"volunteer-cloud: {text}", file=sys.stderr, flush=True)
