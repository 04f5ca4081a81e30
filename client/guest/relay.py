"""One guest connection: a socket as standard input on the guest's side, a TCP connection on the host's.

    python -I -S relay.py NAME ROUTES TRAFFIC PIDFILE

ROUTES is the allow-list, one line per route: name, host, port and limit in bytes a second each way (`-` for none),
between tabs. It is read at each start, so targets can change while the VM runs. A name that is not in it is refused.
A line `local` and a name says that this route leads to a part of the program itself.
TRAFFIC is a folder: this process keeps the file `<pid>-<start>` in it, "<bytes sent by the guest> <bytes received>".
When MOST_RELAYS others that live have theirs there, this one ends at once, before it connects: a guest that opens
connections without end gets them closed, and costs the host a bounded number of processes.
PIDFILE names the VM's process: when that is gone, this one ends.
In the folder above that of ROUTES stands the meter (`client.meter`), which limits and counts what all processes carry
over the network. While it says "closed" nothing moves: connections stay as they are, new ones wait. What a local route
carries does not go over the network, and passes it by.

The hypervisor starts one of these for each connection that a guest makes, so it must start fast: it imports nothing
but built-in modules and the meter, and runs from source. It ends when either side is gone; a target that is down ends
it at once, so that the guest sees its connection closed. Nothing is ever printed: the guest would read it.
"""

import os
import select
import sys
import time

# WORKAROUND: `socket` takes 6 ms to import (CPython 3.11), the C module below it 1 ms.
from _socket import (
    IPPROTO_TCP,
    SHUT_WR,
    SO_RCVBUF,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_NODELAY,
    getaddrinfo,
    socket,
)
from select import POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, poll

if __name__ == "__main__" and not getattr(sys, "frozen", False):
    # Isolated, it knows no other place than the standard library's.
    sys.path.append(__file__.rpartition("/client/")[0] or ".")

from client.meter import CLOSED_LOOK_S, DOWN, FILE, UP, Meter, Share, clock_ns, window_bytes

CHUNK_BYTES = 65536
#: Most bytes held for a side that does not take them.
MOST_HELD_BYTES = 4 * CHUNK_BYTES
#: Most connections of a guest at a time; an agent has a handful.
MOST_RELAYS = 32
CONNECT_LIMIT_S = 10.0
COUNT_INTERVAL_S = 1.0
THROTTLED_WAIT_S = 0.02
READABLE = POLLIN | POLLHUP | POLLERR | POLLNVAL
#: the guest has ended what it says; macOS shows only the end of both directions
POLLRDHUP = getattr(select, "POLLRDHUP", 0)
GONE = POLLRDHUP | POLLHUP | POLLERR | POLLNVAL


class Way:
    """One direction of the connection.

    Attributes:
        held: read and not yet written.
        ended: the source has no more.
        closed: the sink has been told so.
        moved_bytes: read so far.
    """

    def __init__(self, source: socket, sink: socket, limit_bytes_s: int | None, share: Share | None = None) -> None:
        self.source = source
        self.sink = sink
        self.share = share
        self.limit_bytes_s = limit_bytes_s
        self.budget_bytes = float(limit_bytes_s or 0) / 4
        self.held = bytearray()
        self.ended = False
        self.closed = False
        self.moved_bytes = 0

    def refill(self, elapsed_s: float) -> None:
        """Give the direction its share for the time gone by; it may save up a quarter of a second of it."""
        if self.limit_bytes_s is not None:
            most = max(self.limit_bytes_s / 4, 1.0)
            self.budget_bytes = min(most, self.budget_bytes + self.limit_bytes_s * elapsed_s)

    def has_place(self) -> bool:
        """Whether more could come and be held."""
        return not self.ended and len(self.held) < MOST_HELD_BYTES

    def leave(self, now: int) -> int:
        """How many bytes it may read now."""
        if not self.has_place():
            return 0
        own = CHUNK_BYTES if self.limit_bytes_s is None else min(CHUNK_BYTES, int(self.budget_bytes))
        return min(own, self.share.most(now)) if self.share is not None and own else own

    def wait_s(self, now: int) -> float:
        """How long it waits for leave at most, when it has none though it has place."""
        if (self.limit_bytes_s is not None and self.budget_bytes < 1) or self.share is None:
            return THROTTLED_WAIT_S
        return self.share.wait_s(now)

    def read(self, most: int, now: int) -> None:
        """Take what is there."""
        data = self.source.recv(most)
        self.held += data
        self.ended = not data
        self.moved_bytes += len(data)
        self.budget_bytes -= len(data)
        if self.share is not None:
            self.share.moved(len(data), now)

    def write(self) -> None:
        """Give what is held, and pass the end on once all is given."""
        if self.held:
            del self.held[: self.sink.send(self.held)]
        if self.ended and not self.held and not self.closed:
            self.sink.shutdown(SHUT_WR)
            self.closed = True


