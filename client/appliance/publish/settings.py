"""What an operator can change about a catalogue, and a project about itself: two small TOML files."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import tomlkit

from client.appliance.catalog_facts import Reader, is_folder_url, is_id
from client.errors import BadInput
from client.paths import write_atomic
from client.plain_toml import BadToml, read_toml

MOST_DAYS: Final = 3650
MAX_MIRRORS: Final = 8


@dataclass(frozen=True)
class Expiry:
    """For how many days a signature is good. A short time bounds for how long an old state can be shown as new."""

    root: int = 365
    targets: int = 180
    project: int = 180
    snapshot: int = 30
    timestamp: int = 7


@dataclass(frozen=True)
class Settings:
    """A catalogue's settings.

    Attributes:
        keep: how many older versions of each list stay readable, with the files they name, for clients that are
            still at them.
        metadata_urls, target_urls: where the web shows it; written into what clients are given.
    """

    expiry: Expiry = Expiry()
    keep: int = 3
    metadata_urls: tuple[str, ...] = ()
    target_urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Publisher:
    """Who a project is, as volunteers read it.

    Attributes:
        mirrors: addresses of folders that hold its files as `targets` does.
        versions: how many versions of each appliance it lists.
        days: for how many days its signatures are good.
    """

    id: str
    name: str
    text: str = ""
    publisher: str = ""
    homepage: str = ""
    mirrors: tuple[str, ...] = ()
    versions: int = 3
    days: int = Expiry.project
    picture: str = field(default="")

    def told(self) -> dict[str, Any]:
        """What the catalogue tells of it."""
        return {
            "id": self.id,
            "name": self.name,
            "text": self.text,
            "publisher": self.publisher,
            "homepage": self.homepage,
            "picture": self.picture,
            "mirrors": list(self.mirrors),
        }


def read_settings(path: Path) -> Settings:
    """The settings in a file.

    Raises:
        BadInput: it cannot be used.
    """
    said = _toml(path)
    wrong: list[str] = []
    expiry = Reader(said.get("expiry_days", {}), str(path), wrong)
    usual = Expiry()
    days = {one.name: expiry.whole(one.name, 1, MOST_DAYS, getattr(usual, one.name)) for one in fields(Expiry)}
    keep = Reader(said.get("keep", {}), str(path), wrong).whole("versions", 1, 100, Settings.keep)
    places = Reader(said.get("addresses", {}), str(path), wrong)
    metadata, targets = (read_urls(places.get(key, []), key, wrong) for key in ("metadata", "targets"))
    _refuse(path, wrong)
    return Settings(Expiry(**days), keep, metadata, targets)


def write_settings(path: Path, settings: Settings) -> None:
    """Write them for a person to read and change."""
    text = tomlkit.document()
    text.add(tomlkit.comment("For how many days each kind of signature is good."))
    text.add("expiry_days", tomlkit.item(vars(settings.expiry)))
    keep = tomlkit.table()
    keep.add(tomlkit.comment("Older versions of the lists, and the files that they name, which stay for slow clients."))
    keep.add("versions", settings.keep)
    text.add("keep", keep)
    places = tomlkit.table()
    places.add(tomlkit.comment("Where the web shows public/metadata and public/targets; several are mirrors."))
    places.add("metadata", list(settings.metadata_urls))
    places.add("targets", list(settings.target_urls))
    text.add("addresses", places)
    write_atomic(path, tomlkit.dumps(text).encode(), 0o644)


def read_publisher(path: Path) -> Publisher:
    """Who the project of that file is.

    Raises:
        BadInput: it cannot be used.
    """
    said = _toml(path)
    wrong: list[str] = []
    found = publisher_from(said.get("project", {}), str(path), wrong)
    list_ = Reader(said.get("list", {}), str(path), wrong)
    versions, days = list_.whole("versions", 1, 100, 3), list_.whole("expiry_days", 1, MOST_DAYS, Expiry.project)
    _refuse(path, wrong)
    return Publisher(**{**vars(found), "versions": versions, "days": days})


def publisher_from(said: object, where: str, wrong: list[str]) -> Publisher:
    """Who says it is what; what is wrong with it is added to `wrong`."""
    reader = Reader(said, where, wrong)
    if not is_id(reader.get("id")):
        wrong.append("id must be lower-case letters, digits and dashes, at most 41, and no word of the catalogue's own")
    if not reader.get("name"):
        wrong.append("name is missing")
    return Publisher(
        id=str(reader.get("id")),
        name=reader.text("name", 80),
        text=reader.text("text", 400),
        publisher=reader.text("publisher", 120),
        homepage=reader.text("homepage", 400),
        mirrors=read_urls(reader.get("mirrors", []), "mirrors", wrong),
        picture=reader.path("picture"),
    )


def write_publisher(path: Path, publisher: Publisher) -> None:
    """Write it for a person to read and change."""
    told = publisher.told()
    body = {"project": told, "list": {"versions": publisher.versions, "expiry_days": publisher.days}}
    write_atomic(path, tomlkit.dumps(body).encode(), 0o644)


def read_urls(said: object, key: str, wrong: list[str]) -> tuple[str, ...]:
    """Addresses of folders, each with its slash at the end; what is wrong with them is added to `wrong`."""
    if not isinstance(said, list) or len(said) > MAX_MIRRORS:
        wrong.append(f"{key} is no list of at most {MAX_MIRRORS} addresses")
        return ()
    found = []
    for one in said:
        if is_folder_url(one):
            found.append(one if one.endswith("/") else f"{one}/")
        else:
            wrong.append(f"{key} holds what is no https address (http only on this computer)")
    return tuple(found)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path)
    except FileNotFoundError as error:
        raise BadInput(str(path), "there is no such file", "make the folder first: main.py publish --help") from error
    except (OSError, BadToml) as error:
        raise BadInput(str(path), f"it cannot be read ({error})", "correct the file") from error


def _refuse(path: Path, wrong: list[str]) -> None:
    if wrong:
        raise BadInput(str(path), "; ".join(wrong), "correct the file")
