"""One guest connection: a socket as standard input on the guest's side, a TCP connection on the host's.

    python -I -S relay.py NAME ROUTES TRAFFIC PIDFILE

ROUTES is the allow-list, one line per route: name, host, port and limit in bytes a second each way (`-` for none),
between tabs. It is read at each start, so targets can change while the VM runs. A name that is not in it is refused.
TRAFFIC is a folder: this process keeps the file `<pid>-<start>` in it, "<bytes sent by the guest> <bytes received>".
When MOST_RELAYS others that live have theirs there, this one ends at once, before it connects: a guest that opens
connections without end gets them closed, and costs the host a bounded number of processes.
PIDFILE names the VM's process: when that is gone, this one ends.

The hypervisor starts one of these for each connection that a guest makes, so it must start fast: it imports nothing
but built-in modules and runs from source. It ends when either side is gone; a target that is down ends it at once, so
that the guest sees its connection closed. Nothing is ever printed: the guest would read it.
"""

import os
import sys
import time

# WORKAROUND: `socket` takes 6 ms to import (CPython 3.11), the C module below it 1 ms.
from _socket import IPPROTO_TCP, SHUT_WR, SOCK_STREAM, TCP_NODELAY, getaddrinfo, socket
from select import POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, poll

CHUNK_BYTES = 65536
#: Most bytes held for a side that does not take them.
MOST_HELD_BYTES = 4 * CHUNK_BYTES
#: Most connections of a guest at a time; an agent has a handful.
MOST_RELAYS = 32
CONNECT_LIMIT_S = 10.0
COUNT_INTERVAL_S = 1.0
THROTTLED_WAIT_S = 0.02
READABLE = POLLIN | POLLHUP | POLLERR | POLLNVAL


class Way:
    """One direction of the connection.

    Attributes:
        held: read and not yet written.
        ended: the source has no more.
        closed: the sink has been told so.
        moved_bytes: read so far.
    """

    def __init__(self, source: socket, sink: socket, limit_bytes_s: int | None) -> None:
        self.source = source
        self.sink = sink
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

    def is_throttled(self) -> bool:
        """Whether it could read but may not yet."""
        return not self.ended and self.limit_bytes_s is not None and self.budget_bytes < 1

    def wants_read(self) -> bool:
        """Whether it has place, and leave, for more."""
        return not self.ended and len(self.held) < MOST_HELD_BYTES and not self.is_throttled()

    def read(self) -> None:
        """Take what is there."""
        most = CHUNK_BYTES if self.limit_bytes_s is None else min(CHUNK_BYTES, int(self.budget_bytes))
        data = self.source.recv(most)
        self.held += data
        self.ended = not data
        self.moved_bytes += len(data)
        self.budget_bytes -= len(data)

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


def connect(host: str, port: int) -> socket:
    """A connection to the target; OSError when it is down."""
    family, kind, protocol, _, address = getaddrinfo(host, port, 0, SOCK_STREAM)[0]
    target = socket(family, kind, protocol)
    target.settimeout(CONNECT_LIMIT_S)
    target.connect(address)
    target.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    return target


def move(up: Way, down: Way) -> None:
    """Move what can be moved now, waiting for it at most until the next count is due."""
    waiting = poll()
    for reads, writes in ((up, down), (down, up)):
        mask = (POLLIN if reads.wants_read() else 0) | (POLLOUT if writes.held else 0)
        if mask:
            waiting.register(reads.source.fileno(), mask)
    limit_s = THROTTLED_WAIT_S if up.is_throttled() or down.is_throttled() else COUNT_INTERVAL_S
    ready = dict(waiting.poll(int(limit_s * 1000)))
    for way in (up, down):
        if ready.get(way.source.fileno(), 0) & READABLE and way.wants_read():
            way.read()
        try:
            way.write()
        except BlockingIOError:
            continue


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


def relay(guest: socket, target: socket, limit_bytes_s: int | None, counter: int, vm_pid: int) -> None:
    """Carry both directions until both have ended, either side is gone, or the VM is.

    Args:
        counter: descriptor of the file that holds the counts.
        vm_pid: process of the VM.
    """
    guest.setblocking(False)
    target.setblocking(False)
    up, down = Way(guest, target, limit_bytes_s), Way(target, guest, limit_bytes_s)
    before = counted_at = time.monotonic()
    try:
        while not (up.closed and down.closed):
            move(up, down)
            now = time.monotonic()
            up.refill(now - before)
            down.refill(now - before)
            before = now
            if now - counted_at >= COUNT_INTERVAL_S:
                counted_at = now
                count(counter, up, down)
                if not is_running(vm_pid):
                    break
    finally:
        count(counter, up, down)


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
        host, port, limit_bytes_s = parse_route(file.read(), name)
    mine = f"{traffic}/{os.getpid()}-{time.time_ns()}"
    # The file comes first: of many that start at once none overlooks the others.
    counter = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    if not has_place(traffic):
        os.unlink(mine)  # noqa: PTH108
        return 1
    try:
        relay(guest, connect(host, port), limit_bytes_s, counter, vm_pid)
    except OSError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
