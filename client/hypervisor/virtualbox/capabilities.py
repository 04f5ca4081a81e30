"""What the installed VirtualBox can do, asked from VBoxManage's own help; a short table where it does not tell."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from client.hypervisor.errors import HypervisorError
from client.hypervisor.virtualbox.parse import Version, parse_fields
from client.hypervisor.virtualbox.vboxmanage import VBoxManage

#: `[--nic-typeN= virtio | 82540EM]`, `[--nictype<1-N> virtio|82540EM]`, `<--name=controller-name>`; over lines or not.
_OPTION: Final = re.compile(r"[\[<]--([a-z][a-z0-9-]*)(?:<[^>]*>|[NX](?![a-z]))?(?:[=\s]([^\[\]<>]*))?")
#: First version with it. Source: VirtualBox's change logs.
_SINCE: Final[Mapping[str, Version]] = {
    "virtio-scsi": Version(6, 1),
    "nat-localhost": Version(7, 0),
    "uart-type": Version(6, 0),
}
_HELP_LIMIT_S: Final = 10.0


@dataclass(frozen=True)
class Capabilities:
    """What a VM's settings may hold.

    Attributes:
        options: of `modifyvm`, without dashes and slot numbers -> words that it takes; empty if it does not tell.
        paravirt: word for the interface that Linux guests know best; empty if there is none.
        nat_localhost_option: guests reach this computer's loopback only where `nat-localhostreachable` opens it.
        accelerators: words of `vm-execution-engine`; empty if it has no such option.
        most_cpus, most_memory_mib: for one VM; 0 when it does not tell.
    """

    version: Version
    options: Mapping[str, frozenset[str]] = field(default_factory=dict)
    paravirt: str = "kvm"
    nat_localhost_option: bool = True
    uart_types: bool = True
    virtio_net: bool = True
    virtio_scsi: bool = True
    accelerators: frozenset[str] = frozenset()
    most_cpus: int = 0
    most_memory_mib: int = 0

    def word(self, *names: str) -> str:
        """The first of some spellings of an option that this version has: newer ones first; else the last."""
        return next((name for name in names if name in self.options), names[-1])


async def probe(manage: VBoxManage, version: Version) -> Capabilities:
    """Ask an installed VirtualBox; two short calls, nothing is changed. What it does not tell comes from a table.

    Raises:
        ToolMissing: it is gone.
    """
    # Help for all commands: help for one ends with exit code 1 in 7.2, and older versions have it not.
    said = await _ask(manage, "help")
    modify, controllers = parse_options(said, "modifyvm"), parse_options(said, "storagectl")
    limits = parse_fields(await _ask(manage, "list", "systemproperties"))
    return judge(version, modify, controllers, limits)


def judge(
    version: Version,
    modify: Mapping[str, frozenset[str]],
    controllers: Mapping[str, frozenset[str]],
    limits: Mapping[str, str],
) -> Capabilities:
    """What follows from help and system properties. Pure.

    Args:
        modify, controllers: options of `modifyvm` and `storagectl`; empty when not told.
        limits: `list systemproperties` by name.
    """
    paravirt = _first(modify, "paravirt-provider", "paravirtprovider")
    cards = _first(modify, "nic-type", "nictype")
    kinds = _first(controllers, "controller")
    return Capabilities(
        version,
        modify,
        paravirt="" if paravirt and "kvm" not in paravirt else "kvm",
        nat_localhost_option=_has(version, modify, "nat-localhost", "nat-localhostreachable"),
        uart_types=_has(version, modify, "uart-type", "uart-type", "uarttype"),
        virtio_net=not cards or "virtio" in cards,
        virtio_scsi="VirtIO" in kinds if kinds else version >= _SINCE["virtio-scsi"],
        accelerators=_first(modify, "vm-execution-engine"),
        most_cpus=_number(limits.get("Maximum guest CPU count")),
        most_memory_mib=_number(limits.get("Maximum guest RAM size")),
    )


def parse_options(text: str, command: str) -> dict[str, frozenset[str]]:
    """Options of a command out of the help for all -> words that each takes. Of one that comes twice all words count.

    A command begins a line, with the program's name before it since 7.0; its options are indented further.
    """
    usage = " ".join(re.findall(rf"^  (?:VBoxManage )?{command} .*(?:\n {{4,}}.*)*", text, re.MULTILINE))
    found: dict[str, frozenset[str]] = {}
    for name, values in _OPTION.findall(re.sub(r"\s+", " ", usage)):
        words = frozenset(word.strip() for word in values.split("|")) - {""}
        found[name] = found.get(name, frozenset()) | words
    return found


async def _ask(manage: VBoxManage, *words: str) -> str:
    try:
        return await manage.read(*words, timeout_s=_HELP_LIMIT_S)
    except HypervisorError:
        return ""


def _first(options: Mapping[str, frozenset[str]], *names: str) -> frozenset[str]:
    return next((options[name] for name in names if name in options), frozenset())


def _has(version: Version, options: Mapping[str, frozenset[str]], feature: str, *names: str) -> bool:
    return any(name in options for name in names) if options else version >= _SINCE[feature]


def _number(text: str | None) -> int:
    found = re.match(r"\d+", text or "")
    return int(found[0]) if found else 0
