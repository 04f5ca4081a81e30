"""What converters are told, and what comes out of packed files: pure parts; real tools are in the integration tests."""

import gzip
import lzma
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.appliance import unpack
from client.appliance.convert import choose_tool, qemu_options, virtualbox_commands
from client.appliance.errors import ImageRefused, NoConverter
from client.appliance.formats import Format
from client.appliance.unpack import unpacked

BOTH = {"qemu-img": "/usr/bin/qemu-img", "VBoxManage": "/usr/bin/VBoxManage"}
PACKERS = {Format.GZIP: gzip.compress, Format.XZ: lzma.compress}


def test_the_program_that_is_there_is_taken() -> None:
    assert choose_tool(BOTH, Format.VMDK, Format.QCOW2) == "qemu-img"
    assert choose_tool({"VBoxManage": "x"}, Format.VMDK, Format.VDI) == "VBoxManage"
    for tools, found, wanted in (
        ({}, Format.VMDK, Format.QCOW2),
        ({"VBoxManage": "x"}, Format.VMDK, Format.QCOW2),
        ({"VBoxManage": "x"}, Format.VHDX, Format.VDI),
        (BOTH, Format.RAW, Format.VMDK),
    ):
        with pytest.raises(NoConverter):
            choose_tool(tools, found, wanted)


def test_qemu_is_told_the_form_and_that_it_is_a_file() -> None:
    said = qemu_options(Path("/a,b/nbd:x,driver=raw"), Format.VHD)
    assert said == (
        "driver=vpc,force_size_calc=current_size,read-only=on,file.driver=file,file.filename=/a,,b/nbd:x,,driver=raw"
    )


def test_virtualbox_forgets_what_it_was_shown() -> None:
    raw = virtualbox_commands(Path("/a"), Path("/b"), Format.RAW, Format.VDI)
    assert raw == (("convertfromraw", "/a", "/b", "--format", "VDI"),)
    words = [one[0] for one in virtualbox_commands(Path("/a"), Path("/b"), Format.VMDK, Format.RAW)]
    assert words == ["clonemedium", "closemedium", "closemedium"]


@pytest.mark.parametrize("format", PACKERS)
@given(parts=st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=3), cut=st.integers(1, 50))
def test_packed_files_come_out_whole_or_not_at_all(format: Format, parts: list[bytes], cut: int) -> None:
    packed = b"".join(map(PACKERS[format], parts))
    chunks = [packed[start : start + 7] for start in range(0, len(packed), 7)]
    assert b"".join(unpacked(chunks, format, "f")) == b"".join(parts)
    assert b"".join(unpacked([packed + bytes(512)], format, "f")) == b"".join(parts)
    last = len(PACKERS[format](parts[-1]))
    with pytest.raises(ImageRefused):
        b"".join(unpacked([packed[: -min(cut, last - 1)]], format, "f"))
    with pytest.raises(ImageRefused):
        b"".join(unpacked([packed + b"rubbish"], format, "f"))


@pytest.mark.parametrize("format", PACKERS)
def test_a_bomb_is_never_held_in_memory_and_ends(format: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = PACKERS[format](bytes(20 << 20))
    assert max(map(len, unpacked([packed], format, "f"))) <= 1 << 20
    monkeypatch.setattr(unpack, "MAX_FILE_BYTES", 3 << 20)
    with pytest.raises(ImageRefused, match="unpacked it is more than"):
        list(unpacked([packed], format, "f"))


def test_an_xz_that_wants_much_memory_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 256 << 20, "preset": 0}]
    packed = lzma.compress(b"x" * 1000, filters=filters)
    with pytest.raises(ImageRefused, match="cannot be unpacked"):
        list(unpacked([packed], Format.XZ, "f"))
