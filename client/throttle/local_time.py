"""Now, by the wall clock of this computer's zone, as it is set at the moment: computers travel."""

import time

from client.clock import Clock
from client.local_zone import LOCAL
from client.throttle.moment import Moment


def moment_of(clock: Clock) -> Moment:
    """Now, on both clocks."""
    # Else glibc goes by the zone that was set when the program began. Windows has no such call, and needs none.
    if hasattr(time, "tzset"):
        time.tzset()
    return Moment(clock.now().astimezone(LOCAL), clock.monotonic())
