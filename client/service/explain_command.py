"""`main.py explain`: why guests run or wait now; or what they would have done in a week, recorded or made up."""

import argparse
import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from client.clock import SystemClock
from client.command_line import Parser
from client.errors import BadInput, NotRunning
from client.host.computer import processors, total_memory_mib
from client.host.part import Wanted
from client.host.registry import sensors_for
from client.host.sample import Sample
from client.host.sensors import Sensors
from client.local_zone import LOCAL
from client.paths import Paths, default_base
from client.preferences.limits import limits_of
from client.preferences.store import Preferences, load
from client.preferences.types import Limits
from client.service.control import ask
from client.service.explain_plot import INKS, plot
from client.service.explain_svg import draw
from client.service.explain_words import explain_lines, policy_of
from client.service.table import say, say_json, say_table, span
from client.snapshot import PolicyView
from client.spending import read_month
from client.throttle.local_time import moment_of
from client.throttle.past import Past
from client.throttle.policy import decide
from client.throttle.random_week import random_week
from client.throttle.rule import Computer
from client.throttle.simulate import START, WEEK_S, Change, Span, World, replay, spans, totals
from client.throttle.view import policy_view
from client.throttle.week_lines import parse_week

_RANDOM: Final = "random:"
#: what has to be heard from the system's parts until then is not waited for
_LISTEN_S: Final = 1.0
#: a recording may be longer than a week, by so much
_LONGEST_S: Final = 53 * WEEK_S
_EXAMPLES: Final = """\
examples:
  main.py explain                                   why it runs or waits now
  main.py explain --week random:1 --svg week.svg    a week on somebody's computer, under your preferences
  main.py explain --week random:1 --set when.in_use=no
  main.py explain --week recorded.jsonl --spans     docs/policy.md tells what such a file holds

exit codes: 0 done; 2 something is wrong, as the message says
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        prog="main.py explain",
        description="Says why virtual machines run or wait, and until when.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--basedir", type=Path, default=default_base(), help="base folder of the program")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as if this preference were so")
    parser.add_argument("--week", metavar="FILE", help="replay this recording instead; random:NUMBER: one made up")
    parser.add_argument("--spans", action="store_true", help="with --week: each span of time too")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="with --week: draw it into this file too")
    return parser


def main(argv: list[str], *, sensors: Callable[[Wanted], Sensors] = sensors_for, site: Path | None = None) -> int:
    """Explain; returns the exit code.

    Args:
        sensors: builds those of this computer, which are asked if no instance runs.
        site: the preferences for all users of the computer; None: where they lie on this system.

    Raises:
        BadInput: a word, a file or a preference does not fit.
    """
    given = build_parser().parse_args(argv)
    if given.week is None and (given.svg or given.spans):
        raise BadInput("main.py explain", "--svg and --spans are about a week", "say which with --week")
    paths = Paths(given.basedir)
    preferences = load(paths.preferences, given.set, site=site)
    if given.week is not None:
        _week(given, limits_of(preferences))
        return 0
    running = None if given.set else asyncio.run(_asked(paths))
    if running is not None and running.get("policy") is None:
        _without_policy(running, given.json)
        return 0
    policy = policy_of(running["policy"]) if running else asyncio.run(_looked(paths, preferences, sensors))
    if given.json:
        say_json({"running": running is not None, "policy": policy_json(policy)})
        return 0
    if running is None:
        say("As if the program began now:" if given.set else "The program does not run. If it began now:")
    for line in explain_lines(policy, datetime.now(LOCAL)):
        say(line)
    return 0


def policy_json(policy: PolicyView) -> dict[str, Any]:
    """It as plain JSON data, as in a snapshot."""

    def plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in items}

    shown: dict[str, Any] = asdict(policy, dict_factory=plain)
    return shown


def here() -> Computer:
    """This computer."""
    return Computer(max(1, processors()), total_memory_mib())


async def _asked(paths: Paths) -> dict[str, Any] | None:
    """What the running instance shows; None: none runs."""
    try:
        reply = await ask(paths, "status")
    except NotRunning:
        return None
    snapshot: dict[str, Any] = reply["snapshot"]
    return snapshot


async def _looked(paths: Paths, preferences: Preferences, build: Callable[[Wanted], Sensors]) -> PolicyView:
    """What would be decided now, at the first look at this computer."""
    limits = limits_of(preferences)
    sensors = build(Wanted(programs=bool(limits.when.programs), folder=paths.base))
    await sensors.open(lambda: None, lambda _: None)
    try:
        await asyncio.sleep(_LISTEN_S)
        sample = sensors.look()
    finally:
        await sensors.close()
    month = read_month(paths.spending)
    return first_look(limits, sample, month.bytes if month is not None else 0)


def first_look(limits: Limits, sample: Sample, spent_bytes: int = 0) -> PolicyView:
    """The decision of a policy that begins with this sample."""
    now = moment_of(SystemClock())
    decision, _ = decide(limits, sample, here(), now, Past.of_start(now), spent_bytes=spent_bytes)
    return policy_view(decision)


def _without_policy(snapshot: dict[str, Any], as_json: bool) -> None:
    """An instance that has not looked yet, or is too old to tell."""
    if as_json:
        say_json({"running": True, "policy": None, "reason": snapshot["reason"]})
        return
    say(snapshot["headline"])
    if snapshot["reason"]:
        say(f"  {snapshot['reason']['text']}")


def _week(given: argparse.Namespace, limits: Limits) -> None:
    start, changes = _changes(given.week)
    span_s = max(WEEK_S, changes[-1].s if changes else 0.0)
    if span_s > _LONGEST_S:
        raise BadInput(given.week, "it is longer than a year", "cut it into shorter ones")
    found = spans(replay(changes, World(limits, here(), start, span_s=span_s)), span_s)
    if given.svg:
        given.svg.write_text(draw(found, start), encoding="utf-8")
    if given.json:
        sums = [{"reason": reason, "seconds": round(seconds, 3)} for reason, seconds in totals(found).items()]
        say_json({"totals": sums, "spans": [_span_json(one) for one in found]})
        return
    say_table(
        ("Reason", "Times", "In all", "Share", "Longest", ""),
        _rows(found),
        right=("Times", "In all", "Share", "Longest"),
    )
    say("")
    for line in plot(found, start):
        say(line)
    if given.spans:
        say("")
        say_table(("From", "For", "Rung", "CPU %", "Why"), _span_rows(found), right=("For", "CPU %"), wrap=True)


def _changes(week: str) -> tuple[datetime, list[Change]]:
    if not week.startswith(_RANDOM):
        try:
            text = Path(week).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise BadInput(week, "it is no text in UTF-8", "see docs/policy.md for what it holds") from error
        return parse_week(text.splitlines(), week)
    number = week.removeprefix(_RANDOM)
    if not number.isdecimal():
        raise BadInput("--week", f"{number!r} is no number", "write for example --week random:1")
    return START, random_week(int(number))


def _rows(found: Sequence[Span]) -> Iterator[tuple[object, ...]]:
    whole_s = sum(one.length_s for one in found)
    for reason, seconds in totals(found).items():
        mine = [one for one in found if one.reason == reason]
        words = INKS[reason].words if reason in INKS else "virtual machines run" if not reason else ""
        longest_s = max(one.length_s for one in mine)
        share = f"{100 * seconds / whole_s:.1f} %"
        yield reason or "-", len(mine), span(seconds), share, span(longest_s), words


def _span_rows(found: Sequence[Span]) -> Iterator[tuple[object, ...]]:
    for one in found:
        name = one.rung.name.lower()
        yield f"{one.first:%a %d %H:%M:%S}", span(one.length_s), name, one.cpu_percent, one.text


def _span_json(one: Span) -> dict[str, Any]:
    return {
        "from": one.first.isoformat(),
        "seconds": round(one.length_s, 3),
        "rung": one.rung.name.lower(),
        "cpu_percent": one.cpu_percent,
        "reason": one.reason,
        "text": one.text,
    }
