"""What a manager's handler returns."""

from typing import NamedTuple

from client.copilot.messages import Command


class Reply(NamedTuple):
    """A command to be sent. to: full JID."""

    to: str
    command: Command
