"""The monitor of a site: its account, its configuration, where its page is. A site goes on without it."""

import hashlib
import hmac
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

from client.copilot.managers.config import Config
from client.copilot.managers.monitor.settings import read_settings
from client.errors import BadInput
from client.service.site_child import ChildSpec
from client.service.site_folder import SiteFolder
from client.service.site_plan import DOMAIN, LOOPBACK, SitePlan

#: the child's name, and its account's; guests cannot reach it
MONITOR: Final = "monitor"
_STORE: Final = "monitor.sqlite"
#: what the operator may write beside the site's own files
WISHES: Final = "monitor.toml"
_MAY_SAY: Final = {
    "monitor": frozenset({"host", "port", "token", "hosts", "guests", "title", "store", "senders"}),
    "graphite": frozenset({"host", "port", "prefix"}),
}
#: not an address that a browser can ask: a server that listens there listens at all of the computer's addresses
_ANY: Final = ("0.0.0.0", "::")
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
    """Its configuration. managers: their section [xmpp]; queue: their section [queue]. Raises BadInput."""
    xmpp = {**managers, "jid": _ADDRESS, "password": accounts(plan)[MONITOR], "resource": MONITOR}
    own = {
        "store": str(folder.base / _STORE),
        "host": LOOPBACK,
        "port": plan.ports.monitor,
        "senders": plan.job_manager,
        "title": title,
    }
    process = {"log": folder.log(MONITOR), "ready_file": folder.ready(MONITOR)}
    written = {"xmpp": xmpp, "queue": queue, "monitor": own, "process": process}
    wishes = read_wishes(folder.base / WISHES)
    found = written | {name: {**written.get(name, {}), **table} for name, table in wishes.items()}
    # A site goes on without its monitor, so what keeps it from starting would be said in its log only.
    read_settings(Config.of(folder.base / WISHES, found))
    return found


def read_wishes(path: Path) -> dict[str, dict[str, Any]]:
    """What the operator wants otherwise: sections [monitor] and [graphite]; empty without the file.

    Raises:
        BadInput: the file cannot be read, or has other sections or keys.
    """
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(str(path), f"it cannot be read ({error})", "correct it, or remove it") from error
    wrong = [name for name, table in said.items() if name not in _MAY_SAY or not isinstance(table, dict)]
    if wrong:
        what = f"it has {wrong[0]!r}, and may have only the sections [{'] and ['.join(_MAY_SAY)}]"
        raise BadInput(str(path), what, "correct it, or remove it")
    for name, table in said.items():
        if unknown := sorted(set(table) - _MAY_SAY[name]):
            what = f"[{name}] has {unknown[0]!r}, and may have only {', '.join(sorted(_MAY_SAY[name]))}"
            raise BadInput(str(path), what, "correct it, or remove it")
    return said


def spec(folder: SiteFolder, main: Path) -> ChildSpec:
    """How it is run. It serves when managers can reach it, which is after its page is there."""
    command = [sys.executable, str(main), MONITOR, "--config", str(folder.config(MONITOR))]
    ready = folder.ready(MONITOR).exists
    return ChildSpec(MONITOR, command, folder.log(f"{MONITOR}.out"), ready, is_needed=False)


def url(folder: SiteFolder, plan: SitePlan) -> str:
    """Where its page is, for somebody on this computer."""
    try:
        wishes = read_wishes(folder.base / WISHES).get(MONITOR, {})
    except BadInput:
        # Whoever starts the site is told.
        wishes = {}
    host = wishes.get("host", LOOPBACK)
    shown = LOOPBACK if host in _ANY else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{wishes.get('port', plan.ports.monitor)}/"
