"""`main.py completion`: what a shell needs to complete this program's words.

Each role's module has `build_parser`; a role without it is completed as a word, and what follows it is not.
"""

import argparse
import importlib
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import shtab

from client.command_line import Parser
from client.errors import BadInput
from client.service.table import say, tell

SHELLS: Final = ("bash", "zsh", "fish")
NAME: Final = "volunteer-cloud"
_FOLDERS: Final = frozenset({"FOLDER", "DIR"})
_PLACES: Final = {
    "bash": "~/.local/share/bash-completion/completions/{name}",
    "zsh": "~/.zfunc/_{name}",
    "fish": "~/.config/fish/completions/{name}.fish",
}
_MORE: Final = {
    "bash": "and open a new shell (the package bash-completion reads that folder; without it: source the file)",
    "zsh": "with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc, and open a new shell",
    "fish": "and open a new shell",
}
#: What makes the name a command. Of an alias, zsh would complete what it stands for.
_FUNCTION: Final = '{name}() {{ {program} "$@"; }}'
_COMMANDS: Final = {"bash": _FUNCTION, "zsh": _FUNCTION, "fish": "alias {name}={quoted}"}
_EXAMPLES: Final = """\
examples:
  main.py completion bash > ~/.local/share/bash-completion/completions/volunteer-cloud
  source <(main.py completion bash)            for this shell only; in zsh: eval "$(main.py completion zsh)"
  main.py completion fish | source             the same in fish

What is completed is the name that --name gives; make it a command, in ~/.bashrc or ~/.zshrc:
  volunteer-cloud() { /path/to/.venv/bin/python /path/to/main.py "$@"; }
in ~/.config/fish/config.fish:
  alias volunteer-cloud='/path/to/.venv/bin/python /path/to/main.py'

exit codes: 0 written; 2 something is wrong, as the message says
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        prog="main.py completion",
        description="Writes what a shell needs to complete this program's words.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.add_argument("--name", default=NAME, help=f"of the command that is completed ({NAME})")
    return parser


def main(argv: list[str], faces: argparse.ArgumentParser, roles: Mapping[str, tuple[str, str, str]]) -> int:
    """`main.py completion`; returns the exit code.

    Args:
        faces: a parser with the options of the faces, and nothing else.
        roles: word -> (module, function, help), of those that people use.
    """
    given = build_parser().parse_args(argv)
    if not given.name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise BadInput("--name", f"{given.name!r} is no name of a command", "give letters, digits, - and _")
    say(shtab.complete(whole_parser(given.name, faces, roles), given.shell))
    if sys.stderr.isatty() or not sys.stdout.isatty():
        _hint(given.shell, given.name)
    return 0


def whole_parser(
    name: str, faces: argparse.ArgumentParser, roles: Mapping[str, tuple[str, str, str]]
) -> argparse.ArgumentParser:
    """One parser with all words of the program."""
    parser = argparse.ArgumentParser(prog=name, parents=[faces])
    words = parser.add_subparsers()
    words.add_parser("gui", parents=[faces], help="open the window")
    words.add_parser("headless", parents=[faces], help="work without a window")
    attach = words.add_parser("attach", parents=[faces], help="attach to a project by its file")
    attach.add_argument("file", type=Path)
    for word, (module, _, told) in roles.items():
        words.add_parser(word, parents=[_parser_of(module)], add_help=False, help=told.replace("%", "%%"))
    _adapt(parser)
    return parser


def _parser_of(module: str) -> argparse.ArgumentParser:
    build: Callable[[], argparse.ArgumentParser] = getattr(
        importlib.import_module(module), "build_parser", argparse.ArgumentParser
    )
    return build()


def _adapt(parser: argparse.ArgumentParser) -> None:
    """Make it what the library completes well: values that are paths as such."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                _adapt(inner)
            continue
        if isinstance(action.choices, Mapping):
            # The library takes whatever has a mapping for words with options of their own.
            action.choices = list(action.choices)
        if action.type is Path or str(action.metavar).startswith("FILE"):
            is_folder = action.metavar in _FOLDERS or action.dest in {"basedir", "appliance"}
            action.complete = shtab.DIRECTORY if is_folder else shtab.FILE  # type: ignore[attr-defined]


def _hint(shell: str, name: str) -> None:
    place = _PLACES[shell].format(name=name)
    tell(f"To keep it, write it to {place}, {_MORE[shell]}.")
    program = f"{shlex.quote(sys.executable)} {shlex.quote(str(Path(sys.argv[0]).absolute()))}"
    command = _COMMANDS[shell].format(name=name, program=program, quoted=shlex.quote(program))
    tell(f"If {name} is no command yet: {command}")
