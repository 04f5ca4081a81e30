"""VmSpec to JSON and back, as it stands in a VM's folder. Pure."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from client.hypervisor.driver import DirectBoot, Medium, MediumRole, Route, VmSpec

_VM_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_WORD: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


def is_valid_vm_id(vm_id: str) -> bool:
    """Whether it can be the name of a VM's folder: lower-case letters, digits and dashes."""
    return _VM_ID.fullmatch(vm_id) is not None


def is_valid_route_name(name: str) -> bool:
    """Whether it can stand in a command line and in a routes file."""
    return _WORD.fullmatch(name) is not None


def build_spec_text(spec: VmSpec) -> str:
    """The spec as JSON text."""
    return json.dumps(asdict(spec), indent=1, default=str)


def parse_spec(text: str) -> VmSpec:
    """The spec that `build_spec_text` wrote.

    Raises:
        ValueError: it is not such a text.
    """
    try:
        return _spec(json.loads(text))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a VM's spec: {error!r}") from error


def without_targets(spec: VmSpec) -> VmSpec:
    """The spec with what may change while a VM runs taken out: where its routes lead, how fast, and what matters."""
    routes = (replace(route, host="", port=0, limit_bytes_s=None, local=False) for route in spec.routes)
    return replace(spec, routes=tuple(routes), keeps_disk=False)


def _spec(plain: dict[str, Any]) -> VmSpec:
    boot = plain["direct_boot"]
    return VmSpec(
        vm_id=str(plain["vm_id"]),
        name=str(plain["name"]),
        cpus=int(plain["cpus"]),
        memory_mib=int(plain["memory_mib"]),
        media=tuple(Medium(MediumRole(one["role"]), Path(one["path"])) for one in plain["media"]),
        direct_boot=boot and DirectBoot(Path(boot["kernel"]), Path(boot["initrd"]), str(boot["command_line"])),
        routes=tuple(Route(**one) for one in plain["routes"]),
        internet=bool(plain["internet"]),
        link_device=str(plain["link_device"]),
        accelerator=str(plain["accelerator"]),
        network=bool(plain.get("network", True)),
        exchange_mib=int(plain.get("exchange_mib", 0)),
        keeps_disk=bool(plain.get("keeps_disk", False)),
        extra_arguments=tuple(str(one) for one in plain["extra_arguments"]),
    )
