"""Which loopback port of this computer begins each route of each VM: chosen once, told to the guest, kept."""

import contextlib
import socket
from collections.abc import Set
from dataclasses import replace

from client.hypervisor.driver import Route
from client.hypervisor.virtualbox.folder import Ledger
from client.hypervisor.virtualbox.relays import LOOPBACK
from client.hypervisor.virtualbox.shape import HOST_ADDRESS


class Ports:
    """The ports of all VMs of a driver.

    Args:
        ledger: vm_id -> route -> port.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def plan(self, vm_id: str, routes: tuple[Route, ...], ours: Set[int]) -> tuple[Route, ...]:
        """The routes at their ports; one that another program has taken meanwhile is given up for a new one.

        Args:
            ours: ports at which this client listens for the VM now.
        """
        known: dict[str, int] = dict(self._ledger.all().get(vm_id) or {})
        for route in routes:
            port = known.get(route.name, 0)
            if port not in ours and not _is_free(port):
                known[route.name] = self._free_port(set(known.values()))
        self._ledger.put(vm_id, known)
        return tuple(replace(route, guest_host=HOST_ADDRESS, guest_port=known[route.name]) for route in routes)

    def forget(self, vm_id: str) -> None:
        """Let the ports of a VM that is no more go."""
        self._ledger.put(vm_id, None)

    def _free_port(self, taken: set[int]) -> int:
        for ports in self._ledger.all().values():
            taken |= set(ports.values())
        while True:
            with contextlib.closing(socket.socket()) as trial:
                trial.bind((LOOPBACK, 0))
                port = int(trial.getsockname()[1])
            if port not in taken:
                return port


def _is_free(port: int) -> bool:
    if not port:
        return False
    with contextlib.closing(socket.socket()) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
