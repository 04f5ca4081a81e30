"""Whether two results of the same job agree, by a comparison that the submitter names.

A comparison says of an output what class it is of: results of one class agree. Some can tell by the output alone; those
that allow differences look at one earlier output of each class.
"""

import hashlib
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeGuard

from client.copilot.managers.errors import OutputRefused
from client.copilot.managers.read_json import read_json
from client.copilot.managers.validate import histograms_digest

#: Files that agents add, or that tell of the computer rather than of the result.
NOT_COMPARED: Final = frozenset({"_wrapper_.sh", "stderr", "resources", "validate_stdout", "validate_stderr"})
_BLOCK_BYTES: Final = 1024 * 1024
_USUAL_FILE: Final = "result.json"
_USUAL_TOLERANCE: Final = 1e-9

Expected = Mapping[str, Any]


@dataclass(frozen=True)
class Comparer:
    """A comparison; exactly one of the two is there.

    Attributes:
        digest: (output, expected) -> a text that agreeing outputs share. Raises OutputRefused.
        same: (output, earlier output, expected) -> whether they agree. Raises OutputRefused when the first is unusable.
    """

    digest: Callable[[Path, Expected], str] | None = None
    same: Callable[[Path, Path, Expected], bool] | None = None


def digest_files(folder: Path, ignored: frozenset[str] = NOT_COMPARED) -> str:
    """A digest of the names and bytes of all files of an output, but for those in the top folder that are ignored."""
    total = hashlib.sha256()
    for path in sorted(_files(folder)):
        name = os.fsencode(path.relative_to(folder))
        if os.fsdecode(name) in ignored:
            continue
        total.update(len(name).to_bytes(8, "big") + name + _digest(path))
    return total.hexdigest()


def same_json(folder: Path, earlier: Path, expected: Expected) -> bool:
    """Whether a JSON file is the same but for small differences of numbers.

    Args:
        expected: may hold compare = {file, relative_tolerance, absolute_tolerance, ignore = [names of members]}.
    """
    said = expected.get("compare", {})
    name = said.get("file", _USUAL_FILE)
    relative, absolute = said.get("relative_tolerance", _USUAL_TOLERANCE), said.get("absolute_tolerance", 0.0)
    pairs: list[tuple[object, object]] = [(read_json(folder / name), read_json(earlier / name))]
    while pairs:
        one, other = pairs.pop()
        if isinstance(one, dict) and isinstance(other, dict):
            names = (one.keys() | other.keys()).difference(said.get("ignore", ()))
            if any(member not in one or member not in other for member in names):
                return False
            pairs += [(one[member], other[member]) for member in names]
        elif isinstance(one, list) and isinstance(other, list):
            if len(one) != len(other):
                return False
            pairs += zip(one, other, strict=True)
        elif not _alike(one, other, relative, absolute):
            return False
    return True


#: name -> comparison; the empty name is for jobs whose submitter names none
COMPARERS: Final[Mapping[str, Comparer]] = {
    "": Comparer(digest=lambda folder, expected: digest_files(folder)),
    "files": Comparer(digest=lambda folder, expected: digest_files(folder, NOT_COMPARED | {"stdout"})),
    "json": Comparer(same=same_json),
    "pythia8": Comparer(digest=lambda folder, expected: histograms_digest(folder)),
}


def find_agreement(compare: str, expected: Expected, output: Path, earlier: Mapping[str, Path], own: str) -> str:
    """The class of an output.

    Args:
        compare: name of the comparison.
        earlier: class -> an output of it.
        own: its class when it agrees with none of them.

    Raises:
        OutputRefused: the output cannot be compared.
    """
    comparer = COMPARERS.get(compare)
    if comparer is None:
        raise OutputRefused(f"this storage manager has no comparison {compare}")
    if comparer.digest is not None:
        return comparer.digest(output, expected)
    same = comparer.same
    assert same is not None
    same(output, output, expected)
    return next((name for name, path in earlier.items() if same(output, path, expected)), own)


def needs_earlier(compare: str) -> bool:
    """Whether a comparison looks at earlier outputs."""
    comparer = COMPARERS.get(compare)
    return comparer is not None and comparer.same is not None


def _files(folder: Path) -> list[Path]:
    found = []
    for place, _, names in os.walk(folder):
        found += [Path(place, name) for name in names]
    return found


def _digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.digest()


def _alike(one: object, other: object, relative: float, absolute: float) -> bool:
    if _is_number(one) and _is_number(other):
        try:
            return one == other or math.isclose(one, other, rel_tol=relative, abs_tol=absolute)
        except OverflowError:
            return False
    return type(one) is type(other) and one == other


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
