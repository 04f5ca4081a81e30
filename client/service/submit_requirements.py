"""What a command line asks of the computers that are to do the jobs."""

from typing import Final

from client.copilot.errors import BadRequirements
from client.copilot.requirements import parse_requirements
from client.errors import BadInput
from client.service.near import nearest
from client.service.table import tell

#: What our agents and the original's say of their computer.
_SAID: Final = (
    "Type",
    "WNHost",
    "Version",
    "Uname",
    "Platform",
    "LocalDiskSpace",
    "Memory",
    "FreeMemory",
    "Swap",
    "FreeSwap",
    "Cpus",
    "Software",
)


def all_of(*texts: str) -> str:
    """One expression that asks for all of these; empty ones ask for nothing."""
    said = [text.strip() for text in texts if text.strip()]
    return " && ".join(f"({text})" for text in said) if len(said) > 1 else "".join(said)


def requirements_of(text: str, memory_mib: int | None, platform: str | None) -> str:
    """One expression of --requirements and its shorthands.

    An attribute that is probably misspelt is told on standard error; others may be what an agent says one day.

    Raises:
        BadInput: a shorthand cannot be used.
        BadRequirements: the expression cannot be read; the place was shown on standard error.
    """
    try:
        known = parse_requirements(text)
    except BadRequirements as error:
        tell(f"  {text}\n  {' ' * error.position}^")
        raise
    for name in sorted(known.names - set(_SAID)):
        near = nearest(name, _SAID)
        tell(f"Note: no agent of ours says {name}{f'; did you mean {near}?' if near else ' of its computer'}")
    parts = [text.strip()] if text.strip() else []
    if memory_mib is not None:
        if memory_mib < 0:
            raise BadInput("--memory-mib", "it must not be negative", "give a number of MiB")
        parts.append(f"other.Memory >= {memory_mib}")
    if platform is not None:
        if '"' in platform or not platform.isprintable():
            raise BadInput("--platform", f"{platform!r} is no name of a platform", "write it as Linux-x86_64")
        parts.append(f'other.Platform == "{platform}"')
    return all_of(*parts)
