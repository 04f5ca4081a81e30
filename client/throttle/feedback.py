"""Brings what is used to what is wanted, and tells whether a means holds at all. Pure."""

from typing import Final

#: Of what is missing, so much is made good at each look.
_GAIN: Final = 0.3
#: A correction never gets beyond this share of the target and a point. Downwards it may be large, for a means may be
#: coarse; upwards it is small, for whoever gets less than the target may just be waiting for others.
_MOST_LESS: Final = 0.3
_MOST_MORE: Final = 0.03
_POINT: Final = 1.0
#: Below this share of the target, the guests do not want more, or others are faster: nothing to correct.
_WANTED: Final = 0.8
#: A change that is smaller is not worth a write.
_STEP: Final = 0.2
#: Seconds that a new target takes, and that a verdict is made of.
SETTLE_S: Final = 1.5
JUDGED_S: Final = 4.0


class Feedback:
    """From look to look, what to ask of a means so that the target is reached."""

    def __init__(self) -> None:
        self._target = 0.0
        self._correction = 0.0
        self._asked = 0.0

    def ask(self, target: float, achieved: float | None) -> float:
        """What to ask for, in the unit of the target.

        Args:
            achieved: since the last look; None: not known.
        """
        if target != self._target:
            self._target, self._correction, self._asked = target, 0.0, target
            return target
        if achieved is not None and achieved >= _WANTED * target:
            least, most = -_MOST_LESS * target - _POINT, _MOST_MORE * target + _POINT
            self._correction = max(least, min(most, self._correction + _GAIN * (target - achieved)))
        wanted = max(0.1, target + self._correction)
        if abs(wanted - self._asked) >= _STEP:
            self._asked = wanted
        return self._asked


class Trial:
    """Watches whether a means holds its targets.

    Attributes:
        holds: None as long as that has not been seen.
    """

    def __init__(self) -> None:
        self.holds: bool | None = None
        self._about: object = None
        self._passed_s = 0.0
        self._used = 0.0
        self._judged_s = 0.0

    def note(self, about: object, target: float, achieved: float | None, passed_s: float) -> bool:
        """Take in a look.

        Args:
            about: what the look is about; when that changes, so much that the means needs time, all begins anew.
            achieved: in the unit of the target, over the last `passed_s`.

        Returns:
            Whether the means is disproved.
        """
        if about != self._about:
            self._about, self._passed_s, self._used, self._judged_s = about, 0.0, 0.0, 0.0
            return False
        self._passed_s += passed_s
        if achieved is None or self._passed_s < SETTLE_S:
            return False
        self._used += achieved * passed_s
        self._judged_s += passed_s
        if self._judged_s < JUDGED_S:
            return False
        mean = self._used / self._judged_s
        self._used = self._judged_s = 0.0
        if mean > 1.1 * target + 3.0:
            self.holds = False
        elif mean >= _WANTED * target:
            self.holds = True
        return self.holds is False
