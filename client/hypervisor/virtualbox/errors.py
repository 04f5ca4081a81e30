"""Errors of this driver's own making; what VirtualBox itself says is in `problems.py`."""

from dataclasses import dataclass
from typing import ClassVar

from client.hypervisor.errors import HypervisorError


@dataclass(eq=False)
class RoutePortTaken(HypervisorError):
    """Another program listens where the guest was told that a route begins."""

    code: ClassVar[str] = "route-port-taken"
    vm_id: str
    route: str
    port: int
