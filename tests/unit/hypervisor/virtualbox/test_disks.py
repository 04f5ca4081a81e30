"""Disks read and written here: templates, base disks, CDs, the outbox."""

import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.errors import BadInput
from client.hypervisor.driver import OUTBOX_MARK, Medium, MediumRole, VmSpec
from client.hypervisor.virtualbox import media
from client.hypervisor.virtualbox.shape import EMPTY, INBOX, OUTBOX
from client.hypervisor.virtualbox.template import read_template
from client.hypervisor.virtualbox.vdi import BLOCK_BYTES, write_vdi

ME = UUID("12345678-1234-4234-8234-123456789abc")


def read_vdi(path: Path) -> tuple[int, UUID, dict[int, bytes]]:
    """Size, identity and blocks of a VDI, read by its own description."""
    raw = path.read_bytes()
    assert raw[:39] == b"<<< Oracle VM VirtualBox Disk Image >>>"
    signature, version, header = struct.unpack("<3I", raw[64:76])
    assert (signature, version, header) == (0xBEDA107F, 0x00010001, 400)
    map_at, data_at = struct.unpack("<2I", raw[340:348])
    size, block, _, count, written = struct.unpack("<Q4I", raw[368:392])
    places = struct.unpack(f"<{count}I", raw[map_at : map_at + 4 * count])
    assert sorted(place for place in places if place != 0xFFFFFFFF) == list(range(written))
    assert len(raw) == data_at + written * block
    blocks = {
        number: raw[data_at + place * block : data_at + (place + 1) * block]
        for number, place in enumerate(places)
        if place != 0xFFFFFFFF
    }
    return size, UUID(bytes_le=raw[392:408]), blocks


