"""Whose fault it is that an agent gives a job back."""

import re
from typing import Final

from client.copilot.errors import NO_MEMORY

#: Causes that begin so are the job's: it wants more than it may have, and the agent was right to end it.
_LIMITS: Final = frozenset({"time-limit", "memory-limit", "output-limit"})
#: An agent that ends jobs so sooner than this after it got them is believed, but has to pause as after any failure:
#: else one computer could say so of all jobs, one after the other, and use up their attempts.
SOON_S: Final = 60.0
#: So it is at any time where the computer had less memory than others may have: a job that came back goes out first,
#: and would come to the same computer again and again.
_EVER_S: Final = 1e12


def soon_s(cause: str) -> float | None:
    """For how long after a hand-out an agent that gives this cause has to pause; None: it is the agent's failure.

    Args:
        cause: hostile text.
    """
    word, *said = re.split("[:;]", cause, maxsplit=1)
    if word.strip() not in _LIMITS:
        return None
    return _EVER_S if "".join(said).strip().startswith(NO_MEMORY) else SOON_S
