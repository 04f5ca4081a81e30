"""What the volunteer last asked for, on disk, so that the next start goes on with it."""

import json
from datetime import datetime

from client.commands import PauseEnd
from client.log import logger
from client.paths import Paths, write_atomic
from client.reconcile import Intent


def load_intent(paths: Paths) -> Intent:
    """What was asked; a file that cannot be read counts as nothing asked, and is logged."""
    try:
        said = json.loads(paths.intent.read_text(encoding="utf-8"))
        until = datetime.fromisoformat(said["paused_until"]) if said["paused_until"] else None
        if until is not None and until.tzinfo is None:
            raise ValueError("a time without a zone")
        return Intent(
            bool(said["working"]),
            bool(said["paused"]),
            until,
            bool(said["finishing"]),
            bool(said.get("off")),
            pause_end=PauseEnd(said.get("pause_end", "")),
            pause_login=str(said.get("pause_login", "")),
        )
    except FileNotFoundError:
        return Intent()
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger("core").warning("What you last asked for could not be read (%s); nothing runs until Start", error)
        return Intent()


def save_intent(paths: Paths, intent: Intent) -> None:
    """Write it down."""
    said = {
        "working": intent.working,
        "paused": intent.paused,
        "paused_until": intent.paused_until.isoformat() if intent.paused_until else "",
        "pause_end": intent.pause_end.value,
        "pause_login": intent.pause_login,
        "finishing": intent.finishing,
        "off": intent.off,
    }
    write_atomic(paths.intent, json.dumps(said).encode())