def qcow2(clusters: dict[int, bytes], count: int, *, version: int = 3, features: int = 0) -> bytes:
    """A qcow2 of 64 KiB clusters; every other one compressed."""
    size, header = 1 << 16, 104
    l1_at, l2_at, data_at = size, 2 * size, 3 * size
    table, data = [0] * (size // 8), b""
    for index, (number, plain) in enumerate(sorted(clusters.items())):
        if index % 2:
            packer = zlib.compressobj(1, zlib.DEFLATED, -12)
            packed = packer.compress(plain.ljust(size, b"\0")) + packer.flush()
            at = data_at + len(data)
            sectors = (at % 512 + len(packed) - 1) // 512
            table[number] = 1 << 62 | sectors << 54 | at
            data += packed
        else:
            data = data.ljust(-(-len(data) // size) * size, b"\0")
            table[number] = 1 << 63 | data_at + len(data)
            data += plain.ljust(size, b"\0")
    head = struct.pack(">4sIQIIQIIQ", b"QFI\xfb", version, 0, 0, 16, count * size, 0, 1, l1_at)
    head = head.ljust(72, b"\0") + struct.pack(">3Q2I", features, 0, 0, 4, header)
    l1 = struct.pack(">Q", 1 << 63 | l2_at)
    return head.ljust(size, b"\0") + l1.ljust(size, b"\0") + struct.pack(f">{size // 8}Q", *table) + data


def test_a_base_holds_only_what_is_not_empty(tmp_path: Path) -> None:
    template = tmp_path / "template.raw"
    with template.open("wb") as file:
        file.seek(5 * BLOCK_BYTES)
        file.write(b"here")
        file.truncate(9 * BLOCK_BYTES)
    size, blocks = read_template(template, BLOCK_BYTES)
    write_vdi(tmp_path / "base.vdi", size, blocks, ME)
    assert read_vdi(tmp_path / "base.vdi") == (9 * BLOCK_BYTES, ME, {5: b"here".ljust(BLOCK_BYTES, b"\0")})


def test_a_disk_that_ends_within_a_block(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"x" * (BLOCK_BYTES + 512))
    write_vdi(tmp_path / "base.vdi", *read_template(tmp_path / "t", BLOCK_BYTES), ME)
    size, _, blocks = read_vdi(tmp_path / "base.vdi")
    assert size == 2 * BLOCK_BYTES and blocks[1] == b"x" * 512 + bytes(BLOCK_BYTES - 512)


# It writes megabytes: how long that takes is the disk's affair.
@settings(deadline=None)
@given(st.dictionaries(st.integers(0, 63), st.binary(min_size=1, max_size=300), max_size=8))
def test_qcow2_templates(clusters: dict[int, bytes]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.qcow2"
        path.write_bytes(qcow2(clusters, 64))
        size, blocks = read_template(path, BLOCK_BYTES)
        found = dict(blocks)
    expected = bytearray(64 << 16)
    for number, plain in clusters.items():
        expected[number << 16 : (number << 16) + len(plain)] = plain
    assert size == 64 << 16
    for number in range(4):
        block = bytes(expected[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES])
        assert found.get(number, bytes(BLOCK_BYTES)) == block


@pytest.mark.parametrize(
    "raw",
    [
        qcow2({}, 4, version=4),
        qcow2({}, 4, features=1 << 2),
        qcow2({0: b"x"}, 4)[: (1 << 16) + 4],
        b"<<< Oracle VM VirtualBox Disk Image >>>\n" + bytes(1000),
        b"KDMV" + bytes(1000),
    ],
    ids=["version", "feature", "cut", "vdi", "vmdk"],
)
def test_templates_that_cannot_be_read_are_named(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "t").write_bytes(raw)
    with pytest.raises(BadInput) as caught:
        _, blocks = read_template(tmp_path / "t", BLOCK_BYTES)
        list(blocks)
    assert caught.value.where == str(tmp_path / "t")


def test_the_same_template_gives_the_same_base(tmp_path: Path) -> None:
    template = tmp_path / "t.raw"
    template.write_bytes(bytes(1 << 20))
    first = media.base_disk(template, tmp_path / "bases")
    _, identity, _ = read_vdi(first)
    first.unlink()
    assert media.base_disk(template, tmp_path / "bases") == first and read_vdi(first)[1] == identity
    other = media.base_disk(template, tmp_path / "other bases")
    assert read_vdi(other)[1] != identity, "VirtualBox knows only one disk of an identity"
    os.utime(template, ns=(1, 1))
    assert media.base_disk(template, tmp_path / "bases") != first


@pytest.mark.parametrize("size", [0, 1, 2048, 32768, 34816, 34817, 65536])
def test_any_file_can_be_a_cd(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file.squashfs"
    path.write_bytes(os.urandom(size))
    shown = media.cd_file(path, tmp_path / "software")
    assert shown.suffix == ".iso" and shown.stat().st_size > 32768 and not shown.stat().st_size % 2048
    assert shown.read_bytes()[:size] == path.read_bytes()
    assert media.cd_file(path, tmp_path / "software") == shown


def test_an_iso_is_shown_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "system.ISO"
    path.write_bytes(bytes(40960))
    assert media.cd_file(path, tmp_path / "system") == path
    assert media.cd_file(path, tmp_path / "other", always_renamed=True) == tmp_path / "other.iso"


def test_media_of_a_vm(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch.raw"
    scratch.write_bytes(bytes(1024))
    spec = VmSpec("one", "One", 1, 64, (Medium(MediumRole.SCRATCH, scratch),), exchange_mib=2)
    found = media.prepare_media(tmp_path, tmp_path / "bases", spec)
    assert found[INBOX] == EMPTY and found[MediumRole.SCRATCH].startswith(str(tmp_path / "bases"))
    flat = media.outbox_file(tmp_path, 2)
    assert flat.stat().st_size == 2 << 20 and flat.read_bytes().startswith(OUTBOX_MARK)
    described = Path(found[OUTBOX]).read_text()
    assert f'RW {(2 << 20) // 512} FLAT "{flat.name}" 0' in described
    with flat.open("r+b") as file:
        file.seek(4096)
        file.write(b"from the guest")
    assert media.prepare_media(tmp_path, tmp_path / "bases", spec) == found
    assert b"from the guest" in flat.read_bytes(), "the same again changes nothing"


def test_vms_that_begin_at_once_share_one_base(tmp_path: Path) -> None:
    template = tmp_path / "template.raw"
    template.write_bytes(os.urandom(8 << 20))
    with ThreadPoolExecutor(4) as pool:
        made = {*pool.map(lambda _: media.base_disk(template, tmp_path / "bases"), range(4))}
    (base,) = made
    assert [*base.parent.iterdir()] == [base]


def test_bases_of_a_template_that_is_gone_are_let_be(tmp_path: Path) -> None:
    template = tmp_path / "template.raw"
    template.write_bytes(bytes(4096))
    spec = VmSpec("one", "One", 1, 32, (Medium(MediumRole.SCRATCH, template),))
    media.restore_bases(tmp_path / "bases", spec)
    (base,) = (tmp_path / "bases").iterdir()
    base.unlink()
    media.restore_bases(tmp_path / "bases", spec)
    assert base.exists()
    template.unlink()
    media.restore_bases(tmp_path / "bases", spec)
    assert base.exists()
