"""Preferences as values: defaults, the user's TOML file over them, `--set` over that."""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from client.errors import BadInput
from client.log import logger
from client.paths import write_atomic
from client.preferences.spec import BY_KEY, TABLE, PreferenceSpec, Value


class Preferences:
    """Values by key of the table."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = {spec.key: spec.default for spec in TABLE} | dict(values)

    def text(self, key: str) -> str:
        """A preference of words."""
        return str(self._values[key])

    def number(self, key: str) -> int:
        """A preference that is a whole number."""
        return int(self._values[key])

    def flag(self, key: str) -> bool:
        """A preference that is on or off."""
        return bool(self._values[key])


def load(path: Path, sets: Iterable[str] = ()) -> Preferences:
    """Preferences from the file and from `KEY=VALUE` words of the command line.

    A file that is no TOML is set aside; a value of it that does not fit is left out; both are logged.

    Raises:
        BadInput: a word of `sets` does not fit.
    """
    return Preferences(_from_file(path) | parse_sets(sets))


def parse_sets(sets: Iterable[str]) -> dict[str, Value]:
    """Preferences by key, from `KEY=VALUE` words.

    Raises:
        BadInput: one does not fit.
    """
    values = {}
    for word in sets:
        key, equals, text = word.partition("=")
        if not equals:
            raise BadInput("--set", f"{word!r} is not KEY=VALUE", "write for example --set guest.cpus=2")
        values[key] = parse(key, text)
    return values


def save(path: Path, key: str, value: Value) -> None:
    """Write one preference into the file; all else in it stays as it was written, comments too.

    Raises:
        BadInput: the file cannot be read, or the value does not fit.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    wrong = check(BY_KEY[key], value)
    if wrong:
        raise BadInput(f"preference {key}", f"{value!r} does not fit", wrong)
    group, _, name = key.partition(".")
    try:
        said = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
        said.setdefault(group, tomlkit.table())[name] = value
        text = tomlkit.dumps(said)
    except (OSError, UnicodeDecodeError, TOMLKitError, TypeError) as error:
        raise BadInput(str(path), f"it cannot be changed ({error})", "correct the file, or remove it") from error
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomic(path, text.encode())


def parse(key: str, text: str) -> Value:
    """The value that a text means for a preference.

    Raises:
        BadInput: no such key, or the text does not fit.
    """
    spec = BY_KEY.get(key)
    if spec is None:
        near = difflib.get_close_matches(key, BY_KEY, 1)
        remedy = f"did you mean {near[0]}?" if near else f"known are {', '.join(BY_KEY)}"
        raise BadInput("preferences", f"there is no preference {key!r}", remedy)
    value: Value = text
    if isinstance(spec.default, bool):
        value = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}.get(
            text.lower(), text
        )
    elif isinstance(spec.default, int) and text.lstrip("-").isdecimal():
        value = int(text)
    wrong = check(spec, value)
    if wrong:
        raise BadInput(f"preference {key}", f"{text!r} does not fit", wrong)
    return value


def check(spec: PreferenceSpec, value: object) -> str:
    """What is wrong with a value, as a remedy; empty when it fits."""
    if isinstance(spec.default, bool):
        return "" if isinstance(value, bool) else "say true or false"
    if isinstance(spec.default, int):
        fits = isinstance(value, int) and not isinstance(value, bool) and spec.minimum <= value <= spec.maximum
        return "" if fits else f"give a whole number from {spec.minimum} to {spec.maximum}"
    if not isinstance(value, str):
        return "give a text"
    return "" if not spec.choices or value in spec.choices else f"choose one of {', '.join(spec.choices)}"


def _from_file(path: Path) -> dict[str, Value]:
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        aside = path.with_suffix(".broken")
        path.replace(aside)
        logger("core").warning("Preferences could not be read (%s); set aside as %s", error, aside.name)
        return {}
    values: dict[str, Value] = {}
    for group, section in said.items():
        for name, value in section.items() if isinstance(section, dict) else ():
            spec = BY_KEY.get(f"{group}.{name}")
            if spec is not None and not check(spec, value):
                values[spec.key] = value
            else:
                logger("core").warning("Preference %s.%s in %s is unknown or does not fit", group, name, path.name)
    return values
