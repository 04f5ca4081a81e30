"""Who said what: defaults, the site's file, the user's file, the command line; the later wins where nothing is locked.

A file:
    version = 2
    locked = ["network.*", "guest.cpus"]    only in the site's file: users cannot change these
    [guest]
    cpus = 2
    [project."name of a project".when]      beside what holds for all projects
    in_use = false
"""

import sys
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from client import filenames
from client.errors import BadInput
from client.plain_toml import BadToml, read_toml
from client.preferences.errors import PreferenceLocked
from client.preferences.migrate import KEY as VERSION_KEY
from client.preferences.migrate import migrate
from client.preferences.spec import BY_KEY, Value
from client.preferences.values import canonical, check

LOCKED: Final = "locked"
PROJECT: Final = "project"


class Layer(StrEnum):
    """Where a value comes from, the later over the earlier."""

    DEFAULT = "default"
    #: the file for all users of the computer
    SITE = "site file"
    #: the user's own file
    USER = "user file"
    #: `--set`
    COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Setting:
    """A value, who said it, and whether it is kept by the site's file."""

    value: Value
    layer: Layer
    locked: bool = False


@dataclass(frozen=True)
class Said:
    """What a file says.

    Attributes:
        values: by key of the table.
        projects: by name; for each by key.
        locked: patterns of keys (`network.*`).
        problems: what in it is not understood, a sentence each.
        notes: what was changed as it is of an earlier version.
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    projects: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    locked: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def locks(self, key: str) -> bool:
        """Whether users cannot change a preference."""
        return any(fnmatchcase(key, pattern) for pattern in self.locked)


NOTHING: Final = Said()


def site_file() -> Path:
    """The file that holds for all users of the computer; no variable of the environment moves it."""
    return _site_folder() / filenames.PREFERENCES


def read(path: Path) -> Said:
    """What a file says; nothing, when there is none.

    Raises:
        OSError: it cannot be read.
        BadToml: it is no TOML.
    """
    try:
        said = read_toml(path)
    except FileNotFoundError:
        return NOTHING
    notes = migrate(said)
    problems: list[str] = []
    projects = said.pop(PROJECT, {})
    return Said(
        dict(_values(said, path.name, problems)),
        {
            name: dict(_project_values(name, section, path.name, problems))
            for name, section in (projects.items() if isinstance(projects, dict) else ())
            if isinstance(section, dict)
        },
        _patterns(said.get(LOCKED, []), problems),
        tuple(problems),
        notes,
    )


def read_site(path: Path) -> Said:
    """What the site's file says.

    Raises:
        BadInput: it cannot be understood. Going on without it would break what it locks.
    """
    try:
        return read(path)
    except (OSError, BadToml) as error:
        remedy = "whoever looks after this computer has to correct it"
        raise BadInput(str(path), f"this file, which holds for all users, cannot be read ({error})", remedy) from error


def setting(key: str, site: Said, user: Said, sets: Mapping[str, Value]) -> Setting:
    """The value of a preference, by all layers."""
    locked = site.locks(key)
    layers = ((Layer.COMMAND_LINE, sets), (Layer.USER, user.values))
    for layer, values in () if locked else layers:
        if key in values:
            return Setting(values[key], layer)
    if key in site.values:
        return Setting(site.values[key], Layer.SITE, locked)
    return Setting(BY_KEY[key].default, Layer.DEFAULT, locked)


def refuse_locked(keys: Mapping[str, object], site: Said, path: Path) -> None:
    """Keep what the site's file locks.

    Raises:
        PreferenceLocked: one of the keys is.
    """
    if locked := [key for key in keys if site.locks(key)]:
        raise PreferenceLocked(", ".join(locked), str(path))


def _site_folder() -> Path:
    if sys.platform == "win32":
        import winreg

        # The registry, as programs are told other places by variables that users can set.
        with winreg.OpenKey(
            winreg.HKEY_LOCAL_MACHINE, r"SOFTWARE\Microsoft\Windows\CurrentVersion\Explorer\Shell Folders"
        ) as folders:
            return Path(winreg.QueryValueEx(folders, "Common AppData")[0]) / "volunteer-cloud"
    if sys.platform == "darwin":
        return Path("/Library/Application Support/volunteer-cloud")
    return Path("/etc/volunteer-cloud")


def _values(said: MutableMapping[str, Any], where: str, problems: list[str]) -> Iterator[tuple[str, Value]]:
    for group, section in said.items():
        if not isinstance(section, dict):
            if group not in {VERSION_KEY, LOCKED}:
                problems.append(f"{group} in {where} stands in no section, and is not used.")
            continue
        for name, value in section.items():
            key = f"{group}.{name}"
            spec = BY_KEY.get(key)
            wrong = check(spec, value) if spec else "there is no such preference"
            if spec is None or wrong:
                problems.append(f"{key} in {where} is not used: {wrong}.")
            else:
                yield key, canonical(spec, value)


def _project_values(name: str, section: dict[str, Any], where: str, problems: list[str]) -> Iterator[tuple[str, Value]]:
    for key, value in _values(section, f"{where}, project {name}", problems):
        if BY_KEY[key].per_project:
            yield key, value
        else:
            problems.append(f"{key} in {where} is not used for the project {name}: it holds for all or none.")


def _patterns(said: object, problems: list[str]) -> tuple[str, ...]:
    patterns = [one for one in said if isinstance(one, str)] if isinstance(said, list) else []
    unknown = (one for one in patterns if not any(fnmatchcase(key, one) for key in BY_KEY))
    problems.extend(f"{LOCKED} names {one!r}, which no preference is called." for one in unknown)
    return tuple(patterns)
