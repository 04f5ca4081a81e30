"""`main.py agents`: who works for a site, how well, and whom it lets in."""

import argparse
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, fields
from typing import Any, Final

from client.command_line import Parser
from client.copilot.account import owner_of
from client.copilot.fields import printable
from client.copilot.managers.revoked import name_in
from client.copilot.queue.queue import AgentRecord, JobQueue
from client.errors import BadInput
from client.service import site_owners
from client.service.near import nearest
from client.service.site_argument import add_site, existing_site
from client.service.site_errors import NoSuchAgent
from client.service.site_folder import SiteFolder
from client.service.site_queue import open_site_queue
from client.service.table import ago, clock, counted, say, say_json, say_table, tell

PROG: Final = "main.py agents"
VERBS: Final = ("list", "show", "revoke", "unrevoke")
_MOST: Final = 100_000
_NUMBERS: Final = ("DONE", "REFUSED", "FAILED", "LOST", "GOOD %")
_COLUMNS: Final = ("OWNER", "STATE", "VERSION", "PLATFORM", "SEEN", *_NUMBERS, "JOB")
_EXAMPLES: Final = """\
An owner is a volunteer's computer that enrolled (16 digits), or an account that did not. Its beginning suffices.

examples:
  main.py agents                            those that were seen last come first
  main.py agents show 3f2a
  main.py agents revoke 3f2a                lets none of its accounts in any more, and ends their sessions
  main.py drain 3f2a                        lets it finish what it has, and gives it nothing more

columns: DONE results that counted, REFUSED results that did not, FAILED jobs given back, LOST leases that ended;
GOOD % of what it gets it can be expected to do (50 while nothing is known).

--json prints one document; times are epoch seconds, 0 for never:
  list, show   {agents: [agent], drained: whether all are}
  agent        {owner, agent, version, platform, memory_mib, cpus, first_seen, last_seen, job_id, accepted, refused,
                failed, lost, in_a_row, drained, reliability, revoked, enrolled_at}
  revoke, unrevoke   {owner, revoked, changed}

exit codes: 0 done as asked; 2 something is wrong, as the message says
"""


@dataclass(frozen=True)
class _Known:
    """What a site knows of an owner beside the queue's record. revoked, enrolled_at: empty or 0 for never."""

    record: AgentRecord
    revoked: str
    enrolled_at: float

    @property
    def state(self) -> str:
        """In one word."""
        if self.revoked:
            return "revoked"
        if self.record.drained:
            return "drained"
        return "at work" if self.record.job_id else "idle" if self.record.last_seen else "new"


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        prog=PROG,
        description="Who works for a site, and how well.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_site(parser)
    parser.add_argument("verb", nargs="?", default="list", choices=VERBS, metavar="VERB", help=", ".join(VERBS))
    parser.add_argument(
        "owner", nargs="?", default="", metavar="OWNER", help="the beginning suffices; or an agent's JID"
    )
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="list: at most so many (50)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def main(argv: list[str]) -> int:
    """`main.py agents`; returns the exit code."""
    given = build_parser().parse_args(argv)
    folder = existing_site(given, PROG)
    if given.verb == "list" and given.owner:
        raise BadInput(PROG, "list takes no owner", f"write {PROG} show {given.owner}")
    if given.verb != "list" and not given.owner:
        raise BadInput(PROG, f"it was not said whom to {given.verb}", f"write {PROG} {given.verb} OWNER")
    with closing(open_site_queue(folder)) as queue:
        known = _known(folder, queue)
        if given.verb == "list":
            return _list(queue, known, given)
        if given.verb == "show":
            return _show(queue, known[find_owner(known, given.owner)], as_json=given.json)
    who = given.owner if _is_whole(given.owner) else find_owner(known, given.owner)
    return _set_revoked(folder, who, given.verb == "revoke", as_json=given.json)


def find_owner(known: Iterable[str], word: str) -> str:
    """The owner that a word is, begins, or (an agent's JID) belongs to.

    Raises:
        NoSuchAgent: none; it names one that is like it.
        BadInput: several.
    """
    owners = list(known)
    if word in owners:
        return word
    if "@" in word and owner_of(word) in owners:
        return owner_of(word)
    fitting = [owner for owner in owners if owner.startswith(word)]
    if len(fitting) > 1:
        what = f"{len(fitting)} owners begin with {word}, as {', '.join(sorted(fitting)[:3])}"
        raise BadInput("the owner", what, "write more of it")
    if fitting:
        return fitting[0]
    near = nearest(word, owners, alike=0.75)
    raise NoSuchAgent(word, f"did you mean {near}?") if near else NoSuchAgent(word)


