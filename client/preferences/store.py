"""Preferences as values: defaults, the site's file, the user's TOML file, `--set` over that."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from client.errors import BadInput, ClientError
from client.log import logger
from client.messages import sentence
from client.plain_toml import BadToml
from client.preferences import layers
from client.preferences.change import save, save_all
from client.preferences.layers import NOTHING, Said, Setting
from client.preferences.spec import TABLE, Value
from client.preferences.values import check, parse, parse_sets, shown
from client.preferences.week import Week
from client.preferences.week_text import parse_week

__all__ = [
    "Preferences",
    "changed",
    "check",
    "check_sets",
    "load",
    "parse",
    "parse_sets",
    "reload",
    "save",
    "save_all",
    "stamp",
]


class Preferences:
    """Values by key of the table, and who said them."""

    def __init__(self, values: Mapping[str, Value], *, site: Said = NOTHING, user: Said = NOTHING) -> None:
        """values: those of the command line."""
        self._sets = dict(values)
        self._site = site
        self._user = user
        self._settings = {spec.key: layers.setting(spec.key, site, user, self._sets) for spec in TABLE}

    def text(self, key: str) -> str:
        """A preference of words."""
        return shown(self._settings[key].value)

    def number(self, key: str) -> int:
        """A preference that is a whole number."""
        value = self._settings[key].value
        assert isinstance(value, int), key
        return int(value)

    def flag(self, key: str) -> bool:
        """A preference that is on or off."""
        return bool(self._settings[key].value)

    def names(self, key: str) -> tuple[str, ...]:
        """A preference that is a list of names."""
        value = self._settings[key].value
        assert isinstance(value, tuple), key
        return value

    def week(self, key: str) -> Week:
        """A preference that is hours of the week."""
        return parse_week(str(self._settings[key].value))

    def setting(self, key: str) -> Setting:
        """A value, who said it, and whether it is locked."""
        return self._settings[key]

    def values(self) -> dict[str, Value]:
        """All values by key."""
        return {key: setting.value for key, setting in self._settings.items()}

    def projects(self) -> tuple[str, ...]:
        """Names of the projects of which something is set for them alone."""
        return tuple(sorted({*self._site.projects, *self._user.projects}))

    def for_project(self, name: str) -> Iterator[Mapping[str, Value]]:
        """What is set for one project alone, by the site and by the user; each holds beside what is set for all."""
        return (said.projects[name] for said in (self._site, self._user) if name in said.projects)

    def problems(self) -> tuple[str, ...]:
        """What in the files is not understood, a sentence each."""
        kept = (
            f"{key} in the user's file is not used: it is locked." for key in self._user.values if self._site.locks(key)
        )
        return (*self._site.problems, *self._user.problems, *kept)

    def adopt(self, other: "Preferences") -> tuple[str, ...]:
        """Become what another one is, for all who hold this one. Returns what has changed; see `changed`."""
        keys = changed(self, other)
        self._sets, self._site, self._user, self._settings = other._sets, other._site, other._user, other._settings
        return keys

    def over_site(self) -> "Preferences":
        """What would hold without the user's file and the command line."""
        return Preferences({}, site=self._site)

    def over(self, site: Said, user: Said) -> "Preferences":
        """The same command line over other files."""
        return Preferences(self._sets, site=site, user=user)


def load(
    path: Path,
    sets: Iterable[str] = (),
    *,
    site: Path | None = None,
    implied: Mapping[str, Value] = MappingProxyType({}),
) -> Preferences:
    """Preferences from the files and from `KEY=VALUE` words of the command line.

    A file of the user that is no TOML is set aside; a value that does not fit is left out; both are logged.

    Args:
        path: of the user's file.
        site: the file for all users of the computer; None: where it lies on this system.
        implied: what the command line means without saying it, by key; what it says goes before, and locks do.

    Raises:
        BadInput: a word of `sets` does not fit, or the site's file cannot be read.
        PreferenceLocked: a word of `sets` is about what the site's file locks.
    """
    place = site or layers.site_file()
    said = layers.read_site(place)
    values = parse_sets(sets)
    layers.refuse_locked(values, said, place)
    meant = {key: value for key, value in implied.items() if not said.locks(key)}
    preferences = Preferences({**meant, **values}, site=said, user=_from_file(path))
    for problem in preferences.problems():
        logger("core").warning("Preferences: %s", problem)
    return preferences


def check_sets(sets: Iterable[str], *, site: Path | None = None) -> None:
    """Whether words of the command line fit, before anything is begun.

    Raises:
        BadInput, PreferenceLocked: as of `load`.
    """
    place = site or layers.site_file()
    layers.refuse_locked(parse_sets(sets), layers.read_site(place), place)


def reload(before: Preferences, path: Path, *, site: Path | None = None) -> Preferences:
    """Preferences from the files as they are now, under the same command line.

    As long as one cannot be read, which may be in the middle of somebody's writing it, those of before hold.
    """
    try:
        return before.over(layers.read_site(site or layers.site_file()), layers.read(path))
    except (BadInput, BadToml, OSError) as error:
        said = sentence(error).text if isinstance(error, ClientError) else f"{path}: {error}"
        logger("core").warning("Preferences were changed, and cannot be read; those of before hold. %s", said)
        return before


def stamp(path: Path, *, site: Path | None = None) -> tuple[tuple[int, int, int], ...]:
    """Another value as soon as one of the files is another; costs two questions to the system."""
    return tuple(_stamp(place) for place in (path, site or layers.site_file()))


def changed(before: Preferences, after: Preferences) -> tuple[str, ...]:
    """Keys whose values are not the same, and `project.NAME` of projects for which something else is set."""
    old, new = before.values(), after.values()
    names = sorted({*before.projects(), *after.projects()})
    projects = [name for name in names if list(before.for_project(name)) != list(after.for_project(name))]
    return (*(key for key in new if new[key] != old[key]), *(f"{layers.PROJECT}.{name}" for name in projects))


_NO_FILE: Final = (0, 0, 0)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return _NO_FILE
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _from_file(path: Path) -> Said:
    try:
        return layers.read(path)
    except (OSError, BadToml) as error:
        aside = path.with_suffix(".broken")
        path.replace(aside)
        logger("core").warning("Preferences could not be read (%s); set aside as %s", error, aside.name)
        return NOTHING
