"""`main.py key-manager`: a key manager that may run its operator's commands (for tokens of outside services)."""

import argparse
from collections.abc import Sequence
from typing import Final

from client import process
from client.copilot.managers import key
from client.copilot.managers.config import read_process_settings
from client.copilot.managers.pilot import MOST_BYTES
from client.copilot.managers.process import read_arguments, role_parser, run_until_signal

#: of the operator's command
_LIMIT_S: Final = 30.0
#: word and purpose
_ROLE: Final = ("key-manager", "Gives guests short-lived accounts; serves the appliance.")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    return role_parser(*_ROLE)


def main(argv: list[str]) -> int:
    """Serve until a signal ends it."""
    config = read_arguments(*_ROLE, argv)
    return run_until_signal(lambda stop: key.serve(config, stop, run_command), read_process_settings(config))


async def run_command(command: Sequence[str]) -> bytes:
    """What an operator's command prints.

    Raises:
        ToolMissing, CommandFailed: it cannot be started, failed, or took too long.
    """
    done = await process.run(command, timeout_s=_LIMIT_S, most_bytes=MOST_BYTES)
    return done.stdout
