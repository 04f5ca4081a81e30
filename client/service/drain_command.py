"""`main.py drain`: give out no new jobs, to everybody or to one owner's agents; what is at work ends normally."""

import argparse
import asyncio
import time
from contextlib import closing
from typing import Final

from client.command_line import Parser, span_s
from client.copilot.queue.queue import JobQueue, JobState
from client.errors import BadInput
from client.service.agents_command import find_owner, known_owners
from client.service.counter import Counter
from client.service.job_watch import LOOK_S
from client.service.site_argument import add_site, existing_site
from client.service.site_queue import open_site_queue
from client.service.table import counted, say, say_json, tell

PROG: Final = "main.py drain"
_MOST: Final = 100_000
_TIME_OVER: Final = 3
_EXAMPLES: Final = """\
examples:
  main.py drain --wait && main.py site down      end a site when nothing is at work any more
  main.py drain 3f2a                             one volunteer's computer gets nothing more
  main.py drain --off                            all get jobs again, but for owners that are drained by name
  main.py drain --status                         who is drained

`site status`, `jobs` and `agents` show it too.

--json prints {"drained": [owners; "" for everybody], "at_work": number of jobs, "over": whether nothing is}

exit codes: 0 done as asked; 2 something is wrong, as the message says; 3 the time of --timeout is over; 130 Ctrl+C
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        prog=PROG,
        description="Gives out no new jobs. Agents finish what they have.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_site(parser)
    parser.add_argument("owner", nargs="?", default="", metavar="OWNER", help="only their agents (default: everybody)")
    parser.add_argument("--off", action="store_true", help="give out jobs again")
    parser.add_argument("--status", action="store_true", help="change nothing, tell who is drained")
    parser.add_argument("--wait", action="store_true", help="stay until nothing is at work")
    parser.add_argument("--timeout", type=span_s, metavar="SECONDS", help="--wait: at most so long")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def main(argv: list[str]) -> int:
    """`main.py drain`; returns the exit code."""
    given = build_parser().parse_args(argv)
    if given.off + given.status + given.wait > 1:
        raise BadInput(PROG, "--off, --status and --wait do not go together", "choose one of them")
    if given.timeout is not None and not given.wait:
        raise BadInput(PROG, "--timeout says how long --wait waits", "add --wait, or leave out --timeout")
    folder = existing_site(given, PROG)
    with closing(open_site_queue(folder)) as queue:
        owner = find_owner(known_owners(folder, queue), given.owner) if given.owner else ""
        if not given.status:
            queue.set_drained(owner, not given.off, time.time())
        is_over = asyncio.run(_until_idle(queue, owner, given.timeout)) if given.wait else True
        _tell(queue, owner, given)
    return 0 if is_over else _TIME_OVER


def _at_work(queue: JobQueue, owner: str) -> int:
    """So many jobs are at work; of an owner: whether one is."""
    if not owner:
        return queue.counts()[JobState.LEASED]
    return sum(1 for record in queue.agents(_MOST) if record.owner == owner and record.job_id)


async def _until_idle(queue: JobQueue, owner: str, timeout_s: float | None) -> bool:
    """Wait until nothing is at work; whether that came in time."""
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + timeout_s if timeout_s is not None else None
    most = number = _at_work(queue, owner)
    with Counter("Jobs ended", most) as bar:
        while number:
            bar.show(max(0, most - number), f"{number:,} at work")
            if ends_at is not None and loop.time() >= ends_at:
                return False
            await asyncio.sleep(LOOK_S)
            # Leases that ended belong to agents that are gone: managers take them back, and so does this.
            queue.expire(time.time())
            number = _at_work(queue, owner)
    return True


def _tell(queue: JobQueue, owner: str, given: argparse.Namespace) -> None:
    drained, number = sorted(queue.drained()), _at_work(queue, owner)
    if given.json:
        say_json({"drained": drained, "at_work": number, "over": not number})
        return
    if "" in drained:
        say("The site is drained: nobody gets a new job.")
    named = [name for name in drained if name]
    if named:
        say(f"Drained by name: {', '.join(named)}.")
    if not drained:
        say("Nobody is drained.")
    elif number:
        say(f"{counted(number, 'job')} still at work.")
        if given.wait:
            tell(f"The time is over; to wait on: {PROG} --wait")
    else:
        say("Nothing is at work.")
