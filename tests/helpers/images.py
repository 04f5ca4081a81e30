"""Small image files as other programs write them, header by header, so that each field can be made to lie."""

import hashlib
import io
import struct
import tarfile
import uuid
from collections.abc import Mapping
from typing import Any

MIB = 1 << 20
SIZE = 4 * MIB


def _guid(text: str) -> bytes:
    return uuid.UUID(text).bytes_le


def qcow2(
    size: int = SIZE, *, version: int = 3, backing: int = 0, encryption: int = 0, features: int = 0, bits: int = 16
) -> bytes:
    tables = max(1, -(-size // (1 << (2 * bits - 3))))
    head = struct.pack(
        ">4sIQIIQIIQ", b"QFI\xfb", version, backing, 8 if backing else 0, bits, size, encryption, tables, 65536
    )
    head = head.ljust(72, b"\0") + struct.pack(">Q", features) + bytes(16) + struct.pack(">2I", 4, 104)
    return head.ljust(65536, b"\0") + bytes(max(65536, 8 * tables))


def vdi(size: int = SIZE, *, kind: int = 1, parent: bytes = bytes(16), used: int = 1) -> bytes:
    blocks = size // MIB
    head = b"<<< a disk >>>\n".ljust(64, b"\0") + struct.pack("<4I", 0xBEDA107F, 0x10001, 400, kind)
    head = head.ljust(340, b"\0") + struct.pack("<2I", 512, MIB)
    head = head.ljust(368, b"\0") + struct.pack("<Q4I", size, MIB, 0, blocks, used)
    head = head.ljust(440, b"\0") + parent
    return head.ljust(MIB, b"\0") + bytes(MIB)


def vhd(size: int = SIZE, *, kind: int = 2) -> bytes:
    foot = struct.pack(">8s2IQ2I", b"conectix", 2, 0x10000, 512 if kind == 3 else 2**64 - 1, 0, 0)
    foot = foot.ljust(40, b"\0") + struct.pack(">2Q4xI", size, size, kind)
    foot = (foot + bytes(4)).ljust(512, b"\0")
    foot = foot[:64] + struct.pack(">I", sum(foot) ^ 0xFFFFFFFF) + foot[68:]
    if kind == 2:
        return bytes(size) + foot
    entries = -(-size // (2 * MIB))
    head = struct.pack(">8sQQ3I", b"cxsparse", 2**64 - 1, 1536, 0x10000, entries, 2 * MIB).ljust(1024, b"\0")
    return foot + head + b"\xff" * 4 * entries + bytes(512) + foot


def vhdx(size: int = SIZE, *, parent: bool = False) -> bytes:
    at = MIB
    region = struct.pack("<4sIII16sQII", b"regi", 0, 1, 0, _guid("8B7CA206-4790-4B9A-B8FE-575F050F886E"), at, 65536, 1)
    items = struct.pack("<8s2xH20x", b"metadata", 2)
    items += struct.pack("<16s4I", _guid("CAA16737-FA36-4D43-B3B6-33F0AA44E76B"), 32768, 8, 0, 0)
    items += struct.pack("<16s4I", _guid("2FA54224-CD1B-4876-B211-5DBED83BF4B8"), 32776, 8, 0, 0)
    items = items.ljust(32768, b"\0") + struct.pack("<2IQ", MIB, 2 if parent else 0, size)
    return (b"vhdxfile".ljust(196608, b"\0") + region).ljust(at, b"\0") + items.ljust(65536, b"\0")


def vmdk(
    size: int = SIZE, *, description: str = "", capacity: int | None = None, flags: int = 3, per_table: int = 512
) -> bytes:
    sectors = size // 512 if capacity is None else capacity
    head = struct.pack("<4sIIQQQQIQQQ", b"KDMV", 1, flags, sectors, 128, 1, 20, per_table, 0, 26, 128).ljust(512, b"\0")
    text = description or '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicSparse"\n'
    return (head + text.encode()).ljust(26 * 512, b"\0") + bytes(64 * 1024)


def flat_vmdk(*lines: str) -> bytes:
    text = ["# Disk DescriptorFile", "version=1", "CID=1", "parentCID=ffffffff", 'createType="monolithicFlat"', *lines]
    return "\n".join([*text, 'ddb.adapterType = "ide"', ""]).encode()


def iso(sectors: int = 200) -> bytes:
    volume = b"\x01CD001\x01".ljust(80, b" ") + struct.pack("<I", sectors)
    volume = volume.ljust(128, b"\0") + struct.pack("<H", 2048)
    return bytes(32768) + volume.ljust(2048, b"\0") + bytes((sectors - 17) * 2048)


def mbr(size: int = SIZE, *, sectors: int | None = None) -> bytes:
    entry = struct.pack("<B3xB3x2I", 0x80, 0x83, 64, size // 512 - 64 if sectors is None else sectors)
    return (bytes(446) + entry + bytes(48) + b"\x55\xaa").ljust(size, b"\0")


def gpt(size: int = SIZE, *, last: int | None = None) -> bytes:
    end = size // 512 - 1 if last is None else last
    head = b"EFI PART".ljust(24, b"\0") + struct.pack("<2Q", 1, end)
    return (bytes(510) + b"\x55\xaa" + head).ljust(size, b"\0")


EVERY = {
    "qcow2": qcow2(),
    "qcow2-2": qcow2(version=2),
    "vdi": vdi(),
    "vhd": vhd(kind=3),
    "vhd-fixed": vhd(),
    "vhdx": vhdx(),
    "vmdk": vmdk(),
    "iso": iso(),
    "raw": mbr(),
    "raw-gpt": gpt(),
}


def tar(files: Mapping[str, bytes], *, format: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return out.getvalue()


def ovf(
    disk: str = "disk.vmdk",
    *,
    capacity: str = '20" ovf:capacityAllocationUnits="byte * 2^30',
    compression: str = "",
    systems: int = 1,
) -> bytes:
    """A description as VirtualBox writes it."""
    packed = f' ovf:compression="{compression}"' if compression else ""
    system = """
 <VirtualSystem ovf:id="vm"><Info>a machine</Info>
  <OperatingSystemSection ovf:id="101"><Description>Linux26_64</Description>
   <vbox:OSType ovf:required="false">Linux26_64</vbox:OSType></OperatingSystemSection>
  <VirtualHardwareSection>
   <Item><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
   <Item><rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits><rasd:ResourceType>4</rasd:ResourceType>
    <rasd:VirtualQuantity>2048</rasd:VirtualQuantity></Item>
   <Item><rasd:HostResource>/disk/vmdisk1</rasd:HostResource><rasd:ResourceType>17</rasd:ResourceType></Item>
   <Item><rasd:ResourceType>10</rasd:ResourceType></Item>
  </VirtualHardwareSection></VirtualSystem>"""
    return f"""<?xml version="1.0"?>
<Envelope ovf:version="1.0" xmlns="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:vbox="http://www.virtualbox.org/ovf/machine"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
 <References><File ovf:href="{disk}" ovf:id="file1"{packed}/></References>
 <DiskSection><Info>disks</Info>
  <Disk ovf:capacity="{capacity}" ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:format="x"/></DiskSection>
{system * systems}
</Envelope>
""".encode()


def manifest(files: Mapping[str, bytes], kind: str = "SHA256", *, space: str = "") -> bytes:
    lines = [f"{kind}{space}({name})= {hashlib.new(kind, content).hexdigest()}" for name, content in files.items()]
    return "\n".join([*lines, ""]).encode()


def certificate(signed: bytes, name: str, kind: str = "SHA256", *, who: str = "Example Appliances") -> bytes:
    """A signature over a manifest, and the certificate of a key made now, signed by itself."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, who)])
    now = datetime.now(UTC)
    made: Any = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=9))
    digest = {"SHA1": hashes.SHA1(), "SHA256": hashes.SHA256()}[kind]
    signature = key.sign(signed, padding.PKCS1v15(), digest)
    pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return f"{kind}({name})= {signature.hex()}\n".encode() + pem


def ova(disk: bytes, kind: str = "SHA256", *, signed: bool = False) -> bytes:
    files = {"vm.ovf": ovf(), "disk.vmdk": disk}
    if kind:
        listed = manifest(files, kind)
        files["vm.mf"] = listed
        files |= {"vm.cert": certificate(listed, "vm.mf", kind)} if signed else {}
    return tar(files)
