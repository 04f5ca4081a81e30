"""Archives for tests: honest ones, and such as only an attacker makes."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any


def pack(files: Mapping[str, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    """A .tgz as agents make it."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz", format=form) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def pack_member(name: str, kind: bytes, link: str = "") -> bytes:
    """A .tgz with one member of any kind."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.type = kind
        member.linkname = link
        archive.addfile(member)
    return target.getvalue()


def header(name: str, size: int, flag: bytes = b"0") -> bytes:
    """A ustar header with a right checksum and whatever size."""
    block = bytearray(512)
    block[:100] = name.encode().ljust(100, b"\0")
    block[124:136] = b"%011o\0" % size
    block[148:156] = b" " * 8
    block[156:157] = flag
    block[257:265] = b"ustar\x0000"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def gz(content: bytes) -> bytes:
    """Compressed."""
    return gzip.compress(content)


def summary(events: int = 3, seed: int = 7, **more: Any) -> dict[str, Any]:
    """An honest summary.json of the Pythia 8 job."""
    histograms = {"charged_multiplicity": [0, events, 0], "eta": [1, 2], "pt": [3]}
    text = json.dumps(histograms, sort_keys=True, separators=(",", ":"))
    return {
        "events": events,
        "seed": seed,
        "process": "non-diffractive",
        "sigma_mb": 56.5,
        "sigma_error_mb": 0.1,
        "histograms": histograms,
        "histograms_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "pythia_version": "8.317",
        "duration_s": 1.0,
    } | more
