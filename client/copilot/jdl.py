"""The description of a computer that an agent sends with its requests (`jdl`), written and read.

    [
    Key=value;
    ]

Text values are quoted, others are not; memory values of 0 are left out.
"""

import itertools
import os
import platform
import re
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import client

_MEMORY_KEYS: Final = {"Memory": "MemTotal", "FreeMemory": "MemFree", "Swap": "SwapTotal", "FreeSwap": "SwapFree"}
_ATTRIBUTE: Final = re.compile(r'([A-Za-z][A-Za-z0-9_]{0,63})\s*=\s*("[^"]*"|[^;]*)\s*;')
MAX_ATTRIBUTES: Final = 100
#: What an agent says that has nothing of the project's software; others say nothing of it.
WITHOUT_SOFTWARE: Final[Mapping[str, str | int]] = MappingProxyType({"Software": "none"})


def build_jdl(values: Mapping[str, str | int]) -> str:
    """The text of a description; quotes and line feeds in texts are dropped, they cannot be escaped."""
    lines = [f"{key}={_quoted(value) if isinstance(value, str) else value};\n" for key, value in values.items()]
    return "".join(["[\n", *lines, 'Requirements=(other.Type=="Job");\n', "]\n"])


def parse_jdl(text: str) -> dict[str, str]:
    """Attributes of a description by name, unquoted; what is none is skipped.

    Line feeds do not matter: stanzas that the original sends again have blanks in their place.
    """
    found = itertools.islice(_ATTRIBUTE.finditer(text), MAX_ATTRIBUTES)
    return {match[1]: match[2].strip().strip('"') for match in found}


def describe_host(host_name: str, disk: Path, more: Mapping[str, str | int] = MappingProxyType({})) -> str:
    """The description of this computer. disk: a folder on the file system that jobs use; more: further attributes."""
    values: dict[str, str | int] = {
        "Type": "machine",
        "WNHost": host_name,
        "Version": client.__version__,
        "Uname": platform.release(),
        "Platform": f"{platform.system()}-{platform.machine()}",
        "LocalDiskSpace": shutil.disk_usage(disk).free // 1024,
    }
    values.update(_memory_mib())
    # The original says nothing of processors; jobs may ask for them.
    values["Cpus"] = os.cpu_count() or 1
    values.update(more)
    return build_jdl(values)


def own_host_name() -> str:
    """This computer's name, as far as it can be told without asking a name server."""
    return socket.gethostname() or "localhost"


def read_meminfo() -> dict[str, int]:
    """Figures of /proc/meminfo in KiB; empty where there is none."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return {}
    return {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in text.splitlines())}


def scratch_free_mib(folder: Path) -> int:
    """Free space for jobs, in MiB."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize // (1024 * 1024)


def _memory_mib() -> dict[str, int]:
    kib = read_meminfo()
    mib = {key: kib.get(name, 0) // 1024 for key, name in _MEMORY_KEYS.items()}
    return {key: value for key, value in mib.items() if value}


def _quoted(text: str) -> str:
    return '"' + text.replace('"', "").replace("\n", " ") + '"'
