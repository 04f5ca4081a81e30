"""Own VMs on disk: names, hostile files, kills while one is made."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.commands import CreateVm
from client.empty_disk import empty_disk
from client.errors import BadInput
from client.own_make import make_vm, unmake_vm
from client.own_vm import Boots, Network, OwnStore, OwnVm, Wish, build_text, fault_of_name, id_of, is_own, parse_text
from client.paths import Paths

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFpvPsKqZ3cEo4hLKTzVHtWDdsGxHwvWhTLXPDvd7B8s me@home"
VM = OwnVm("own-box", "Box", Path("/images/a.iso"), "a.iso", Boots.CD)


def write_iso(path: Path) -> Path:
    """What is enough of an ISO image for a look at it."""
    from client.appliance.medium import write_medium

    write_medium(path, {"hello.txt": b"hello"}, "TINY")
    return path


@pytest.mark.parametrize(
    ("name", "vm_id"), [("Box", "own-box"), ("My Linux 2", "own-my-linux-2"), ("Zürich!", "own-zurich")]
)
def test_a_name_makes_an_id(name: str, vm_id: str) -> None:
    assert id_of(name) == vm_id
    assert is_own(vm_id)


@pytest.mark.parametrize("name", ["", " a", "a\n", "x" * 41, "...", "\u202ea", "日本", "work-1", "Work-1"])
def test_what_is_no_name_is_told(name: str) -> None:
    assert fault_of_name(name)
    with pytest.raises(BadInput):
        id_of(name)


@pytest.mark.parametrize("vm_id", ["work-1", "own", "own-", "own-A", "own-a/b", "own--", "../own-a"])
def test_no_other_id_is_taken_for_an_own_one(vm_id: str) -> None:
    assert not is_own(vm_id)


@given(st.text(max_size=60))
def test_every_name_that_is_taken_comes_back_from_the_file(name: str) -> None:
    if fault_of_name(name):
        return
    vm = replace(VM, vm_id=id_of(name), name=name, wish=Wish.RUN, network=Network.NAT)
    assert parse_text(build_text(vm), vm.vm_id) == vm


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_a_hostile_file_is_refused_and_left_alone(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    store = OwnStore(tmp_path_factory.mktemp("own"))
    store.begin("own-a")
    (store.place("own-a") / "vm.toml").write_bytes(data)
    assert store.load() == ((), frozenset({"own-a"}))
    assert store.half_made() == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('vm_id = "own-box"', 'vm_id = "own-other"'),
        ("cpus = 1", "cpus = 1000"),
        ("cpus = 1", "cpus = true"),
        ("memory_mib = 512", "memory_mib = -1"),
        ('image = "/images/a.iso"', 'image = "a.iso"'),
        ('wish = "rest"', 'wish = "conquer"'),
        ('name = "Box"', 'name = "Box\\u001b[2J"'),
        ('network = "none"', ""),
    ],
)
def test_a_file_that_does_not_fit_is_refused(old: str, new: str) -> None:
    text = build_text(VM)
    assert old in text
    with pytest.raises((ValueError, KeyError)):
        parse_text(text.replace(old, new), "own-box")


def test_the_empty_disk_is_one_for_the_drivers(tmp_path: Path) -> None:
    from client.appliance.formats import Format, look_at
    from client.hypervisor.virtualbox.template import read_template

    path = tmp_path / "disk.qcow2"
    for gib in (1, 7, 600, 2048):
        path.write_bytes(empty_disk(gib << 30))
        assert look_at(path).format is Format.QCOW2
        assert look_at(path).virtual_bytes == gib << 30
        size, blocks = read_template(path, 1 << 20)
        assert size == gib << 30
        if gib < 600:
            assert list(blocks) == []


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path / "base")
    paths.make()
    return paths


def wish_for(tmp_path: Path, **more: object) -> CreateVm:
    iso = str(write_iso(tmp_path / "a.iso"))
    return replace(
        CreateVm("Box", iso, template="linux", values={"key": KEY}, cpus=1, memory_mib=512, disk_gib=1), **more
    )


def left(paths: Paths) -> list[str]:
    return sorted(path.name for path in paths.base.rglob("*") if "own-box" in str(path))


def test_one_is_made_whole_and_goes_without_trace(paths: Paths, tmp_path: Path) -> None:
    store = OwnStore(paths.own)
    vm = make_vm(store, paths, "own-box", wish_for(tmp_path))
    assert store.load() == ((vm,), frozenset())
    assert (vm.boots, vm.template, vm.wish) == (Boots.CD, "Linux with your ssh key", Wish.REST)
    assert left(paths) == ["disk.qcow2", "own-box", "own-box.iso", "own-box.iso.key", "vm.toml"]
    text = (store.place("own-box") / "vm.toml").read_text()
    assert "ssh-ed25519" not in text
    unmake_vm(store, paths, "own-box")
    assert left(paths) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"image": "a.iso"},
        {"image": "/nowhere/a.iso"},
        {"template": "nowhere"},
        {"values": {}},
        {"network": "bridged"},
        {"memory_mib": 1},
        {"cpus": 0},
        {"disk_gib": 5000},
    ],
)
def test_of_one_that_does_not_fit_nothing_stays(paths: Paths, tmp_path: Path, wrong: dict[str, object]) -> None:
    from client.errors import ClientError

    with pytest.raises(ClientError):
        make_vm(OwnStore(paths.own), paths, "own-box", wish_for(tmp_path, **wrong))
    assert left(paths) == []


def test_killed_while_it_is_made_it_is_known_for_half_made(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = OwnStore(paths.own)
    # A kill leaves no time to tidy up.
    monkeypatch.setattr("client.own_make.unmake_vm", lambda *_: None)
    monkeypatch.setattr(OwnStore, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        make_vm(store, paths, "own-box", wish_for(tmp_path))
    assert store.load() == ((), frozenset())
    assert store.half_made() == ("own-box",)


def test_two_of_one_name_cannot_be_made(paths: Paths, tmp_path: Path) -> None:
    store = OwnStore(paths.own)
    make_vm(store, paths, "own-box", wish_for(tmp_path))
    with pytest.raises(BadInput, match="of that name"):
        make_vm(store, paths, "own-box", wish_for(tmp_path))
    assert "vm.toml" in left(paths)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_place_that_no_text_has_is_refused(paths: Paths, tmp_path: Path) -> None:
    folder = tmp_path / "line\nend"
    folder.mkdir()
    with pytest.raises(BadInput, match="rename"):
        make_vm(OwnStore(paths.own), paths, "own-box", wish_for(tmp_path, image=str(write_iso(folder / "a.iso"))))
