"""Which job managers are heard: they tell every minute how many jobs wait, so one that tells nothing is in trouble."""

from collections.abc import Mapping
from typing import Final

from client.copilot.managers.monitor.ledger import clean_name

#: three times what is between two values of a manager: one that could not reach the monitor pauses for a minute
SILENT_S: Final = 180.0
#: whoever is silent for that long was taken away by its operator
GONE_S: Final = 86400.0
#: components that are remembered
MAX_HEARD: Final = 100
_REGULAR: Final = "queuedJobs"


class Presence:
    """When each of them was heard last."""

    def __init__(self) -> None:
        self._heard: dict[str, float] = {}

    def hear(self, component: str, values: Mapping[str, float], now: float) -> None:
        """It told something. values: by event. now: epoch seconds, as everywhere here."""
        name = clean_name(component)
        if name in self._heard or (_REGULAR in values and len(self._heard) < MAX_HEARD):
            self._heard[name] = now

    def silent(self, since: float, now: float) -> dict[str, float]:
        """Those that tell nothing -> when they were heard last. since: from when on the monitor could be reached."""
        self._heard = {name: at for name, at in self._heard.items() if now - at < GONE_S}
        if now - since < SILENT_S:
            return {}
        return {name: at for name, at in sorted(self._heard.items()) if now - at >= SILENT_S}
