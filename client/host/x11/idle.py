"""When there is input at an X display, told by the server itself: alarms on its counter of idle time.

A server tells when the counter passes the mark upwards (nobody has touched anything for that long) and when it falls
below it again (input). Whoever moves the mouse all the time therefore costs nothing, and nor does nobody.

Source: X Synchronization Extension Protocol, version 3.0; its counter IDLETIME is in the X.Org server since 1.4.
"""

import struct
from collections.abc import Callable
from typing import Final

from client.host.part import MARK_S, Input
from client.host.x11.display import Display, Extension

_INITIALIZE, _LIST_COUNTERS, _QUERY_COUNTER, _CREATE_ALARM = 0, 1, 5, 8
_ALARM_NOTIFY: Final = 1
_UPWARDS, _DOWNWARDS = 0, 1
#: counter, kind of value, value, test, delta, events: the attributes of an alarm that are given
_GIVEN: Final = 0b111111


class IdleAlarms:
    """The two alarms of a display."""

    def __init__(
        self, display: Display, now: Callable[[], float], tell: Callable[[Input], None], mark_s: float = MARK_S
    ) -> None:
        self._display, self._now, self._tell, self._mark_s = display, now, tell, mark_s
        self._sync: Extension | None = None
        self._counter = 0
        self._downwards = 0

    async def begin(self) -> bool:
        """Set the alarms. Returns False when the server does not count idle time.

        Raises:
            OSError: it does not answer, or refuses.
        """
        self._sync = await self._display.extension("SYNC")
        if self._sync is None:
            return False
        await self._display.ask(self._sync.opcode, _INITIALIZE, struct.pack("<BBxx", 3, 0))
        counters = counters_in(await self._display.ask(self._sync.opcode, _LIST_COUNTERS))
        if "IDLETIME" not in counters:
            return False
        self._counter = counters["IDLETIME"]
        self._set(_UPWARDS)
        self._downwards = self._set(_DOWNWARDS)
        await self.check()
        return True

    def _set(self, test: int) -> int:
        assert self._sync is not None
        alarm, mark_ms = self._display.new_id(), int(self._mark_s * 1000)
        # A delta of 0 leaves an alarm on a passing as it is, so that it tells every one.
        body = struct.pack("<IIIIiIIiIBxxx", alarm, _GIVEN, self._counter, 0, 0, mark_ms, test, 0, 0, 1)
        self._display.send(self._sync.opcode, _CREATE_ALARM, body)
        return alarm

    async def check(self) -> None:
        """Ask for the counter itself, and tell it.

        Raises:
            OSError: the server does not answer.
        """
        assert self._sync is not None
        reply = await self._display.ask(self._sync.opcode, _QUERY_COUNTER, struct.pack("<I", self._counter))
        high, low = struct.unpack_from("<iI", reply, 8)
        self._tell_idle(((high << 32) + low) / 1000)

    def on_event(self, code: int, data: bytes) -> None:
        """Take an event of the display, whatever it is."""
        if self._sync is None or code != self._sync.first_event + _ALARM_NOTIFY:
            return
        alarm, high, low = struct.unpack_from("<IiI", data, 4)
        self._tell_idle(0.0 if alarm == self._downwards else ((high << 32) + low) / 1000)

    def _tell_idle(self, idle_s: float) -> None:
        self._tell(Input(None if idle_s < self._mark_s else self._now() - idle_s))


def counters_in(reply: bytes) -> dict[str, int]:
    """The counters that a server lists: name -> number."""
    count, at, found = struct.unpack_from("<I", reply, 8)[0], 32, {}
    for _ in range(min(count, 1000)):
        if at + 14 > len(reply):
            break
        counter, length = struct.unpack_from("<I8xH", reply, at)
        found[reply[at + 14 : at + 14 + length].decode("latin-1")] = counter
        at += 14 + length + (-(14 + length) % 4)
    return found
