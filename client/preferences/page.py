"""docs/preferences.md, out of the table: `main.py preferences --markdown > docs/preferences.md`."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

from client.preferences.boinc_import import NOT_HERE
from client.preferences.presets import KEYS, Computer, Preset, presets
from client.preferences.spec import BY_KEY, TABLE, Group, Kind, PreferenceSpec
from client.preferences.values import told

_HEAD: Final = """\
<!-- Made by `main.py preferences --markdown > docs/preferences.md`: change client/preferences/spec.py, not this. -->
# Preferences

Nothing has to be set: what holds by itself is made so that nobody who uses the computer notices the program.

```
main.py preferences                                   all of them, and who said what
main.py preferences preset barely-there               many at once
main.py preferences set when.week "mon-fri 18:00-08:00, sat-sun"
main.py preferences set when.programs "game, blender"
main.py preferences set processor.percent 10 --project "Name of a project"
main.py preferences reset when.week                   back to what holds without your word
main.py preferences import-boinc                      what was set for BOINC
```

They lie in `preferences.toml` in the base folder, which may also be written by hand:

```toml
[when]
week = "mon-fri 18:00-08:00, sat-sun"
programs = ["game", "blender"]

[project."Name of a project".processor]
percent = 10
```

- Yes and no are `true` and `false` in the file, names a list of texts, hours of the week a text.
- **Hours of the week** are days, times, or both: `sat-sun`, `18:00-08:00`, `mon-fri 18:00-08:00, sat-sun`, `mon wed
  8:00-10:00 14:00-16:00`; or `always`, `never`. A night belongs to the day on which it begins. The wall clock counts.
- **For one project**: what is marked ● can be set for one project, too. It then holds beside what is set for all: the
  stricter of both. So a project can get less than all, never more.
- **For one run**: `--set KEY=VALUE` beats the file, and is not kept.
- A file of an earlier version goes on; when it is first written again, what it was is kept as `preferences.toml.bak`. A
  file that is no TOML is set aside as `preferences.broken`.
- Not a preference, as it is always so: virtual machines have the lowest priority at the processor and at the disk, and
  do not use the graphics processor.

## For computers that somebody manages
A file of the same form holds for all users of a computer: `/etc/volunteer-cloud/preferences.toml`; on macOS
`/Library/Application Support/volunteer-cloud/preferences.toml`; on Windows `preferences.toml` in the folder
`volunteer-cloud` of the common application data (usually in `C:\\ProgramData`), which has to be made so that users
cannot write to it. What it says holds where a user says nothing. What it locks, no user changes:

```toml
locked = ["network.*", "processor.percent"]

[network]
up_kib_per_s = 100
```

It keeps users from mistakes; whoever may run other programs on the computer can run another client, too. While it
cannot be read, nothing starts.
"""
_PRESETS: Final = """\
## Presets
They say how much is given, and leave alone what is your own business: hours, programs, names of networks, budgets.
"""
_BOINC: Final = """\
## Coming from BOINC
`main.py preferences import-boinc` takes over what the BOINC on this computer has in `global_prefs.xml` (with `--venue
home` the section for a place), `global_prefs_override.xml` and the programs of `cc_config.xml`; or of files that are
named. `--dry-run` only tells. It says what was taken, what was not, and why. A number that no file names is not taken:
then ours holds.

| BOINC | here | default | BOINC's | why |
|---|---|---|---|---|
"""
_NOT_HERE: Final = """\

What BOINC has and this program has not:

| BOINC | why |
|---|---|
"""
#: what depends on the computer
_OF_COMPUTER: Final = {"guest.cpus": "all there are", "guest.memory_mib": "three quarters of it"}


def markdown() -> str:
    """The whole page."""
    parts = [_HEAD, *_groups(), _PRESETS, _preset_table(), _BOINC + _rows(_boinc()), _NOT_HERE + _rows(_not_here())]
    return "\n".join(part.strip("\n") + "\n" for part in parts)


def _groups() -> Iterator[str]:
    order = list(Group)
    for group, specs in groupby(sorted(TABLE, key=lambda spec: order.index(spec.group)), lambda spec: spec.group):
        head = f"## {group}\n| key | default | values | what | |\n|---|---|---|---|---|\n"
        yield head + _rows(_row(spec) for spec in specs)


def _row(spec: PreferenceSpec) -> tuple[str, ...]:
    mark = "●" if spec.per_project else ""
    return (f"`{spec.key}`", told(spec, spec.default), _values(spec), f"**{spec.label}.** {spec.help}", mark)


def _values(spec: PreferenceSpec) -> str:
    match spec.kind:
        case Kind.WORD:
            return ", ".join(spec.choices)
        case Kind.NUMBER:
            bounds = f"{spec.minimum:,} to {spec.maximum:,} {spec.unit}".strip()
            return f"{bounds}; 0: {spec.zero}" if spec.zero else bounds
    return spec.kind.value


def _preset_table() -> str:
    found = tuple(presets(Computer()).values())
    helps = "".join(f"- **{one.label}** (`{one.name}`): {one.help}\n" for one in found)
    labels = " | ".join(one.label for one in found)
    head = f"| | {labels} |\n|---{'|---' * len(found)}|\n"
    return f"{helps}\n{head}" + _rows((f"`{key}`", *(_in(one, key) for one in found)) for key in KEYS)


def _in(preset: Preset, key: str) -> str:
    if preset.name == "all-mine" and key in _OF_COMPUTER:
        return _OF_COMPUTER[key]
    return told(BY_KEY[key], preset.values[key])


def _boinc() -> Iterator[tuple[str, ...]]:
    for spec in TABLE:
        if spec.boinc is not None:
            same = (spec.boinc.default or "the same", spec.boinc.reason)
            yield (spec.boinc.tag, f"`{spec.key}`", told(spec, spec.default), *same)


def _not_here() -> Iterator[tuple[str, ...]]:
    return ((tag, f"{why}.") for tag, why in NOT_HERE.items())


def _rows(rows: Iterable[tuple[str, ...]]) -> str:
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in rows)
