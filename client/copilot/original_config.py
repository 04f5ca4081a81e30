"""Configuration files of the original Co-Pilot, for our agent and managers.

    NAME value      the value is the first word; `#` begins a comment line; a line that begins with a blank is none

An environment variable of the same name overrides a name that the file has. A folder stands for its files
`Copilot.conf`, if there is one, and `<component>.conf`. Names that the original does not know are allowed in its files,
so three of ours say what its programs have no words for: AGENT_JABBER_PORT, JM_JABBER_PORT (5222) and
AGENT_JABBER_CA_FILE, JM_JABBER_CA_FILE (certificates that vouch for the server; the original never looks).

Source: the original's class Config and the launchers of its agent and generic job manager.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from client.errors import BadInput

AGENT: Final = "copilot-agent"
JOB_MANAGER: Final = "copilot-jobmanager-generic"
_GENERAL: Final = "Copilot.conf"
_PORT: Final = "5222"
_MAX_BYTES: Final = 1024 * 1024
#: name -> why it changes nothing here
_IGNORED: Final[Mapping[str, str]] = {
    "SM_JABBER_ADDRESS": "storage managers answer at the job managers' address",
    "AGENT_LOGGER_CONFIG_FILE": "use --verbose",
    "JM_LOGGER_CONFIG_FILE": "the log goes to standard error",
    "JM_PUBLIC_KEY_FILE": "the private key holds it",
}
_REMEDY: Final = "see docs/operator-guide.md, serving original agents"


@dataclass(frozen=True)
class OriginalConfig:
    """What such files say.

    Attributes:
        path: the file, or the folder.
        values: by name, with the environment's; names without a value have the empty text.
    """

    path: Path
    values: Mapping[str, str]

    def need(self, name: str) -> str:
        """A value that must be there.

        Raises:
            BadInput: it is not.
        """
        found = self.values.get(name, "")
        if not found:
            raise BadInput(str(self.path), f"{name} has no value", _REMEDY)
        return found

    def get(self, name: str, default: str = "") -> str:
        """A value; one that is empty counts as not given."""
        return self.values.get(name, "") or default

    def port(self, name: str) -> int:
        """A TCP port.

        Raises:
            BadInput: it is none.
        """
        said = self.get(name, _PORT)
        if not said.isdecimal() or not 0 < int(said) < 65536:
            raise BadInput(str(self.path), f"{name} is no port: {said}", _REMEDY)
        return int(said)

    def ignored(self, known: frozenset[str]) -> list[str]:
        """Names with a value that nobody here asks for, each with the reason, in the order of the file."""
        names = [name for name, value in self.values.items() if value and name not in known]
        return [f"{name} ({_IGNORED.get(name, 'it means nothing here')})" for name in names]


def read_original(path: Path, component: str, environment: Mapping[str, str] = os.environ) -> OriginalConfig:
    """The configuration in a file or folder.

    Raises:
        BadInput: it cannot be read.
    """
    values: dict[str, str] = {}
    if path.is_dir():
        if (path / _GENERAL).exists():
            values |= _read(path / _GENERAL, environment)
        values |= _read(path / f"{component}.conf", environment)
    else:
        values |= _read(path, environment)
    return OriginalConfig(path, values)


def agent_settings(config: OriginalConfig) -> tuple[dict[str, Any], list[str]]:
    """The settings of an agent (see `client.copilot.native`), and what of the configuration is ignored.

    Raises:
        BadInput: a value is missing or unusable.
    """
    agent = {
        "jid": f"{config.need('AGENT_JABBER_ID')}@{config.need('AGENT_JABBER_DOMAIN')}",
        "password": config.need("AGENT_JABBER_PASSWORD"),
        "host": config.need("AGENT_JABBER_SERVER"),
        "port": config.port("AGENT_JABBER_PORT"),
        "ca_pem": _pem(config, "AGENT_JABBER_CA_FILE"),
        "job_manager": config.need("JM_JABBER_ADDRESS"),
    }
    settings: dict[str, Any] = {"agent": agent, "job": {"needs_network": True}, "root": config.need("AGENT_WORK_DIR")}
    if config.get("AGENT_SECURE_MODE") == "1":
        keys = {"keys": config.need("PUBLIC_KEYS_FILE"), "key_manager": config.get("KM_JABBER_ADDRESS")}
        settings["secure"] = keys
    if room := heartbeat_room(config):
        settings["heartbeat"] = {"room": room}
    return settings, config.ignored(_AGENT_NAMES)


def manager_sections(config: OriginalConfig, storage: bool) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The sections of a manager's configuration (see `client.copilot.managers.config`), and what is ignored.

    Args:
        storage: of the storage manager; else of the job manager.

    Raises:
        BadInput: a value is missing or unusable, or the file is for the other one only.
    """
    _refuse_other(config, storage)
    chirp = f"{config.get('JM_CHIRP_SERVER', 'localhost')}:{config.get('JM_CHIRP_PORT', '9094')}"
    redis = f"{config.get('JM_REDIS_SERVER', 'localhost')}:{config.get('JM_REDIS_PORT', '6379')}"
    sections: dict[str, dict[str, Any]] = {
        "xmpp": {
            "jid": f"{config.need('JM_JABBER_ID')}@{config.need('JM_JABBER_DOMAIN')}",
            "password": config.need("JM_JABBER_PASSWORD"),
            "host": config.need("JM_JABBER_SERVER"),
            "port": config.port("JM_JABBER_PORT"),
            "resource": f"{'storage' if storage else 'jobs'}-{config.get('JM_JABBER_RESOURCE', '1')}",
            "ca_pem": _pem(config, "JM_JABBER_CA_FILE"),
        },
        "queue": {
            "url": f"redis://{redis}/0",
            "original": True,
            "original_list": config.get("JM_WAITING_JOBS_LIST", "waiting_jobs"),
        },
        "monitor": {"address": config.get("MON_JABBER_ADDRESS")},
        "heartbeat": {"room": heartbeat_room(config)},
    }
    if storage:
        folders = {"chirp_root": config.need("JM_CHIRP_WORK_DIR"), "folder": config.need("JM_DONE_JOB_DIR")}
        sections["storage"] = {"chirp": chirp, **folders}
    else:
        sections["job"] = {"chirp": chirp, "require_file": config.get("JM_JOB_REQUIRE_FILE")}
    return sections, config.ignored(_MANAGER_NAMES)


