"""What is fuzzed: functions of bytes that return, whatever the bytes are. One that raises has found a defect.

Each target feeds a parser of hostile input and asserts what callers rely on: only the declared errors, results within
the stated bounds, and what was accepted says the same when it is written and read again.
"""

import contextlib
import gzip
import io
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from cryptography.hazmat.primitives.asymmetric import rsa

from client.copilot import fields
from client.copilot.errors import BadRequirements, BadStanza, TicketRefused
from client.copilot.events import parse_report
from client.copilot.jdl import MAX_ATTRIBUTES, parse_jdl
from client.copilot.managers.errors import OutputRefused
from client.copilot.managers.gunzip import gunzip
from client.copilot.managers.unpack import Limits, unpack
from client.copilot.messages import build_info, parse_info
from client.copilot.queue.original import build_original, parse_original
from client.copilot.requirements import parse_requirements
from client.copilot.security import check_ticket, new_session_key, seal, wrap_key
from client.copilot.security_codec import Provider
from client.copilot.stanza import MAX_DEPTH, Kind, build_message, decode_value, encode_value, parse_message
from client.errors import BadInput
from client.link import KINDS, LinkEnd

_KEYS: Final[list[rsa.RSAPrivateKey]] = []
_SESSION: Final[list[Any]] = []
Target = Callable[[bytes], None]

_BLOCK: Final = 512
_LIMITS: Final = Limits(packed_bytes=1 << 20, unpacked_bytes=1 << 16, members=20)
_CODECS: Final[Mapping[str, fields.Codec]] = {
    name: value for name, value in vars(fields).items() if isinstance(value, fields.Codec)
}


def stanza(data: bytes) -> None:
    """A message as it stands in the stream."""
    try:
        element = ElementTree.fromstring(b"<message from='a@b/c' to='d@e' id='1'>" + data + b"</message>")
    except (ElementTree.ParseError, ValueError, LookupError):
        return
    _check_message(element)


def command(data: bytes) -> None:
    """A message whose XML is right: names and values of `info` and its children from the data."""
    words = [word.decode("utf-8", "replace") for word in data.split(b"\xff")]
    message = ElementTree.Element("message", {"from": "a@b/c", "to": "d@e", "id": "1"})
    info = at = ElementTree.SubElement(ElementTree.SubElement(message, "body"), "info")
    for name, value in zip(words[::2], words[1::2], strict=False):
        if name.startswith(">"):
            at = ElementTree.SubElement(at, name[1:])
        elif name.startswith("<"):
            at = info
        else:
            at.set(name, encode_value(value) if value[:1] != "=" else value[1:])
    _check_message(message)


def value(data: bytes) -> None:
    """A single value, with and without its coding."""
    text = data.decode("utf-8", "surrogateescape")
    assert decode_value(encode_value(text)) == text
    decode_value(text)
    decode_value(f"_BASE64{text}")


def codecs(data: bytes) -> None:
    """All kinds of values, one chosen by the first byte."""
    if not data:
        return
    name = sorted(_CODECS)[data[0] % len(_CODECS)]
    codec = _CODECS[name]
    try:
        found = codec.parse(data[1:].decode("utf-8", "surrogateescape"))
    except ValueError:
        return
    if name == "DATA" and _is_ambiguous(found):
        return
    assert codec.parse(codec.build(found)) == found, (name, found)


def path(data: bytes) -> None:
    """A file's name that a peer chose: below the root, whatever it says."""
    try:
        name = fields.check_path(data.decode("utf-8", "surrogateescape"))
    except ValueError:
        return
    assert os.path.normpath(f"/root/{name}") == f"/root/{name}"


def jdl(data: bytes) -> None:
    """A computer's description."""
    found = parse_jdl(data.decode("utf-8", "surrogateescape"))
    assert len(found) <= MAX_ATTRIBUTES


def packed(data: bytes) -> None:
    """A compressed output: bounded, however far it claims to unfold."""
    try:
        size = sum(map(len, gunzip(io.BytesIO(data), _LIMITS.unpacked_bytes)))
    except OutputRefused:
        return
    assert size <= _LIMITS.unpacked_bytes


def archive(data: bytes) -> None:
    """An output's tar archive; checksums are put right, so that what lies behind them is reached."""
    outer = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    inner = outer / "inner"
    inner.mkdir()
    try:
        with contextlib.suppress(OutputRefused):
            unpack(io.BytesIO(gzip.compress(_with_checksums(data), 0)), inner, _LIMITS)
        assert [entry.name for entry in outer.iterdir()] == ["inner"]
        _check_unpacked(inner)
    finally:
        shutil.rmtree(outer)


