"""The command line of `main.py jobs`."""

import argparse
from typing import Any, Final

from client.command_line import Parser, span_s
from client.copilot.queue.queue import JobState
from client.service.jobs_select import parse_since
from client.service.site_argument import add_site

PROG: Final = "main.py jobs"
_STATES: Final = tuple(state.value for state in JobState)
#: options of `list` that take a value
_VALUED: Final = frozenset({"--site", "--state", "--submitter", "--since", "--limit", "--after"})
_EXAMPLES: Final = """\
examples:
  main.py jobs                                          the 50 newest jobs
  main.py jobs list --state dead --since 2h
  main.py jobs show 3f2a                                the beginning of an id suffices
  main.py jobs log 3f2a --follow                        waits for its end, then shows what it wrote
  main.py jobs retry --state dead --submitter anna      asks before it does it; --yes does not
  main.py jobs wait --submitter anna && echo all done
  main.py jobs prune --older-than 30d                   results on the disk stay

With --site left out, the environment variable VOLUNTEER_CLOUD_SITE names the site.

exit codes:
  0 done as asked; wait: all are done
  1 wait: at least one job is dead; log: the job has written nothing that is kept; cancel, retry: some were not changed
  2 something is wrong, as the message says
  3 wait, log --follow: the time of --timeout is over
  130 Ctrl+C
"""
_JSON: Final = """\
--json prints one document; times are epoch seconds, 0 for never:
  list          {counts: {waiting, leased, done, dead}, jobs: [job], next: id or null}
  show          job, with order, history: [{at, what, agent, detail}], result: folder or null, candidates,
                suited: null or {seen, meet, fails: {part of the requirements: number}, within_s}
  log           {id, state, kept: accepted, candidate, refused or null, folder, stdout, stderr, truncated}
  cancel, retry {changed: [job], unchanged: [{id, state}]}
  dead          {number, groups: [{reason, number, last_at, jobs: [id]}]}
  prune         {forgotten: number}
  wait          {number, done, dead: [{id, reason}], gone: [id], over: whether all have ended}
  job           {id, state, attempts, agent, submitted_at, finished_at, lease_ends_at, reason, cancelled, group, title,
                 command, arguments, submitter, priority, ...}
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog=PROG, description="Jobs of a site: see, stop, repeat.", epilog=_EXAMPLES, formatter_class=raw)
    _add_usual(parser, {})
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs, each with --help")
    listing = _verb(verbs, "list", "show jobs, the newest first (the default)")
    _add_filters(listing)
    listing.add_argument("--limit", type=int, default=50, metavar="N", help="at most so many (50)")
    listing.add_argument("--after", default="", metavar="ID", help="the next page: those behind this job")
    listing.add_argument("--oldest", action="store_true", help="the oldest first")
    show = _verb(verbs, "show", "everything that is known of a job")
    show.add_argument("job", metavar="ID", help="of a job, or of one copy of it (ID.2)")
    log = _verb(verbs, "log", "what a job wrote on standard output")
    log.add_argument("job", metavar="ID")
    log.add_argument("--stderr", action="store_true", help="what it wrote on standard error instead")
    log.add_argument("--follow", action="store_true", help="wait for its end, and tell meanwhile who has it")
    log.add_argument("--timeout", type=span_s, metavar="SECONDS", help="--follow: wait at most so long")
    for verb, told in (("cancel", "have nobody do jobs any more"), ("retry", "let dead jobs wait again")):
        change = _verb(verbs, verb, told)
        change.add_argument("jobs", nargs="*", metavar="ID")
        _add_filters(change)
        change.add_argument("--yes", action="store_true", help="several: do not ask")
    dead = _verb(verbs, "dead", "jobs that were given up, with the reasons, the most frequent first")
    dead.add_argument("--submitter", default="", metavar="NAME", help="only theirs")
    dead.add_argument("--since", type=parse_since, default=0.0, metavar="WHEN", help="submitted since: 2h, 3d, a date")
    wait = _verb(verbs, "wait", "until jobs are done or dead")
    wait.add_argument("jobs", nargs="*", metavar="ID", help="none: all that wait or are at work")
    wait.add_argument("--submitter", default="", metavar="NAME", help="without ids: only theirs")
    wait.add_argument("--timeout", type=span_s, metavar="SECONDS", help="wait at most so long")
    prune = _verb(verbs, "prune", "forget jobs that ended long ago; their results on the disk stay")
    prune.add_argument(
        "--older-than", type=parse_since, required=True, metavar="WHEN", help="done or dead since: 30d, 8w, a date"
    )
    return parser


def with_verb(argv: list[str]) -> list[str]:
    """The words with `list` before them if no verb is among them."""
    words = iter(argv)
    for word in words:
        if word in {"-h", "--help"}:
            return argv
        if word in _VALUED:
            next(words, None)
        elif not word.startswith("-"):
            return argv
    return ["list", *argv]


def _verb(verbs: Any, name: str, told: str) -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser: argparse.ArgumentParser = verbs.add_parser(
        name, help=told, description=f"{told[0].upper()}{told[1:]}.", epilog=_JSON, formatter_class=raw
    )
    # What was said before the verb must not be forgotten because it was not said once more behind it.
    _add_usual(parser, {"default": argparse.SUPPRESS})
    return parser


def _add_usual(parser: argparse.ArgumentParser, default: dict[str, Any]) -> None:
    add_site(parser, **default)
    parser.add_argument("--json", action="store_true", help="print JSON", **default)


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", choices=_STATES, help="only those in this state")
    parser.add_argument("--submitter", default="", metavar="NAME", help="only theirs")
    parser.add_argument(
        "--since", type=parse_since, default=0.0, metavar="WHEN", help="submitted since: 2h, 3d, a date"
    )
