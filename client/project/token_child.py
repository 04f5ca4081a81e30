"""`main.py token`: asks a project for one guest's account, in a process of its own.

Keyrings wait for people, and what signs takes 25 MB: neither belongs into a program that runs for weeks. One line of
JSON comes in: {"project": fields of the project, "keys": folder, "vm_id": ...}. Lines go out: {"key": {...}} as soon
as there is a key, then {"token": {...}} or {"error": code, "fields": {...}}.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from client.credentials import Credentials, system_keyring
from client.errors import ClientError
from client.project.definition import Needs, Project
from client.project.enrolment import fetch_guest_token, project_id

_MOST_BYTES: Final = 1024 * 1024


def main(_argv: list[str]) -> int:
    """Do what standard input says; errors are told as data."""
    order = json.loads(sys.stdin.buffer.readline(_MOST_BYTES))
    try:
        _say(_token(order))
    except ClientError as error:
        _say({"error": error.code, "fields": error.details()})
    except OSError as error:
        _say({"error": "keyring-silent", "fields": {"said": f"{error.filename}: {error.strerror}"}})
    return 0


def plain(project: Project) -> dict[str, Any]:
    """What the process needs of a project, as JSON."""
    values = {field.name: getattr(project, field.name) for field in fields(project)}
    return {name: value for name, value in values.items() if isinstance(value, str | int)}


def _token(order: Mapping[str, Any]) -> dict[str, Any]:
    project = Project(**order["project"], needs=Needs())
    key = Credentials(Path(order["keys"]), system_keyring).key_of(project_id(project))
    _say({"key": {"in_file": key.in_file, "fresh": key.fresh}})
    token = fetch_guest_token(project, order["vm_id"], key.seed)
    found = {"jid": token.jid, "password": token.password, "expires_at": token.expires_at.timestamp()}
    return {"token": found}


def _say(words: Mapping[str, Any]) -> None:
    print(json.dumps(words), flush=True)
