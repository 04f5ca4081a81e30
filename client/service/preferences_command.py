"""`main.py preferences`: see what is set and by whom, set it, take it back; presets; those of BOINC.

It may be done while the program runs, which takes it up from the file.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from client.command_line import Parser
from client.errors import BadInput
from client.host.computer import processors, total_memory_mib
from client.paths import Paths, default_base
from client.preferences.boinc_import import Left, Taken, import_boinc, report
from client.preferences.boinc_xml import FILES, find_boinc, read_boinc
from client.preferences.doubts import doubts
from client.preferences.layers import Layer, Setting, site_file
from client.preferences.page import markdown
from client.preferences.presets import NAMES, Computer, changes, kept, preset_of, presets
from client.preferences.spec import BY_KEY, TABLE, Group, PreferenceSpec, Value
from client.preferences.store import Preferences, load, parse, save_all
from client.preferences.values import shown, spec_of, told
from client.project.definition import load_project
from client.service.table import say, say_json, tell

_EXAMPLES: Final = """\
examples:
  main.py preferences                                  all, and who said what
  main.py preferences set when.week "mon-fri 18:00-08:00, sat-sun"
  main.py preferences set when.in_use no --project "Name of a project"
  main.py preferences preset barely-there --dry-run
  main.py preferences import-boinc --dry-run           of the BOINC that is on this computer

