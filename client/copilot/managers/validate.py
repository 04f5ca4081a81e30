"""Checks the unpacked output of a job against what its submitter expects.

A validator is a function (folder of the output, expected data) that raises OutputRefused. The submitter names it;
jobs without one are fine when they ended with exit code 0 and their output can be read.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from client.copilot.fields import printable
from client.copilot.managers.errors import OutputRefused
from client.copilot.managers.read_json import read_json

Validator = Callable[[Path, Mapping[str, Any]], None]

_MAX_BINS: Final = 10_000
#: Cross-section of non-diffractive events at 13 TeV in mb: Pythia 8 says 56.5; a wrong process or energy is outside.
_SIGMA_MB: Final = (40.0, 75.0)
#: A reference and a result agree within so many of their common standard errors.
_STANDARD_ERRORS: Final = 5.0


def check_output(validator: str, expected: Mapping[str, Any], exit_code: int, folder: Path) -> None:
    """Check a job's output.

    Args:
        exit_code: raw wait status.

    Raises:
        OutputRefused: it is not what was asked for.
    """
    check_exit_code(exit_code)
    if validator:
        VALIDATORS[validator](folder, expected)


def check_exit_code(wait_status: int) -> None:
    """See that a job ended with exit code 0.

    Raises:
        OutputRefused: it did not.
    """
    if wait_status:
        raise OutputRefused(_ended(wait_status))


def check_pythia8(folder: Path, expected: Mapping[str, Any]) -> None:
    """`summary.json` of the Pythia 8 job: events, seed, hash of the histograms, cross-section.

    Args:
        expected: events, maybe seed, maybe reference = {histograms_sha256, sigma_mb, sigma_error_mb}.

    Raises:
        OutputRefused: something does not fit.
    """
    summary = read_json(folder / "summary.json")
    histograms = _histograms(summary)
    digest = _digest(histograms)
    _same("the hash of the histograms", summary.get("histograms_sha256"), digest)
    _same("the number of events", _integer(summary, "events"), expected["events"])
    _same("the sum of the multiplicities", sum(histograms["charged_multiplicity"]), expected["events"])
    if "seed" in expected:
        _same("the seed", _integer(summary, "seed"), expected["seed"])
    sigma_mb, error_mb = _number(summary, "sigma_mb"), _number(summary, "sigma_error_mb")
    reference = expected.get("reference")
    if reference is None:
        _within("the cross-section", sigma_mb, *_SIGMA_MB)
        return
    _same("the hash of the histograms", digest, reference["histograms_sha256"])
    if error_mb > reference["sigma_mb"]:
        raise OutputRefused("the error of the cross-section is larger than itself")
    allowed = _STANDARD_ERRORS * math.hypot(error_mb, reference["sigma_error_mb"]) + 1e-9
    _within("the cross-section", sigma_mb, reference["sigma_mb"] - allowed, reference["sigma_mb"] + allowed)


def histograms_digest(folder: Path) -> str:
    """What results of the Pythia 8 job must have in common: the hash of their histograms, as it should be.

    Raises:
        OutputRefused: there are none.
    """
    return _digest(_histograms(read_json(folder / "summary.json")))


VALIDATORS: Final[Mapping[str, Validator]] = {"pythia8": check_pythia8}


def _digest(histograms: Mapping[str, list[int]]) -> str:
    return hashlib.sha256(json.dumps(histograms, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _histograms(summary: Mapping[str, Any]) -> dict[str, list[int]]:
    found = summary.get("histograms")
    if not isinstance(found, dict) or set(found) != {"charged_multiplicity", "eta", "pt"}:
        raise OutputRefused("summary.json has not the three histograms")
    for name, bins in found.items():
        if not isinstance(bins, list) or len(bins) > _MAX_BINS or not all(_is_count(count) for count in bins):
            raise OutputRefused(f"the histogram {name} is not a list of counts")
    return found


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _integer(summary: Mapping[str, Any], key: str) -> int:
    value = summary.get(key)
    if not isinstance(value, int) or not _is_count(value):
        raise OutputRefused(f"{key} in summary.json is not a count")
    return value


def _number(summary: Mapping[str, Any], key: str) -> float:
    value = summary.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e12:
        raise OutputRefused(f"{key} in summary.json is not a number")
    return float(value)


def _same(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise OutputRefused(f"{what} is {printable(str(found)[:80])}, not {str(expected)[:80]}")


def _within(what: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise OutputRefused(f"{what} is {value:g}, not within {low:g} and {high:g}")


def _ended(wait_status: int) -> str:
    if wait_status & 0x7F:
        return f"the job was ended by signal {wait_status & 0x7F}"
    return f"the job ended with exit code {(wait_status >> 8) & 0xFF}"
