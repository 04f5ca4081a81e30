"""Which appliances are known, on disk: a file for each version, one for each wish, and who holds which.

<folder>/<sha256 of the manifest>.json   a `Choice`: what it is, and where its files can be had
<folder>/wish-<id>.json                  which version a wish has, and which comes next
<folder>/pins.json                       holder -> what it is called, and the files that it needs besides its VM
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from client.appliance.choice import Choice, read_choice
from client.appliance.errors import BadManifest
from client.appliance.objects import is_digest
from client.log import logger
from client.paths import write_atomic

_PINS: Final = "pins.json"
_WISH: Final = "wish-"
#: a 16 GB file has 4,000 pieces of 67 bytes each
_MOST_BYTES: Final = 32 * 2**20


@dataclass(frozen=True)
class Standing:
    """How far a wish is fulfilled, by SHA-256 of manifests; empty: none.

    Attributes:
        current: what VMs boot.
        coming: a newer version, to be used at the next fresh boot once it is whole.
        looked_at: when a catalogue last answered, in seconds since 1970.
    """

    current: str = ""
    coming: str = ""
    looked_at: float = 0.0


@dataclass(frozen=True)
class Pin:
    """Files that a holder needs. label: for people, as in "needed by the project Local site"."""

    label: str
    files: frozenset[str]


class Known:
    """The folder. Methods block for as long as the disk does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._choices: dict[str, Choice] = {}
        self._told: set[str] = set()

    def choice(self, id: str) -> Choice | None:
        """What is known of a version; None if nothing is, or nothing that can be used."""
        if id not in self._choices and is_digest(id):
            try:
                self._choices[id] = read_choice(self._read(f"{id}.json"), id)
            except (OSError, ValueError, BadManifest) as error:
                if not isinstance(error, FileNotFoundError) and id not in self._told:
                    # It is asked for once a second.
                    self._told.add(id)
                    logger("appliance").warning("What was known of the appliance %s cannot be read: %s", id[:16], error)
        return self._choices.get(id)

    def choices(self) -> tuple[Choice, ...]:
        """All that are known; what is damaged is forgotten.

        Raises:
            OSError: one cannot be read, so that not all are known.
        """
        found = []
        for path in sorted(self._folder.glob("*.json")) if self._folder.is_dir() else ():
            if not is_digest(path.stem):
                continue
            try:
                found.append(self._choices.get(path.stem) or read_choice(self._read(path.name), path.stem))
            except (ValueError, RecursionError, BadManifest) as error:
                logger("appliance").warning("What was known of the appliance %s is damaged: %s", path.stem[:16], error)
                path.unlink(missing_ok=True)
        return tuple(found)

    def add(self, choice: Choice) -> None:
        """Know a version, or where it lies now."""
        if self._choices.get(choice.id) != choice:
            self._write(f"{choice.id}.json", choice.to_json())
            self._choices[choice.id] = choice

    def forget(self, id: str) -> None:
        """Know a version no more."""
        self._choices.pop(id, None)
        (self._folder / f"{id}.json").unlink(missing_ok=True)

    def standing(self, wish: str) -> Standing:
        """How far the wish of that id is fulfilled."""
        try:
            said = self._read(f"{_WISH}{wish}.json")
            looked_at = float(said.get("looked_at", 0))
            return Standing(str(said.get("current", "")), str(said.get("coming", "")), looked_at)
        except (OSError, ValueError, TypeError, AttributeError):
            return Standing()

    def standings(self) -> set[str]:
        """All versions that a wish stands at or that come to one."""
        wishes = [path.stem.removeprefix(_WISH) for path in self._folder.glob(f"{_WISH}*.json")]
        return {id for one in map(self.standing, wishes) for id in (one.current, one.coming) if id}

    def stand(self, wish: str, standing: Standing) -> None:
        """Note how far it is."""
        self._write(f"{_WISH}{wish}.json", asdict(standing))

    def pins(self) -> dict[str, Pin]:
        """Who holds which files.

        Raises:
            OSError, ValueError: it cannot be read, so that it is not known.
        """
        try:
            said = self._read(_PINS)
            return {str(one): Pin(str(pin["label"]), frozenset(map(str, pin["files"]))) for one, pin in said.items()}
        except FileNotFoundError:
            return {}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{_PINS} is damaged") from error

    def pin(self, holder: str, label: str, files: Iterable[str]) -> None:
        """Have files stay for a holder, and those that it had go; none: it holds nothing any more."""
        try:
            before = self.pins()
        except (OSError, ValueError):
            # Damaged; every holder says again what it needs when it is built.
            before = {}
        after = {one: pin for one, pin in before.items() if one != holder}
        if pinned := frozenset(files):
            after[holder] = Pin(label, pinned)
        if after != before:
            self._write(_PINS, {one: {"label": pin.label, "files": sorted(pin.files)} for one, pin in after.items()})

    def _read(self, name: str) -> Any:
        with (self._folder / name).open("rb") as file:
            return json.loads(file.read(_MOST_BYTES))

    def _write(self, name: str, said: object) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(self._folder / name, json.dumps(said).encode())
