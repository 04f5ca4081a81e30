"""The monitor of a site: its account, its configuration, where its page is. A site goes on without it."""

import hashlib
import hmac
import sys
from pathlib import Path
from typing import Any, Final

from client.service.site_child import ChildSpec
from client.service.site_folder import SiteFolder
from client.service.site_plan import DOMAIN, LOOPBACK, SitePlan

#: the child's name, and its account's; guests cannot reach it
MONITOR: Final = "monitor"
_STORE: Final = "monitor.sqlite"
_ADDRESS: Final = f"{MONITOR}@{DOMAIN}"


def accounts(plan: SitePlan) -> dict[str, str]:
    """User name -> password. It is worked out from the managers', so sites of earlier versions have one too."""
    word = hmac.new(plan.manager_password.encode(), MONITOR.encode(), hashlib.sha256).hexdigest()
    return {MONITOR: word}


def report_section() -> dict[str, Any]:
    """What managers need to know of it."""
    return {"address": _ADDRESS, "batched": True, "system": True}


def sections(
    folder: SiteFolder, plan: SitePlan, managers: dict[str, Any], queue: dict[str, Any], title: str
) -> dict[str, dict[str, Any]]:
    """Its configuration. managers: their section [xmpp]; queue: their section [queue]."""
    xmpp = {**managers, "jid": _ADDRESS, "password": accounts(plan)[MONITOR], "resource": MONITOR}
    own = {
        "store": folder.base / _STORE,
        "host": LOOPBACK,
        "port": plan.ports.monitor,
        "senders": plan.job_manager,
        "title": title,
    }
    process = {"log": folder.log(MONITOR), "ready_file": folder.ready(MONITOR)}
    return {"xmpp": xmpp, "queue": queue, "monitor": own, "process": process}


def spec(folder: SiteFolder, main: Path) -> ChildSpec:
    """How it is run. It serves when managers can reach it, which is after its page is there."""
    command = [sys.executable, str(main), MONITOR, "--config", str(folder.config(MONITOR))]
    ready = folder.ready(MONITOR).exists
    return ChildSpec(MONITOR, command, folder.log(f"{MONITOR}.out"), ready, is_needed=False)


def url(plan: SitePlan) -> str:
    """Where its page is."""
    return f"http://{LOOPBACK}:{plan.ports.monitor}/"
