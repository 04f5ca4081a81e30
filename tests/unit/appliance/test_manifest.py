import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import filenames
from client.appliance.errors import ApplianceMissing, BadManifest
from client.appliance.manifest import MAX_MANIFEST_BYTES, is_file_name, parse_manifest, read_manifest

HASH = "0123456789abcdef" * 4


def file(role: str) -> dict[str, Any]:
    return {"size_bytes": 1000, "sha256": HASH, "role": role}


GOOD: dict[str, Any] = {
    "schema": 1,
    "name": "volunteer-cloud",
    "version": "1.0",
    "files": {
        "cloud.iso": file("iso"),
        "vmlinux": file("kernel"),
        "initrd.img": file("initrd"),
        "root.squashfs": file("system"),
        "software-pythia8.squashfs": file("software"),
        "scratch.qcow2": file("scratch"),
    },
    "direct": {
        "kernel": "vmlinux",
        "initrd": "initrd.img",
        "system": "root.squashfs",
        "command_line": "quiet panic=5",
        "machine": {"type": "q35", "memory_mib": 256, "option_rom": False},
    },
    "iso": {"system": "cloud.iso"},
    "software": {"pythia8": {"file": "software-pythia8.squashfs", "version": "8.317.2"}},
    "scratch": "scratch.qcow2",
}


def changed(**changes: Any) -> bytes:
    """The good manifest with values replaced by path, `__` between keys; None takes a key away."""
    said = copy.deepcopy(GOOD)
    for path, value in changes.items():
        *above, last = path.split("__")
        place = said
        for key in above:
            place = place[key]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return json.dumps(said).encode()


def test_good_manifest() -> None:
    appliance = parse_manifest(changed(), "test")
    assert (appliance.name, appliance.version, appliance.iso) == ("volunteer-cloud", "1.0", "cloud.iso")
    assert appliance.direct is not None
    assert appliance.direct.command_line == "quiet panic=5"
    assert appliance.direct.machine["memory_mib"] == 256
    assert appliance.files["vmlinux"].sha256 == HASH


def test_what_a_vm_needs() -> None:
    appliance = parse_manifest(changed(), "test")
    shared = {"software": "software-pythia8.squashfs", "scratch": "scratch.qcow2"}
    assert appliance.media() == {"system": "root.squashfs", **shared}
    assert appliance.media(direct=False) == {"system": "cloud.iso", **shared}
    assert appliance.needed(software="") == ("initrd.img", "root.squashfs", "scratch.qcow2", "vmlinux")
    assert appliance.needed(direct=False, software="unknown") == ("cloud.iso", "scratch.qcow2")


def test_iso_alone_is_enough() -> None:
    appliance = parse_manifest(changed(direct=None, scratch=None, software=None), "test")
    assert appliance.needed() == ("cloud.iso",)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"schema": 2}, "schema"),
        ({"name": "../x"}, "name"),
        ({"version": None}, "version"),
        ({"files": {}}, "0 files"),
        ({"files": {f"f{n}": file("iso") for n in range(65)}}, "65 files"),
        ({"files": []}, "files is not an object"),
        ({"files__vmlinux": 5}, "files.vmlinux is not an object"),
        ({"files": {"a/b": file("iso")}}, "plain file name"),
        ({"files": {"..": file("iso")}}, "plain file name"),
        ({"files": {"manifest.json": file("iso")}}, "plain file name"),
        ({"files": {"nul.iso": file("iso")}}, "plain file name"),
        ({"files__vmlinux__size_bytes": 0}, "possible size"),
        ({"files__vmlinux__size_bytes": 10**15}, "possible size"),
        ({"files__vmlinux__size_bytes": True}, "possible size"),
        ({"files__vmlinux__sha256": HASH.upper()}, "SHA-256"),
        ({"files__vmlinux__sha256": HASH + "0"}, "SHA-256"),
        ({"files__vmlinux__role": "iso"}, "no file of the role kernel"),
        ({"direct__kernel": "absent"}, "no file of the role kernel"),
        ({"direct__kernel": ["vmlinux"]}, "no file of the role kernel"),
        ({"direct__command_line": "a\nb"}, "command_line"),
        ({"direct": 3}, "direct is not an object"),
        ({"iso__system": "vmlinux"}, "no file of the role iso"),
        ({"software": {"a b": {}}}, "not usable"),
        ({"scratch": "vmlinux"}, "no file of the role scratch"),
        ({"direct": None, "iso": None}, "nothing in it can be booted"),
    ],
)
def test_bad_manifest(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadManifest, match=complaint):
        parse_manifest(changed(**changes), "test")


def test_all_that_is_wrong_is_said() -> None:
    with pytest.raises(BadManifest, match=r"name is missing.*version is missing"):
        parse_manifest(changed(name=3, version=""), "test")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b" " * (MAX_MANIFEST_BYTES + 1)])
def test_not_a_manifest(text: bytes) -> None:
    with pytest.raises(BadManifest):
        parse_manifest(text, "test")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(sorted(GOOD)), _JSON)
def test_any_value_is_taken_or_refused(key: str, value: object) -> None:
    said = {**GOOD, "schema": 1, key: value}
    try:
        appliance = parse_manifest(json.dumps(said).encode(), "test")
    except BadManifest as refused:
        assert refused.where == "test"
    else:
        assert all(name in appliance.files for name in appliance.needed())


@given(st.text(max_size=30))
def test_file_names_have_no_way_out(name: str) -> None:
    if is_file_name(name):
        assert Path(name).name == name
        assert not set(name) & set('/\\:*?"<>|\0 ')


def test_read(tmp_path: Path) -> None:
    with pytest.raises(ApplianceMissing):
        read_manifest(tmp_path)
    (tmp_path / filenames.MANIFEST).write_bytes(changed())
    assert read_manifest(tmp_path).name == "volunteer-cloud"
    (tmp_path / filenames.MANIFEST).unlink()
    (tmp_path / filenames.MANIFEST).mkdir()
    with pytest.raises(BadManifest):
        read_manifest(tmp_path)


@pytest.mark.parametrize(("said", "read"), [(True, True), (False, False), ("yes", False), (1, False), (None, False)])
def test_jobs_are_confined_only_if_it_says_so(said: object, read: bool) -> None:
    assert parse_manifest(json.dumps({**GOOD, "confines_jobs": said}).encode(), "here").confines_jobs is read
