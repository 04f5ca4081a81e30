"""Packages: an archive that holds files only, a description without entities, digests and a signature that are true."""

import hashlib
import io
import re
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.appliance.errors import ImageForged, ImageRefused, ImageUnproven
from client.appliance.formats import Source
from client.appliance.ova import open_archive, open_folder
from client.appliance.ova_members import members_of
from client.appliance.ova_proof import Proof, read_manifest
from client.appliance.ovf import Asked, Disk, read_ovf
from tests.helpers import images

FILES = {"vm.ovf": images.ovf(), "disk.vmdk": images.vmdk()}


def members(content: bytes) -> list[tuple[str, bytes]]:
    found = members_of(Source(io.BytesIO(content), len(content), "file"))
    return [(one.name, content[one.at : one.at + one.size_bytes]) for one in found]


def entry(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> bytes:
    about = tarfile.TarInfo(name)
    about.type, about.size, about.linkname = kind, size, "/etc/shadow"
    return about.tobuf(tarfile.GNU_FORMAT)


def prove(files: dict[str, bytes], tmp_path: Path, *, trust: bool = False) -> Proof:
    """All checks that an import does, over every byte."""
    path = tmp_path / "vm.ova"
    path.write_bytes(images.tar(files))
    with open_archive(path, "vm.ova") as package:
        proof = package.proof(trust)
        for name in ("disk.vmdk", *package.others(("disk.vmdk",))):
            assert b"".join(package.chunks(name)) == files[name]
        return proof


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_archives_of_all_writers_are_read(format: int) -> None:
    files = {"vm.ovf": b"<x/>", "Größe-" + "n" * 110 + ".vmdk": b"disk" * 300} if format != 0 else {"a": b"b"}
    assert members(images.tar(files, format=format)) == list(files.items())


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/b.vmdk", "..", "a\\b", "c:x", "tab\tname", "end. ", ""])
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(ImageRefused):
        members(entry(name) + bytes(1024))


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"5", b"6", b"S", b"K"])
def test_links_devices_and_folders_are_refused(kind: bytes) -> None:
    with pytest.raises(ImageRefused):
        members(entry("disk.vmdk", kind) + bytes(1024))


@pytest.mark.parametrize(
    "said", [b"-0000000001\0", b"+0000000001\0", b"00000000_01\0", b"0o000000001\0", b"00000000008\0"]
)
@pytest.mark.parametrize("place", [124, 148])
def test_numbers_that_are_none_are_refused(said: bytes, place: int) -> None:
    head = bytearray(entry("disk.vmdk", size=1))
    head[place : place + (12 if place == 124 else 8)] = said if place == 124 else said[:1] + said[4:11]
    if place == 124:
        head[148:156] = b" " * 8
        head[148:156] = b"%06o\0 " % sum(head)
    with pytest.raises(ImageRefused, match=r"number|sum"):
        members(bytes(head) + bytes(1024))


def test_lying_lengths_and_too_many_files_are_refused() -> None:
    with pytest.raises(ImageRefused, match="not whole"):
        members(entry("disk.vmdk", size=1 << 50) + bytes(1024))
    with pytest.raises(ImageRefused, match="more than 64"):
        members(b"".join(entry(f"f{number}") for number in range(70)))
    with pytest.raises(ImageRefused, match="twice"):
        members(entry("A.vmdk") + entry("a.vmdk"))
    with pytest.raises(ImageRefused, match="too long"):
        members(entry("x", b"x", size=1 << 40) + bytes(1024))
    with pytest.raises(ImageRefused, match="sum"):
        members(entry("x").replace(b"ustar", b"usual"))


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, 2047), put=st.binary(min_size=1, max_size=12))
def test_a_damaged_archive_is_refused_or_read(at: int, put: bytes) -> None:
    content = bytearray(images.tar({"vm.ovf": b"<x/>", "d.vmdk": b"x" * 600}, format=tarfile.PAX_FORMAT))
    content[at : at + len(put)] = put
    try:
        found = members(bytes(content))
    except ImageRefused:
        return
    assert all(len(data) <= len(content) for _, data in found)


