"""`main.py ctl`: commands to a running instance, and its state in words or as JSON."""

import argparse
import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from client.command_line import Parser
from client.errors import BadInput
from client.paths import Paths, default_base
from client.service.control import COMMANDS, ask
from client.snapshot import VmKind, VmState

#: what a command that was taken sets going; how far it is, `status` tells
TAKEN: Final = {
    "start": "Starting.",
    "pause": "Pausing.",
    "resume": "Going on.",
    "finish": "The current job will be the last one.",
    "stop": "Saving the work and stopping.",
    "quit": "Ending.",
}


def main(argv: list[str]) -> int:
    """Run one command; exit code 0 when the instance took it, 1 when it refused.

    Raises:
        NotRunning: there is no instance.
        BadInput: a word that does not fit.
    """
    parser = Parser(prog="main.py ctl", description="Command a running Volunteer Cloud.")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--basedir", type=Path, default=default_base())
    parser.add_argument("--json", action="store_true", help="print the whole state as JSON")
    parser.add_argument("--for", dest="minutes", type=float, help="pause: for so many minutes")
    parser.add_argument("--undo", action="store_true", help="finish: take it back")
    parser.add_argument("--stop-work", action="store_true", help="quit: do not save the guest's state")
    given = parser.parse_args(argv)
    reply = asyncio.run(ask(Paths(given.basedir), given.command, arguments_of(given)))
    if given.json:
        print(json.dumps(reply, indent=1))
    elif reply["ok"]:
        print(TAKEN.get(given.command) or in_words(reply["snapshot"]))
    else:
        print(f"volunteer-cloud: {reply['text']} {reply.get('doing', '')}".rstrip(), file=sys.stderr)
    return 0 if reply["ok"] else 1


def arguments_of(given: argparse.Namespace) -> dict[str, Any]:
    """What goes with the command, as plain JSON data."""
    if given.minutes is not None and given.command != "pause":
        raise BadInput("--for", f"it does not go with {given.command}", "use it with pause only")
    match given.command:
        case "pause" if given.minutes is not None:
            if not 0 < given.minutes <= 60 * 24 * 365:
                raise BadInput("--for", f"{given.minutes:g} minutes is no time to pause", "give a number above 0")
            return {"until": (datetime.now(UTC) + timedelta(minutes=given.minutes)).isoformat()}
        case "finish":
            return {"undo": given.undo}
        case "quit":
            return {"work": "stop" if given.stop_work else "save"}
    return {}


def in_words(snapshot: dict[str, Any]) -> str:
    """A few lines for a person."""
    lines = [snapshot["headline"]]
    if snapshot["reason"]:
        lines.append(snapshot["reason"]["text"])
    if snapshot.get("fetching_held"):
        lines.append(snapshot["fetching_held"]["text"])
    for vm in snapshot["vms"]:
        how = f" under {vm['hypervisor']} {vm['accelerator']}".rstrip()
        is_own = vm["kind"] == VmKind.OWN
        not_there = "not started yet" if is_own else "not made yet"
        lines.append(f"{vm['name']}: {not_there if vm['state'] == VmState.ABSENT else vm['state'] + how}")
        if is_own and vm["reason"]:
            lines.append(f"  {vm['reason']['text']}")
        if vm["note"]:
            lines.append(f"  {vm['note']}")
    lines += [f"! {problem['text']} {problem['doing']}" for problem in snapshot["problems"]]
    totals = snapshot["totals"]
    lines.append(f"Jobs accepted: {totals['jobs_accepted']}, failed: {totals['jobs_failed']}")
    return "\n".join(lines)
