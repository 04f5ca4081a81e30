"""What all that the program sends and receives passes: one small file, shared by every process that carries bytes.

In it stand the rule (most bytes a second each way, or "closed"), and the books: until when what moved is paid for, and
how much moved in all. Who carries bytes reads the rule before each piece, so that a change holds at once, and enters
what it moved. Each connection waits until its own last piece is paid for; so those that want more than there is take
turns, and one that seldom says something is not kept waiting by them. Over any time no more moves than the limit allows
for it, plus CREDIT_S of it, plus one piece of each connection.

A relay loads this at every connection of a guest, and has milliseconds: nothing but small modules is imported here.
Times are of the monotonic clock in nanoseconds, which all processes of a computer share.
"""

import os
import sys
import time

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

#: its name in the folder of the virtual machines
FILE = "traffic.meter"
#: the two ways, as seen from this computer; places in pairs
DOWN, UP = 0, 1
SECOND = 1_000_000_000
#: what was not used of the limit may be made up for later, so far
CREDIT_S = 0.25
#: a wait before the rule is looked at again, at most
LOOK_AGAIN_S = 0.25
CLOSED_LOOK_S = 1.0
#: most bytes at a time
MOST_BYTES = 65536
LEAST_BYTES = 1024
#: a piece is worth so many parts of a second
_PIECES_A_SECOND = 50
#: without a limit, what moved is entered when it is so much or so old
ENTER_BYTES = 1 << 20
ENTER_NS = SECOND
#: a debt that is longer is none, but of a time before the computer was started anew
_LONGEST_DEBT_NS = 120 * SECOND
#: who holds the lock for so long was stopped while it did
_LOCK_LIMIT_NS = 2 * SECOND
_LOCK_AGAIN_S = 0.01
#: behind all that is written; Windows lets nobody read what is locked
_LOCKED_BYTE = 4096
_RULE = b"%012d %012d %d\n"
_RULE_BYTES = 28
_BOOKS = b"%020d %020d %020d %020d\n"
_BYTES = 28 + 84
_MOST_RATE = 10**12 - 1


def paid_at(due: int, now: int, count: int, limit: int) -> int:
    """When all is paid for, `count` bytes more included.

    Args:
        due: when all before them is.
        limit: bytes a second.
    """
    return max(due, now - int(CREDIT_S * SECOND)) + count * SECOND // limit