def test_a_description_tells_what_the_machine_asks_for() -> None:
    asked = read_ovf(images.ovf(), "f")
    assert asked == Asked("vm", "Linux26_64", 2048, 2, 1, (Disk("disk.vmdk", 20 << 30),), ("disk.vmdk",))
    assert read_ovf(images.ovf(compression="gzip", capacity="1048576"), "f").disks == (
        Disk("disk.vmdk", 1 << 20, True),
    )


BOMB = (
    b"""<?xml version="1.0"?><!DOCTYPE Envelope [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><Envelope>&b;</Envelope>"""
)
OUTSIDE = b"""<!DOCTYPE Envelope [<!ENTITY x SYSTEM "file:///etc/passwd">]><Envelope>&x;</Envelope>"""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (BOMB, "document type"),
        (OUTSIDE, "document type"),
        (b"<Envelope>" + b"<a>" * 200 + b"</a>" * 200 + b"</Envelope>", "too many parts"),
        (b"<Envelope>" + b"<a/>" * 30_000 + b"</Envelope>", "too many parts"),
        (b"<Envelope>", "no XML"),
        (b"", "no XML"),
        (b'<?xml version="1.0" encoding="klingon"?><Envelope/>', "no XML"),
        (images.ovf(systems=2), "2 virtual machines"),
        (images.ovf(systems=0), "0 virtual machines"),
        (images.ovf().replace(b'fileRef="file1"', b'fileRef="file9"'), "nowhere"),
        (images.ovf().replace(b'diskId="vmdisk1"', b'diskId="vmdisk1" ovf:parentRef="x"'), "builds on another"),
        (images.ovf(compression="lzma"), "packed as"),
        (b"x" * (5 << 20), "too long"),
    ],
)
def test_hostile_descriptions_are_refused(content: bytes, words: str) -> None:
    with pytest.raises(ImageRefused, match=words):
        read_ovf(content, "f")


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 2000), put=st.binary(max_size=20) | st.text(max_size=20).map(str.encode))
def test_a_damaged_description_is_refused_or_read(at: int, put: bytes) -> None:
    content = images.ovf()
    try:
        asked = read_ovf(content[:at] + put + content[at + len(put) :], "f")
    except ImageRefused:
        return
    assert all(one.virtual_bytes >= 0 for one in asked.disks) and asked.name.isprintable()


@pytest.mark.parametrize("kind", ["SHA1", "SHA256", "SHA512"])
@pytest.mark.parametrize("space", ["", " "])
def test_a_manifest_is_held_against_every_file(kind: str, space: str, tmp_path: Path) -> None:
    files = FILES | {"vm.nvram": b"more", "vm.mf": images.manifest(FILES | {"vm.nvram": b"more"}, kind, space=space)}
    assert prove(files, tmp_path, trust=True) == Proof(kind)
    for name in FILES | {"vm.nvram": b""}:
        with pytest.raises((ImageForged, AssertionError, ImageRefused)) as refused:
            prove(files | {name: files[name].replace(b"o", b"0")}, tmp_path, trust=True)
        assert isinstance(refused.value, ImageForged) and refused.value.file == name


def test_a_manifest_names_all_files_and_no_others(tmp_path: Path) -> None:
    listed = FILES | {"vm.mf": images.manifest(FILES)}
    with pytest.raises(ImageForged, match="not in its manifest"):
        prove(listed | {"extra.bin": b"x"}, tmp_path, trust=True)
    with pytest.raises(ImageForged, match="no such file"):
        prove({name: content for name, content in listed.items() if name != "disk.vmdk"}, tmp_path, trust=True)


