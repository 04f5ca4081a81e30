"""`main.py site legacy`: accounts for agents of the original Co-Pilot, in a file that the site's XMPP server reads.

    name = "password"

Passwords are made here, of letters and digits; the server reads the file at each login and does not take other lines.
"""

import argparse
import re
import secrets
import tomllib
from pathlib import Path
from typing import Final

from client.command_line import Parser
from client.copilot.managers.prosody_legacy import ROOMS, LegacyHost, build_legacy_host
from client.errors import BadInput
from client.paths import write_atomic
from client.service.site_argument import add_site, existing_site
from client.service.site_folder import SiteFolder
from client.service.site_plan import DOMAIN, LOOPBACK, SitePlan, load_plan
from client.service.table import say, say_json

#: The XMPP domain of the original's agents.
LEGACY_DOMAIN: Final = f"legacy.{DOMAIN}"
#: The XMPP domain of the rooms for heartbeats, and the one that the managers are in.
LEGACY_ROOMS: Final = f"{ROOMS}.{LEGACY_DOMAIN}"
ROOM: Final = f"pilots-lounge@{LEGACY_ROOMS}"
_PROG: Final = "main.py site legacy"
#: As the server's module has it; no capitals, since XMPP has none in names.
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def legacy_config(folder: SiteFolder, plan: SitePlan, certificate: Path, key: Path) -> str:
    """The XMPP server's part for original agents; empty when the site takes none.

    Raises:
        OSError: the disk fails.
    """
    if not plan.shape.legacy:
        return ""
    if not folder.legacy.exists():
        write_accounts(folder.legacy, {})
    host = LegacyHost(LEGACY_DOMAIN, folder.legacy, (plan.job_manager,), ROOM.partition("@")[0])
    return build_legacy_host(host, certificate, key)


def read_accounts(file: Path) -> dict[str, str]:
    """Names and passwords.

    Raises:
        BadInput: the file is damaged.
    """
    try:
        return {name: str(word) for name, word in tomllib.loads(file.read_text(encoding="utf-8")).items()}
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(str(file), f"it cannot be read ({error})", "correct it, or remove it") from error


def write_accounts(file: Path, accounts: dict[str, str]) -> None:
    """Write the file anew, for its owner only.

    Raises:
        OSError: nothing half-written stays.
    """
    lines = [f'{name} = "{word}"\n' for name, word in sorted(accounts.items())]
    write_atomic(file, "".join(lines).encode())


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        prog=_PROG,
        description="Accounts for agents of the original Co-Pilot. Their logins are weak: see docs/security.md.",
    )
    parser.add_argument("verb", choices=("add", "remove", "list"), help="make an account; end one; see them")
    parser.add_argument("name", nargs="?", default="", help="of the account: small letters, digits, . _ -")
    add_site(parser, "--folder")
    parser.add_argument("--json", action="store_true", help="list, add: as JSON")
    return parser


def main(argv: list[str]) -> int:
    """`main.py site legacy`; returns the exit code."""
    given = build_parser().parse_args(argv)
    folder = existing_site(given, _PROG)
    accounts = read_accounts(folder.legacy)
    if given.verb == "list":
        _list(accounts, as_json=given.json)
    elif not _NAME.fullmatch(given.name):
        raise BadInput(_PROG, f"{given.name!r} is no name for an account", "use small letters, digits, . _ -")
    elif given.verb == "add":
        _add(folder, accounts, given.name, as_json=given.json)
    else:
        _remove(folder, accounts, given.name)
    return 0


def _list(accounts: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        say_json(sorted(accounts))
    else:
        for name in sorted(accounts):
            say(f"{name}@{LEGACY_DOMAIN}")


def _add(folder: SiteFolder, accounts: dict[str, str], name: str, *, as_json: bool) -> None:
    if name in accounts:
        raise BadInput(_PROG, f"there is an account {name} already", f"see {folder.legacy}")
    accounts[name] = secrets.token_hex(16)
    write_accounts(folder.legacy, accounts)
    plan = load_plan(folder.plan)
    if as_json:
        settings = _agent_settings(plan, name, accounts[name])
        say_json({"jid": f"{name}@{LEGACY_DOMAIN}", "password": accounts[name], "settings": settings})
        return
    say(f"Account {name}@{LEGACY_DOMAIN} is made. In the original agent's configuration:")
    for key, value in _agent_settings(plan, name, accounts[name]).items():
        say(f"  {key} {value}")
    say(f"The XMPP server's port here is {plan.ports.xmpp}; the original's launcher knows 5222 only, so forward that.")
    if not plan.shape.legacy:
        say("This site takes no original agents yet: start it with `main.py site up --legacy`.")


def _remove(folder: SiteFolder, accounts: dict[str, str], name: str) -> None:
    if accounts.pop(name, None) is None:
        raise BadInput(_PROG, f"there is no account {name}", "main.py site legacy list shows them")
    write_accounts(folder.legacy, accounts)
    say(f"Account {name}@{LEGACY_DOMAIN} is removed; its agent is shut out from now on.")


def _agent_settings(plan: SitePlan, name: str, password: str) -> dict[str, str]:
    """What the original's agent needs in its configuration file; its launcher knows port 5222 only."""
    return {
        "AGENT_JABBER_ID": name,
        "AGENT_JABBER_PASSWORD": password,
        "AGENT_JABBER_SERVER": LOOPBACK,
        "AGENT_JABBER_DOMAIN": LEGACY_DOMAIN,
        "JM_JABBER_ADDRESS": plan.job_manager,
        "HB_CHAT_SERVER": LEGACY_ROOMS,
        "HB_CHAT_ROOM": ROOM.partition("@")[0],
    }
