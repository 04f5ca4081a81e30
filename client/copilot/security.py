"""The cryptography of the original's secure mode. It is weak, and here only so that its agents and managers can talk.

    E(x)         MIME base64 of x, lines of 76, each ended by a line feed
    session_key  "_BASE64:" E( E( RSA-OAEP-SHA1[ E(K) ] ) )        K: 32 random bytes of the agent's
    info         "_BASE64:" E( E( AES[ E( <info .../> ) ] ) )
    AES          "Salted__", 8 bytes of salt, AES-256-CBC; key and IV from K and salt by EVP_BytesToKey with MD5, once
    ticket       S "###" T;  T = E("*###from###to###full JID"), S = E(RSA PKCS#1 v1.5, SHA-1, of T)

Nothing is authenticated but tickets: who sits between may change what he cannot read. docs/security.md says more.

Source: read off stanzas of the running original; `openssl enc -aes-256-cbc -md md5` is the same AES.
"""

import base64
import binascii
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from client.copilot.errors import NotDecoded, TicketRefused
from client.copilot.stanza import decode_value, encode_value
from client.errors import BadInput

SESSION_KEY_BYTES: Final = 32
_SALTED: Final = b"Salted__"
_SALT_BYTES: Final = 8
_BLOCK_BYTES: Final = 16
_AES_KEY_BYTES: Final = 32
_SHA1: Final = hashes.SHA1()
_OAEP: Final = padding.OAEP(padding.MGF1(_SHA1), _SHA1, None)
_BETWEEN: Final = "###"
_PEM: Final = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)
_REMEDY: Final = "make keys with openssl, see docs/operator-guide.md"
MAX_KEY_FILE_BYTES: Final = 1024 * 1024


def new_session_key() -> bytes:
    """An agent's K."""
    return os.urandom(SESSION_KEY_BYTES)


def wrap_key(key: bytes, public: RSAPublicKey) -> str:
    """The attribute `session_key`."""
    return _outer(public.encrypt(_lines(key), _OAEP))


def unwrap_key(value: str, private: RSAPrivateKey) -> bytes:
    """K of the attribute `session_key`.

    Raises:
        NotDecoded: it is none for this key.
    """
    try:
        return _unlines(private.decrypt(_inner(value), _OAEP))
    except ValueError as wrong:
        raise NotDecoded("Could not decrypt the session key") from wrong


def seal(xml: bytes, key: bytes) -> str:
    """The attribute `info` for an element."""
    salt = os.urandom(_SALT_BYTES)
    aes = _cipher(key, salt).encryptor()
    pad = PKCS7(_BLOCK_BYTES * 8).padder()
    text = pad.update(_lines(xml)) + pad.finalize()
    return _outer(_SALTED + salt + aes.update(text) + aes.finalize())


def unseal(value: str, key: bytes) -> bytes:
    """The element in the attribute `info`.

    Raises:
        NotDecoded: it is none for this key.
    """
    try:
        data = _inner(value)
        if not data.startswith(_SALTED):
            raise ValueError("no salt")
        aes = _cipher(key, data[len(_SALTED) : len(_SALTED) + _SALT_BYTES]).decryptor()
        text = aes.update(data[len(_SALTED) + _SALT_BYTES :]) + aes.finalize()
        pad = PKCS7(_BLOCK_BYTES * 8).unpadder()
        return _unlines(pad.update(text) + pad.finalize())
    except ValueError as wrong:
        raise NotDecoded("Could not decrypt the message") from wrong


def make_ticket(holder: str, private: RSAPrivateKey, now: float, validity_s: int) -> str:
    """A ticket for a full JID, good from now on."""
    said = _BETWEEN.join(("*", str(int(now)), str(int(now) + validity_s), holder))
    content = _lines(said.encode())
    signature = private.sign(content, padding.PKCS1v15(), _SHA1)
    return f"{_lines(signature).decode()}{_BETWEEN}{content.decode()}"


@dataclass(frozen=True)
class Ticket:
    """What a ticket says. Times in epoch seconds."""

    holder: str
    good_from: int
    good_to: int


