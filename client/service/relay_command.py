"""How a hypervisor starts our relay: from source by its path, from a bundle by the program's own entry."""

import sys
from pathlib import Path

import client.guest


def relay_command() -> tuple[str, ...]:
    """The program and first arguments; isolated and without site packages, so that it starts in milliseconds."""
    if getattr(sys, "frozen", False):
        return (sys.executable, "relay")
    return (sys.executable, "-I", "-S", str(Path(client.guest.__file__).with_name("relay.py")))
