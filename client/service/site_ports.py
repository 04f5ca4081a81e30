"""The TCP ports of a site on the loopback interface, chosen so that no two sites get the same and kept while it runs.

A port is held by a socket that is bound to it and never listens: the kernel gives it to nobody who asks for any port,
nor as the near end of a connection, and yet a server that reuses addresses, as all parts of a site do, may listen on
it. Sites could do so as well, so each marks its ports with a name that only one process can have.
Source: ip(7), socket(7), unix(7) (abstract sockets), inet_csk_bind_conflict() of Linux.
"""

import errno
import socket
import sys
from collections.abc import Iterable
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from typing import Final

from client.service.site_plan import LOOPBACK, Ports

#: Of an abstract socket: it belongs to the computer's network, as ports do, and ends with the process.
_MARK: Final = "\0volunteer-cloud/site-port/{}"
_TRIALS: Final = 1000


class HeldPorts:
    """Ports that are this process's until they are closed, or until it ends."""

    def __init__(self) -> None:
        self._held: dict[int, ExitStack] = {}

    def take(self, port: int) -> bool:
        """Whether it is held now: no other site has it, and nobody listens on it."""
        if port in self._held:
            return True
        with ExitStack() as stack, suppress(OSError):
            # Before the look, which would be in the way of another site's part that starts there.
            _hold(stack, port)
            _listen_once(port)
            self._held[port] = stack.pop_all()
        return port in self._held

    def take_any(self) -> int:
        """Hold a port that nobody had.

        Raises:
            OSError: there is none left.
        """
        for _ in range(_TRIALS):
            # Bound as what listens nowhere, so that the kernel does not think of ports that others hold.
            with socket.socket() as trial:
                trial.bind((LOOPBACK, 0))
                port: int = trial.getsockname()[1]
            if port not in self._held and self.take(port):
                return port
        raise OSError(errno.EADDRINUSE, "no free port was found on the loopback interface")

    def take_all(self, ports: Iterable[int]) -> bool:
        """Whether all of them are held now; the free ones are, in any case. 0 is no port."""
        taken = [self.take(port) for port in ports if port]
        return all(taken)

    def choose(self, wanted: Ports) -> tuple[Ports, list[str]]:
        """Hold the wanted ports where they are free, and others instead where they are not.

        Returns:
            The ports, and a sentence for each that had to be changed.

        Raises:
            OSError: there is no port left.
        """
        said: list[str] = []
        found: dict[str, int] = {}
        for name, port in vars(wanted).items():
            found[name] = port if port and port not in found.values() and self.take(port) else 0
            if port and not found[name]:
                said.append(f"Port {port} ({name}) is taken by another program; a new one is chosen.")
        # Last, so that none of them is one that is wanted.
        missing = [name for name, port in found.items() if not port]
        return replace(wanted, **found | {name: self.take_any() for name in missing}), said

    def close(self) -> None:
        """Let go of all; idempotent."""
        for stack in self._held.values():
            stack.close()
        self._held.clear()


def _hold(stack: ExitStack, port: int) -> None:
    # Elsewhere no two sockets may be bound to one address: what is free is taken as late as the part that wants it
    # starts, and of two sites that choose the same port at the same moment the later one says so and ends.
    if sys.platform == "linux":
        stack.enter_context(closing(socket.socket(socket.AF_UNIX))).bind(_MARK.format(port))
        _bind(stack.enter_context(closing(socket.socket())), port)


def _listen_once(port: int) -> None:
    """Raises OSError if somebody else serves there."""
    with socket.socket() as trial:
        _bind(trial, port)
        trial.listen(1)


def _bind(one: socket.socket, port: int) -> None:
    # As the servers do: connections of a predecessor that linger are no hindrance.
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((LOOPBACK, port))
