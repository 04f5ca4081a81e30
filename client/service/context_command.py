"""`main.py context`: makes a contextualization medium from a template, or shows what would be on it.

main.py context --list
main.py context linux                                    what the template asks for
main.py context linux --set key=@~/.ssh/id_ed25519.pub --output seed.iso
main.py context linux --set key=@~/.ssh/id_ed25519.pub --show
"""

import argparse
import base64
import binascii
import getpass
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from client.appliance.contextual.faults import nearest
from client.appliance.contextual.language import Field, Kind, System, Template
from client.appliance.contextual.seed import build_seed, shown_files
from client.appliance.contextual.template import load_template
from client.appliance.contextual.tree import Medium
from client.appliance.errors import BadContextValues, BadTemplate
from client.command_line import Parser
from client.errors import BadInput

TEMPLATES: Final = Path(__file__).resolve().parents[2] / "resources" / "templates"
_MEDIA: Final = {"config-drive": Medium.CONFIG_DRIVE, "nocloud": Medium.NOCLOUD, "hepix": Medium.HEPIX}
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{16,}={0,2}")
#: what a terminal would obey
_STEERING: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_MOST_BYTES: Final = 1 << 20
#: what a new medium in an older one's place does to a guest that has read that one
_CHANGED: Final = {
    System.CLOUD_INIT: "It says something else than the one before: a guest that has read that one does it all again.",
    System.CERNVM: "It says something else than the one before. CernVM takes a context at its first boot only, so give"
    " it a fresh scratch disk.",
}
_UNCHANGED: Final = "It says the same as the one before: a guest that has read that one does nothing again."


def main(argv: list[str]) -> int:
    """The role `context`."""
    try:
        return _run(build_parser().parse_args(argv))
    except (BadTemplate, BadContextValues) as error:
        if len(error.faults) > 1:
            error.what = "\n  ".join([f"{len(error.faults)} places are wrong:", *error.faults])
        raise


def _run(given: argparse.Namespace) -> int:
    if not (given.list or given.template) and (given.set or given.show or given.output):
        raise BadInput("main.py context", "no template is named", "main.py context --list shows them")
    if given.list or not given.template:
        for path in sorted(TEMPLATES.glob("*.toml")):
            print(f"{path.stem:14} {load_template(path).name}")
        return 0
    template = load_template(find_template(given.template))
    values = dict(field_value(one) for one in given.set)
    if not given.show and not given.output:
        _say("\n".join(_asked(template)))
        return 0
    values |= ask_secrets(template, values)
    medium = _MEDIA[given.medium]
    if given.show:
        for name, content in shown_files(template, values, medium).items():
            _say(f"== {name}\n{_unpacked(content.decode())}")
    if given.output:
        was_there = given.output.exists()
        try:
            seed = build_seed(given.output, template, values, given.instance_id, medium)
        except OSError as error:
            what = f"it cannot be written ({error.strerror})"
            raise BadInput(str(given.output), what, "name a place that you may write to") from error
        print(f"{seed.path} is made: label {medium.value}, instance {seed.instance_id}.")
        if was_there:
            print(_CHANGED[template.system] if seed.is_new else _UNCHANGED)
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        prog="main.py context",
        description="Make a contextualization medium from a template. Without --output and --show: what it asks for.",
    )
    parser.add_argument("template", nargs="?", default="", help="a template's file, or a name that --list shows")
    parser.add_argument("--list", action="store_true", help="list the templates that come with the program")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="fill in a field; FIELD=@FILE takes a file's text, FIELD=@- standard input's, FIELD=@@X the text @X."
        " Secrets that are missing are asked for at a terminal",
    )
    parser.add_argument("--output", type=Path, metavar="FILE.iso", help="where the medium is written")
    parser.add_argument("--show", action="store_true", help="show what would be on it, without the secrets")
    parser.add_argument("--medium", choices=_MEDIA, default="config-drive", help="how it presents itself to the guest")
    parser.add_argument(
        "--instance-id", default="guest", metavar="NAME", help="what the guest's instance id begins with"
    )
    return parser


def find_template(name: str) -> Path:
    """The file of a template: of one that comes with the program, or the user's own.

    Raises:
        BadInput: there is none.
    """
    known = [path.stem for path in TEMPLATES.glob("*.toml")]
    if name in known:
        return TEMPLATES / f"{name}.toml"
    path = Path(name).expanduser()
    if path.exists():
        return path
    what = "there is no such file" if "/" in name else f"there is no template of this name{nearest(name, known)}"
    raise BadInput(name, what, "name a template's file, or one that main.py context --list shows")


def field_value(text: str) -> tuple[str, str]:
    """Field and value of a `--set`.

    Raises:
        BadInput: it is none, or its file cannot be read.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise BadInput("--set", "a field and its value belong together", "write FIELD=VALUE")
    if value.startswith("@@"):
        return name, value[1:]
    return (name, _from_file(name, value[1:])) if value.startswith("@") else (name, value)


def _from_file(name: str, said: str) -> str:
    try:
        if said == "-":
            text = sys.stdin.read(_MOST_BYTES)
        else:
            with Path(said).expanduser().open(encoding="utf-8-sig", newline="") as file:
                text = file.read(_MOST_BYTES)
    except OSError as error:
        raise BadInput(f"--set {name}", f"{said} cannot be read ({error.strerror})", "name a file of text") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"--set {name}", f"{said} is no text in UTF-8", "name a file of text") from error
    # What an editor or `echo` puts at the end of one line is not part of it.
    return text[:-1].removesuffix("\r") if text.endswith("\n") and text.count("\n") == 1 else text


def ask_secrets(template: Template, values: dict[str, str]) -> dict[str, str]:
    """Secrets that nobody has given, from the terminal: on a command line all users of the computer can read them."""
    if not sys.stdin.isatty():
        return {}
    wanted = [field for field in template.fields if field.kind is Kind.SECRET and field.default is None]
    return {field.name: getpass.getpass(f"{field.label}: ") for field in wanted if field.name not in values}


def _asked(template: Template) -> Iterator[str]:
    yield template.name
    yield from (f"  {line}" for line in template.text.strip().splitlines())
    yield "It asks for:"
    for field in template.fields:
        yield f"  {field.name:16} {field.label} ({_kind(field)})"
        if field.help:
            yield f"  {'':16} {field.help}"


def _kind(field: Field) -> str:
    said = [str(field.kind)]
    if field.choices:
        said = [" or ".join(field.choices)]
    if field.kind is Kind.NUMBER:
        said = [f"{field.minimum} to {field.maximum}"]
    if field.default is None:
        said.append("must be given")
    elif field.default != "":
        shown = ("on" if field.default else "off") if isinstance(field.default, bool) else field.default
        said.append(f"else {shown}")
    return ", ".join(said)


def _unpacked(text: str, depth: int = 0) -> str:
    """The text, and what it holds in base64 below it."""
    parts = [text.rstrip("\n")]
    for found in _BASE64.findall(text) if depth < 3 else ():
        inner = _decoded(found)
        if inner:
            parts.append(
                "\n".join(f"    | {line}" for line in ["(in base64 there:)", *_unpacked(inner, depth + 1).split("\n")])
            )
    return "\n".join(parts) + ("\n" if depth == 0 else "")


def _decoded(text: str) -> str:
    try:
        said = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return said if said.replace("\n", "").replace("\t", "").isprintable() else ""


def _say(text: str) -> None:
    print(_STEERING.sub("\ufffd", text))
