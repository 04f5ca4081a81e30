"""The contextualization medium: settings and agent for one boot of one VM, as an ISO image (docs/context-medium.md)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from client.appliance.agent import build_agent
from client.appliance.medium import write_medium

__all__ = ["ContextSettings", "build_agent", "build_context_medium"]

LABEL: Final = "CONTEXT"
SCHEMA: Final = 1


@dataclass(frozen=True)
class ContextSettings:
    """All that `context.json` says; docs/context-medium.md has its form.

    Attributes:
        password: a token for one agent that expires; never a credential of the volunteer.
        host, port: where this guest finds the XMPP server.
        domain: the server's XMPP domain, which its certificate must carry.
        ca_pem: the authority that signed it; empty for the guest's own list.
        transfer: file server `host:port` as the job manager states it -> the same as this guest reaches it.
        wall_clock: the host's time when the medium is made, seconds since 1970.
        memory_limit_mib: of a job; 0: no limit but the guest's memory.
        cvmfs_proxy: URL under which this guest reaches the host's caching proxy for CVMFS; empty: there is none.
        address, gateway, dns: the guest's own network; the defaults are those of QEMU's user network.
    """

    vm_id: str
    jid: str
    password: str = field(repr=False)
    host: str
    port: int
    domain: str
    job_manager: str
    wall_clock: float
    ca_pem: str = field(default="", repr=False)
    transfer: Mapping[str, str] = field(default_factory=dict)
    needs_network: bool = False
    time_limit_s: float = 3600
    output_limit_mib: int = 100
    memory_limit_mib: int = 0
    heartbeat_interval_s: float = 5
    host_silence_limit_s: float = 60
    address: str = "10.0.2.15/24"
    gateway: str = "10.0.2.2"
    dns: str = "10.0.2.3"
    cvmfs_proxy: str = ""

    def to_json(self) -> dict[str, Any]:
        """The settings as `context.json` has them."""
        own = ("jid", "password", "host", "port", "domain", "ca_pem", "job_manager")
        job = ("needs_network", "time_limit_s", "output_limit_mib", "memory_limit_mib")
        return {
            "version": SCHEMA,
            "vm_id": self.vm_id,
            "agent": {**self._chosen(own), "transfer": dict(self.transfer)},
            "job": self._chosen(job),
            "link": self._chosen(("heartbeat_interval_s", "host_silence_limit_s")),
            "network": self._chosen(("address", "gateway", "dns")),
            "wall_clock": self.wall_clock,
            **({"cvmfs": {"proxy": self.cvmfs_proxy}} if self.cvmfs_proxy else {}),
        }

    def _chosen(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: getattr(self, name) for name in names}


def build_context_medium(path: Path, settings: Mapping[str, object], agent: bytes) -> None:
    """Write the medium; it replaces an older one whole and can be read by its owner only. Blocks for some ms.

    Raises:
        DiskFull: nothing half-written stays.
        OSError: the folder cannot be written to.
    """
    body = json.dumps(settings, indent=1, ensure_ascii=False).encode()
    write_medium(path, {"agent.pyz": agent, "context.json": body}, LABEL)
