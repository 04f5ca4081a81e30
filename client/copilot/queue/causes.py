"""Whose fault it is that an agent gives a job back."""

import re
from typing import Final

#: Causes that begin so are the job's: it wants more than it may have, and the agent was right to end it.
_LIMITS: Final = frozenset({"time-limit", "memory-limit", "output-limit"})
#: An agent that ends jobs so sooner than this after it got them is believed, but has to pause as after any failure:
#: else one computer could say so of all jobs, one after the other, and use up their attempts.
SOON_S: Final = 60.0


def is_jobs_limit(cause: str) -> bool:
    """Whether the cause that an agent gives is a limit of the job. cause: hostile text."""
    return re.split("[:;]", cause, maxsplit=1)[0].strip() in _LIMITS
