"""What a template says: fields, which a person fills in, and what the guest gets (docs/contextualization.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

#: what a field holds once it is filled in
Value = str | int | bool


class System(StrEnum):
    """Who in the guest reads the context."""

    #: any Linux with cloud-init, CernVM 5 too
    CLOUD_INIT = "cloud-init"
    #: CernVM 3 and 4: the boot loader of uCernVM, amiconfig, and cloud-init beside them
    CERNVM = "cernvm"


class Kind(StrEnum):
    """What a person may write into a field."""

    TEXT = "text"
    NUMBER = "number"
    CHOICE = "choice"
    #: text that is never shown, logged or put into an error
    SECRET = "secret"
    SWITCH = "switch"
    SSH_KEY = "ssh key"
    #: text of several lines; the only kind with line ends
    SCRIPT = "script"


@dataclass(frozen=True)
class Field:
    """One thing to fill in.

    Attributes:
        default: None when the person must say something; "" when it may stay empty.
        minimum, maximum: of a number its value, of text its length in characters.
        line: where the template says it, from 1.
    """

    name: str
    kind: Kind
    label: str
    help: str
    default: Value | None
    choices: tuple[str, ...]
    minimum: int
    maximum: int
    line: int = 0


@dataclass(frozen=True)
class Template:
    """A checked template. body: what the guest gets, still with its `${field}`s; lines: path of a key -> its line."""

    name: str
    text: str
    system: System
    fields: tuple[Field, ...]
    body: Mapping[str, Any] = field(repr=False)
    lines: Mapping[str, int] = field(repr=False)
    where: str = ""


@dataclass(frozen=True, repr=False)
class User:
    """An account of the guest. password_hash: as in /etc/shadow; empty for none."""

    name: str
    groups: tuple[str, ...]
    password_hash: str
    ssh_keys: tuple[str, ...]
    shell: str
    is_administrator: bool


@dataclass(frozen=True, repr=False)
class File:
    """A file of the guest. mode: octal digits; owner: user or user:group, empty for root."""

    path: str
    mode: str
    owner: str
    content: str


@dataclass(frozen=True, repr=False)
class Script:
    """What runs once. variables: name -> text, given to it as its environment."""

    text: str
    variables: Mapping[str, str]


@dataclass(frozen=True, repr=False)
class Guest:
    """All that a guest gets, filled in and checked: what the renderers render. It holds secrets and has no repr.

    Attributes:
        repositories, proxy: of CVMFS; the proxy in CVMFS's own notation.
        cernvm: further keys of amiconfig's section [cernvm]; plugins: its other sections.
        block: key -> text or switch, for the boot loader of uCernVM.
        extra: top-level keys of cloud-init's configuration.
    """

    system: System
    host_name: str
    time_zone: str
    ssh_keys: tuple[str, ...]
    packages: tuple[str, ...]
    services: tuple[str, ...]
    organisations: tuple[str, ...]
    repositories: tuple[str, ...]
    proxy: str
    users: tuple[User, ...]
    files: tuple[File, ...]
    script: Script | None
    cernvm: Mapping[str, str]
    plugins: Mapping[str, Mapping[str, str]]
    block: Mapping[str, str | bool]
    extra: Mapping[str, Any]
