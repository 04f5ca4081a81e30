"""The key manager's door: who may have an account, and why not.

POST /enrol takes a public key from whoever proves that they have the project file; POST /guest-token gives an account
to an enrolled key. `client.key_request` has what is signed. A refusal is JSON: {"error": a stable word, "text": a
sentence, "now": this computer's time}; each kind of refusal is logged once per asker, however often it is repeated.
"""

import asyncio
import hmac
import json
import re
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from client.copilot.managers.key_account import guest_name, guest_password
from client.copilot.managers.key_book import KeyBook
from client.copilot.managers.revoked import RevokedList
from client.copilot.once import Once
from client.key_request import CLOCKS_APART_S, ENROL, GUEST_TOKEN, Request, owner_id, parse_header
from client.log import logger

log = logger("site")

LIFETIME_S: Final = 86400
#: accounts that one owner may have a day: a computer that starts its guest every five minutes, and some more
ACCOUNTS_A_DAY: Final = 500
MAX_BODY_BYTES: Final = 4096
_VM_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_MOST_LOGGED: Final = 10_000
_SENTENCES: Final = {
    "unsigned": "the request is not signed",
    "clock": f"the clocks are more than {CLOCKS_APART_S} s apart",
    "forged": "the signature does not fit this request and this project",
    "revoked": "the project has shut this computer out",
    "invitation": "the project file is not of this project, or too old",
    "not-enrolled": "this key is not known here",
    "replayed": "this request was made before",
    "too-many": "this computer has had too many accounts today",
    "body": "the body cannot be used",
}
_STATUS: Final = {"unsigned": 401, "body": 400, "too-many": 429}


@dataclass(frozen=True)
class DoorSettings:
    """Settings of the door.

    Attributes:
        domain: the project's XMPP domain.
        lifetime_s: of a guest's account, in seconds.
        bearer: whether the enrolment secret alone is enough, as it was before there were keys.
    """

    domain: str
    site_secret: str = field(repr=False)
    enrolment_secret: str = field(repr=False)
    lifetime_s: int = LIFETIME_S
    bearer: bool = False


class Refused(Exception):
    """A request that gets no; `error` is a key of the sentences."""

    def __init__(self, error: str, owner: str = "") -> None:
        super().__init__(error)
        self.error = error
        self.owner = owner


class Door:
    """Handlers of the two requests."""

    def __init__(
        self, settings: DoorSettings, book: KeyBook, revoked: RevokedList, now: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._book = book
        self._revoked = revoked
        self._now = now
        self._logged = Once(_MOST_LOGGED)

    def add_to(self, application: web.Application) -> None:
        """Serve both requests."""
        application.router.add_post(f"/{ENROL}", lambda request: self._answer(request, self.enrol))
        application.router.add_post(f"/{GUEST_TOKEN}", lambda request: self._answer(request, self.guest_token))

    @property
    def knows_secret_only(self) -> bool:
        """Whether old clients, which have the secret and no key, are served."""
        return self._settings.bearer

    def add_old_way_to(self, application: web.Application) -> None:
        """Serve old clients only."""
        application.router.add_post(f"/{GUEST_TOKEN}", lambda request: self._answer(request, self._account_for_secret))

    def enrol(self, header: str, body: bytes) -> dict[str, Any]:
        """Take a key. Blocks.

        Raises:
            Refused: with the reason.
        """
        request, owner = self._verified(header, ENROL, body)
        proof = str(_object(body).get("invitation", ""))
        if not hmac.compare_digest(
            proof.encode("utf-8", "replace"), request.invitation(self._settings.enrolment_secret).encode()
        ):
            raise Refused("invitation", owner)
        self._once(request, owner)
        if self._book.enrol(owner, request.public_key.hex(), self._now()):
            log.info("enrolled owner %s", owner)
        return {"owner": owner}

    def guest_token(self, header: str, body: bytes) -> dict[str, Any]:
        """Give an account. Blocks.

        Raises:
            Refused: with the reason.
        """
        if self._settings.bearer and header.startswith("Bearer "):
            return self._account_for_secret(header, body)
        request, owner = self._verified(header, GUEST_TOKEN, body)
        vm_id = parse_vm_id(body)
        if not self._book.knows(owner, request.public_key.hex()):
            raise Refused("not-enrolled", owner)
        self._once(request, owner)
        if not self._book.count_account(owner, self._now(), ACCOUNTS_A_DAY):
            raise Refused("too-many", owner)
        return self._account(owner, vm_id)

    def _account_for_secret(self, header: str, body: bytes) -> dict[str, Any]:
        """Raises Refused: it is not the secret."""
        expected = f"Bearer {self._settings.enrolment_secret}".encode()
        if not hmac.compare_digest(header.encode("utf-8", "replace"), expected):
            raise Refused("unsigned")
        return self._account("", parse_vm_id(body))

    def _verified(self, header: str, purpose: str, body: bytes) -> tuple[Request, str]:
        """The request and its owner, once time and signature are right and the owner is not shut out."""
        found = parse_header(header, purpose, self._settings.domain)
        if found is None:
            raise Refused("unsigned")
        request, signature = found
        owner = owner_id(request.public_key)
        if abs(self._now() - request.at) > CLOCKS_APART_S:
            raise Refused("clock", owner)
        try:
            Ed25519PublicKey.from_public_bytes(request.public_key).verify(signature, request.signed(body))
        except (InvalidSignature, ValueError) as error:
            # Whoever names a key without having it is not its owner.
            raise Refused("forged") from error
        if self._revoked.holds(owner):
            raise Refused("revoked", owner)
        return request, owner

    def _once(self, request: Request, owner: str) -> None:
        if not self._book.is_first_use(f"{owner}{request.nonce}", self._now(), 2 * CLOCKS_APART_S):
            raise Refused("replayed", owner)

    def _account(self, owner: str, vm_id: str) -> dict[str, Any]:
        settings, now = self._settings, self._now()
        name = guest_name(now, settings.lifetime_s, owner)
        log.info("account %s for VM %s", name, vm_id)
        return {
            "jid": f"{name}@{settings.domain}",
            "password": guest_password(settings.site_secret, name),
            "expires_at": int(now) + settings.lifetime_s,
        }

    async def _answer(self, request: web.Request, decide: Callable[[str, bytes], dict[str, Any]]) -> web.Response:
        body = await request.read()
        headers = {"Cache-Control": "no-store"}
        try:
            answer = await asyncio.to_thread(decide, request.headers.get("Authorization", ""), body)
        except Refused as refused:
            self._log_once(refused.owner or str(request.remote), refused.error)
            said = {"error": refused.error, "text": _SENTENCES[refused.error], "now": self._now()}
            return web.json_response(said, status=_STATUS.get(refused.error, 403), headers=headers)
        except (OSError, sqlite3.Error) as failed:
            # A full disk, or a long wait for the lock: the client asks again.
            log.error("a request could not be answered: %s", failed)
            return web.json_response({"error": "busy", "text": "try again"}, status=503, headers=headers)
        return web.json_response(answer, headers=headers)

    def _log_once(self, who: str, error: str) -> None:
        if self._logged.is_new(who, error):
            log.warning("refused %s: %s", who, _SENTENCES[error])


def parse_vm_id(body: bytes) -> str:
    """The VM that a token is for.

    Raises:
        Refused: the body does not say.
    """
    vm_id = _object(body).get("vm_id")
    if not isinstance(vm_id, str) or not _VM_ID.fullmatch(vm_id):
        raise Refused("body")
    return vm_id


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused("body") from error
    if not isinstance(said, dict):
        raise Refused("body")
    return said
