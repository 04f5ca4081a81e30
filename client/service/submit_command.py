"""`main.py submit`: submits jobs, shows what would be submitted, waits for the end of what was."""

import argparse
import asyncio
import tomllib
from collections.abc import Sequence
from contextlib import closing
from typing import Any, Final

from client.copilot.fields import printable
from client.service.counter import Counter
from client.service.job_watch import until_ended
from client.service.jobs_ended import ended_facts, say_ended, watcher
from client.service.operator import JobOrder, submit, submit_original
from client.service.order_check import check_orders
from client.service.site_argument import existing_site
from client.service.site_folder import SiteFolder
from client.service.site_plan import load_plan
from client.service.site_queue import open_site_queue
from client.service.submit_arguments import PROG, build_orders, build_parser
from client.service.table import counted, say, say_json, tell

__all__ = ["build_parser", "main"]

#: So many ids are told; the others are in the queue.
_SHOWN: Final = 20
_DRY: Final = 3
#: Fewer are submitted before anybody could read a bar.
_MANY: Final = 2000


def main(argv: list[str]) -> int:
    """`main.py submit`; returns the exit code."""
    given = build_parser().parse_args(argv)
    folder = existing_site(given, PROG)
    orders = build_orders(given)
    number = sum(order.number for order in orders)
    if given.pilot and given.pilot not in _services(folder):
        tell(f"Note: {folder.pilots} does not name {given.pilot!r}; agents give such jobs back until it does.")
    if not given.command and not given.original_queue and not load_plan(folder.plan).shape.guests:
        tell("Note: this site has no guests; the demonstration waits for an agent that has a folder of software.")
    if given.dry_run:
        check_orders(orders)
        _show(orders, number, as_json=given.json)
        return 0
    if given.original_queue:
        ids = submit_original(folder.base, given.original_queue, *orders)
    else:
        ids = _submit(folder, orders, number)
    if given.wait:
        return _wait(folder, ids, given)
    if given.json:
        say_json({"number": len(ids), "jobs": ids})
        return 0
    say(f"{counted(len(ids), 'job')} submitted:")
    for job_id in ids[:_SHOWN]:
        say(f"  {job_id}")
    if len(ids) > _SHOWN:
        say(f"  ... and {len(ids) - _SHOWN:,} more; --json names all")
    return 0


def _services(folder: SiteFolder) -> set[str]:
    """The outside services of the site; a file that cannot be read is the key manager's to tell."""
    try:
        return set(tomllib.loads(folder.pilots.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return set()


def _submit(folder: SiteFolder, orders: Sequence[JobOrder], number: int) -> list[str]:
    if number < _MANY:
        return submit(folder.base, *orders)
    # The queue looks at all of them several times; a pipe need not read of each.
    with Counter("Submitting jobs", number, quiet=True) as bar:
        return submit(folder.base, *orders, on_taken=bar.show)


def _wait(folder: SiteFolder, ids: list[str], given: argparse.Namespace) -> int:
    tell(f"{counted(len(ids), 'job')} submitted; Ctrl+C leaves them to it.")
    with Counter("Jobs", len(ids)) as bar, closing(open_site_queue(folder)) as queue:
        ended, _ = asyncio.run(until_ended(queue, ids, watcher(bar)))
    if given.json:
        say_json({"number": len(ids), "jobs": ids, **ended_facts(ended)})
    else:
        say_ended(ended)
    return 0 if ended.done == len(ids) else 1


def _show(orders: Sequence[JobOrder], number: int, *, as_json: bool) -> None:
    if as_json:
        say_json({"number": number, "dry_run": True, "orders": [_facts(order) for order in orders]})
        return
    first = orders[0]
    size = sum(path.stat().st_size for path in first.input_files)
    files = ", ".join(path.name for path in first.input_files) or "none"
    say(f"{counted(number, 'job')} would be submitted; nothing was.")
    say(f"  input files:  {files} ({size:,} bytes)")
    for name, value in (("requirements", first.requirements), ("validator", first.validator)):
        if value:
            say(f"  {name + ':':13} {value}")
    replication = first.replication
    if replication.quorum > 1:
        compared = replication.compare or "equal bytes"
        say(f"  copies:       {replication.copies}, of which {replication.quorum} must agree ({compared})")
    shown = [*range(min(_DRY, len(orders))), *([len(orders) - 1] if len(orders) > _DRY else [])]
    for place in shown:
        if place == len(orders) - 1 and len(orders) > _DRY + 1:
            say("  ...")
        _show_order(place, orders[place])


def _show_order(place: int, order: JobOrder) -> None:
    say(f"  job {place}:" if order.number == 1 else f"  jobs 0 to {order.number - 1}:")
    for line in filter(None, order.environment.split("\n")):
        say(f"    {printable(line)}")
    say(f"    {printable(f'./{order.command} {order.arguments}', lines=True).strip()}")


def _facts(order: JobOrder) -> dict[str, Any]:
    return {
        **vars(order),
        "input_files": [str(path) for path in order.input_files],
        "replication": vars(order.replication),
    }