def check_ticket(ticket: str, public: RSAPublicKey, now: float) -> Ticket:
    """A ticket whose signature and time are right; whether its holder is who shows it is for the caller to see.

    Raises:
        TicketRefused: they are not; in the original's words.
    """
    signature, _, content = ticket.partition(_BETWEEN)
    try:
        public.verify(_unlines(signature.encode()), content.encode(), padding.PKCS1v15(), _SHA1)
        whom, good_from, good_to, holder = _unlines(content.encode()).decode().split(_BETWEEN, 3)
        found = Ticket(holder, int(good_from), int(good_to))
    except (InvalidSignature, ValueError) as wrong:
        raise TicketRefused("Failed to verify ticket signature") from wrong
    if whom != "*":
        raise TicketRefused("The ticket is not valid for this component")
    at = int(now)
    if at < found.good_from:
        raise TicketRefused(f"The ticket is not yet valid (now is {at} and the ticket is valid from {found.good_from})")
    if at > found.good_to:
        raise TicketRefused(f"The ticket has expired (now is {at} and the ticket is valid to {found.good_to})")
    return found


class PublicKeys:
    """Public keys by JID, as the original keeps them in one file: a line with a JID, then its key in PEM; repeated.

    Raises:
        BadInput: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._keys: dict[str, RSAPublicKey] = {}
        text = _read(path)
        for before, pem in zip(_PEM.split(text), _PEM.findall(text), strict=False):
            names = [line.strip() for line in before.splitlines() if "@" in line]
            if names:
                self._keys[names[-1]] = _public(pem.encode(), path)
        if not self._keys:
            raise BadInput(str(path), "there is no key of anybody in it", "a line with the JID, then its key in PEM")

    def of(self, jid: str) -> RSAPublicKey | None:
        """The key of a JID; the original wants full JIDs listed too, for us the bare one suffices."""
        return self._keys.get(jid) or self._keys.get(jid.partition("/")[0])


def load_private_key(path: Path) -> RSAPrivateKey:
    """An RSA key in PEM.

    Raises:
        BadInput: the file holds none.
    """
    try:
        key = load_pem_private_key(_read(path).encode(), None)
    except (ValueError, TypeError) as wrong:
        raise BadInput(str(path), f"it holds no private key ({wrong})", _REMEDY) from wrong
    if not isinstance(key, RSAPrivateKey):
        raise BadInput(str(path), "its key is no RSA key", _REMEDY)
    return key


def load_public_key(path: Path) -> RSAPublicKey:
    """An RSA key in PEM.

    Raises:
        BadInput: the file holds none.
    """
    return _public(_read(path).encode(), path)


def _public(pem: bytes, path: Path) -> RSAPublicKey:
    try:
        key = load_pem_public_key(pem)
    except ValueError as wrong:
        raise BadInput(str(path), f"it holds no public key ({wrong})", _REMEDY) from wrong
    if not isinstance(key, RSAPublicKey):
        raise BadInput(str(path), "a key in it is no RSA key", _REMEDY)
    return key


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_KEY_FILE_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(str(path), f"it cannot be read ({error})", _REMEDY) from error


def _cipher(key: bytes, salt: bytes) -> Cipher[modes.CBC]:
    """EVP_BytesToKey with one round of MD5."""
    made = block = b""
    while len(made) < _AES_KEY_BYTES + _BLOCK_BYTES:
        block = hashlib.md5(block + key + salt, usedforsecurity=False).digest()
        made += block
    iv = made[_AES_KEY_BYTES : _AES_KEY_BYTES + _BLOCK_BYTES]
    return Cipher(algorithms.AES(made[:_AES_KEY_BYTES]), modes.CBC(iv))


def _lines(data: bytes) -> bytes:
    return base64.encodebytes(data)


def _unlines(data: bytes) -> bytes:
    # Strictly, since what another key decrypts to may well have a valid padding, but hardly this form.
    try:
        return base64.b64decode(b"".join(data.split()), validate=True)
    except binascii.Error as wrong:
        raise ValueError(str(wrong)) from wrong


def _outer(data: bytes) -> str:
    return encode_value(_lines(data).decode())


def _inner(value: str) -> bytes:
    return _unlines(decode_value(value).encode("utf-8", "surrogateescape"))
