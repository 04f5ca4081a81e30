"""The recipe of the appliance as data: what stands in resources/appliance, and the hash of all inputs."""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.appliance.failure import BuildFailed

TOP = Path(__file__).resolve().parents[2]
RECIPE = TOP / "resources" / "appliance"


def lines_of(path: Path) -> list[str]:
    """The lines of a list file, without comments and empty lines."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


@dataclass(frozen=True)
class Recipe:
    """What the appliance is made of.

    Attributes:
        folder: where the recipe's files stand.
        table: appliance.toml.
        python: the guest's Python, like "3.11".
        epoch: the date of everything inside, seconds since 1970.
    """

    folder: Path
    table: dict[str, Any]
    name: str
    version: str
    suite: str
    kernel: str
    python: str
    epoch: int

    def file(self, name: str) -> Path:
        """The path of one of the recipe's files."""
        return self.folder / name

    def lines(self, name: str) -> list[str]:
        """The lines of one of the recipe's list files."""
        return lines_of(self.folder / name)

    @property
    def modules(self) -> dict[str, list[str]]:
        """Wanted kernel modules by the time at which they are loaded."""
        found: dict[str, list[str]] = {}
        for line in self.lines("boot/modules.txt"):
            when, module = line.split()
            found.setdefault(when, []).append(module)
        return found


def read_recipe(folder: Path = RECIPE) -> Recipe:
    """Read the recipe.

    Raises:
        BuildFailed: a file or a field is missing.
    """
    try:
        table = tomllib.loads((folder / "appliance.toml").read_text(encoding="utf-8"))
        words = [str(table[key]) for key in ("name", "version", "suite", "kernel", "python")]
        return Recipe(folder, table, *words, epoch=int(table["epoch"]))
    except (OSError, KeyError, ValueError) as wrong:
        raise BuildFailed(f"the recipe in {folder} cannot be used: {wrong!r}") from wrong


def input_hash(recipe: Path = RECIPE, builder: Path = Path(__file__).parent) -> str:
    """SHA-256 over the recipe's files and the builder's own: names, modes and contents, in the order of names."""
    digest = hashlib.sha256()
    for top in (recipe, builder):
        for path in sorted(top.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                data = path.read_bytes()
                digest.update(f"{path.relative_to(top)} {len(data)}\n".encode())
                digest.update(data)
    return digest.hexdigest()
