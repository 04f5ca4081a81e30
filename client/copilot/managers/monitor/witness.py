"""What desks say of their work to whoever counts it; by default nobody does."""

from typing import Final

#: words in the reason of a refused output -> class; the first that is found counts
_REFUSED: Final = (
    ("no output was uploaded", "no-output"),
    ("own validation", "own-validation"),
    ("no validator", "no-validator"),
    ("quorum", "no-quorum"),
    ("differs", "differs"),
    ("larger than", "too-large"),
    ("at most", "too-large"),
    ("too large", "too-large"),
    ("more than", "too-large"),
    ("archive", "archive"),
    ("uploaded", "archive"),
    ("exit", "exit-code"),
    ("killed", "exit-code"),
    ("signal", "exit-code"),
    ("the job ended", "exit-code"),
)
#: causes that our agents give; they are hostile text until they are one of these
_RETURNED: Final = frozenset(
    {
        *("input", "upload", "start", "output-limit", "time-limit", "memory-limit", "disk-full", "requirement"),
        "pilot-token",
    }
)


class Witness:
    """Hears what happens and does nothing with it."""

    def happened(self, event: str) -> None:
        """Something happened, once. event: words of lower case with dots and hyphens."""

    def asked(self, agent: str, jdl: str) -> None:
        """An agent asked for work. agent: full JID."""

    def handed_in(self, job_id: str, started_at: str, now: float) -> None:
        """An output was uploaded. started_at: epoch seconds as the agent repeats them, so hostile; maybe empty."""

    def judged(self, job_id: str, exit_code: int, *, accepted: bool, reason: str) -> None:
        """An output was judged."""


#: for desks that nobody watches
NOBODY: Final = Witness()


def verdict_event(reason: str, *, accepted: bool) -> str:
    """What became of an output, as an event. One that waits for others to agree is kept, not accepted."""
    if accepted:
        return "job.kept" if reason else "job.accepted"
    return "job.late" if "not needed" in reason else f"job.refused.{refusal_class(reason)}"


def refusal_class(reason: str) -> str:
    """The kind of reason for which an output was refused, one of a few words."""
    return next((name for words, name in _REFUSED if words in reason), "content")


def return_class(cause: str) -> str:
    """The kind of cause for which an agent gave a job back; `other` when it is none that our agents give."""
    word = cause.partition(":")[0].strip()
    return word if word in _RETURNED else "other"