exit codes: 0 done; 2 something is wrong, as the message says
"""
_WORDS: Final = {
    "list": "all of them, and who said what (also without a word)",
    "get": "the value of one",
    "set": "write one into your file",
    "reset": "take it out of your file again",
    "preset": "set many at once",
    "import-boinc": "take over what was set for BOINC",
}


def main(argv: list[str], *, site: Path | None = None) -> int:
    """Do one word; returns the exit code.

    Args:
        site: the file for all users of the computer; None: where it lies on this system.

    Raises:
        BadInput, PreferenceLocked: a word, a file or a value does not fit.
    """
    given = build_parser().parse_args(argv)
    if given.markdown:
        say(markdown().rstrip("\n"))
        return 0
    desk = _Desk(Paths(given.basedir).preferences, site or site_file(), getattr(given, "project", ""))
    words: Mapping[str, Callable[[_Desk, argparse.Namespace], None]] = {
        "list": _list,
        "get": _get,
        "set": _set,
        "reset": _reset,
        "preset": _preset,
        "import-boinc": _import,
    }
    words[given.word or "list"](desk, given)
    for doubt in doubts(desk.preferences):
        tell(doubt)
    return 0


class _Desk:
    """The files, and what they say now."""

    def __init__(self, path: Path, site: Path, project: str) -> None:
        self.path, self.site, self.project = path, site, project
        self.preferences = load(path, site=site)

    def write(self, values: Mapping[str, Value | None]) -> Iterator[str]:
        """Write it; afterwards, a line for each that has another value now."""
        before = self.preferences
        for note in save_all(self.path, values, project=self.project, site=self.site):
            tell(note)
        self.preferences = load(self.path, site=self.site)
        if self.project:
            return (_for_project(self.project, key, value) for key, value in values.items())
        return _differences(before, self.preferences)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        prog="main.py preferences",
        description="What this program may do on this computer: all of it is explained in docs/preferences.md.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_shared(parser, default_base(), False)
    parser.set_defaults(dry_run=False)
    parser.add_argument("--markdown", action="store_true", help="write docs/preferences.md, and do nothing else")
    words = parser.add_subparsers(dest="word", metavar="WORD")
    made = {word: words.add_parser(word, help=line, description=line) for word, line in _WORDS.items()}
    for one in made.values():
        # A word's own defaults would be put over what stood before the word.
        _add_shared(one, argparse.SUPPRESS, argparse.SUPPRESS)
    made["get"].add_argument("key", metavar="KEY", type=_key, choices=tuple(BY_KEY))
    made["set"].add_argument("key", metavar="KEY", type=_key, choices=tuple(BY_KEY))
    made["set"].add_argument(
        "value", metavar="VALUE", help="names with commas between them; hours of the week in quotes"
    )
    made["reset"].add_argument("keys", metavar="KEY", type=_key, nargs="*")
    made["reset"].add_argument("--all", action="store_true", help="all that your file says")
    for word in ("set", "reset"):
        made[word].add_argument("--project", metavar="NAME", default="", help="for this project alone")
    made["preset"].add_argument("name", choices=NAMES)
    made["import-boinc"].add_argument(
        "files", metavar="FILE", type=Path, nargs="*", help=f"{', '.join(FILES)}; without any: those of the BOINC here"
    )
    made["import-boinc"].add_argument("--venue", metavar="NAME", default="", help="the section for this place")
    for word in ("preset", "import-boinc"):
        made[word].add_argument("--dry-run", action="store_true", help="only tell what would be written")
    return parser


def _add_shared(parser: argparse.ArgumentParser, base: object, off: object) -> None:
    parser.add_argument("--basedir", type=Path, default=base, help="folder for everything that is written")
    parser.add_argument("--json", action="store_true", default=off, help="for programs")
    parser.add_argument("--changed", action="store_true", default=off, help="list: without the defaults")


def _key(text: str) -> str:
    return spec_of(text).key


def _list(desk: _Desk, given: argparse.Namespace) -> None:
    preferences = desk.preferences
    preset = preset_of(preferences, _computer())
    if given.json:
        say_json(
            {
                "file": str(desk.path),
                "site_file": str(desk.site),
                "preset": preset or None,
                "preferences": {key: _as_json(key, preferences.setting(key)) for key in BY_KEY},
                "projects": {name: _of_project(preferences, name) for name in preferences.projects()},
                "problems": preferences.problems(),
                "doubts": doubts(preferences),
            }
        )
        return
    say(f"Your file: {desk.path}")
    say(f"These are the values of the preset {preset}." if preset else "They are those of none of the presets.")
    for group in Group:
        lines = [_line(spec, preferences.setting(spec.key)) for spec in TABLE if spec.group is group]
        wanted = [line for line in lines if not given.changed or "[" in line]
        if wanted:
            say("\n".join(["", group, *wanted]))
    for name in preferences.projects():
        own = [f"  {key:34} {told(BY_KEY[key], value)}" for key, value in _of_project(preferences, name).items()]
        say("\n".join(["", f"For the project {name} alone, beside what holds for all", *own]))


def _get(desk: _Desk, given: argparse.Namespace) -> None:
    setting = desk.preferences.setting(given.key)
    if given.json:
        say_json({given.key: _as_json(given.key, setting)})
    else:
        say(shown(setting.value))


def _set(desk: _Desk, given: argparse.Namespace) -> None:
    _tell_changes(desk, given, {given.key: parse(given.key, given.value)})
    if given.project:
        _tell_of_others(Paths(given.basedir).project, given.project)


def _tell_of_others(file: Path, name: str) -> None:
    """Say whether the project that is attached is another one: a name that is mistyped is no error here."""
    try:
        attached = load_project(file).name
    except BadInput:
        return
    if attached != name:
        tell(f"The project that is attached is called {attached!r}; what is set for {name!r} does not hold for it.")


def _reset(desk: _Desk, given: argparse.Namespace) -> None:
    if bool(given.keys) == given.all:
        raise BadInput("main.py preferences reset", "it has to be known which ones", "name keys, or say --all")
    _tell_changes(desk, given, dict.fromkeys(given.keys or BY_KEY))


def _preset(desk: _Desk, given: argparse.Namespace) -> None:
    preset = presets(_computer())[given.name]
    locked = kept(preset, desk.preferences)
    values = changes(preset, desk.preferences)
    if not given.json:
        say(f"{preset.label}: {preset.help}")
    _tell_changes(desk, given, values, wanted=preset.values, locked=locked)


def _import(desk: _Desk, given: argparse.Namespace) -> None:
    programs = desk.preferences.names("when.programs")
    files = given.files or find_boinc()
    if not given.json:
        say(f"From {', '.join(map(str, files))}:")
    taken, left = import_boinc([read_boinc(file) for file in files], given.venue, programs)
    free = [one for one in taken if not desk.preferences.setting(one.key).locked]
    left += [Left(one.tag, f"{one.key} is locked on this computer") for one in taken if one not in free]
    if free and not given.dry_run:
        list(desk.write({one.key: one.value for one in free}))
    if given.json:
        said = [{"tag": one.tag, "said": one.said, "key": one.key, "value": one.value} for one in free]
        say_json(
            {
                "files": files,
                "written": bool(free) and not given.dry_run,
                "taken": said,
                "left": [vars(one) for one in left],
            }
        )
        return
    _tell_import(free, left, dry_run=given.dry_run)


def _tell_import(taken: list[Taken], left: list[Left], *, dry_run: bool) -> None:
    for line in report(taken, left):
        say(line)
    if not taken:
        say("Nothing of it could be taken.")
    elif dry_run:
        say("Nothing was written; without --dry-run it is.")


def _tell_changes(
    desk: _Desk,
    given: argparse.Namespace,
    values: Mapping[str, Value | None],
    *,
    wanted: Mapping[str, Value] | None = None,
    locked: tuple[str, ...] = (),
) -> None:
    """Write values, if it is to be, and say what is different."""
    before = desk.preferences
    if given.dry_run:
        lines = [_change(key, before.setting(key).value, to) for key, to in (wanted or {}).items() if key not in locked]
    else:
        lines = list(desk.write(values))
    if given.json:
        after = {key: _as_json(key, desk.preferences.setting(key)) for key in values}
        say_json({"written": not given.dry_run, "preferences": after, "locked": locked})
        return
    for line in filter(None, lines):
        say(line)
    for key in locked:
        say(f"{key} is locked on this computer, and stays {told(BY_KEY[key], before.setting(key).value)}.")
    if not any(lines):
        say("That is so already.")
    elif given.dry_run:
        say("Nothing was written; without --dry-run it is.")


def _differences(before: Preferences, after: Preferences) -> Iterator[str]:
    return (_change(key, before.setting(key).value, after.setting(key).value) for key in BY_KEY)


def _change(key: str, before: Value, after: Value) -> str:
    """A line; empty for no change."""
    spec = BY_KEY[key]
    return "" if before == after else f"{key} = {told(spec, after)} (was {told(spec, before)})"


def _for_project(project: str, key: str, value: Value | None) -> str:
    said = "as for all" if value is None else told(BY_KEY[key], value)
    return f"{key} = {said}, for {project}"


def _line(spec: PreferenceSpec, setting: Setting) -> str:
    marks = [setting.layer.value] if setting.layer is not Layer.DEFAULT else []
    marks += ["locked"] if setting.locked else []
    line = f"  {spec.key:34} {told(spec, setting.value)}"
    return f"{line:60} [{', '.join(marks)}]" if marks else line


def _as_json(key: str, setting: Setting) -> dict[str, Any]:
    said = {"value": setting.value, "layer": setting.layer, "locked": setting.locked}
    return said | {"default": BY_KEY[key].default, "unit": BY_KEY[key].unit}


def _of_project(preferences: Preferences, name: str) -> dict[str, Value]:
    """What is set for a project alone, by the user where both say something."""
    return {key: value for said in preferences.for_project(name) for key, value in said.items()}


def _computer() -> Computer:
    return Computer(processors(), total_memory_mib())
