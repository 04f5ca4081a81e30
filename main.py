"""Volunteer Cloud: one entry for every face and every role. `main.py --help` lists them."""

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from client import __version__
from client.command_line import Parser
from client.errors import BadInput, ClientError
from client.messages import code_of, sentence
from client.paths import Paths, default_base

#: those that only this program itself starts
_INNER: Final = ("worker", "token", "relay", "guard")
#: those who serve a project
_SERVING: Final = (
    "site",
    "submit",
    "jobs",
    "agents",
    "drain",
    "heartbeat",
    "publish",
    "job-manager",
    "storage-manager",
    "manager",
    "key-manager",
    "monitor",
    "agent",
)
#: role -> (module, function, help); each is imported only when it is asked for. The module's build_parser(), of a role
#: that people type, is what shells complete from.
ROLES: Final = {
    "ctl": ("client.service.ctl", "main", "command a running instance"),
    "vm": ("client.service.vm_command", "main", "handle a virtual machine: run commands in it, copy files, ..."),
    "image": ("client.service.image_command", "main", "add images of your own, see and remove them"),
    "images": ("client.service.images_command", "main", "see and remove the appliances on this computer"),
    "site": ("client.service.site_command", "main", "run a whole project on this computer"),
    "submit": ("client.service.submit_command", "main", "submit jobs to a site"),
    "jobs": ("client.service.jobs_command", "main", "jobs of a site: see, stop, repeat"),
    "agents": ("client.service.agents_command", "main", "who works for a site, and how well"),
    "drain": ("client.service.drain_command", "main", "give out no new jobs, and wait for the others"),
    "heartbeat": ("client.service.heartbeat_command", "main", "who is in a project's chat room, and how they do"),
    "agent": ("client.copilot.native", "main", "run a Co-Pilot agent on this computer, without a guest"),
    "job-manager": ("client.copilot.managers.job", "main", "run a job manager"),
    "storage-manager": ("client.copilot.managers.storage", "main", "run a storage manager"),
    "manager": ("client.copilot.managers.together", "main", "run a job and storage manager in one process"),
    "key-manager": ("client.service.key_command", "main", "run a key manager"),
    "monitor": ("client.copilot.managers.monitor.service", "main", "collect and show what managers report"),
    "context": ("client.service.context_command", "main", "make a contextualization medium from a template"),
    "publish": ("client.appliance.publish.command", "main", "make and keep a signed catalogue of appliances"),
    "preferences": ("client.service.preferences_command", "main", "see and change what is set, and by whom"),
    "explain": ("client.service.explain_command", "main", "say why it runs or waits, now or in a week"),
    "hypervisors": ("client.service.hypervisors", "main", "show what can run virtual machines here"),
    "completion": ("client.service.completion_command", "main", "let a shell complete this program's words"),
    "worker": ("client.appliance.worker_child", "main", "do one piece of work for a running instance"),
    "token": ("client.project.token_child", "main", "ask a project for a guest's account, for a running instance"),
    "relay": ("client.guest.relay", "main", "carry one connection of a guest (for hypervisors)"),
    "guard": ("client.throttle.guard_child", "main", "hold virtual machines to their limits, for a running instance"),
}
_HOW_TO_START: Final = "Start it with .venv/bin/python main.py; `make run`, once, makes that and gets all packages."
FACES: Final = {
    "gui": "open the window (the default)",
    "headless": "work without a window, with progress on the terminal",
    "attach": "attach to a project by its file",
}


