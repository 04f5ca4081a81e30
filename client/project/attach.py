"""Makes a project file the one attached."""

from pathlib import Path

from client.consent import SEES
from client.errors import BadInput
from client.log import logger
from client.paths import Paths, write_atomic
from client.project.definition import load_project


def attach(paths: Paths, file: Path) -> None:
    """Make a project file the one attached, in place of any other; it is checked first.

    Raises:
        BadInput: it does not fit; the one attached stays.
    """
    project = load_project(file)
    paths.make()
    write_atomic(paths.project, file.read_bytes())
    logger("core").info("Attached to %s. %s", project.name, SEES)


def attach_first(paths: Paths, file: Path) -> None:
    """Attach to a project while there is none that can be used: one that is at work is not exchanged.

    Raises:
        BadInput: there is one, or the file does not fit.
    """
    try:
        known = load_project(paths.project)
    except BadInput:
        attach(paths, file)
        return
    remedy = f"to change it, quit, and then: main.py attach {file}"
    raise BadInput("the project", f"this computer works for {known.name} already", remedy)