def piece_bytes(limit: int) -> int:
    """How much to carry at a time; limit: bytes a second, 0 for none."""
    return max(LEAST_BYTES, min(MOST_BYTES, limit // _PIECES_A_SECOND)) if limit else MOST_BYTES


def window_bytes(limit: int) -> int:
    """How much a socket may receive before it is read: the system takes in more than we do, as fast as it comes."""
    return max(4096, min(262144, limit // 16)) if limit else 262144


class Meter:
    """One process's hold on the file, which may come into being later: until then nothing is limited or counted.

    Attributes:
        closed: nothing may move. As of the last `look`, like the others.
        limits: bytes a second (down, up); 0: no limit.
        due: until when what moved is paid for, (down, up).
        moved: bytes in all since the file was made, (down, up); they never become less.
    """

    def __init__(self, path: str) -> None:
        self.closed = False
        self.limits = (0, 0)
        self.due = (0, 0)
        self.moved = (0, 0)
        self._path = path
        self._file = -1
        self._look_for_it_at = 0
        self._looked_at = -1
        self._raw = b""
        self._busy_since = 0

    def look(self, now: int) -> bool:
        """Read the file, once for the same time; returns whether there is one."""
        if self._file < 0:
            if now < self._look_for_it_at:
                return False
            self._look_for_it_at = now + SECOND
            try:
                self._file = os.open(self._path, os.O_RDWR | getattr(os, "O_BINARY", 0))
            except OSError:
                return False
        if now != self._looked_at:
            self._looked_at = now
            self._take(_read(self._file), now)
        return True

    def set_rule(self, down: int, up: int, closed: bool, now: int) -> bool:
        """Change the rule for all, making the file if there is none; False: it is busy, to be tried again.

        Raises:
            OSError: the file cannot be made or written.
        """
        if self._file < 0:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._file = os.open(self._path, flags, 0o600)
        if not self._lock(now):
            return False
        try:
            self._take(_read(self._file), now)
            limits = (min(down, _MOST_RATE), min(up, _MOST_RATE))
            # What was due by an old limit is nothing by a new one.
            due = (now, now) if limits != self.limits else self.due
            rule = _RULE % (*limits, closed)
            self._raw = b""
            _write(self._file, rule + _BOOKS % (*due, *self.moved), 0)
            self.closed, self.limits, self.due = closed, limits, due
        finally:
            self._unlock()
        return True

    def enter(self, way: int, count: int, now: int) -> int | None:
        """Write down that bytes moved. Returns when they are paid for; None: it is busy, to be tried again soon."""
        if self._file < 0 and not self.look(now):
            return now
        if not self._lock(now):
            return None
        try:
            self._take(_read(self._file), now)
            due, moved = list(self.due), list(self.moved)
            moved[way] += count
            if self.limits[way]:
                due[way] = paid_at(due[way], now, count, self.limits[way])
            self._raw = b""
            _write(self._file, _BOOKS % (*due, *moved), _RULE_BYTES)
            self.due, self.moved = (due[0], due[1]), (moved[0], moved[1])
        except OSError:
            # A disk that takes nothing is told by those who need it; what moves goes on.
            return now
        finally:
            self._unlock()
        return self.due[way]

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _take(self, raw: bytes, now: int) -> None:
        """Understand what was read; what cannot be understood limits nothing, and counts from nothing."""
        if raw == self._raw:
            return
        self._raw = raw
        try:
            down, up, closed, due_down, due_up, moved_down, moved_up = map(int, raw.split())
        except ValueError:
            self.closed, self.limits, self.due, self.moved = False, (0, 0), (now, now), (0, 0)
            return
        last = now + _LONGEST_DEBT_NS
        self.closed, self.limits = bool(closed), (down, up)
        self.due = (due_down if due_down < last else now, due_up if due_up < last else now)
        self.moved = (moved_down, moved_up)

    def _lock(self, now: int) -> bool:
        """Have the file alone. Nobody waits for that here: who holds it may have been stopped by a governor."""
        try:
            _lock(self._file)
        except OSError:
            self._busy_since = self._busy_since or now
            return now - self._busy_since >= _LOCK_LIMIT_NS
        self._busy_since = 0
        return True

    def _unlock(self) -> None:
        # Without it, when it was taken by force, there is nothing to let go.
        if self._file >= 0:
            _unlock(self._file)


class Share:
    """One connection's part of one way."""

    def __init__(self, meter: Meter, way: int) -> None:
        self._meter = meter
        self._way = way
        self._limit = -1
        self._ready = 0
        self._owed = 0
        self._entered = 0

    def is_closed(self, now: int) -> bool:
        """Whether nothing may move."""
        return self._meter.look(now) and self._meter.closed

    @property
    def limit(self) -> int:
        """Bytes a second of all together, as of the last `most`; 0: no limit."""
        return self._meter.limits[self._way]

    def most(self, now: int) -> int:
        """How many bytes may move now; 0: none, see `wait_s`."""
        if not self._meter.look(now):
            return MOST_BYTES
        if self.limit != self._limit:
            # Also who comes anew waits until what others moved is paid for: no gain in many short connections.
            self._limit = self.limit
            self._ready = self._meter.due[self._way]
        if self._meter.closed or not self._settle(now):
            return 0
        return piece_bytes(self._limit) if not self._limit or now >= self._ready else 0

    def wait_s(self, now: int) -> float:
        """How long to wait until something may move, or until it is worth to ask again."""
        if self._meter.closed:
            return CLOSED_LOOK_S
        if self._owed and self._limit > 0:
            return _LOCK_AGAIN_S
        return min(LOOK_AGAIN_S, max(0.0, (self._ready - now) / SECOND)) if self._limit > 0 else 0.0

    def moved(self, count: int, now: int) -> None:
        """So many bytes moved."""
        self._owed += count
        if self._limit > 0 or self._owed >= ENTER_BYTES or now - self._entered >= ENTER_NS:
            self.enter(now)

    def enter(self, now: int) -> None:
        """Write down what moved, if it is not; now and then, and at the end."""
        if not self._owed:
            return
        due = self._meter.enter(self._way, self._owed, now)
        if due is not None:
            self._ready, self._owed, self._entered = due, 0, now

    def _settle(self, now: int) -> bool:
        """Whether, under a limit, all that moved is entered."""
        if self._owed and self._limit > 0:
            self.enter(now)
        return not (self._owed and self._limit > 0)


def clock_ns() -> int:
    """The time that everyone here goes by."""
    return time.monotonic_ns()


if sys.platform == "win32":

    def _read(file: int) -> bytes:
        os.lseek(file, 0, os.SEEK_SET)
        return os.read(file, _BYTES)

    def _write(file: int, data: bytes, at: int) -> None:
        os.lseek(file, at, os.SEEK_SET)
        os.write(file, data)

    def _lock(file: int) -> None:
        os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

    def _unlock(file: int) -> None:
        os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_UNLCK, 1)
        except OSError:
            return

else:

    def _read(file: int) -> bytes:
        return os.pread(file, _BYTES, 0)

    def _write(file: int, data: bytes, at: int) -> None:
        os.pwrite(file, data, at)

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
