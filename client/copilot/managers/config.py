"""Configuration files of managers: TOML, written by a site or by hand, mode 0600 for the passwords in them.

[xmpp]     jid, password, host, port, resource, ca_file (or ca_pem)
[queue]    path, lease_s, silent_lease_s, hold_limit_s, max_attempts, max_copies
[shares]   <submitter> = <weight>, 1 where it is not named                  both
[job]      chirp, require_file, cooldown_s                                 job manager
[storage]  chirp, chirp_root, folder, packed_mib, unpacked_mib, files      storage manager
[monitor]  address, batched, system                                        those that tell a monitor
[process]  log, ready_file
[secure]   see client.copilot.managers.secure
[context]  folder: contexts for machines of the original, one file each        job manager
[heartbeat] room: JID of a chat room in which it answers heartbeats
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.copilot.managers.monitor.reporter import SILENT, ReportSettings
from client.copilot.managers.secure import SecureSettings, read_secure
from client.copilot.queue.queue import Terms
from client.copilot.transport import Account
from client.errors import BadInput

_REMEDY = "correct the configuration file"
_MEANT = {str: "text in quotes", int: "a number without quotes"}


class Config:
    """A configuration file. Relative paths in it count from the file's folder.

    Raises:
        BadInput: from all methods; a value is missing or unusable.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._said: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise BadInput(str(path), f"it cannot be read ({error})", _REMEDY) from error

    @classmethod
    def of(cls, path: Path, sections: dict[str, dict[str, Any]]) -> "Config":
        """One that was read from another kind of file; relative paths count from the folder of `path`."""
        config = cls.__new__(cls)
        config.path = path
        config._said = sections
        return config

    def text(self, section: str, key: str, default: str | None = None) -> str:
        """A text."""
        return str(self._value(section, key, default, (str,)))

    def number(self, section: str, key: str, default: float | None = None) -> float:
        """A number that is not negative."""
        found = float(self._value(section, key, default, (int, float)))
        if not 0 <= found < 2**53:
            raise self._wrong(section, key, "must be a number from 0 up")
        return found

    def whole(self, section: str, key: str, default: int | None = None) -> int:
        """A whole number that is not negative."""
        return int(self.number(section, key, default))

    def flag(self, section: str, key: str, default: bool) -> bool:
        """True or false."""
        table = self._said.get(section, {})
        found = table.get(key, default) if isinstance(table, dict) else default
        if not isinstance(found, bool):
            raise self._wrong(section, key, "must be true or false")
        return found

    def words(self, section: str, key: str) -> tuple[str, ...]:
        """A list of texts; empty when it is not given."""
        table = self._said.get(section, {})
        found = table.get(key, []) if isinstance(table, dict) else []
        if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
            raise self._wrong(section, key, "must be a list of texts")
        return tuple(found)

    def names(self, section: str, key: str) -> tuple[str, ...]:
        """Names, in a list or in one text with blanks between them; empty when there are none."""
        table = self._said.get(section, {})
        if isinstance(table, dict) and isinstance(table.get(key), list):
            return tuple(name for said in self.words(section, key) for name in said.split())
        return tuple(self.text(section, key, "").split())

    def sections(self) -> list[str]:
        """The names of all sections."""
        return list(self._said)

    def file(self, section: str, key: str) -> Path:
        """A path; absolute afterwards."""
        return (self.path.parent / self.text(section, key)).absolute()

    def maybe_file(self, section: str, key: str) -> Path | None:
        """A path, or None when it is not given."""
        return self.file(section, key) if self.text(section, key, "") else None

    def account(self) -> Account:
        """The section [xmpp]."""
        ca_file = self.maybe_file("xmpp", "ca_file")
        try:
            ca_pem = ca_file.read_text(encoding="ascii") if ca_file else self.text("xmpp", "ca_pem", "")
        except (OSError, UnicodeDecodeError) as error:
            raise self._wrong("xmpp", "ca_file", str(error)) from error
        return Account(
            jid=self.text("xmpp", "jid"),
            password=self.text("xmpp", "password"),
            host=self.text("xmpp", "host"),
            port=self.whole("xmpp", "port"),
            ca_pem=ca_pem,
            resource=self.text("xmpp", "resource"),
        )

    def terms(self) -> Terms:
        """The rules of handing out in section [queue]."""
        usual = Terms()
        return Terms(
            lease_s=self.whole("queue", "lease_s", usual.lease_s),
            silent_lease_s=self.whole("queue", "silent_lease_s", usual.silent_lease_s),
            hold_limit_s=self.whole("queue", "hold_limit_s", usual.hold_limit_s),
            max_attempts=self.whole("queue", "max_attempts", usual.max_attempts),
            max_copies=self.whole("queue", "max_copies", usual.max_copies),
            shares=self.shares(),
        )

    def shares(self) -> dict[str, float]:
        """The section [shares]: weights of submitters, above 0."""
        table = self._said.get("shares", {})
        found = {name: self.number("shares", name) for name in table} if isinstance(table, dict) else {}
        for name, weight in found.items():
            if not weight:
                raise self._wrong("shares", name, "must be above 0")
        return found

    def _value(self, section: str, key: str, default: Any, kinds: tuple[type, ...]) -> Any:
        table = self._said.get(section, {})
        found = table.get(key, default) if isinstance(table, dict) else None
        if found is None:
            raise self._wrong(section, key, "is missing")
        if not isinstance(found, kinds) or isinstance(found, bool):
            raise self._wrong(section, key, f"must be {_MEANT[kinds[0]]}")
        return found

    def _wrong(self, section: str, key: str, what: str) -> BadInput:
        return BadInput(str(self.path), f"[{section}] {key} {what}", _REMEDY)


@dataclass(frozen=True)
class ProcessSettings:
    """Sections [process], [monitor], [secure], [heartbeat].

    Attributes:
        ready_file: exists while the manager has its XMPP session.
        room: JID of the room for heartbeats; empty for none.
    """

    log: Path | None
    ready_file: Path | None
    report: ReportSettings = SILENT
    secure: SecureSettings | None = None
    room: str = ""


def read_process_settings(config: Config) -> ProcessSettings:
    """The sections [process], [monitor], [secure] and [heartbeat]."""
    report = ReportSettings(
        address=config.text("monitor", "address", ""),
        component=f"jobmanager.generic.{config.text('xmpp', 'resource', 'manager')}",
        batched=config.flag("monitor", "batched", False),
        system=config.flag("monitor", "system", False),
    )
    log, ready_file = config.maybe_file("process", "log"), config.maybe_file("process", "ready_file")
    return ProcessSettings(log, ready_file, report, read_secure(config), config.text("heartbeat", "room", ""))
