"""Preference files of earlier versions: what was written for them goes on meaning the same."""

from collections.abc import Callable, MutableMapping
from typing import Any, Final

#: of files that this program writes; one without a version is of 1
VERSION: Final = 2
KEY: Final = "version"


def version_of(said: MutableMapping[str, Any]) -> int:
    """The version of a file; 1 where it says none that can be."""
    version = said.get(KEY, 1)
    return int(version) if isinstance(version, int) and not isinstance(version, bool) and version > 0 else 1


def migrate(said: MutableMapping[str, Any]) -> tuple[str, ...]:
    """Bring a file's content to the newest version, in place; one that is newer than this program stays as it is.

    Returns:
        What was changed, a sentence each.
    """
    notes = []
    for version in range(version_of(said), VERSION):
        notes += _STEPS[version](said)
        said[KEY] = version + 1
    return tuple(notes)


def _metered(said: MutableMapping[str, Any]) -> list[str]:
    """Before 2, `appliances.on_metered` was all there was about networks that are paid by the byte."""
    appliances = said.get("appliances")
    if not isinstance(appliances, MutableMapping) or appliances.get("on_metered") != "fetch":
        return []
    network = said.setdefault("network", {})
    if not isinstance(network, MutableMapping) or "on_metered" in network:
        return []
    network["on_metered"] = True
    return ["network.on_metered is true now, as appliances.on_metered was fetch; it holds for all transfers."]


_STEPS: Final[dict[int, Callable[[MutableMapping[str, Any]], list[str]]]] = {1: _metered}
