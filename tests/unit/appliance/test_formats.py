"""Forms of images: known by their content, and refused when they would reach beyond themselves or are not whole."""

import io
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.appliance.errors import ImageRefused
from client.appliance.formats import MAX_VIRTUAL_BYTES, Extent, Format, Found, Source, examine, look_at
from tests.helpers import images

TIB = 1 << 40


def look(content: bytes) -> Found:
    return examine(Source(io.BytesIO(content), len(content), "file"))


@pytest.mark.parametrize("name", images.EVERY)
def test_each_form_is_known_with_the_size_of_its_disk(name: str) -> None:
    found = look(images.EVERY[name])
    assert found.format.value == name.partition("-")[0]
    expected = len(images.EVERY[name]) if found.format is Format.ISO else images.SIZE
    assert found.virtual_bytes == expected and found.size_bytes == len(images.EVERY[name])


def test_a_flat_vmdk_tells_its_parts() -> None:
    found = look(images.flat_vmdk('RW 2048 FLAT "a-f001.vmdk" 0', 'RW 1024 FLAT "a-f002.vmdk" 8'))
    assert found.extents == (Extent("a-f001.vmdk", 0, images.MIB), Extent("a-f002.vmdk", 4096, images.MIB // 2))
    assert found.virtual_bytes == 3 * images.MIB // 2


PARENT = '# Disk DescriptorFile\nparentCID=deadbeef\nparentFileNameHint="/etc/shadow"\n'
REFUSED = {
    "backing file": (images.qcow2(backing=104), "builds on another disk"),
    "data file": (images.qcow2(features=0b100), "data lie in another file"),
    "encrypted": (images.qcow2(encryption=2), "encrypted"),
    "corrupt": (images.qcow2(features=0b10), "corrupt"),
    "unknown feature": (images.qcow2(features=1 << 40), "feature that is not known"),
    "qcow of old": (images.qcow2(version=1), "version 1"),
    "huge qcow2": (images.qcow2(60 * TIB), "60 TiB"),
    "lying qcow2": (images.qcow2()[:24] + (7 * TIB).to_bytes(8, "big") + images.qcow2()[32:], "do not fit"),
    "vdi over another": (images.vdi(kind=4), "differs from another"),
    "vdi with a parent": (images.vdi(parent=b"p" * 16), "builds on another"),
    "vdi with too many blocks": (images.vdi(used=9), "do not fit"),
    "vhd over another": (images.vhd(kind=4), "differs from another"),
    "vhd of another length": (images.vhd()[512:], "not whole"),
    "vhdx over another": (images.vhdx(parent=True), "differs from another"),
    "vmdk over another": (images.vmdk(description=PARENT), "builds on another"),
    "vmdk that only describes": (images.vmdk(capacity=0), "description of other files"),
    "huge vmdk": (images.vmdk(capacity=2**63), "TiB"),
    "flat over another": (images.flat_vmdk('RW 8 FLAT "a" 0', 'parentFileNameHint="b"'), "builds on another"),
    "vmdk of several files": (images.vmdk(description='RW 8 SPARSE "a"\nRW 8 FLAT "/etc/shadow" 0\n'), "other files"),
    "vmdk of endless tables": (images.vmdk(capacity=2**34, per_table=1), "larger than any program"),
    "qcow2 of endless tables": (images.qcow2(2**36, bits=9), "larger than any program"),
    "device in a vmdk": (images.flat_vmdk('RW 8 VMFSRDM "/dev/sda"'), "VMFSRDM"),
    "short iso": (images.iso(2000)[:300_000], "not whole"),
    "disk shorter than its table": (images.mbr(sectors=1 << 20), "not whole"),
    "disk shorter than its GPT": (images.gpt(last=1 << 30), "not whole"),
    "two at once": (images.qcow2()[:32768] + images.iso()[32768:], "at the same time"),
    "two at once, at both ends": (images.qcow2() + images.vhd(len(images.qcow2()))[-512:], "at the same time"),
    "page": (b"<!DOCTYPE html><html><body>404" + bytes(482), "page of the web"),
    "text": (b"hello\n" * 512, "text"),
    "archive": (b"PK\x03\x04" + bytes(508), "ZIP"),
    "program": (b"\x7fELF" + bytes(508), "a program"),
    "encrypted disk": (b"LUKS\xba\xbe" + bytes(506), "encrypted"),
    "nothing": (b"", "empty"),
    "half a sector": (b"\x01" * 1000, "whole sectors"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_and_in_which_words(name: str) -> None:
    content, words = REFUSED[name]
    with pytest.raises(ImageRefused) as refused:
        look(content)
    assert words in refused.value.what and refused.value.remedy


@pytest.mark.parametrize("name", images.EVERY)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_damaged_header_is_refused_or_read_never_worse(name: str, data: st.DataObject) -> None:
    content = bytearray(images.EVERY[name])
    starts = [0, 340, 32768, 196608, images.MIB, images.MIB + 32768, max(0, len(content) - 1024)]
    for _ in range(data.draw(st.integers(1, 4))):
        at = min(data.draw(st.sampled_from(starts)) + data.draw(st.integers(0, 600)), len(content) - 8)
        content[at : at + 8] = data.draw(st.sampled_from([b"\xff" * 8, bytes(8)]) | st.binary(min_size=8, max_size=8))
    try:
        found = look(bytes(content))
    except ImageRefused:
        return
    assert 0 <= found.virtual_bytes <= MAX_VIRTUAL_BYTES


@settings(max_examples=200, deadline=None)
@given(start=st.sampled_from([b"", b"QFI\xfb", b"KDMV", b"vhdxfile", b"conectix", b"# Disk Desc"]), rest=st.binary())
def test_any_bytes_are_refused_or_read(start: bytes, rest: bytes) -> None:
    try:
        found = look(start + rest)
    except ImageRefused:
        return
    assert isinstance(found, Found)


def test_what_is_no_file_has_its_sentence(tmp_path: Path) -> None:
    with pytest.raises(ImageRefused, match="no such file"):
        look_at(tmp_path / "missing")
    with pytest.raises(ImageRefused, match=r"a folder|cannot be opened"):
        look_at(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "missing")
    with pytest.raises(ImageRefused, match="a link to a file that is not there"):
        look_at(tmp_path / "link")
    with pytest.raises(ImageRefused, match="cannot be opened"):
        look_at(Path("nul\0byte"))


@pytest.mark.skipif(sys.platform == "win32", reason="no such files there")
def test_pipes_and_devices_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageRefused, match="a pipe"):
        look_at(tmp_path / "pipe")
    with pytest.raises(ImageRefused, match="a device"):
        look_at(Path("/dev/zero"))


@pytest.mark.skipif(sys.platform != "linux", reason="not every file system has holes")
def test_a_file_of_nothing_but_a_hole_is_refused_by_its_length(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.raw"
    with bomb.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ImageRefused, match="1,024 GiB, more than 512 GiB"):
        look_at(bomb)
