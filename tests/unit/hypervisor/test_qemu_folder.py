"""What stands in a VM's folder: specs, records, routes, traffic, console, long socket names."""

import json
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.guest.relay import is_local, parse_route
from client.hypervisor import socket_path
from client.hypervisor.driver import DirectBoot, Medium, MediumRole, Route, Traffic, VmSpec
from client.hypervisor.qemu.folder import RUNNING, Record, VmFolder
from client.hypervisor.qemu.traffic import read_traffic
from client.hypervisor.spec_file import build_spec_text, is_valid_vm_id, parse_spec, without_targets

text = st.text(st.characters(blacklist_categories=("Cs",)), max_size=20)
paths = text.map(lambda name: Path("/x") / name.replace("\0", ""))
routes = st.builds(
    Route,
    text,
    text,
    st.integers(0, 65535),
    text,
    st.integers(0, 65535),
    st.none() | st.integers(1, 10**9),
    st.booleans(),
)
specs = st.builds(
    VmSpec,
    vm_id=text,
    name=text,
    cpus=st.integers(1, 64),
    memory_mib=st.integers(16, 65536),
    media=st.lists(st.builds(Medium, st.sampled_from(MediumRole), paths), max_size=4).map(tuple),
    direct_boot=st.none() | st.builds(DirectBoot, paths, paths, text),
    routes=st.lists(routes, max_size=3).map(tuple),
    internet=st.booleans(),
    extra_arguments=st.lists(text, max_size=2).map(tuple),
)


@given(specs)
def test_a_spec_comes_back_as_it_was(spec: VmSpec) -> None:
    assert parse_spec(build_spec_text(spec)) == spec
    assert without_targets(without_targets(spec)) == without_targets(spec)


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_what_is_no_spec_is_a_value_error(said: str) -> None:
    with pytest.raises(ValueError):
        parse_spec(said)


@pytest.mark.parametrize("vm_id", ["", "..", "a/b", "A", "-a", "a b", "a" * 64, "ä"])
def test_ids_that_cannot_name_a_folder(vm_id: str) -> None:
    assert not is_valid_vm_id(vm_id)


def test_a_record_changes_by_field_and_survives_damage(tmp_path: Path) -> None:
    folder = VmFolder(tmp_path)
    assert folder.record() == Record()
    folder.write_record(phase=RUNNING, pid=7)
    assert folder.write_record(pid=8) == Record(phase=RUNNING, pid=8) == folder.record()
    (tmp_path / "record.json").write_text('{"unknown": 1}')
    assert folder.record() == Record()


def test_the_relay_reads_the_routes_that_the_driver_writes(tmp_path: Path) -> None:
    folder = VmFolder(tmp_path)
    local = Route("cvmfs", "g", 3, "127.0.0.1", 3128, local=True)
    chirp = Route("chirp", "g", 2, "host.example", 9094, 5000)
    folder.write_routes((Route("xmpp", "g", 1, "::1", 5222), chirp, local))
    said = (tmp_path / "routes.tsv").read_text()
    assert parse_route(said, "xmpp") == ("::1", 5222, None)
    assert parse_route(said, "chirp") == ("host.example", 9094, 5000)
    assert parse_route(said, "cvmfs") == ("127.0.0.1", 3128, None)
    assert [name for name in ("xmpp", "chirp", "cvmfs") if is_local(said, name)] == ["cvmfs"]


def test_a_process_of_that_pid_that_is_not_ours(tmp_path: Path) -> None:
    folder = VmFolder(tmp_path)
    folder.pidfile.write_text(f"{os.getpid()}\n")
    assert folder.running() is None
    folder.pidfile.write_text("garbage")
    assert folder.running() is None


def dead_pid() -> int:
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(child, 0)
    return child


def test_traffic_is_summed_and_folded(tmp_path: Path) -> None:
    dead = dead_pid()
    for number in range(20):
        (tmp_path / f"{dead}-{number}").write_text(f"{number} 1\n")
    (tmp_path / f"{os.getpid()}-99").write_text("1000 2000\n")
    (tmp_path / f"{os.getpid()}-98").write_text("")
    expected = Traffic(sum(range(20)) + 1000, 20 + 2000)
    for _ in range(3):
        assert read_traffic(tmp_path) == expected
    assert len(list(tmp_path.iterdir())) == 3, "the dead are folded into one, the living keep their files"


def test_a_kill_while_folding_counts_nothing_twice(tmp_path: Path) -> None:
    dead = dead_pid()
    (tmp_path / f"{dead}-1").write_text("5 6\n")
    (tmp_path / "total.json").write_text(json.dumps({"sent": 105, "received": 106, "folded": [f"{dead}-1"]}))
    assert read_traffic(tmp_path) == read_traffic(tmp_path) == Traffic(105, 106)


def test_traffic_of_a_vm_that_never_ran(tmp_path: Path) -> None:
    assert read_traffic(tmp_path / "nothing") == Traffic()


@pytest.mark.parametrize("has_descriptors", [True, False])
def test_sockets_with_long_names(tmp_path: Path, has_descriptors: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_descriptors:
        monkeypatch.setattr(socket_path, "_OWN_DESCRIPTORS", tmp_path / "no proc here")
    elif not Path("/proc/self/fd").is_dir():
        pytest.skip("this system does not name descriptors")
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listener, socket_path.short_name(folder / "s") as name:
        assert len(name) <= socket_path.LONGEST_BYTES
        listener.bind(name)
        listener.listen()
        socket_path.connect(folder / "s").close()
    with pytest.raises(OSError):
        socket_path.connect(folder / "nobody")
