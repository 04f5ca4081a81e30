"""`main.py attach FILE`: says what the project will see, asks, and attaches; attaching is the consent."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from client.consent import SEES
from client.paths import Paths
from client.project.attach import attach
from client.project.definition import load_project

_YES: Final = frozenset({"y", "yes"})


def run(
    paths: Paths,
    file: Path,
    *,
    yes: bool,
    ask: Callable[[str], str] | None = None,
    say: Callable[[str], None] = print,
) -> int:
    """Attach to a project if the person agrees; returns the exit code.

    Args:
        yes: the person has agreed beforehand.
        ask: puts a question to the person; None: there is nobody to ask, so the command itself is the answer.

    Raises:
        BadInput: the file does not fit; the project attached stays.
    """
    project = load_project(file)
    say(f"{project.name}: {project.text}" if project.text else project.name)
    say(SEES)
    if ask is not None and not yes:
        if ask("Attach to this project? [y/N] ").strip().lower() not in _YES:
            say("Not attached; nothing has changed.")
            return 1
    elif not yes:
        say("You are not asked, as this is no terminal; --yes says the same.")
    attach(paths, file)
    say(f"Attached to the project of {file}.")
    return 0


def at_terminal() -> Callable[[str], str] | None:
    """How to ask the person at the terminal; None: there is none."""
    return _ask if sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty() else None


def _ask(question: str) -> str:
    try:
        return input(question)
    except EOFError:
        return ""
