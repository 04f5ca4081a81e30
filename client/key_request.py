"""What a computer signs when it asks a project's key manager for something; one definition for both ends.

    POST <key manager>/enrol          {"invitation": <proof>}      this key belongs to somebody with the project file
    POST <key manager>/guest-token    {"vm_id": "..."}             an account for one guest of this key's owner
    Authorization: Volunteer-Cloud-Key-1 <public key> <time> <nonce> <signature>

All four words are hexadecimal but for the time (whole seconds since the epoch). The Ed25519 signature is over the
lines of `Request.signed`: it holds for one purpose, one project, one body, once, and for a few minutes. The
invitation's proof is an HMAC over the same lines, so the secret of the project file itself never travels.
Standard library only.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final

ENROL: Final = "enrol"
GUEST_TOKEN: Final = "guest-token"
SCHEME: Final = "Volunteer-Cloud-Key-1"
#: how far the clocks of the two ends may be apart, in seconds
CLOCKS_APART_S: Final = 300
_HEADER: Final = re.compile(rf"{SCHEME} ([0-9a-f]{{64}}) ([0-9]{{1,12}}) ([0-9a-f]{{32}}) ([0-9a-f]{{128}})", re.ASCII)


@dataclass(frozen=True)
class Request:
    """One request, before it is signed.

    Attributes:
        purpose: ENROL or GUEST_TOKEN.
        audience: the project's XMPP domain.
        public_key: 32 bytes.
        at: seconds since the epoch.
        nonce: 32 hexadecimal digits, never used twice.
    """

    purpose: str
    audience: str
    public_key: bytes
    at: int
    nonce: str

    def signed(self, body: bytes) -> bytes:
        """The bytes that the signature is over."""
        words = (SCHEME, self.purpose, self.audience, self.public_key.hex(), str(self.at), self.nonce)
        return "\n".join((*words, hashlib.sha256(body).hexdigest())).encode()

    def invitation(self, secret: str) -> str:
        """Proof that the sender has the secret of the project file, good for this request only."""
        return hmac.new(secret.encode(), b"invitation\n" + self.signed(b""), hashlib.sha256).hexdigest()

    def header(self, signature: bytes) -> str:
        """The Authorization header."""
        return f"{SCHEME} {self.public_key.hex()} {self.at} {self.nonce} {signature.hex()}"


def fresh_request(purpose: str, audience: str, public_key: bytes, now: float) -> Request:
    """A request that was never made before."""
    return Request(purpose, audience, public_key, int(now), secrets.token_hex(16))


def parse_header(header: str, purpose: str, audience: str) -> tuple[Request, bytes] | None:
    """The request that a header speaks of, and its signature; None: it is none of these."""
    found = _HEADER.fullmatch(header)
    if found is None:
        return None
    key, at, nonce, signature = found.groups()
    return Request(purpose, audience, bytes.fromhex(key), int(at), nonce), bytes.fromhex(signature)


def owner_id(public_key: bytes) -> str:
    """Who the holder of a key is to the project: 16 hexadecimal digits."""
    return hashlib.sha256(public_key).hexdigest()[:16]
