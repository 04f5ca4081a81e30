"""The contextualization medium: settings and agent for one boot of one VM, as an ISO image (docs/context-medium.md)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from client.appliance.medium import build_image, write_image
from client.errors import BadInput

LABEL: Final = "CONTEXT"
SCHEMA: Final = 1
#: room for the settings; a project's authority takes at most 64 KiB of it
ROOM_BYTES: Final = 128 * 1024


@dataclass(frozen=True)
class ContextSettings:
    """All that `context.json` says; docs/context-medium.md has its form.

    Attributes:
        password: a token for one agent that expires; never a credential of the volunteer.
        host, port: where this guest finds the XMPP server.
        domain: the server's XMPP domain, which its certificate must carry.
        ca_pem: the authority that signed it; empty for the guest's own list.
        transfer: file server `host:port` as the job manager states it -> the same as this guest reaches it.
        https: the project's HTTPS server as the managers state it, if this guest has a way to it (in `transfer`).
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
    https: str = ""

    def to_json(self) -> dict[str, Any]:
        """The settings as `context.json` has them."""
        own = ("jid", "password", "host", "port", "domain", "ca_pem", "job_manager")
        job = ("needs_network", "time_limit_s", "output_limit_mib", "memory_limit_mib")
        https = {"https": self.https} if self.https else {}
        return {
            "version": SCHEMA,
            "vm_id": self.vm_id,
            "agent": {**self._chosen(own), "transfer": dict(self.transfer), **https},
            "job": self._chosen(job),
            "link": self._chosen(("heartbeat_interval_s", "host_silence_limit_s")),
            "network": self._chosen(("address", "gateway", "dns")),
            "wall_clock": self.wall_clock,
            **({"cvmfs": {"proxy": self.cvmfs_proxy}} if self.cvmfs_proxy else {}),
        }

    def _chosen(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Blank:
    """A medium on the disk that has the agent, and room for settings. Nothing in it is secret."""

    path: Path
    offset_bytes: int


def blank_image(agent: bytes) -> tuple[bytes, int]:
    """A blank medium, and where in it the settings go."""
    # In the image every file begins where none of the same bytes end, so the first such run is the room.
    room = b" " * ROOM_BYTES
    image = build_image({"agent.pyz": agent, "context.json": room}, LABEL)
    return image, image.index(room)


def fill_medium(path: Path, settings: Mapping[str, object], blank: Blank) -> None:
    """Write the medium of one boot out of a blank one. Blocks for a few ms.

    It replaces an older one whole and can be read by its owner only.

    Raises:
        BadInput: the settings are too long.
        DiskFull: nothing half-written stays.
        OSError: a folder cannot be read or written.
    """
    write_image(path, _filled(blank.path.read_bytes(), blank.offset_bytes, settings))


def build_context_medium(path: Path, settings: Mapping[str, object], agent: bytes) -> None:
    """Write a medium at once, for one boot alone; otherwise as `fill_medium`."""
    write_image(path, _filled(*blank_image(agent), settings))


def _filled(image: bytes, offset: int, settings: Mapping[str, object]) -> bytes:
    body = json.dumps(settings, indent=1, ensure_ascii=False).encode()
    if len(body) > ROOM_BYTES:
        raise BadInput("the project's settings for a guest", "they are too long", "ask the project")
    return image[:offset] + body.ljust(ROOM_BYTES) + image[offset + ROOM_BYTES :]
