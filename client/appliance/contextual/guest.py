"""From a template's tables and values to what the guest gets; without values a rehearsal, which checks all it can."""

import hashlib
import hmac
import json
import re
import shlex
from collections.abc import Mapping
from typing import Any, Final

from client.appliance.contextual import slots
from client.appliance.contextual.crypt import salt_from, sha512_crypt
from client.appliance.contextual.extra import extra_keys
from client.appliance.contextual.faults import Faults, Table, nearest
from client.appliance.contextual.filling import Filling, Quote
from client.appliance.contextual.keys import (
    BLOCK_KEYS,
    BLOCK_SWITCHES,
    CERNVM_KEYS,
    OWN_SECTIONS,
)
from client.appliance.contextual.language import File, Guest, Kind, Script, System, Template, User
from client.appliance.contextual.slots import Check
from client.appliance.contextual.values import Values, fault_of_line
from client.appliance.errors import BadContextValues

_SECTION: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,59}")
#: how a script speaks of a variable: $name, ${name...}; in other languages "name", 'name', {name}
_SPOKEN: Final = re.compile(r"""\$\{?[#!]?([a-z][a-z0-9_]*)|["'{]([a-z][a-z0-9_]*)["'}]""")
#: how a value is written into a file
_QUOTES: Final[dict[str, Quote]] = {"careful": str, "plain": str, "shell": shlex.quote, "json": json.dumps}


def fill(template: Template, values: Values, key: bytes) -> Guest:
    """What the guest gets. key: secret of this guest; the salts of its passwords come from it.

    Raises:
        BadContextValues: a value cannot stand where the template puts it.
    """
    faults = Faults(template.lines)
    guest = Builder(template.system, Filling(template.fields, values, faults), faults, key).build(template.body)
    if faults:
        raise BadContextValues(template.name, faults.all())
    return guest


