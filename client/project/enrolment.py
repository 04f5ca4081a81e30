"""Guest tokens: one short-lived account per guest, from the project's key manager, asked for with this computer's key.

The key manager learns the key at its first need (`/enrol`, with the proof that we have the project file); from then on
the key's signature is enough. A key manager of an older version knows no keys: it gets the secret, as it always did.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from time import time
from typing import Any, Final

from client import web
from client.key_request import ENROL, GUEST_TOKEN, Request, fresh_request
from client.project.definition import Project
from client.project.errors import EnrolmentRefused, ProjectUnreachable

TIMEOUT_S = 15.0
_REPLY_LIMIT_BYTES = 65536
#: what key managers before enrolment answer to `/enrol`
_NO_SUCH_DOOR: Final = frozenset({404, 405})


@dataclass(frozen=True, repr=False)
class GuestToken:
    """An XMPP account that is worth one agent until `expires_at` (aware UTC)."""

    jid: str
    password: str
    expires_at: datetime


@dataclass(frozen=True)
class _Answer:
    """A key manager's. error: its stable word for a refusal; empty for none."""

    url: str
    status: int
    content: bytes
    error: str
    said: str
    now: float | None


def project_id(project: Project) -> str:
    """Names the project among this computer's keys: 16 hexadecimal digits, the same for all of its project files."""
    told = (project.domain, project.job_manager, project.ca_pem)
    return sha256("\n".join(told).encode()).hexdigest()[:16]


def fetch_guest_token(project: Project, vm_id: str, seed: bytes | None = None) -> GuestToken:
    """Ask the key manager for a token. Blocks; call it in a thread or a process of its own.

    Args:
        seed: this computer's private key for the project; None: one that is used this once.

    Raises:
        ProjectUnreachable: no answer; worth trying again.
        EnrolmentRefused: it answered no.
    """
    asker = _Asker(project, seed)
    body = json.dumps({"vm_id": vm_id}).encode()
    answer = asker.ask(GUEST_TOKEN, lambda _: body)
    if answer.error == "not-enrolled" or answer.status == 401:
        enrolled = asker.ask(ENROL, asker.invitation)
        if enrolled.status in _NO_SUCH_DOOR:
            return _token_of(asker.ask_with_secret(body))
        _check(enrolled)
        answer = asker.ask(GUEST_TOKEN, lambda _: body)
    return _token_of(answer)


class _Asker:
    """Signs and sends."""

    def __init__(self, project: Project, seed: bytes | None) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._project = project
        key = Ed25519PrivateKey.generate() if seed is None else Ed25519PrivateKey.from_private_bytes(seed)
        self._sign: Callable[[bytes], bytes] = key.sign
        self._public = key.public_key().public_bytes_raw()
        #: by how much the key manager's clock is ahead of ours, in seconds
        self._ahead_s = 0.0

    def invitation(self, request: Request) -> bytes:
        """The body of an enrolment."""
        return json.dumps({"invitation": request.invitation(self._project.enrolment_secret)}).encode()

    def ask(self, purpose: str, body_of: Callable[[Request], bytes]) -> _Answer:
        """Ask; once more if the clocks are too far apart, with the other one's time."""
        answer = self._ask_once(purpose, body_of)
        if answer.error == "clock" and answer.now is not None:
            self._ahead_s = answer.now - time()
            answer = self._ask_once(purpose, body_of)
        return answer

    def ask_with_secret(self, body: bytes) -> _Answer:
        """The old way."""
        return self._send(self._project.enrolment_url, f"Bearer {self._project.enrolment_secret}", body)

    def _ask_once(self, purpose: str, body_of: Callable[[Request], bytes]) -> _Answer:
        request = fresh_request(purpose, self._project.domain, self._public, time() + self._ahead_s)
        body = body_of(request)
        door, _, _ = self._project.enrolment_url.rpartition("/")
        url = f"{door}/{ENROL}" if purpose == ENROL else self._project.enrolment_url
        return self._send(url, request.header(self._sign(request.signed(body))), body)

    def _send(self, url: str, authorization: str, body: bytes) -> _Answer:
        headers = {"Authorization": authorization, "Content-Type": "application/json"}
        ca_pem = self._project.enrolment_ca_pem
        try:
            with web.request(url, timeout_s=TIMEOUT_S, body=body, headers=headers, ca_pem=ca_pem) as reply:
                content = reply.read_at_most(_REPLY_LIMIT_BYTES + 1)
        except OSError as error:
            raise ProjectUnreachable(url, error.strerror or type(error).__name__) from error
        if reply.status >= 500 or reply.status == 429:
            raise ProjectUnreachable(url, f"status {reply.status}")
        return _answer(url, reply.status, content)


def _answer(url: str, status: int, content: bytes) -> _Answer:
    """What a key manager said; hostile."""
    said: Any = None
    if status != 200:
        try:
            said = json.loads(content)
        except (ValueError, RecursionError):
            said = None
    if not isinstance(said, dict):
        return _Answer(url, status, content, "", content[:200].decode(errors="replace"), None)
    now = said.get("now")
    fits = isinstance(now, int | float) and not isinstance(now, bool) and 0 <= now < 1e11
    return _Answer(
        url, status, content, str(said.get("error", ""))[:64], str(said.get("text", ""))[:200], now if fits else None
    )


def _check(answer: _Answer) -> None:
    if answer.status != 200 or len(answer.content) > _REPLY_LIMIT_BYTES:
        raise EnrolmentRefused(answer.url, answer.status, answer.said)


def _token_of(answer: _Answer) -> GuestToken:
    _check(answer)
    return parse_token(answer.content, answer.url)


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
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError) as error:
        raise EnrolmentRefused(url, 200, f"unusable answer: {error}") from error
    return GuestToken(jid, password, expires)
