"""Which requirements of jobs a computer meets, by the numbers that they have in Redis."""

from collections.abc import Sequence
from typing import Final

from client.copilot.errors import BadRequirements
from client.copilot.queue.queue import Host
from client.copilot.requirements import Requirements, parse_requirements

#: Judgements that are remembered, of all computers together.
_MOST_KEPT: Final = 1_000_000
_MOST_HOSTS: Final = 2000


class MetRequirements:
    """Requirements are learned when a job has a new one; each is judged once for a computer."""

    def __init__(self) -> None:
        self._known: list[Requirements | None] = []
        self._epoch = self._last = ""
        self._met: dict[frozenset[tuple[str, str]], tuple[int, str]] = {}

    def learn(self, known: int, epoch: str, texts: Sequence[str]) -> None:
        """The requirements behind the first `known`; 0: all are others than they were.

        Args:
            epoch: while it is the same, no number is given to another requirement.
            texts: empty ones are of no job any more.

        Raises:
            ValueError: there are none, or they are of no use.
        """
        if not texts or known not in {0, len(self._known)}:
            raise ValueError("a requirement is missing")
        if known == 0:
            self._known, self._met = [], {}
        if known and epoch != self._epoch:
            raise ValueError("requirements of two epochs")
        self._known += [parse_requirements(readable(text)) if text else None for text in texts]
        self._epoch, self._last = epoch, texts[-1]

    def said_for(self, host: Host) -> tuple[int, str, str]:
        """What Redis is told of a computer: the number of requirements known, those met; epoch and last one known."""
        if not self._known:
            return 0, "", ""
        if len(self._met) > _MOST_HOSTS or len(self._met) * len(self._known) > _MOST_KEPT:
            self._met = {}
        key = frozenset(host.items())
        judged, met = self._met.get(key, (0, ""))
        for number, one in enumerate(self._known[judged:], judged + 1):
            if one is not None and one.met_by(host):
                met += f",{number}"
        self._met[key] = (len(self._known), met)
        return len(self._known), met, f"{self._epoch} {self._last}"


def readable(text: str) -> str:
    """The text of a requirement, as it is.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        parse_requirements(text)
    except BadRequirements as wrong:
        raise ValueError(str(wrong)) from wrong
    return text
