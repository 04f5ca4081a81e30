"""Guest tokens: one short-lived account per guest, from the project's key manager."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from client import web
from client.project.definition import Project
from client.project.errors import EnrolmentRefused, ProjectUnreachable

TIMEOUT_S = 15.0
_REPLY_LIMIT_BYTES = 65536


@dataclass(frozen=True, repr=False)
class GuestToken:
    """An XMPP account that is worth one agent until `expires_at` (aware UTC)."""

    jid: str
    password: str
    expires_at: datetime


def fetch_guest_token(project: Project, vm_id: str) -> GuestToken:
    """Ask the key manager for a token. Blocks; call it in a thread.

    Raises:
        ProjectUnreachable: no answer; worth trying again.
        EnrolmentRefused: it answered no.
    """
    url = project.enrolment_url
    headers = {"Authorization": f"Bearer {project.enrolment_secret}", "Content-Type": "application/json"}
    body = json.dumps({"vm_id": vm_id}).encode()
    try:
        with web.request(url, timeout_s=TIMEOUT_S, body=body, headers=headers) as reply:
            content = reply.read_at_most(_REPLY_LIMIT_BYTES + 1)
    except OSError as error:
        raise ProjectUnreachable(url, error.strerror or type(error).__name__) from error
    if reply.status >= 500:
        raise ProjectUnreachable(url, f"status {reply.status}")
    if reply.status != 200 or len(content) > _REPLY_LIMIT_BYTES:
        raise EnrolmentRefused(url, reply.status, content[:200].decode(errors="replace"))
    return parse_token(content, url)


def parse_token(content: bytes, url: str) -> GuestToken:
    """The key manager's reply as a token.

    Raises:
        EnrolmentRefused: it is not one.
    """
    try:
        said = json.loads(content)
        expires = datetime.fromtimestamp(float(said["expires_at"]), UTC)
        jid, password = said["jid"], said["password"]
        if not (isinstance(jid, str) and isinstance(password, str) and 3 <= len(jid) <= 512 and len(password) <= 512):
            raise ValueError("jid or password out of bounds")
    except (ValueError, KeyError, TypeError, OverflowError, OSError) as error:
        raise EnrolmentRefused(url, 200, f"unusable answer: {error}") from error
    return GuestToken(jid, password, expires)
