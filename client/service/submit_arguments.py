"""The command line of `main.py submit`, and the orders that it describes."""

import argparse
import getpass
import json
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from client.command_line import Parser
from client.copilot.managers.compare import COMPARERS
from client.copilot.managers.validate import VALIDATORS
from client.copilot.queue.queue import Replication
from client.errors import BadInput
from client.service.job_array import array_orders
from client.service.near import nearest
from client.service.operator import MAX_JOBS, MAX_SEED, JobOrder, pythia8_orders
from client.service.shell_template import export
from client.service.site_argument import add_site
from client.service.submit_requirements import all_of, requirements_of

PROG: Final = "main.py submit"
_COMPARED: Final = ", ".join(filter(None, COMPARERS))
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
#: options that speak of a program of the operator's own
_OWN: Final = ("input_files", "arguments", "packages", "title", "validator", "expected", "validation_script")
#: Pythia counts them in 32 bits; more would take a computer years.
_MOST_EVENTS: Final = 1_000_000_000
_OWN_TOO: Final = ("parameters", "raw", "no_output")
_EXAMPLES: Final = """\
examples:
  main.py submit --events 200 --number 3
        three jobs of the demonstration: collisions with Pythia 8
  main.py submit --command run.sh --input-files run.sh data.txt --arguments 'data.txt {n}' --number 10
        ten jobs; {n} is 0, 1, ... 9
  main.py submit --command run.sh --parameters cases.csv --arguments '--mass {mass} --name {name}' --dry-run
        shows the jobs that there would be: one for each row of cases.csv, whose header has mass and name
  main.py submit --command run.sh --env THREADS=2 --requirements 'other.Memory >= 2000' --copies 3 --quorum 2 --wait
        done when two of three volunteers agree; waits for that

With --site left out, the environment variable VOLUNTEER_CLOUD_SITE names the site.

A value of --parameters is quoted where it is put, so that it cannot become shell. The job's own programs must not make
shell of it again (eval, sh -c). --json prints {"number", "jobs": [ids]}, with --wait also "done" and "dead".

exit codes:
  0 submitted; with --wait: all done
  1 --wait: at least one job is dead
  2 something is wrong, as the message says; nothing was submitted
  130 Ctrl+C; what was submitted goes on
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        prog=PROG,
        description="Submits jobs to a site, whether it is up or not.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_site(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would be submitted, and submit nothing")
    parser.add_argument("--wait", action="store_true", help="stay until all are done or dead")
    parser.add_argument("--json", action="store_true", help="print JSON")
    told = "to the Redis of an original Co-Pilot's job manager, as redis://host:6379/0; input stays on this site"
    parser.add_argument("--original-queue", metavar="URL", help=told)
    _add_program(parser)
    _add_terms(parser)
    demo = parser.add_argument_group("proton-proton collisions with Pythia 8 (when there is no --command)")
    demo.add_argument("--events", type=int, help="collisions of one job (200)")
    demo.add_argument("--seed", type=int, help="of the first job; the next ones count up (default: any)")
    demo.add_argument("--reference", type=Path, metavar="FILE", help="JSON file with the result that must come out")
    return parser


def build_orders(given: argparse.Namespace) -> list[JobOrder]:
    """The orders of a command line.

    Raises:
        BadInput, BadRequirements: something in it cannot be used.
    """
    orders = _own_orders(given) if given.command else _demo_orders(given)
    asked = requirements_of(given.requirements, given.memory_mib, given.platform)
    wishes: dict[str, Any] = {
        "replication": _replication(given),
        "max_attempts": given.max_attempts,
        "priority": given.priority,
        "submitter": given.submitter if given.submitter is not None else _user(),
        "time_limit_s": given.time_limit,
        "output": not given.no_output,
        "pilot_service": given.pilot,
    }
    if given.original_queue:
        _refuse_new(given)
    return [replace(order, requirements=all_of(order.requirements, asked), **wishes) for order in orders]


def _add_program(parser: argparse.ArgumentParser) -> None:
    own = parser.add_argument_group("a program of your own")
    own.add_argument("--command", metavar="FILE", help="executable; one of the input files, or a file to add to them")
    own.add_argument("--input-files", type=Path, nargs="*", default=[], metavar="FILE", help="for the work directory")
    own.add_argument("--arguments", default="", help="shell text; {n} becomes 0, 1, ... of --number")
    own.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="a variable, taken as it is")
    own.add_argument("--environment", default="", help="shell text that is run before, as `. ./setup.sh`")
    own.add_argument("--packages", default="", help="names of software packages, separated by blanks")
    own.add_argument("--title", default="", help="what volunteers read of the job")
    own.add_argument("--validator", default="", metavar="NAME", help=f"check of the output: {', '.join(VALIDATORS)}")
    own.add_argument("--expected", type=Path, metavar="FILE.json", help="what the validator compares with")
    own.add_argument("--validation-script", type=Path, metavar="FILE", help="run at the volunteer's after the job")
    own.add_argument("--no-output", action="store_true", help="the exit code is the result; nothing is uploaded")
    own.add_argument("--parameters", type=Path, metavar="FILE", help="CSV with a header, or JSON lines: a job per row")
    own.add_argument("--raw", action="store_true", help="--parameters: values are shell text; trust the file as code")


def _add_terms(parser: argparse.ArgumentParser) -> None:
    terms = parser.add_argument_group("which computers, how many, in which order")
    terms.add_argument("--number", type=int, default=None, metavar="N", help="so many jobs (1)")
    terms.add_argument("--time-limit", type=int, default=3600, metavar="SECONDS", help="longest time of one job (3600)")
    terms.add_argument("--priority", type=int, default=0, metavar="P", help="higher goes first (0)")
    terms.add_argument("--submitter", metavar="NAME", help="whose jobs they are; each gets a fair share (you)")
    terms.add_argument("--requirements", default="", metavar="TEXT", help="as 'other.Memory >= 2000'")
    terms.add_argument("--memory-mib", type=int, metavar="N", help="the same as --requirements 'other.Memory >= N'")
    terms.add_argument("--platform", metavar="NAME", help="the same as 'other.Platform == \"NAME\"'; Linux-x86_64")
    terms.add_argument("--copies", type=int, metavar="N", help="have each job done by N volunteers")
    terms.add_argument("--quorum", type=int, metavar="M", help="M of their results must agree (more than half)")
    terms.add_argument(
        "--compare", default="", metavar="NAME", help=f"how that is seen: {_COMPARED}; without: equal bytes"
    )
    terms.add_argument("--pilot", default="", metavar="SERVICE", help="the job gets tokens of it (pilots.toml)")
    terms.add_argument("--max-attempts", type=int, metavar="N", help="trials before a job is given up (the site's)")


def _own_orders(given: argparse.Namespace) -> list[JobOrder]:
    demo = [f"--{name}" for name in ("events", "seed", "reference") if getattr(given, name) is not None]
    if demo:
        raise BadInput(
            PROG, f"{' and '.join(demo)} belong to the demonstration", "leave them out, or leave out --command"
        )
    if given.raw and not given.parameters:
        raise BadInput(PROG, "--raw speaks of --parameters, which is missing", "leave it out")
    command, files = _command(given)
    environment = "\n".join(filter(None, [given.environment, *map(_exported, given.env)]))
    order = JobOrder(
        command,
        files,
        given.arguments,
        environment,
        given.packages,
        given.validator,
        expected=_read_object(given.expected) if given.expected else {},
        number=1 if given.number is None else given.number,
        title=given.title,
        validation_script=given.validation_script.name if given.validation_script else "",
    )
    if given.parameters is None:
        return [order]
    if given.number is not None:
        raise BadInput(PROG, "the rows of --parameters say how many jobs there are", "leave out --number")
    return array_orders(order, given.parameters, raw=given.raw)


def _demo_orders(given: argparse.Namespace) -> list[JobOrder]:
    own = [name for name in (*_OWN, *_OWN_TOO) if getattr(given, name)]
    if own:
        what = f"--{own[0].replace('_', '-')} speaks of a program, and --command, which names it, is missing"
        raise BadInput(PROG, what, "add --command FILE; without it the demonstration is run")
    number, events = 1 if given.number is None else given.number, 200 if given.events is None else given.events
    if not 1 <= events <= _MOST_EVENTS or not 1 <= number <= MAX_JOBS:
        what = f"--events must be from 1 to {_MOST_EVENTS}, and --number from 1 to {MAX_JOBS}"
        raise BadInput("the command line", what, "give other numbers")
    seed = random.randint(1, MAX_SEED - MAX_JOBS) if given.seed is None else given.seed
    if not 1 <= seed <= MAX_SEED - number:
        raise BadInput("--seed", f"it must be from 1 to {MAX_SEED - number}", "give another one")
    reference = _read_reference(given.reference) if given.reference else None
    orders = pythia8_orders(events, number, seed, reference=reference)
    environment = "\n".join(filter(None, [given.environment, *map(_exported, given.env)]))
    return [replace(order, environment=environment) for order in orders]


def _refuse_new(given: argparse.Namespace) -> None:
    names = ("requirements", "memory_mib", "platform", "copies", "quorum", "max_attempts", "validator", "expected")
    said = [
        name for name in (*names, "validation_script", "no_output", "pilot", "priority", "wait") if getattr(given, name)
    ]
    if said:
        what = f"the original's queue cannot keep --{said[0].replace('_', '-')}"
        raise BadInput("--original-queue", what, "leave it out, or submit to a queue of ours")


def _command(given: argparse.Namespace) -> tuple[str, Sequence[Path]]:
    """The command's name in the work directory, and all files that have to be there."""
    files: list[Path] = list(given.input_files)
    script: Path | None = given.validation_script
    if script is not None and script not in files:
        files.append(script)
    names = [path.name for path in files]
    command = given.command.removeprefix("./")
    if command in names:
        return command, files
    path = Path(given.command)
    if not path.is_file():
        near = nearest(command, names)
        remedy = f"did you mean {near}?" if near else "name a file, or add it to --input-files"
        raise BadInput("--command", f"{given.command} is neither a file here nor one of the input files", remedy)
    return path.name, files if path in files else [path, *files]