def main(argv: list[str]) -> int:
    """Run a face or a role; returns the exit code."""
    word = argv[0] if argv and not argv[0].startswith("-") else ""
    if word in _INNER and argv[1:2] in (["-h"], ["--help"]):
        print(f"main.py {word}: {ROLES[word][2]}. The program starts it itself; there is nothing to type.")
        return 0
    try:
        if word in ROLES:
            module, function, _ = ROLES[word]
            run: Callable[..., int | None] = getattr(importlib.import_module(module), function)
            # The one role that speaks of all others that people use.
            typed = {name: role for name, role in ROLES.items() if name not in _INNER}
            more = (_face_options(), typed) if word == "completion" else ()
            return run(argv[1:], *more) or 0
        return _face(argv)
    except ClientError as error:
        said = sentence(error)
        print(f"volunteer-cloud: {said.text} {said.doing}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package in {"client", "ui"}:
            raise
        print(f"volunteer-cloud: The package {package} is missing. {_HOW_TO_START}", file=sys.stderr)
        return 125 if word == "vm" else 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output went away; Python must not complain about it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        print(f"volunteer-cloud: {_system_says(error)}", file=sys.stderr)
        return 2


def _have_streams() -> None:
    """Whoever starts this without a stream (`>&-`) has it read or write nothing; no other file gets its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


def _system_says(error: OSError) -> str:
    """What the system refused, in one sentence."""
    if code_of(error) == "disk-full" or not error.filename:
        said = sentence(error)
        return f"{said.text} {said.doing}"
    return f"{error.filename}: {error.strerror}. What to do: look whether the place is right, and yours to use."


def _face(argv: list[str]) -> int:
    from client.service import attach_command
    from client.service.session import Options

    given = _parser().parse_args(argv)
    if given.face in ROLES:
        raise BadInput(given.face, "it has to be the first word", f"write main.py {given.face}, and its options behind")
    if given.face not in FACES:
        near = difflib.get_close_matches(given.face, [*FACES, *ROLES], 1)
        remedy = f"did you mean main.py {near[0]}?" if near else "main.py --help lists what there is"
        raise BadInput("main.py", f"there is no {given.face!r}", remedy)
    if given.file is not None and given.face != "attach":
        raise BadInput(str(given.file), f"{given.face} takes no file", "see main.py --help")
    if given.face == "attach":
        if given.file is None:
            raise BadInput("attach", "no project file was named", "write main.py attach PROJECT-FILE")
        return attach_command.run(Paths(given.basedir), given.file, yes=given.yes, ask=attach_command.at_terminal())
    options = Options(given.basedir, tuple(given.set), given.start, given.project, given.jobs)
    if given.face == "headless":
        from client.service import daemon

        return daemon.main(options, as_json=given.json)
    from ui import launch

    return launch.main(options, theme=given.theme, minimized=given.minimized, report=given.ui_report)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of jobs")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    outer = [name for name in ROLES if name not in (*_SERVING, *_INNER)]
    parser = Parser(
        prog="main.py",
        usage="main.py [gui | headless | attach FILE | WORD ...] [options]",
        description="Lends this computer's idle time to science.",
        epilog=f"""\
further words, each with --help:
{_listed(outer)}
for those who serve a project:
{_listed(_SERVING)}
for this program itself:
{_listed(_INNER)}""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_face_options()],
    )
    faces = "; ".join(f"{name}: {told}" for name, told in FACES.items())
    parser.add_argument("face", nargs="?", default="gui", metavar="gui, headless, attach", help=faces)
    parser.add_argument("file", nargs="?", type=Path, help="attach: the project file")
    return parser


def _face_options() -> argparse.ArgumentParser:
    parser = Parser(add_help=False)
    parser.add_argument("--basedir", type=Path, default=default_base(), help="folder for everything that is written")
    parser.add_argument("--project", type=Path, help="attach to this project file first")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a preference for this run")
    parser.add_argument("--start", action="store_true", help="begin to work at once")
    parser.add_argument("--minimized", action="store_true", help="gui: only the tray icon")
    parser.add_argument("--theme", choices=("system", "light", "dark"), default="system", help="gui: colours")
    parser.add_argument("--ui-report", type=Path, help="gui: keep a file on widgets and UI times (for tests)")
    parser.add_argument("--yes", action="store_true", help="attach: agree beforehand to what the project sees")
    parser.add_argument("--json", action="store_true", help="headless: one JSON line for each state")
    parser.add_argument("--jobs", type=_count, default=0, help="leave after so many finished jobs, and wait for nobody")
    parser.add_argument("--version", action="version", version=f"Volunteer Cloud {__version__}, Python {sys.version}")
    return parser


def _listed(names: Iterable[str]) -> str:
    return "\n".join(f"  {name:16} {ROLES[name][2]}" for name in names)


if __name__ == "__main__":
    _have_streams()
    sys.exit(main(sys.argv[1:]))