def parse_route(text: str, name: str) -> tuple[str, int, int | None]:
    """Host, port and limit of a route; KeyError when the name is not on the list."""
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) == 4 and fields[0] == name:
            return fields[1], int(fields[2]), None if fields[3] == "-" else int(fields[3])
    raise KeyError(name)


def is_local(text: str, name: str) -> bool:
    """Whether a route leads to a part of the program itself."""
    return f"local\t{name}" in text.splitlines()


def connect(host: str, port: int, limit_bytes_s: int = 0) -> socket:
    """A connection to the target; OSError when it is down. limit_bytes_s: as for `narrow`."""
    family, kind, protocol, _, address = getaddrinfo(host, port, 0, SOCK_STREAM)[0]
    target = socket(family, kind, protocol)
    target.settimeout(CONNECT_LIMIT_S)
    if limit_bytes_s:
        target.setsockopt(SOL_SOCKET, SO_RCVBUF, window_bytes(limit_bytes_s))
    target.connect(address)
    target.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    return target


def move(up: Way, down: Way) -> None:
    """Move what can be moved now, waiting for it at most until the next count is due.

    Raises:
        OSError: a side broke off; or the guest has ended its connection while nothing may move.
    """
    now = clock_ns()
    is_closed = up.share is not None and up.share.is_closed(now)
    leaves = {up: up.leave(now), down: down.leave(now)}
    ready = wait_for(up, down, leaves, is_closed, now)
    now = clock_ns()
    if is_closed and ready.get(up.source.fileno(), 0) & GONE:
        raise ConnectionAbortedError
    # It may have been closed during the wait.
    is_closed = up.share is not None and up.share.is_closed(now)
    for way, leave in leaves.items():
        if leave and not is_closed and ready.get(way.source.fileno(), 0) & READABLE:
            way.read(leave, now)
        if way is up and is_closed:
            continue
        try:
            way.write()
        except BlockingIOError:
            continue


def wait_for(up: Way, down: Way, leaves: dict[Way, int], is_closed: bool, now: int) -> dict[int, int]:
    """Wait until something can move; returns what is ready, by descriptor."""
    waits = [way.wait_s(now) for way, leave in leaves.items() if not leave and way.has_place()]
    guest = (POLLIN if leaves[up] else 0) | (POLLOUT if down.held else 0)
    if is_closed and not up.ended:
        guest |= POLLRDHUP
    target = (POLLIN if leaves[down] else 0) | (POLLOUT if up.held and not is_closed else 0)
    waiting = poll()
    for side, mask in ((up.source, guest), (down.source, target)):
        if mask:
            waiting.register(side.fileno(), mask)
    return dict(waiting.poll(int(min([COUNT_INTERVAL_S, *waits]) * 1000) + 1))