def _exported(said: str) -> str:
    name, equals, value = said.partition("=")
    if not equals or not _VARIABLE.fullmatch(name):
        what = f"{said!r} is not NAME=VALUE, with letters, digits and _ in the name"
        raise BadInput("--env", what, "write it as --env THREADS=2")
    return export(name, value)


def _replication(given: argparse.Namespace) -> Replication:
    if given.copies is None and given.quorum is None:
        if given.compare:
            raise BadInput(
                "--compare", "there is one copy of each job, so nothing to compare", "add --copies and --quorum"
            )
        return Replication()
    copies = given.copies if given.copies is not None else given.quorum
    quorum = given.quorum if given.quorum is not None else copies // 2 + 1
    return Replication(copies, quorum, given.compare)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A user id without a name, as in many containers.
        return ""


def _read_reference(path: Path) -> dict[str, Any]:
    said = _read_object(path)
    try:
        sigma_mb, error_mb = float(said["sigma_mb"]), float(said["sigma_error_mb"])
        return {"histograms_sha256": said["histograms_sha256"], "sigma_mb": sigma_mb, "sigma_error_mb": error_mb}
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(str(path), f"it is no reference ({error})", "give a summary.json of an earlier run") from error


def _read_object(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(str(path), f"it cannot be read as JSON ({error})", "name another file") from error
    if not isinstance(said, dict):
        raise BadInput(str(path), "it is not a JSON object", 'write one: {"name": value}')
    return said