def _is_whole(word: str) -> bool:
    """Whether it names an owner or an account, known or not yet, and is no beginning of one."""
    try:
        name_in(word)
    except BadInput:
        return False
    return True


def known_owners(folder: SiteFolder, queue: JobQueue) -> list[str]:
    """Everybody whom the site has heard of."""
    return list(_known(folder, queue))


def _known(folder: SiteFolder, queue: JobQueue) -> dict[str, _Known]:
    """Owner -> what is known; those who were seen last come first."""
    records = {record.owner: record for record in queue.agents(_MOST)}
    enrolled = {owner.owner: owner.enrolled_at for owner in site_owners.enrolled(folder.base)}
    revoked = site_owners.revoked(folder.base)
    drained = queue.drained()
    for owner in [*enrolled, *revoked, *sorted(drained)]:
        if owner and owner not in records:
            records[owner] = AgentRecord(owner, "", drained=owner in drained)
    return {
        owner: _Known(record, revoked.get(owner, ""), enrolled.get(owner, 0.0)) for owner, record in records.items()
    }


def _list(queue: JobQueue, known: Mapping[str, _Known], given: argparse.Namespace) -> int:
    shown = list(known.values())[: max(1, given.limit)]
    is_drained = "" in queue.drained()
    if given.json:
        say_json({"agents": [_facts(one) for one in shown], "drained": is_drained})
        return 0
    if is_drained:
        tell("The site is drained: nobody gets a new job. To go on: main.py drain --off")
    say(f"{counted(len(known), 'owner')}.")
    if shown:
        say_table(_COLUMNS, map(_row, shown), right=_NUMBERS)
    if len(known) > len(shown):
        tell(f"... and {len(known) - len(shown):,} more: --limit N")
    return 0


def _show(queue: JobQueue, one: _Known, *, as_json: bool) -> int:
    if as_json:
        say_json({"agents": [_facts(one)], "drained": "" in queue.drained()})
        return 0
    record = one.record
    facts = {
        "last account": record.agent,
        "state": one.state,
        "version": record.version,
        "platform": record.platform,
        "memory": f"{record.memory_mib:,} MiB" if record.memory_mib else "",
        "cpus": record.cpus or "",
        "job": record.job_id,
        "first seen": clock(record.first_seen),
        "last seen": clock(record.last_seen),
        "enrolled": clock(one.enrolled_at),
        "shut out since": one.revoked,
        "done": record.accepted,
        "refused": record.refused,
        "failed": record.failed,
        "lost": record.lost,
        "in a row": f"{record.in_a_row} failures" if record.in_a_row else "",
        "good": f"{100 * record.reliability:.0f} % of what it gets, as far as one can tell",
    }
    say(f"{record.owner}")
    for name, value in facts.items():
        if value != "":
            say(f"  {name + ':':16}{printable(str(value))}")
    return 0


def _set_revoked(folder: SiteFolder, owner: str, wanted: bool, *, as_json: bool) -> int:
    act = site_owners.revoke if wanted else site_owners.unrevoke
    changed = act(folder.base, owner)
    if as_json:
        say_json({"owner": owner, "revoked": wanted, "changed": changed})
        return 0
    now = "shut out" if wanted else "let in"
    say(f"{owner} is {now}{'' if changed else ', as it was before'}; this is in force within seconds.")
    return 0


def _row(one: _Known) -> tuple[object, ...]:
    record = one.record
    is_drawn = sys.stdout.isatty()
    seen = ago(record.last_seen, time.time()) if is_drawn else clock(record.last_seen).replace(" ", "T")
    job = record.job_id[:8] if is_drawn else record.job_id
    state = one.state if is_drawn else one.state.replace(" ", "-")
    numbers = (record.accepted, record.refused, record.failed, record.lost, f"{100 * record.reliability:.0f}")
    return (record.owner, state, record.version, record.platform, seen, *numbers, job)


def _facts(one: _Known) -> dict[str, Any]:
    record = one.record
    facts = {spec.name: getattr(record, spec.name) for spec in fields(record)}
    more = {"reliability": record.reliability, "revoked": one.revoked or None, "enrolled_at": one.enrolled_at}
    return facts | more