def heartbeat_room(config: OriginalConfig) -> str:
    """The JID of the room for heartbeats; empty for none."""
    room, server = config.get("HB_CHAT_ROOM"), config.get("HB_CHAT_SERVER")
    return f"{room}@{server}" if room and server else ""


def _refuse_other(config: OriginalConfig, storage: bool) -> None:
    other, role = ("QUEUE", "job-manager") if storage else ("STORAGE", "storage-manager")
    if config.get(f"JM_{other}_ONLY_MODE_ON"):
        what = f"JM_{other}_ONLY_MODE_ON is set"
        raise BadInput(str(config.path), what, f"start main.py {role} with it instead")


def _read(path: Path, environment: Mapping[str, str]) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise BadInput(str(path), f"it cannot be read ({error.strerror})", _REMEDY) from error
    values: dict[str, str] = {}
    for line in text.splitlines():
        if not line[:1].strip() or line.startswith("#"):
            continue
        name, *words = line.split()
        values[name] = environment.get(name, "") or (words[0] if words else "")
    return values


def _pem(config: OriginalConfig, name: str) -> str:
    path = config.get(name)
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(str(config.path), f"{name} {path} cannot be read", _REMEDY) from error


_COMMON: Final = {"JM_JABBER_ADDRESS", "KM_JABBER_ADDRESS", "PUBLIC_KEYS_FILE", "HB_CHAT_SERVER", "HB_CHAT_ROOM"}
_AGENT_NAMES: Final = frozenset(
    _COMMON
    | {f"AGENT_JABBER_{name}" for name in ("SERVER", "DOMAIN", "ID", "PASSWORD", "PORT", "CA_FILE")}
    | {"AGENT_WORK_DIR", "AGENT_SECURE_MODE"}
)
_MANAGER_NAMES: Final = frozenset(
    {"HB_CHAT_SERVER", "HB_CHAT_ROOM", "MON_JABBER_ADDRESS"}
    | {f"JM_JABBER_{name}" for name in ("SERVER", "DOMAIN", "ID", "PASSWORD", "RESOURCE", "PORT", "CA_FILE")}
    | {"JM_CHIRP_SERVER", "JM_CHIRP_PORT", "JM_CHIRP_WORK_DIR", "JM_DONE_JOB_DIR", "JM_REDIS_SERVER", "JM_REDIS_PORT"}
    | {"JM_WAITING_JOBS_LIST", "JM_JOB_REQUIRE_FILE", "JM_STORAGE_ONLY_MODE_ON", "JM_QUEUE_ONLY_MODE_ON"}
)