class Builder:
    """One pass over a template's tables."""

    def __init__(self, system: System, filling: Filling, faults: Faults, key: bytes = b"") -> None:
        self._system = system
        self._filling = filling
        self._faults = faults
        self._key = key

    def build(self, body: Mapping[str, Any]) -> Guest:
        """All tables; faults are in the list that was given."""
        top = Table("", body, self._faults)
        guest = top.table("guest")
        built = Guest(
            system=self._system,
            host_name=self._one(guest, "host_name", slots.host_name),
            time_zone=self._one(guest, "time_zone", slots.time_zone),
            ssh_keys=self._many(guest, "ssh_keys", slots.ssh_key),
            packages=self._many(guest, "packages", slots.package),
            services=self._many(guest, "services", slots.service),
            organisations=self._many(guest, "organisations", slots.organisation),
            repositories=self._many(guest, "repositories", slots.repository),
            proxy=self._listed(guest, "proxy", guest.raw("proxy", ""), slots.proxy),
            users=tuple(self._user(one) for one in top.tables("user")),
            files=tuple(self._file(one) for one in top.tables("file")),
            script=self._script(top.table("script")) if top.has("script") else None,
            cernvm=self._keys(top.table("cernvm"), CERNVM_KEYS),
            plugins=self._plugins(top.table("amiconfig")),
            block=self._block(top.table("ucernvm")),
            extra=extra_keys(top.table("cloud-init"), self._filling),
        )
        guest.done()
        top.done()
        self._check_system(top, guest, built)
        return built

    def _check_system(self, top: Table, guest: Table, built: Guest) -> None:
        """What the chosen system cannot do is refused, not left out."""
        if self._system is System.CLOUD_INIT:
            for key in ("cernvm", "amiconfig", "ucernvm"):
                if top.has(key):
                    top.refuse(key, 'is for CernVM only: write system = "cernvm" in [template], or leave it out')
            if guest.has("organisations"):
                guest.refuse("organisations", 'is for CernVM only: write system = "cernvm", or leave it out')
            return
        if guest.has("packages"):
            guest.refuse("packages", "cannot be had in CernVM, whose system is not changed: use repositories")
        for number, user in enumerate(built.users):
            if user.ssh_keys or user.is_administrator:
                what = "ssh_keys" if user.ssh_keys else "administrator"
                self._faults.add(
                    f"user[{number}].{what}", "cannot be had in CernVM: its ssh_keys, in [guest], are root's"
                )

    def _one(self, table: Table, key: str, check: Check) -> str:
        return self._filling.text(table.at(key), table.raw(key, ""), check)

    def _many(self, table: Table, key: str, check: Check) -> tuple[str, ...]:
        path, found = table.at(key), []
        for raw in table.words(key):
            if check is slots.ssh_key or "${" not in raw:
                words = [self._filling.text(path, raw, check)]
            else:
                # A person may write several words into one field: commas are between them.
                words = [word.strip() for word in self._filling.text(path, raw, fault_of_line).split(",")]
                faults = [fault for word in words if word and (fault := check(word))]
                for fault in faults:
                    table.refuse(key, f"(from {raw}) {fault}")
            found += [word for word in words if word]
        return tuple(found)

    def _flag(self, table: Table, key: str) -> bool:
        raw = table.raw(key, False)
        field = self._filling.alone(raw) if isinstance(raw, str) else None
        if field is not None and field.kind is Kind.SWITCH:
            return bool(self._filling.value(field))
        return table.flag(key)

    def _user(self, table: Table) -> User:
        name = self._one(table, "name", slots.account)
        if not name and not self._filling.rehearses:
            table.refuse("name", "must not be empty")
        user = User(
            name=name,
            groups=self._many(table, "groups", slots.account),
            password_hash=self._password(table, name),
            ssh_keys=self._many(table, "ssh_keys", slots.ssh_key),
            shell=self._one(table, "shell", slots.shell),
            is_administrator=self._flag(table, "administrator"),
        )
        if not table.has("name"):
            table.refuse("name", "is missing")
        table.done()
        return user

    def _password(self, table: Table, name: str) -> str:
        raw = table.raw("password", "")
        field = self._filling.alone(raw) if isinstance(raw, str) else None
        if field is None:
            if isinstance(raw, str) and "${" in raw:
                table.refuse("password", "takes one field of kind secret and nothing beside it")
                return ""
            return self._one(table, "password", slots.crypted)
        if field.kind is not Kind.SECRET:
            table.refuse("password", f"takes a field of kind secret, and {field.name} is of kind {field.kind}")
        password = str(self._filling.value(field))
        if not password:
            return ""
        grain = hmac.digest(self._key, f"salt\0{name}\0{password}".encode(), hashlib.sha256)
        return sha512_crypt(password, salt_from(grain))

    def _file(self, table: Table) -> File:
        style = table.word_of("values", _QUOTES, "careful")
        raw = table.raw("content", "")
        is_alone = isinstance(raw, str) and self._filling.alone(raw.removesuffix("\n")) is not None
        if style in {"careful", "plain"} and is_program(raw) and not is_alone:
            table.refuse("content", 'is a program with ${fields} in it: write values = "shell" (or "json") beside it')
        values = slots.harmless if style == "careful" and not is_alone else None
        file = File(
            path=self._one(table, "path", slots.path),
            mode=self._one(table, "mode", slots.mode) or "0644",
            owner=self._one(table, "owner", slots.owner),
            content=self._filling.text(
                table.at("content"), raw, slots.content, values=values, quote=_QUOTES[style], lines=is_alone
            ),
        )
        for key in ("path", "content"):
            if not table.has(key):
                table.refuse(key, "is missing")
        if not file.path and not self._filling.rehearses:
            table.refuse("path", "must not be empty")
        table.done()
        return file

    def _script(self, table: Table) -> Script | None:
        raw = table.text("text", 1 << 18)
        field = self._filling.alone(raw.strip())
        table.done()
        if field is not None and field.kind is Kind.SCRIPT:
            return self._ready(table, str(self._filling.value(field)), field.name)
        return self._ready(table, raw.replace("\r\n", "\n"))

    def _ready(self, table: Table, text: str, itself: str = "") -> Script | None:
        if fault := slots.content(text):
            table.refuse("text", fault)
        if not text.strip():
            return None
        text = text if text.startswith("#!") else f"#!/bin/sh\n{text}"
        said = {name for found in _SPOKEN.findall(text) for name in found}
        names = [name for name in self._filling.fields if name in said and name != itself]
        held = {name: self._filling.value(self._filling.fields[name]) for name in names}
        spoken = {
            name: ("on" if value else "off") if isinstance(value, bool) else str(value) for name, value in held.items()
        }
        return Script(text if text.endswith("\n") else f"{text}\n", spoken)

    def _keys(self, table: Table, known: tuple[str, ...]) -> dict[str, str]:
        filled = {}
        for key, raw in table.items().items():
            if key not in known:
                table.refuse(key, f"is no key of it{nearest(key, known)}")
            elif text := self._ini(table, key, raw):
                filled[key] = text
        return filled

    def _ini(self, table: Table, key: str, raw: object) -> str:
        return self._listed(table, key, _spelled(raw), slots.ini_value, slots.shell_safe)

    def _listed(self, table: Table, key: str, raw: object, check: Check, values: Check | None = None) -> str:
        """A text that may be a list to its reader: a value that is only a part of it is no more than one item."""
        is_alone = isinstance(raw, str) and self._filling.alone(raw) is not None

        def safe(text: str) -> str:
            return (values(text) if values else "") or ("" if is_alone else slots.one_item(text))

        return self._filling.text(table.at(key), raw, check, values=safe)

    def _plugins(self, top: Table) -> dict[str, dict[str, str]]:
        filled = {}
        for name in top.items():
            table = top.table(name)
            if name in OWN_SECTIONS or not _SECTION.fullmatch(name):
                top.refuse(name, "is no section that can be written here: a plugin's name, in small letters")
                continue
            filled[name] = {
                key: self._ini(table, key, raw) for key, raw in table.items().items() if self._is_key(table, key)
            }
        return filled

    def _is_key(self, table: Table, key: str) -> bool:
        small = [one.lower() for one in table.items()]
        if _KEY.fullmatch(key) and small.count(key.lower()) == 1:
            return True
        table.refuse(
            key, "is no key: letters, digits, '_', '.', '-', and each once, large and small letters being the same"
        )
        return False

    def _block(self, table: Table) -> dict[str, str | bool]:
        filled: dict[str, str | bool] = {}
        for key, raw in table.items().items():
            if key not in BLOCK_KEYS:
                table.refuse(key, f"is no key that uCernVM's boot loader knows{nearest(key, BLOCK_KEYS)}")
            elif key in BLOCK_SWITCHES:
                filled[key] = self._flag(table, key)
            elif text := self._listed(table, key, _spelled(raw), slots.block_value):
                filled[key] = text
        return filled


def is_program(raw: object) -> bool:
    """Whether a file's content is a program that has fields in it."""
    return isinstance(raw, str) and raw.startswith("#!") and "${" in raw.replace("$${", "")


def _spelled(raw: object) -> object:
    """A switch or number as text; all else as it is, to be refused where text belongs."""
    if isinstance(raw, bool):
        return "on" if raw else "off"
    return str(raw) if isinstance(raw, int) and abs(raw) < 1 << 53 else raw