def test_a_manifest_of_another_name_counts_and_two_do_not(tmp_path: Path) -> None:
    listed = images.manifest(FILES)
    assert prove(FILES | {"other.mf": listed}, tmp_path, trust=True) == Proof("SHA256")
    with pytest.raises(ImageRefused, match="2 files"):
        prove(FILES | {"other.mf": listed, "vm.mf": listed}, tmp_path, trust=True)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"SHA256(a)= 12\n",
        b"MD5(a)= 900150983cd24fb0d6963f7d28e17f72\n",
        b"\xff\xfe",
        b"hello\n",
        b"SHA1(../a)= " + b"0" * 40,
        b"SHA1(a\x1b[2J)= " + b"0" * 40,
        b"SHA1(a)= " + b"0" * 40 + b"\nSHA1(a)= " + b"0" * 40,
    ],
)
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(ImageRefused):
        read_manifest(content, "f")


def test_who_has_not_signed_is_not_believed_without_consent(tmp_path: Path) -> None:
    with pytest.raises(ImageUnproven, match="has no manifest"):
        prove(FILES, tmp_path)
    with pytest.raises(ImageUnproven, match="is not signed"):
        prove(FILES | {"vm.mf": images.manifest(FILES)}, tmp_path)
    assert prove(FILES, tmp_path, trust=True) == Proof()


@pytest.mark.parametrize("kind", ["SHA1", "SHA256"])
def test_a_signature_is_checked_and_its_owner_told(kind: str, tmp_path: Path) -> None:
    listed = images.manifest(FILES, kind)
    signed = FILES | {"vm.mf": listed, "vm.cert": images.certificate(listed, "vm.mf", kind)}
    proof = prove(signed, tmp_path)
    assert proof.signer == proof.issuer == "CN=Example Appliances" and proof.manifest == kind
    assert re.match(r"20\d\d-", proof.expired_at)
    other = images.certificate(b"another manifest", "vm.mf", kind)
    for bad in (other, signed["vm.cert"].replace(b"vm.mf", b"xy.mf")):
        with pytest.raises(ImageForged):
            prove(signed | {"vm.cert": bad}, tmp_path, trust=True)
    with pytest.raises(ImageForged):
        prove(FILES | {"vm.cert": other}, tmp_path, trust=True)
    for bad in (b"", b"hello", signed["vm.cert"][:400], signed["vm.cert"].replace(b"MII", b"AAA")):
        with pytest.raises((ImageRefused, ImageUnproven)):
            prove(signed | {"vm.cert": bad}, tmp_path)


def test_a_description_reaches_only_files_beside_it(tmp_path: Path) -> None:
    secret = tmp_path / "secret.vmdk"
    secret.write_bytes(images.vmdk())
    folder = tmp_path / "vm"
    folder.mkdir()
    path = folder / "vm.ovf"
    for name in ("../secret.vmdk", str(secret), "http://x/y.vmdk", "file:///etc/passwd"):
        path.write_bytes(images.ovf(name))
        with open_folder(path) as package, pytest.raises(ImageRefused, match=r"own folder|not in it"):
            package.size_of(read_ovf(path.read_bytes(), "f").files[0])
    path.write_bytes(images.ovf("link.vmdk"))
    (folder / "link.vmdk").symlink_to(secret)
    with open_folder(path) as package, pytest.raises(ImageRefused, match="is a link"):
        package.size_of("link.vmdk")


def test_an_ovf_with_its_files_is_as_good_as_an_archive(tmp_path: Path) -> None:
    listed = images.manifest(FILES)
    for name, content in (FILES | {"vm.mf": listed, "vm.cert": images.certificate(listed, "vm.mf")}).items():
        (tmp_path / name).write_bytes(content)
    with open_folder(tmp_path / "vm.ovf") as package:
        assert package.proof(False).signer == "CN=Example Appliances"
        found = b"".join(package.chunks("disk.vmdk"))
    assert hashlib.sha256(found).digest() == hashlib.sha256(images.vmdk()).digest()
