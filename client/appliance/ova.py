"""A package of a virtual machine: an OVA (one archive), or an OVF with its files beside it. Read as hostile.

For worker processes. Docs: docs/images.md.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from client.appliance.errors import ImageForged, ImageRefused, ImageUnproven
from client.appliance.formats import Source, open_beside, open_image
from client.appliance.ova_members import members_of
from client.appliance.ova_proof import MOST_BYTES, Manifest, Proof, check_signature, read_manifest
from client.appliance.ovf import MOST_BYTES as MOST_DESCRIPTION_BYTES
from client.appliance.ovf import Asked, read_ovf

#: digests that a manifest may have
DIGESTS: Final = ("SHA1", "SHA256", "SHA384", "SHA512")
_CHUNK_BYTES: Final = 1 << 20
_DESCRIPTION: Final = ".ovf"
#: gives an open file, and how many bytes from where it stands are the member's; the file is closed by who asked
_Open = Callable[[str], tuple[BinaryIO, int]]


class Package:
    """What an archive or a folder holds; nothing of it is trusted before `proof` was asked for.

    Attributes:
        path: of the archive or the description, for errors.
    """

    def __init__(self, path: str, description: str, names: tuple[str, ...], open_member: _Open) -> None:
        self.path = path
        self._description = description
        self._names = names
        self._open = open_member
        self._manifest: Manifest | None = None

    def asked(self) -> Asked:
        """What its description says.

        Raises:
            ImageRefused
        """
        return read_ovf(self._content(self._description, MOST_DESCRIPTION_BYTES), self.path)

    def proof(self, trust_unsigned: bool) -> Proof:
        """Who vouches for it; its manifest is kept for `check`.

        Raises:
            ImageUnproven: nobody, and that was not agreed to.
            ImageForged: the signature is not of this manifest.
            ImageRefused
        """
        manifest_name, certificate_name = self._only(".mf"), self._only(".cert")
        manifest, certificate = (self._content(one, MOST_BYTES) for one in (manifest_name, certificate_name))
        proof = Proof()
        if manifest:
            self._manifest = read_manifest(manifest, self.path)
            proof = Proof(self._manifest.kind)
        if certificate:
            if self._manifest is None:
                raise ImageForged(self.path, certificate_name, "signs a manifest, and there is none")
            signed = check_signature(certificate, manifest, manifest_name, self.path)
            proof = Proof(self._manifest.kind, signed.signer, signed.issuer, signed.expired_at)
        if not proof.signer and not trust_unsigned:
            what = "its manifest is not signed" if proof.manifest else "it has no manifest with digests of its files"
            raise ImageUnproven(self.path, what)
        self._check_list(manifest_name, certificate_name)
        return proof

    def chunks(self, name: str) -> Iterator[bytes]:
        """All bytes of a file in it, which is compared with the manifest at the end.

        Raises:
            ImageForged: it is another file than the manifest has.
            ImageRefused: it is not there, or not whole.
        """
        digests = {kind: hashlib.new(kind) for kind in (self._kinds(name) if self._manifest else ())}
        file, left = self._member(name)
        with file:
            while left:
                data = file.read(min(left, _CHUNK_BYTES))
                if not data:
                    raise ImageRefused(self.path, f"{name!r} in it is not whole", "get it again")
                left -= len(data)
                for digest in digests.values():
                    digest.update(data)
                yield data
        if self._manifest is not None:
            self._manifest.check(self.path, name, {kind: digest.hexdigest() for kind, digest in digests.items()})

    def size_of(self, name: str) -> int:
        """Length of a file in it, in bytes.

        Raises:
            ImageRefused: it is not there.
        """
        file, size = self._member(name)
        file.close()
        return size

    def others(self, read: tuple[str, ...]) -> tuple[str, ...]:
        """The files with a digest that are not in `read`: whoever trusts the manifest has them checked, too."""
        return tuple(one for one in self._manifest.digests if one not in read) if self._manifest else ()

    def _kinds(self, name: str) -> tuple[str, ...]:
        assert self._manifest is not None
        if name not in self._manifest.digests:
            raise ImageForged(self.path, name, "is not in its manifest")
        return (self._manifest.digests[name][0],)

    def _only(self, suffix: str) -> str:
        """The file with that end of its name; empty if there is none.

        Raises:
            ImageRefused: there are several, so that it is not clear which counts.
        """
        found = [name for name in self._names if name.lower().endswith(suffix)]
        if len(found) > 1:
            raise ImageRefused(
                self.path, f"it holds {len(found)} files {suffix}, and one of them counts", "get it again"
            )
        return found[0] if found else ""

    def _check_list(self, *apart: str) -> None:
        if self._manifest is None:
            return
        for name in self._manifest.digests:
            if name not in self._names:
                raise ImageForged(self.path, name, "is in its manifest, and there is no such file")
        for name in self._names:
            if name not in self._manifest.digests and name not in apart:
                raise ImageForged(self.path, name, "is not in its manifest")

    def _member(self, name: str) -> tuple[BinaryIO, int]:
        if name not in self._names:
            raise ImageRefused(self.path, f"its description names {name[:200]!r}, which is not in it", "get it again")
        return self._open(name)

    def _content(self, name: str, most_bytes: int) -> bytes:
        """A small file; empty if it is not there."""
        if name not in self._names:
            return b""
        file, size = self._open(name)
        with file:
            if size > most_bytes:
                raise ImageRefused(self.path, f"{name!r} in it is too long", "get it again")
            return file.read(size)


@contextlib.contextmanager
def open_archive(path: Path, said: str) -> Iterator[Package]:
    """An OVA.

    Args:
        said: its name for errors, if it lies under another than its user knows.

    Raises:
        ImageRefused
    """
    file, size = open_image(path)
    with file:
        members = {one.name: one for one in members_of(Source(file, size, said))}
    descriptions = [name for name in members if name.endswith(_DESCRIPTION)]
    if len(descriptions) != 1:
        raise ImageRefused(said, f"its archive holds {len(descriptions)} descriptions (.ovf)", "name an OVA")

    def open_member(name: str) -> tuple[BinaryIO, int]:
        member = members[name]
        opened, _ = open_image(path)
        opened.seek(member.at)
        return opened, member.size_bytes

    yield Package(said, descriptions[0], tuple(members), open_member)


@contextlib.contextmanager
def open_folder(path: Path) -> Iterator[Package]:
    """An OVF, with the files that it names beside it.

    Raises:
        ImageRefused
    """
    file, size = open_image(path)
    with file:
        if size > MOST_DESCRIPTION_BYTES:
            raise ImageRefused(str(path), "its description is too long", "get it again")
        content = file.read(size)
    stem = path.name.removesuffix(_DESCRIPTION)
    names = [path.name, *read_ovf(content, str(path)).files]
    beside = [f"{stem}.mf", f"{stem}.cert"]
    names += [name for name in beside if (path.parent / name).exists()]
    if beside[0] in names:
        manifest, size = open_beside(path.parent, beside[0], str(path))
        with manifest:
            names += read_manifest(manifest.read(MOST_BYTES + 1), str(path)).digests
    present = [one for one in dict.fromkeys(names) if one]
    yield Package(str(path), path.name, tuple(present), lambda name: open_beside(path.parent, name, str(path)))
