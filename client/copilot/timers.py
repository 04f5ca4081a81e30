"""All waits and repeats of the agent in one table; `docs/co-pilot-protocol.md` explains them."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Timers:
    """Seconds, unless the name says otherwise.

    Attributes:
        want_first_s, want_last_s: want_getJob is repeated after the first, then doubling, at last every last.
        get_answer_s: for runJob after getJob; the original waits 60, but a manager that lives answers in milliseconds.
        place_first_s, place_last_s: the same as want_* for want_getJobOutputDir.
        store_answer_s: for storeJobOutputDir after getJobOutputDir.
        sleep_longest_s: after `sleep` the agent stays away for a random time up to this.
        error_pause_s: after `error` while it asks for a job.
        transfer_first_s: before the second trial to move a file, then doubling.
        transfer_trials: trials for one input file, and least rounds of asking for a place and uploading.
        claim_patience_s: how long a job that was taken up again waits for its claim before it works on regardless.
    """

    want_first_s: float = 5.0
    want_last_s: float = 60.0
    get_answer_s: float = 15.0
    place_first_s: float = 5.0
    place_last_s: float = 60.0
    store_answer_s: float = 10.0
    sleep_longest_s: float = 120.0
    error_pause_s: float = 60.0
    transfer_first_s: float = 2.0
    transfer_trials: int = 6
    claim_patience_s: float = 30.0


def doubling(first_s: float, last_s: float) -> Iterator[float]:
    """Waits that double from the first to the last, which then repeats for ever."""
    wait_s = first_s
    while True:
        yield wait_s
        wait_s = min(last_s, wait_s * 2)
