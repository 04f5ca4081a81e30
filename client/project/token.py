"""Asks a project for a guest's account, through a process of its own (`client.project.token_child`)."""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import client
from client import process
from client.credentials import KeyringSilent
from client.errors import ClientError
from client.log import logger
from client.project.definition import Project
from client.project.enrolment import GuestToken, parse_token
from client.project.errors import EnrolmentRefused, ProjectUnreachable
from client.project.token_child import plain

log = logger("core")

#: so long may a person take to open the keyring
KEYRING_S: Final = 60.0
#: for all requests together
ANSWER_S: Final = 90.0
_END_S: Final = 2.0
_MOST_LINE_BYTES: Final = 65536
_ERRORS: Final[dict[str, type[ClientError]]] = {
    kind.code: kind for kind in (ProjectUnreachable, EnrolmentRefused, KeyringSilent)
}


async def ask_token(keys: Path, project: Project, vm_id: str) -> GuestToken:
    """An account for a guest, by this computer's key for the project, which is made at the first time.

    Args:
        keys: folder that says where the keys are.

    Raises:
        ProjectUnreachable: no answer; worth trying again.
        EnrolmentRefused: it answered no.
        KeyringSilent: the keyring does not give the key.
    """
    dialogue = await process.talk(_command(), most_line_bytes=_MOST_LINE_BYTES)
    try:
        order = {"project": plain(project), "keys": str(keys), "vm_id": vm_id}
        await dialogue.say(json.dumps(order).encode())
        return await _hear(dialogue, keys, project)
    finally:
        await dialogue.end(_END_S)


async def _hear(dialogue: process.Dialogue, keys: Path, project: Project) -> GuestToken:
    lines = dialogue.lines()
    said = await _next(lines, KEYRING_S, KeyringSilent(f"no answer within {KEYRING_S:g} s"))
    if "key" in said:
        if said["key"]["fresh"] and said["key"]["in_file"]:
            words = "No keyring of this computer took the key for %s: it is a file in %s"
            log.info(words, project.name, keys)
        late = ProjectUnreachable(project.enrolment_url, f"no answer within {ANSWER_S:g} s")
        said = await _next(lines, ANSWER_S, late)
    if "token" in said:
        return parse_token(json.dumps(said["token"]).encode(), project.enrolment_url)
    kind = _ERRORS.get(str(said.get("error")))
    if kind is None:
        raise KeyringSilent(dialogue.last_words.strip()[-200:] or "the program that asks it ended")
    raise kind(**said["fields"])


async def _next(lines: Any, limit_s: float, late: ClientError) -> Mapping[str, Any]:
    """The next line; nothing if there is none any more.

    Raises:
        ClientError: `late`, when there is none in time.
    """
    try:
        async with asyncio.timeout(limit_s):
            async for line in lines:
                said: Mapping[str, Any] = json.loads(line)
                return said
    except TimeoutError:
        raise late from None
    return {}


def _command() -> tuple[str, ...]:
    """The program and its word. From a bundle: the bundle itself."""
    if getattr(sys, "frozen", False):
        return (sys.executable, "token")
    return (sys.executable, str(Path(client.__file__).resolve().parent.parent / "main.py"), "token")