def link(data: bytes) -> None:
    """What a guest writes on its link, in pieces of any size."""
    end = LinkEnd("host")
    cut = data[0] if data else 0
    for piece in (data[1 : cut + 1], data[cut + 1 :]):
        for message in end.receive(piece):
            assert set(message.fields) <= set(KINDS[message.kind])
        end.replies()


def requirements(data: bytes) -> None:
    """What a job asks of a computer, and a computer that says anything."""
    said, _, host = data.partition(b"\xff")
    try:
        found = parse_requirements(said.decode("utf-8", "surrogateescape"))
    except BadRequirements:
        return
    again = parse_requirements(found.text)
    described = parse_jdl(host.decode("utf-8", "surrogateescape"))
    assert again == found
    assert again.met_by(described) is found.met_by(described)


def original(data: bytes) -> None:
    """A record of the original's queue: its id and its description."""
    job_id, _, said = data.decode("utf-8", "surrogateescape").partition("\n")
    job, reason = parse_original(job_id, said)
    assert fields.check_id(job.description.id)
    if reason:
        return
    with contextlib.suppress(BadInput):
        assert parse_original(job_id, build_original(job.description))[0] == job


def secure(data: bytes) -> None:
    """A stanza of the original's secure mode: what was encrypted with the right key, and what only looks like it."""
    provider, session_key, key = _provider()
    message = ElementTree.Element("message", {"from": "a@b/c", "to": "d@e", "id": "1"})
    texts = data[1:].decode("utf-8", "surrogateescape").partition("\n")
    honest = {"session_key": session_key, "info": seal(data[1:], key)}
    forged = {"session_key": f"_BASE64:{texts[0]}", "info": f"_BASE64:{texts[2]}"}
    ElementTree.SubElement(message, "body", forged if data[:1] < b"@" else honest)
    received = provider.parse(message)
    assert received.kind in {Kind.INFO, Kind.NOTHING}
    assert _depth(received.info) <= MAX_DEPTH


def ticket(data: bytes) -> None:
    """A ticket that nobody signed."""
    _provider()
    try:
        check_ticket(data.decode("utf-8", "surrogateescape"), _KEYS[0].public_key(), 0.0)
    except TicketRefused:
        return
    raise AssertionError(data)


TARGETS: Final[Mapping[str, Target]] = {
    target.__name__: target
    for target in (
        stanza,
        command,
        value,
        codecs,
        path,
        jdl,
        packed,
        archive,
        link,
        requirements,
        original,
        secure,
        ticket,
    )
}


def _check_message(element: ElementTree.Element) -> None:
    received = parse_message(element)
    assert _depth(received.info) <= MAX_DEPTH
    if received.kind is not Kind.INFO:
        return
    with contextlib.suppress(BadStanza):
        parse_report(received.info)
    try:
        found = parse_info(received.info)
    except BadStanza:
        return
    if found is None or _is_ambiguous(getattr(found, "job_data", "")):
        return
    again = parse_message(ElementTree.fromstring(build_message("1", "a@b/c", "d@e", build_info(found))))
    try:
        assert parse_info(again.info) == found
    except BadStanza as bad:
        # These two may be missing, and are never written empty by anybody who has one.
        assert bad.field in {"command", "outputChirpUrl"}, bad


def _provider() -> tuple[Provider, str, bytes]:
    """A manager of the secure mode that remembers nothing, and a key that it knows."""
    if not _KEYS:
        logging.getLogger("copilot.security").setLevel(logging.CRITICAL)
        private, key = rsa.generate_private_key(65537, 1024), new_session_key()
        _KEYS.append(private)
        _SESSION.extend((wrap_key(key, private.public_key()), key))
    return Provider(_KEYS[0], per_s=10**9), *_SESSION


def _is_ambiguous(data: object) -> bool:
    """Whether a flat map may not be read as it was written: its separator is made of #, and nothing escapes that."""
    return "#" in str(data)


def _depth(info: Any) -> int:
    return 1 + max((_depth(inner) for inner in info.values() if not isinstance(inner, str)), default=0)


def _with_checksums(data: bytes) -> bytes:
    blocks = [bytearray(data[at : at + _BLOCK].ljust(_BLOCK, b"\0")) for at in range(0, len(data), _BLOCK)]
    for block in blocks:
        if any(block):
            block[148:156] = b" " * 8
            block[148:156] = b"%06o\0 " % sum(block)
    return b"".join(map(bytes, blocks)) + bytes(2 * _BLOCK)


def _check_unpacked(folder: Path) -> None:
    entries = [entry for top, folders, files in os.walk(folder) for entry in (Path(top, name) for name in files)]
    assert len(entries) <= _LIMITS.members
    assert not any(entry.is_symlink() or not entry.is_file() for entry in entries)
    assert sum(entry.stat().st_size for entry in entries) <= _LIMITS.unpacked_bytes
