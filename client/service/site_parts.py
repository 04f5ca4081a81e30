"""The children of a site: what each is started with, and how one sees that it serves."""

import socket
import sys
from pathlib import Path
from typing import Final

from client.service import site_files, site_monitor, site_redis
from client.service.site_child import ChildSpec
from client.service.site_folder import SiteFolder
from client.service.site_plan import LOOPBACK, SitePlan

MAIN: Final = Path(__file__).resolve().parents[2] / "main.py"


def child_specs(folder: SiteFolder, plan: SitePlan) -> list[ChildSpec]:
    """All children, in the order in which they are shown; servers are stopped after those who talk to them."""
    prosody = ["prosody", "-F", "--config", str(folder.run / site_files.PROSODY_CONFIG)]
    chirp = site_files.chirp_command(folder, plan)
    return [
        *site_redis.specs(folder, plan),
        ChildSpec("prosody", prosody, folder.log("prosody.out"), lambda: answers(plan.ports.xmpp), is_server=True),
        ChildSpec("chirp", chirp, folder.log("chirp.out"), lambda: answers(plan.ports.chirp), is_server=True),
        ChildSpec(
            "key-manager",
            _ours("key-manager", folder, "key-manager"),
            folder.log("key-manager.out"),
            lambda: answers(plan.ports.key) and answers(plan.ports.keys),
        ),
        *(_manager(role, name, folder) for role in site_files.MANAGERS for name in site_files.child_names(role, plan)),
        site_monitor.spec(folder, MAIN),
    ]


def answers(port: int) -> bool:
    """Whether somebody listens on this loopback port; the connection is closed at once."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=0.2):
            return True
    except OSError:
        return False


def _manager(role: str, name: str, folder: SiteFolder) -> ChildSpec:
    return ChildSpec(name, _ours(role, folder, name), folder.log(f"{name}.out"), folder.ready(name).exists)


def _ours(role: str, folder: SiteFolder, name: str) -> list[str]:
    return [sys.executable, str(MAIN), role, "--config", str(folder.config(name))]
