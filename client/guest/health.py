"""Is the guest alive? Pure: what was heard and when, against limits that fit the guest's own speed."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: silence after which a guest that spoke is taken for hung, unless it is a slow one
SILENCE_LIMIT_S: Final = 15.0
#: a slow guest may be silent this many times as long as it ever was before
GAP_FACTOR: Final = 3.0
#: and at most this long, if it has its processors for itself
SILENCE_CEILING_S: Final = 120.0
#: time from start to the first word, when nothing is known of this computer
BOOT_LIMIT_S: Final = 120.0
#: a boot may take this many times as long as the last good one, but at least BOOT_FLOOR_S
BOOT_FACTOR: Final = 6.0
BOOT_FLOOR_S: Final = 30.0
#: percent of the computer's own speed that the limits fit: QEMU's TCG; a guest that is slower still gets more time
FITTED_SPEED: Final = 6
#: after this long alive, earlier troubles are forgotten
GOOD_LIFE_S: Final = 600.0


class Remedy(StrEnum):
    """What to do about a guest."""

    #: nothing; it is alive, or still within its time
    NONE = "none"
    #: the reset button
    RESET = "reset"
    #: power off, throw the saved state away, boot
    FRESH_BOOT = "fresh boot"


@dataclass(frozen=True)
class Pulse:
    """What is known of a running guest. Times in monotonic seconds.

    Attributes:
        running_since: when it began to execute (start, reset, resume), whichever was last.
        heard_at: its last word since then or since its boot; None when it has not spoken since its boot.
        longest_gap_s: its longest silence so far.
        usual_boot_s: from start to first word, the last good time on this computer; 0 when unknown.
        troubles: how many remedies were tried since it last lived well.
        speed: of the guest, in percent of the computer's own, as far as it is known.
        share: the least of its processors' time that it was given since its last word, above 0 and at most 1.
    """

    running_since: float
    heard_at: float | None
    longest_gap_s: float = 0.0
    usual_boot_s: float = 0.0
    troubles: int = 0
    speed: int = 100
    share: float = 1.0


def silence_limit_s(pulse: Pulse) -> float:
    """How long this guest may be silent now, in seconds."""
    patience = max(1.0, FITTED_SPEED / (max(1, pulse.speed) * pulse.share))
    if pulse.heard_at is None:
        usual_s = BOOT_FACTOR * pulse.usual_boot_s / pulse.share
        return max(BOOT_FLOOR_S, usual_s) if usual_s else BOOT_LIMIT_S * patience
    return min(SILENCE_CEILING_S / pulse.share, max(SILENCE_LIMIT_S * patience, GAP_FACTOR * pulse.longest_gap_s))


def judge(pulse: Pulse, now: float) -> Remedy:
    """The remedy due: one soft reset first, then fresh boots."""
    last_sign = max(pulse.running_since, pulse.heard_at or pulse.running_since)
    if now - last_sign <= silence_limit_s(pulse):
        return Remedy.NONE
    return Remedy.RESET if pulse.troubles == 0 else Remedy.FRESH_BOOT


def lives_well(pulse: Pulse, now: float) -> bool:
    """Whether earlier troubles may be forgotten."""
    return pulse.heard_at is not None and now - pulse.running_since >= GOOD_LIFE_S