def narrow(target: socket, down: Way, before: int) -> int:
    """Have the system take in no more ahead of us than the limit is worth; returns that limit, 0 for none.

    Args:
        before: what was returned the last time.
    """
    limit = down.share.limit if down.share is not None else 0
    if limit != before:
        target.setsockopt(SOL_SOCKET, SO_RCVBUF, window_bytes(limit))
    return limit


def wait_until_open(meter: Meter, guest: socket, vm_pid: int) -> bool:
    """Wait as long as the meter says "closed"; False: the guest or the VM has gone meanwhile."""
    while meter.look(clock_ns()) and meter.closed:
        waiting = poll()
        waiting.register(guest.fileno(), POLLRDHUP)
        if waiting.poll(int(CLOSED_LOOK_S * 1000)) or not is_running(vm_pid):
            return False
    return True


def is_running(pid: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def has_place(traffic: str) -> bool:
    """Whether no more than MOST_RELAYS relays live, this one included; its own file is in the folder already.

    Files of relays that ended stay there a while, so each one's process is looked for.
    """
    living = 0
    for name in os.listdir(traffic):  # noqa: PTH208 - pathlib takes 5 ms to import
        pid = name.partition("-")[0]
        living += pid.isdecimal() and is_running(int(pid))
    return living <= MOST_RELAYS


def relay(
    guest: socket, target: socket, limit_bytes_s: int | None, counter: int, vm_pid: int, meter: Meter | None
) -> None:
    """Carry both directions until both have ended, either side is gone, or the VM is.

    Args:
        counter: descriptor of the file that holds the counts.
        vm_pid: process of the VM.
        meter: of what goes over the network; None: this does not.
    """
    guest.setblocking(False)
    target.setblocking(False)
    shares = (Share(meter, UP), Share(meter, DOWN)) if meter is not None else (None, None)
    up, down = Way(guest, target, limit_bytes_s, shares[0]), Way(target, guest, limit_bytes_s, shares[1])
    before = counted_at = time.monotonic()
    narrowed = 0
    try:
        while not (up.closed and down.closed):
            move(up, down)
            narrowed = narrow(target, down, narrowed)
            now = time.monotonic()
            up.refill(now - before)
            down.refill(now - before)
            before = now
            if now - counted_at >= COUNT_INTERVAL_S:
                counted_at = now
                count(counter, up, down)
                enter(up, down)
                if not is_running(vm_pid):
                    break
    finally:
        count(counter, up, down)
        enter(up, down)


def enter(up: Way, down: Way) -> None:
    """Have the meter's books tell all that moved."""
    for way in (up, down):
        if way.share is not None:
            way.share.enter(clock_ns())


def count(counter: int, up: Way, down: Way) -> None:
    """Write the counts in one piece over the former ones."""
    os.pwrite(counter, b"%020d %020d\n" % (up.moved_bytes, down.moved_bytes), 0)


def main(arguments: list[str]) -> int:
    """Serve the one connection that is standard input; returns the exit code."""
    name, routes, traffic, pidfile = arguments
    guest = socket(fileno=os.dup(0))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    with open(pidfile) as file:  # noqa: PTH123 - pathlib takes 5 ms to import
        vm_pid = int(file.read())
    with open(routes, encoding="utf-8") as file:  # noqa: PTH123
        text = file.read()
    host, port, limit_bytes_s = parse_route(text, name)
    meter = None if is_local(text, name) else Meter(os.path.dirname(os.path.dirname(routes)) + "/" + FILE)  # noqa: PTH120
    mine = f"{traffic}/{os.getpid()}-{time.time_ns()}"
    # The file comes first: of many that start at once none overlooks the others.
    counter = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    if not has_place(traffic):
        os.unlink(mine)  # noqa: PTH108
        return 1
    try:
        if meter is not None and not wait_until_open(meter, guest, vm_pid):
            return 1
        target = connect(host, port, meter.limits[DOWN] if meter is not None else 0)
        relay(guest, target, limit_bytes_s, counter, vm_pid, meter)
    except OSError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
