"""`main.py site`: bring a whole project up on this computer, look at it, end it."""

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
from pathlib import Path
from typing import Any, Final

from client import filenames
from client.command_line import Parser
from client.errors import BadInput, ToolMissing
from client.log import remove, to_file
from client.service.site import Site, until
from client.service.site_argument import add_site, site_folder
from client.service.site_errors import SiteNotRunning
from client.service.site_folder import SiteFolder
from client.service.site_parts import MAIN
from client.service.site_plan import MAX_MANAGERS, QUEUES, SiteShape, load_plan
from client.service.site_status import is_locked, read_status
from client.service.site_told import advice, status_facts, status_lines
from client.service.table import say, say_json

#: where `make appliance` puts it
_BUILT: Final = MAIN.parent / "build" / "appliance"
_DOWN_S: Final = 30.0
_PROG: Final = "main.py site"
#: program -> Debian package
_TOOLS: Final = {"prosody": "prosody", "chirp_server": "coop-computing-tools"}
_EXAMPLES: Final = """\
examples:
  main.py site up --folder /srv/site --appliance build/appliance     runs until Ctrl+C or `site down`
  main.py site up --folder /srv/site --managers 2 --queue redis
  main.py site status --folder /srv/site
  main.py site down --folder /srv/site
  main.py site legacy add NAME --folder /srv/site     an account for an agent of the original Co-Pilot

What was chosen with --queue, --managers, --legacy and --appliance stays until it is chosen anew. Without any
--appliance it is the one in build/appliance, if there is one there (make appliance). A site without one is for agents
without a guest; volunteers' clients cannot attach to it.

status --json prints {"folder", "exists", "running", "ready", "pid", "started_at", "children": {name: pid}, "parts":
[{"name", "pid", "ready", "needed", "restarts"}], "project_file", "monitor", "ports", "queue", "managers", "legacy",
"appliance", "guests",
"jobs": {state: number}, "drained": [owner; "" for all]}; what cannot be said is null or left out.

exit codes:
  0 up: ended as asked; down: it is down; status: all of it serves
  1 down: it did not end in 30 s; status: not all of it serves, or it does not run
  2 something is wrong, as the message says
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        prog=_PROG,
        description="Runs a whole project on this computer: message server, file server, managers, in one folder.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    told = "start it; end it; see what of it runs; accounts for agents of the original (site legacy --help)"
    parser.add_argument("verb", choices=("up", "down", "status", "legacy"), help=told)
    add_site(parser, "--folder")
    guests = parser.add_mutually_exclusive_group()
    guests.add_argument("--appliance", type=Path, help="up: folder of the appliance with its manifest.json")
    guests.add_argument("--no-appliance", action="store_true", help="up: only for agents without a guest")
    parser.add_argument(
        "--managers", type=int, metavar="N", help=f"up: N job and N storage managers (1-{MAX_MANAGERS})"
    )
    parser.add_argument("--queue", choices=QUEUES, help="up: where the jobs are kept (sqlite)")
    legacy = argparse.BooleanOptionalAction
    parser.add_argument(
        "--legacy", action=legacy, default=None, help="up: let agents of the original Co-Pilot in (weak)"
    )
    parser.add_argument("--json", action="store_true", help="status: as JSON")
    return parser


def main(argv: list[str]) -> int:
    """`main.py site`; returns the exit code."""
    if argv[:1] == ["legacy"]:
        from client.service import site_legacy

        return site_legacy.main(argv[1:])
    given = build_parser().parse_args(argv)
    if given.verb == "legacy":
        raise BadInput(_PROG, "legacy has to be the first word", f"write {_PROG} legacy, and its options behind")
    folder = site_folder(given, _PROG)
    if given.verb == "up":
        appliance = _appliance(folder, given.appliance, none=given.no_appliance)
        wishes = _wishes(given) | ({"appliance": str(appliance)} if appliance else {})
        return asyncio.run(_up(folder, appliance, wishes))
    if given.verb == "down":
        return asyncio.run(_down(folder))
    return _status(folder, as_json=given.json)


def _wishes(given: argparse.Namespace) -> dict[str, Any]:
    wishes: dict[str, Any] = {"queue": given.queue, "managers": given.managers, "legacy": given.legacy}
    if given.appliance is not None or given.no_appliance:
        wishes["guests"] = not given.no_appliance
    wishes = {name: value for name, value in wishes.items() if value is not None}
    try:
        SiteShape(**wishes)
    except ValueError as error:
        raise BadInput(f"{_PROG} up", str(error), "give another one") from error
    return wishes


def _appliance(folder: SiteFolder, named: Path | None, *, none: bool = False) -> Path | None:
    """The appliance that was named now, or the last time, or that was built here; None if there is none of these.

    Raises:
        BadInput: there is none where it was named.
    """
    if named is not None:
        if not (named / filenames.MANIFEST).is_file():
            raise BadInput(str(named), "there is no appliance in it", "build one (make appliance), or name its folder")
        return named.absolute()
    shape = load_plan(folder.plan).shape if folder.plan.exists() else SiteShape()
    if none or not shape.guests:
        return None
    for place in (Path(shape.appliance) if shape.appliance else None, _BUILT):
        if place is not None and (place / filenames.MANIFEST).is_file():
            return place
    return None


async def _up(folder: SiteFolder, appliance: Path | None, wishes: dict[str, Any]) -> int:
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        raise ToolMissing(" and ".join(missing), " ".join(_TOOLS[tool] for tool in missing))
    if folder.base.exists() and not folder.base.is_dir():
        raise BadInput(str(folder.base), "it is not a folder", "name another one")
    site = Site(folder.base, appliance, wishes=wishes, say=say)
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(_run(site, appliance))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work
    return 0


async def _run(site: Site, appliance: Path | None) -> None:
    site.folder.make()
    handler = to_file(site.folder.log("site"))
    was_up = False
    try:
        plan = await site.up()
        was_up = True
        for line in advice(site.folder, plan, appliance):
            say(line)
        await site.watch()
    finally:
        await asyncio.shield(site.down())
        remove(handler)
        if was_up:
            say("The site is down.")


async def _down(folder: SiteFolder) -> int:
    status = read_status(folder)
    if status is None:
        raise SiteNotRunning(str(folder.base))
    os.kill(status.pid, signal.SIGTERM)
    return 0 if await until(lambda: not is_locked(folder), _DOWN_S) else 1


def _status(folder: SiteFolder, *, as_json: bool) -> int:
    facts = status_facts(folder, load_plan(folder.plan) if folder.plan.exists() else None)
    if as_json:
        say_json(facts)
    else:
        for line in status_lines(facts):
            say(line)
    return 0 if facts["ready"] else 1
