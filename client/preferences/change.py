"""Writing the user's file: one writer at a time, whole or not at all, and all else in it stays as it was written."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from client import filenames
from client.errors import BadInput
from client.paths import write_atomic
from client.preferences import layers
from client.preferences.layers import PROJECT
from client.preferences.migrate import KEY, VERSION, migrate, version_of
from client.preferences.spec import Value
from client.preferences.values import check, spec_of

#: beside the file: what it was before it was brought to a newer version
BACKUP_SUFFIX: Final = ".bak"
_WAIT_S: Final = 10.0


def save(path: Path, key: str, value: Value, *, site: Path | None = None) -> None:
    """Write one preference into the file; see `save_all`."""
    save_all(path, {key: value}, site=site)


def save_all(
    path: Path, values: Mapping[str, Value | None], *, project: str = "", site: Path | None = None
) -> tuple[str, ...]:
    """Write preferences into the file, all or none; all else in it stays as it was written, comments too.

    Args:
        path: of the user's file.
        values: by key; None: it is not to be in the file any more.
        project: for this project alone; empty: for all.
        site: the file for all users of the computer; None: where it lies on this system.

    Returns:
        What else was changed as the file was of an earlier version; then the earlier one stays beside it.

    Raises:
        BadInput: the file cannot be read or written, or a value does not fit.
        PreferenceLocked: the site's file keeps one of them.
    """
    _check(values, project)
    place = site or layers.site_file()
    layers.refuse_locked(
        {key: value for key, value in values.items() if value is not None}, layers.read_site(place), place
    )
    with _writing(path):
        return _write(path.resolve(), values, project)


def _check(values: Mapping[str, Value | None], project: str) -> None:
    for key, value in values.items():
        spec = spec_of(key)
        wrong = "" if value is None else check(spec, value)
        if wrong:
            raise BadInput(f"preference {key}", f"{value!r} does not fit", wrong)
        if project and not spec.per_project:
            raise BadInput(f"preference {key}", "it holds for all projects or none", "leave out --project")


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout
    from tomlkit.exceptions import TOMLKitError

    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(path.with_name(filenames.PREFERENCES_LOCK), timeout=_WAIT_S):
            yield
    except Timeout as error:
        raise BadInput(str(path), "another program is changing it", "try again in a moment") from error
    except (OSError, UnicodeDecodeError, TOMLKitError, TypeError, AttributeError) as error:
        raise BadInput(str(path), f"it cannot be changed ({error})", "correct the file, or remove it") from error


def _write(path: Path, values: Mapping[str, Value | None], project: str) -> tuple[str, ...]:
    import tomlkit

    said: Any = tomlkit.document()
    notes: tuple[str, ...] = ()
    if path.exists():
        said = tomlkit.parse(path.read_text(encoding="utf-8-sig"))
        if version_of(said) < VERSION:
            shutil.copyfile(path, path.with_name(path.name + BACKUP_SUFFIX))
            notes = migrate(said)
    else:
        said[KEY] = VERSION
    inner = said.setdefault(PROJECT, tomlkit.table(True)).setdefault(project, tomlkit.table(True)) if project else said
    for key, value in values.items():
        _put(inner, key, value)
    write_atomic(path, tomlkit.dumps(said).encode())
    return notes


def _put(said: Any, key: str, value: Value | None) -> None:
    import tomlkit

    group, _, name = key.partition(".")
    if value is not None:
        said.setdefault(group, tomlkit.table())[name] = list(value) if isinstance(value, tuple) else value
    elif name in said.get(group, {}):
        del said[group][name]
        # A heading over nothing goes too; one with a comment below it stays.
        if not tomlkit.dumps(said[group]).strip():
            del said[group]
