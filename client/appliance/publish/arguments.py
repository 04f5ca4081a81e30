"""The words of `main.py publish`."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from client.command_line import Parser

Run = Callable[[argparse.Namespace], int]
AddOption = Callable[[argparse.ArgumentParser], None]
#: what it runs, what it is for, what it takes beside the folder
Verb = tuple[Run, str, tuple[AddOption, ...]]

_EPILOG: Final = """\
The shortest way, all keys in one folder (for a trial or a small project):
  main.py publish add F build/appliance --project demo --name "My project" --url https://my.host/catalogue/
  let a web server show F/public at that address, and run each day from cron:
  main.py publish renew F
A project of its own, on its own machine, with its own key:
  main.py publish project P --project atlas --name "ATLAS"        makes its key
  main.py publish add P IMAGE                                     signs; P/outbox is what it sends to the catalogue
  main.py publish accept F P/outbox --trust KEY                   the catalogue's operator, once; later without --trust
"""


def verbs_parser(known: Mapping[str, Verb]) -> argparse.ArgumentParser:
    """The whole command line of some verbs."""
    parser = Parser(
        prog="main.py publish",
        description="Makes and keeps a signed catalogue of appliances (The Update Framework).",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for name, (run, told, options) in known.items():
        verb = verbs.add_parser(name, help=told, description=told)
        verb.set_defaults(run=run)
        verb.add_argument("folder", type=Path, metavar="FOLDER", help="folder of the catalogue, or of a project")
        for option in options:
            option(verb)
        verb.add_argument(
            "--keys",
            type=Path,
            action="append",
            default=[],
            metavar="FOLDER",
            help="further keys are in there (a stick with the offline keys)",
        )
        verb.add_argument(
            "--passphrase-file", type=Path, metavar="FILE", help="with the passphrase of offline and project keys"
        )
    return parser


def add_images(verb: argparse.ArgumentParser) -> None:
    """What is published."""
    verb.add_argument(
        "image",
        type=Path,
        nargs="*",
        metavar="IMAGE",
        help="folder with manifest.json (make appliance), or TOML file of facts beside an image",
    )
    verb.add_argument(
        "--facts", type=Path, metavar="FILE", help="TOML with what else is to be said of a folder with manifest.json"
    )
    verb.add_argument("--replace", action="store_true", help="a version that is listed already may get other bytes")
    verb.add_argument("--no-patches", action="store_true", help="no patches from the version before")
    verb.add_argument(
        "--template", type=Path, action="append", default=[], metavar="FILE", help="contextualization template"
    )
    verb.add_argument(
        "--project-file", type=Path, metavar="FILE", help="project file for volunteers; all the world can read it then"
    )
    verb.add_argument("--picture", type=Path, metavar="FILE", help="picture for the list of projects")


def add_who(verb: argparse.ArgumentParser) -> None:
    """Who a project is."""
    verb.add_argument(
        "--project", default="", metavar="ID", help="the project's id: lower-case letters, digits, dashes"
    )
    verb.add_argument("--name", default="", help="its name, as volunteers read it")
    verb.add_argument("--text", default="", help="what it is for, in two sentences at most")
    verb.add_argument("--publisher", default="", help="who stands behind it")
    verb.add_argument("--homepage", default="", help="https address")
    verb.add_argument(
        "--mirror",
        action="append",
        default=[],
        metavar="URL",
        help="folder that holds its files as public/targets does",
    )


def add_urls(verb: argparse.ArgumentParser) -> None:
    """Where the web shows it."""
    verb.add_argument("--url", action="append", default=[], help="where the web will show the folder public")


def add_signers(verb: argparse.ArgumentParser) -> None:
    """How many offline keys there are."""
    verb.add_argument(
        "--signers", type=int, choices=range(1, 10), default=1, metavar="N", help="how many offline keys are made (1)"
    )
    verb.add_argument(
        "--threshold", type=int, choices=range(1, 10), default=1, metavar="M", help="how many of them must sign (1)"
    )


def add_outbox(verb: argparse.ArgumentParser) -> None:
    """What a project sent, and whether its keys are trusted."""
    verb.add_argument("outbox", type=Path, metavar="OUTBOX", help="the folder that the project sent")
    verb.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="KEY",
        help="id of a key that you have compared with the project's people (16 digits or more)",
    )
    verb.add_argument(
        "--elsewhere", action="store_true", help="files may be missing: the project's own mirrors have them"
    )


def add_what(verb: argparse.ArgumentParser) -> None:
    """What is withdrawn."""
    verb.add_argument("what", metavar="WHAT", help="PROJECT/APPLIANCE/VERSION, or PROJECT to trust it no more")


def add_all(verb: argparse.ArgumentParser) -> None:
    """Whether all is renewed."""
    verb.add_argument(
        "--all", action="store_true", help="sign root, the list of projects and own projects too; needs their keys"
    )


def add_role(verb: argparse.ArgumentParser) -> None:
    """Whose keys are changed."""
    verb.add_argument(
        "role", metavar="ROLE", nargs="?", default="", help="root, targets, snapshot, timestamp or a project's id"
    )


def add_json(verb: argparse.ArgumentParser) -> None:
    """For programs."""
    verb.add_argument("--json", action="store_true", help="as JSON")
