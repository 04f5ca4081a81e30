"""How far down the ladder guests go that may not run: held in memory, or saved to free it.

OFF is never decided here: whether saving makes sense is known to whoever runs the guests.
"""

from collections.abc import Collection

from client.preferences.types import Memory
from client.throttle.decision import Rung
from client.throttle.past import Past
from client.throttle.rule import Rule

#: saving then is for whoever runs the guests, who knows whether it fits into the time that is left
GOING_AWAY = frozenset({"leaving", "sleeping"})


def rung_of(forbidding: Collection[Rule], memory: Memory, past: Past, held_s: float) -> Rung:
    """Where guests belong.

    Args:
        forbidding: rules that keep guests from running.
        held_s: for how long they have been kept from it.
    """
    if not forbidding:
        return Rung.RUN
    if past.rung > Rung.HOLD:
        # What was freed stays free until guests may run again.
        return past.rung
    if any(rule.name in GOING_AWAY for rule in forbidding):
        return Rung.HOLD
    if any(rule.frees_memory for rule in forbidding):
        return Rung.SAVE
    return Rung.SAVE if _may_save(forbidding, memory) and held_s >= memory.save_after_s else Rung.HOLD


def saves_in_s(forbidding: Collection[Rule], memory: Memory, rung: Rung, held_s: float) -> float | None:
    """After how long guests that are held are saved, if nothing else changes; None: they are not."""
    goes = any(rule.name in GOING_AWAY for rule in forbidding)
    if rung is not Rung.HOLD or goes or not _may_save(forbidding, memory):
        return None
    return memory.save_after_s - held_s


def _may_save(forbidding: Collection[Rule], memory: Memory) -> bool:
    """Whether guests that wait for long are saved: where they may not stay in memory, and the disk has room."""
    return not memory.keep and not any(rule.keeps_off_disk for rule in forbidding)
