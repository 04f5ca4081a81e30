"""Checks what an OVA or OVF says of itself: its manifest (.mf) has a digest of each file, its certificate (.cert) signs
the manifest. For worker processes: `cryptography` is imported here.

A certificate tells a name that its owner chose. Whether to believe it is for the volunteer to say, so it is shown.

Source: DMTF DSP0243, 5.1 and 5.3; what ovftool and VirtualBox write: "SHA256(name)= hex".
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from client.appliance.errors import ImageForged, ImageRefused
from client.appliance.formats import is_plain_name

MOST_BYTES: Final = 256 * 1024
_LINE: Final = re.compile(r"(SHA1|SHA256|SHA384|SHA512) ?\(([^()\r\n]{1,255})\) ?= ?([0-9A-Fa-f]+)")
_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]{1,65536}-----END CERTIFICATE-----")
_MOST_NAME: Final = 300


@dataclass(frozen=True)
class Proof:
    """What vouches for a package.

    Attributes:
        manifest: which digest its manifest has ("SHA256"); empty: it has none.
        signer: name in the certificate whose key has signed the manifest; empty: nobody has.
        issuer: who is said to have given the certificate out; the same as the signer for one that is made by oneself.
        expired_at: when the certificate ended or ends, ISO 8601; empty: there is none.
    """

    manifest: str = ""
    signer: str = ""
    issuer: str = ""
    expired_at: str = ""

    def to_json(self) -> dict[str, Any]:
        """The value as JSON has it."""
        return asdict(self)


@dataclass(frozen=True)
class Manifest:
    """File -> (digest's name, digest in lower-case hex)."""

    digests: dict[str, tuple[str, str]]

    @property
    def kind(self) -> str:
        """The weakest digest in it."""
        return min((kind for kind, _ in self.digests.values()), key=lambda kind: int(kind[3:]))

    def check(self, path: str, file: str, found: dict[str, str]) -> None:
        """See that a file is the one that is listed. found: digest's name -> digest of what there is.

        Raises:
            ImageForged
        """
        if file not in self.digests:
            raise ImageForged(path, file, "is not in its manifest")
        kind, expected = self.digests[file]
        if found[kind] != expected:
            raise ImageForged(path, file, "has other bytes than its manifest says")


def read_manifest(content: bytes, path: str) -> Manifest:
    """Read a manifest.

    Raises:
        ImageRefused: it is none.
    """
    found: dict[str, tuple[str, str]] = {}
    for line in _lines(content, path):
        words = _LINE.fullmatch(line.strip())
        if words is None:
            raise ImageRefused(path, f"its manifest has a line that cannot be: {line[:80]!r}", "get it again")
        kind, name, digest = words.groups()
        if not is_plain_name(name):
            raise ImageRefused(path, f"its manifest names {name!r}, which is no file of it", "get it again")
        if name in found or len(digest) != hashlib.new(kind).digest_size * 2:
            raise ImageRefused(path, f"its manifest is damaged at {name!r}", "get it again")
        found[name] = (kind, digest.lower())
    if not found:
        raise ImageRefused(path, "its manifest is empty", "get it again")
    return Manifest(found)


def check_signature(certificate: bytes, manifest: bytes, manifest_name: str, path: str) -> Proof:
    """See that a certificate's key has signed a manifest.

    Returns:
        Who that was; `manifest` is left empty.

    Raises:
        ImageForged: it has not.
        ImageRefused: the file holds no signature that can be read.
    """
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    first = next(_lines(certificate, path), "")
    words, block = _LINE.fullmatch(first.strip()), _CERTIFICATE.search(certificate)
    if words is None or block is None:
        raise ImageRefused(path, "its signature is of a kind that is not known", "get it without .cert, or again")
    if words[2] != manifest_name:
        raise ImageForged(path, manifest_name, "is not the file that its certificate is for")
    kinds: dict[str, hashes.HashAlgorithm] = {
        "SHA1": hashes.SHA1(),
        "SHA256": hashes.SHA256(),
        "SHA384": hashes.SHA384(),
        "SHA512": hashes.SHA512(),
    }
    digest = kinds[words[1]]
    try:
        owner = x509.load_pem_x509_certificate(block[0])
        key, signature = owner.public_key(), bytes.fromhex(words[3])
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, manifest, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, manifest, ec.ECDSA(digest))
        else:
            raise UnsupportedAlgorithm("a kind of key that is not known")
        signer, issuer = owner.subject.rfc4514_string(), owner.issuer.rfc4514_string()
        ends = owner.not_valid_after_utc.isoformat()
    except InvalidSignature:
        raise ImageForged(path, manifest_name, "is not what its certificate's owner has signed") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ImageRefused(path, f"its certificate cannot be read ({error})", "get it again") from error
    return Proof("", _shown(signer) or "nobody by name", _shown(issuer), ends)


def _lines(content: bytes, path: str) -> Iterator[str]:
    if len(content) > MOST_BYTES:
        raise ImageRefused(path, "its manifest or signature is too long", "get it again")
    try:
        return (line for line in content.decode().splitlines() if line.strip())
    except UnicodeDecodeError:
        raise ImageRefused(path, "its manifest or signature is no text", "get it again") from None


def _shown(name: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in name)[:_MOST_NAME]
