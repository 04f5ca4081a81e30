"""Which loopback port of this computer begins each route of each VM: chosen once, told to the guest, kept."""

import contextlib
import socket
import sys
from collections.abc import Mapping, Set
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

    def plan(
        self, vm_id: str, routes: tuple[Route, ...], ours: Set[int], told: Mapping[str, int] | None = None
    ) -> tuple[Route, ...]:
        """The routes at their ports; one that another program has taken meanwhile is given up for a new one.

        Args:
            ours: ports at which this client listens for the VM now.
            told: route -> the port that the guest was told, which is taken again as soon as it is free.
        """
        known: dict[str, int] = dict(self._ledger.all().get(vm_id) or {})
        for route in routes:
            wanted = ((told or {}).get(route.name, 0), known.get(route.name, 0))
            kept = next((port for port in wanted if port in ours or _is_free(port)), 0)
            known[route.name] = kept or self._free_port(set(known.values()))
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
        trial.setsockopt(socket.SOL_SOCKET, *_alone(sys.platform))
        try:
            trial.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _alone(platform: str) -> tuple[int, int]:
    """The option under which a port can be bound only if nobody listens at it.

    On Windows SO_REUSEADDR would let it be taken from whoever has it; elsewhere it only overlooks connections that are
    over. Source: Microsoft, "Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE".
    """
    # The type checker looks at systems that do not have it.
    return (int(getattr(socket, "SO_EXCLUSIVEADDRUSE", -5)), 1) if platform == "win32" else (socket.SO_REUSEADDR, 1)
