"""The keys that sign: one file each, `<role>.<key id>.pem`, mode 0600, with or without a passphrase."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner, Key, SSlibKey
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from client.errors import BadInput
from client.paths import write_atomic

SUFFIX: Final = ".pem"
#: a key that is out of use keeps its file, under a name that is not looked for
REVOKED: Final = ".revoked"

#: asked for the passphrase of a key file; empty: there is none to give
AskPassphrase = Callable[[Path], bytes]
Signable = Metadata[Root] | Metadata[Targets] | Metadata[Snapshot] | Metadata[Timestamp]


class KeyRing:
    """The keys in some folders. Nothing is decrypted before it is needed."""

    def __init__(self, folders: Sequence[Path], ask: AskPassphrase = lambda _: b"") -> None:
        self._folders = tuple(folders)
        self._ask = ask
        self._opened: dict[str, CryptoSigner] = {}

    @property
    def folders(self) -> str:
        """Where it looks, in words."""
        return " and ".join(map(str, self._folders))

    def files(self) -> dict[str, Path]:
        """All keys that are there: key id -> file."""
        every = (path for folder in self._folders if folder.is_dir() for path in sorted(folder.glob(f"*.*{SUFFIX}")))
        return {path.name.removesuffix(SUFFIX).rpartition(".")[2]: path for path in every}

    def too_open(self) -> list[Path]:
        """Key files that others than their owner can read."""
        return [path for path in self.files().values() if os.name == "posix" and path.stat().st_mode & 0o077]

    def make(self, role: str, folder: Path, passphrase: bytes = b"") -> Key:
        """Make a key and write it into a folder.

        Returns:
            Its public part.
        """
        private = Ed25519PrivateKey.generate()
        signer = CryptoSigner(private, SSlibKey.from_crypto(private.public_key()))
        kind = serialization.PrivateFormat.PKCS8
        locked: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase:
            locked = serialization.BestAvailableEncryption(passphrase)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        pem = private.private_bytes(serialization.Encoding.PEM, kind, locked)
        key = signer.public_key
        write_atomic(folder / f"{role}.{key.keyid}{SUFFIX}", pem, 0o600)
        self._opened[key.keyid] = signer
        return key

    def has(self, keyids: Iterable[str], threshold: int) -> bool:
        """Whether enough of these keys are here."""
        return len(self.files().keys() & set(keyids)) >= threshold

    def sign(self, signable: Signable, role: str, keyids: Iterable[str], threshold: int) -> None:
        """Sign with all of these keys that are here, beside the signatures that are there already.

        Raises:
            BadInput: fewer than `threshold` are here, or one cannot be opened.
        """
        here = sorted(self.files().keys() & set(keyids))
        if len(here) < threshold:
            what = f"{threshold} of the keys of {role} are needed to sign, and {len(here)} are there"
            raise BadInput(self.folders, what, "bring the medium that holds them and name its folder: --keys FOLDER")
        for keyid in here:
            signable.sign(self._open(keyid), append=True)

    def revoke(self, keyids: Iterable[str]) -> None:
        """Set key files aside under names that are not looked for."""
        files = self.files()
        for keyid in keyids:
            if keyid in files:
                files[keyid].replace(files[keyid].with_name(files[keyid].name + REVOKED))

    def _open(self, keyid: str) -> CryptoSigner:
        if keyid not in self._opened:
            path = self.files()[keyid]
            private = self._read(path)
            signer = CryptoSigner(private, SSlibKey.from_crypto(private.public_key()))
            if signer.public_key.keyid != keyid:
                raise BadInput(str(path), "its name does not belong to the key in it", "do not rename key files")
            self._opened[keyid] = signer
        return self._opened[keyid]

    def _read(self, path: Path) -> Ed25519PrivateKey:
        pem = path.read_bytes()
        word = self._ask(path) if b"ENCRYPTED" in pem else b""
        try:
            found = serialization.load_pem_private_key(pem, word or None)
        except (ValueError, TypeError) as error:
            raise BadInput(str(path), "the key cannot be opened", "give its passphrase: --passphrase-file") from error
        if not isinstance(found, Ed25519PrivateKey):
            raise BadInput(str(path), "it is no Ed25519 key", "use keys that `publish` made")
        return found
