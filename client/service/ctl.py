"""`main.py ctl`: commands to a running instance, and its state in words or as JSON."""

import argparse
import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from client.command_line import Parser
from client.commands import PauseEnd
from client.errors import BadInput
from client.paths import Paths, default_base
from client.service.control import COMMANDS, ask
from client.snapshot import VmKind, VmState

_ENDS: Final = frozenset(PauseEnd) - {PauseEnd.NONE}
#: what a command that was taken sets going; how far it is, `status` tells
TAKEN: Final = {
    "start": "Starting.",
    "pause": "Pausing.",
    "resume": "Going on.",
    "finish": "The current job will be the last one.",
    "stop": "Saving the work and stopping.",
    "quit": "Ending.",
}


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(prog="main.py ctl", description="Command a running Volunteer Cloud.")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--basedir", type=Path, default=default_base())
    parser.add_argument("--json", action="store_true", help="print the whole state as JSON")
    parser.add_argument("--for", dest="minutes", type=float, help="pause: for so many minutes")
    parser.add_argument("--until", metavar="WHEN", help="pause: until a time as 18:00, or until mains or log-off")
    parser.add_argument("--undo", action="store_true", help="finish: take it back")
    parser.add_argument("--stop-work", action="store_true", help="quit: do not save the guest's state")
    return parser


def main(argv: list[str]) -> int:
    """Run one command; exit code 0 when the instance took it, 1 when it refused.

    Raises:
        NotRunning: there is no instance.
        BadInput: a word that does not fit.
    """
    given = build_parser().parse_args(argv)
    reply = asyncio.run(ask(Paths(given.basedir), given.command, arguments_of(given)))
    if given.json:
        print(json.dumps(reply, indent=1))
    elif reply["ok"]:
        print(taken_words(given) or in_words(reply["snapshot"]))
    else:
        print(f"volunteer-cloud: {reply['text']} {reply.get('doing', '')}".rstrip(), file=sys.stderr)
    return 0 if reply["ok"] else 1


def taken_words(given: argparse.Namespace) -> str:
    """What a command that was taken sets going; empty for those that only ask."""
    if given.command == "finish" and given.undo:
        return "Work goes on after the current job."
    return TAKEN.get(given.command, "")


def arguments_of(given: argparse.Namespace) -> dict[str, Any]:
    """What goes with the command, as plain JSON data."""
    for word, value in (("--for", given.minutes), ("--until", given.until)):
        if value is not None and given.command != "pause":
            raise BadInput(word, f"it does not go with {given.command}", "use it with pause only")
    match given.command:
        case "pause":
            return pause_of(given.minutes, given.until, datetime.now().astimezone())
        case "finish":
            return {"undo": given.undo}
        case "quit":
            return {"work": "stop" if given.stop_work else "save"}
    return {}


def pause_of(minutes: float | None, until: str | None, now: datetime) -> dict[str, Any]:
    """What goes with a pause that ends so. now: aware, local.

    Raises:
        BadInput: that is no end of a pause.
    """
    if minutes is not None and until is not None:
        raise BadInput("pause", "--for and --until are given both", "give one of them")
    if minutes is not None:
        if not 0 < minutes <= 60 * 24 * 365:
            raise BadInput("--for", f"{minutes:g} minutes is no time to pause", "give a number above 0")
        return {"until": (now + timedelta(minutes=minutes)).astimezone(UTC).isoformat()}
    if until is None:
        return {}
    if until in _ENDS:
        return {"end": until}
    try:
        clock = datetime.strptime(until, "%H:%M")
    except ValueError as error:
        raise BadInput("--until", f"{until!r} is no time", "give a time as 18:00, or mains, or log-off") from error
    end = now.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
    return {"until": (end if end > now else end + timedelta(days=1)).astimezone(UTC).isoformat()}


def in_words(snapshot: dict[str, Any]) -> str:
    """A few lines for a person."""
    lines = [snapshot["headline"]]
    if snapshot["reason"]:
        lines.append(snapshot["reason"]["text"])
    elif (snapshot.get("policy") or {}).get("pace"):
        lines.append(snapshot["policy"]["pace"])
    held = snapshot.get("fetching_held")
    # The rule that holds guests may hold transfers, too.
    if held and held["text"] not in lines:
        lines.append(held["text"])
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
