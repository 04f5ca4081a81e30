"""How jobs ended, on a bar while they do, as JSON, and for people."""

from collections.abc import Callable
from typing import Any, Final

from client.copilot.fields import printable
from client.service.counter import Counter
from client.service.job_watch import Ended
from client.service.table import counted, say

#: So many are told with their reason.
_SHOWN: Final = 20


def watcher(bar: Counter) -> Callable[[Ended, int], None]:
    """Shows on a bar what `until_ended` tells."""

    def show(ended: Ended, at_work: int) -> None:
        dead = f", {len(ended.dead)} dead" if ended.dead else ""
        bar.show(ended.number, f"{at_work:,} at work{dead}")

    return show


def ended_facts(ended: Ended) -> dict[str, Any]:
    """How jobs ended, for JSON."""
    dead = [{"id": job_id, "reason": reason} for job_id, reason in ended.dead.items()]
    return {"done": ended.done, "dead": dead, "gone": ended.gone}


def say_ended(ended: Ended) -> None:
    """How jobs ended, for people."""
    say(f"{counted(ended.done, 'job')} done, {len(ended.dead):,} dead.")
    for job_id, reason in list(ended.dead.items())[:_SHOWN]:
        say(f"  {job_id}  {printable(reason)}")
    if len(ended.dead) > _SHOWN:
        say("  ... main.py jobs dead shows all reasons")
