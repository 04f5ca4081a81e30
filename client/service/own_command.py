"""`main.py vm create`, `remove`, and the words for one of the volunteer's own VMs; for `client.service.vm_command`.

main.py vm create NAME --image FILE|NAME [--template T --set FIELD=VALUE ...] [--memory MIB] [--cpus N] [--disk GIB]
                       [--network none|nat] [--start]
main.py vm remove NAME [--yes]
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from client.appliance.contextual.template import load_template
from client.errors import BadInput, NotRunning
from client.own_vm import USUAL_CPUS, USUAL_MEMORY_MIB, Network, id_of
from client.paths import Paths
from client.service.context_command import TEMPLATES, ask_secrets, field_value, find_template
from client.service.control import ask, converse
from client.service.progress_line import ProgressLine

#: what is said when an order was taken
_TAKEN: Final = {
    "start": "Starting.",
    "pause": "Pausing.",
    "resume": "Going on.",
    "save": "Saving it.",
    "reset": "Resetting it.",
    "poweroff": "Powering it off; its state is not saved.",
    "remove": "Removing it, and all that it has written.",
}
_UNSAID: Final = "if not given: what the image asks for, as an ova does, else"
_NAT_SAYS: Final = "Its programs reach the internet and your own network, as any program on this computer does."
_QUESTION: Final = "Remove the virtual machine {vm}, and all that it has written, for good? [y/N] "


def add_words(word: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add `create` and `remove` to the parser. word: makes one from its name and help."""
    create = word("create", "make a virtual machine of your own")
    create.add_argument("name", help="what to call it")
    create.add_argument("--image", required=True, metavar="FILE|NAME", help="what it boots from; see main.py image")
    create.add_argument("--template", default="", metavar="T", help="sets it up; main.py context --list shows them")
    create.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="as for main.py context")
    create.add_argument("--memory", type=int, default=0, metavar="MIB", help=f"{_UNSAID} {USUAL_MEMORY_MIB}")
    create.add_argument("--cpus", type=int, default=0, metavar="N", help=f"{_UNSAID} {USUAL_CPUS}")
    create.add_argument("--disk", type=int, default=0, metavar="GIB", help="an empty disk beside the CD it boots from")
    create.add_argument("--network", choices=[one.value for one in Network], default="none", help=f"nat: {_NAT_SAYS}")
    create.add_argument("--start", action="store_true", help="let it run at once")
    create.add_argument("--json", action="store_true")
    remove = word("remove", "remove a virtual machine of your own, and all that it has written")
    remove.add_argument("vm", help="its name")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    remove.add_argument("--json", action="store_true")


def create(paths: Paths, given: argparse.Namespace) -> tuple[int, str]:
    """Make one. Returns whether it was not (0 or 1), and what to say."""
    wanted = _wanted(given)
    line = ProgressLine(quiet=given.json)
    try:
        reply = asyncio.run(_create(paths, wanted, line))
    finally:
        line.end()
    if given.json:
        return 0 if reply["ok"] else 1, json.dumps(reply, indent=1)
    if not reply["ok"]:
        return 1, f"{reply['text']} {reply.get('doing', '')}".strip()
    how = "it starts" if given.start else f"main.py vm start {given.name!r} starts it"
    first = f"{given.name} is made: {reply['vm']['about']}"
    said = [f"{first}. {reply['waits']}" if reply["waits"] else f"{first}; {how}."]
    if given.network == Network.NAT:
        said.append(_NAT_SAYS)
    return 0, " ".join([*said, *reply["notes"]])


def order(paths: Paths, vm: str, verb: str, *, as_json: bool = False, is_sure: bool = True) -> tuple[int, str]:
    """Have something done with one. Returns whether it was refused (0 or 1), and what to say.

    Args:
        is_sure: else it is asked at the terminal.
    """
    if not is_sure and not _agrees(vm):
        return 1, "Nothing was removed."
    reply = asyncio.run(ask(paths, "own order", {"vm": vm, "verb": verb}))
    if as_json:
        return 0 if reply["ok"] else 1, json.dumps(reply, indent=1)
    if not reply["ok"]:
        return 1, f"{reply['text']} {reply.get('doing', '')}".strip()
    return 0, reply["waits"] or _TAKEN[verb]


def _wanted(given: argparse.Namespace) -> dict[str, Any]:
    id_of(given.name)
    template, file = given.template, None
    if template:
        file = find_template(template)
        template = template if file.parent == TEMPLATES else str(file.absolute())
    if given.set and not template:
        raise BadInput("--set", "it fills in a template's fields, and no template is given", "add --template")
    values = dict(field_value(one) for one in given.set)
    if file is not None:
        values |= ask_secrets(load_template(file), values)
    image = Path(given.image).expanduser()
    return {
        "name": given.name,
        "image": str(image.absolute()) if image.exists() or "/" in given.image else given.image,
        "template": template,
        "values": values,
        "cpus": given.cpus,
        "memory_mib": given.memory,
        "disk_gib": given.disk,
        "network": given.network,
        "starts": given.start,
    }


async def _create(paths: Paths, wanted: dict[str, Any], line: ProgressLine) -> dict[str, Any]:
    """Ctrl-C and a polite end hang up, upon which the instance gives it up."""
    task = asyncio.current_task()
    if sys.platform != "win32" and task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    reader, writer = await converse(paths, "own create", wanted)
    try:
        while said := await reader.readline():
            reply: dict[str, Any] = json.loads(said)
            if "ok" in reply:
                return reply
            line.show(reply.get("progress", {}))
    finally:
        writer.close()
    raise NotRunning(str(paths.base))


def _agrees(vm: str) -> bool:
    if not sys.stdin.isatty():
        raise BadInput("vm remove", "nobody can be asked whether it is meant", "add --yes")
    return input(_QUESTION.format(vm=vm)).strip().lower() in {"y", "yes"}
