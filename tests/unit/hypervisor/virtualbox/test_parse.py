"""What VBoxManage prints, read: captured from VirtualBox 7.2, and lines that people published of older ones."""

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.hypervisor.virtualbox import parse
from client.hypervisor.virtualbox.parse import BUSY, Host, ListedMedium, ListedVm, Version
from client.snapshot import VmState

DATA = Path(__file__).resolve().parents[3] / "data" / "virtualbox"
ONE = "ab5e9dfd-5168-4f1f-9b0a-5c8d2941f8ca"
BASE, OVERLAY = "ab7276f3-14af-40b5-9466-c06be881e1bf", "86dde845-b749-47a9-9010-7dbec04cd56f"


def text(name: str) -> str:
    return (DATA / name).read_text()


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("7.2.22_Debianr175245\n", (7, 2, 22, 175245)),
        ("7.1.4r165100\r\n", (7, 1, 4, 165100)),
        ("7.0.20_Ubuntur163906", (7, 0, 20, 163906)),
        ("6.1.50_SUSEr161033", (6, 1, 50, 161033)),
        ("6.0.24r139119", (6, 0, 24, 139119)),
        ("5.2.44_Ubuntur139111", (5, 2, 44, 139111)),
        ("4.1.24r82872", (4, 1, 24, 82872)),
        ("7.1.0_BETA1r163425", (7, 1, 0, 163425)),
        ("7.2.22", (7, 2, 22, 0)),
    ],
)
def test_version(said: str, version: tuple[int, int, int, int]) -> None:
    assert parse.parse_version(said) == Version(*version)
    warned = "WARNING: The vboxdrv kernel module is not loaded. Either there is no module\n\t (3.7.3-101.fc17)\n" + said
    assert parse.parse_version(warned) == Version(*version)


def test_no_version() -> None:
    assert parse.parse_version(text("7.2/version.txt")) == Version(7, 2, 22, 175245)
    assert [parse.parse_version(said) for said in ("", "Segmentation fault", "1.2", "x 7.2.22r1 y")] == [None] * 4


@pytest.mark.parametrize(
    ("file", "state"),
    [
        ("5.0/info.txt", VmState.DEFINED),
        ("5.2/info.txt", VmState.RUNNING),
        ("6.0/info.txt", VmState.RUNNING),
        ("6.1/info.txt", VmState.DEFINED),
        ("7.0/info.txt", VmState.DEFINED),
        ("7.2/info-poweroff.txt", VmState.DEFINED),
        ("7.2/info-running.txt", VmState.RUNNING),
        ("7.2/info-paused.txt", VmState.PAUSED),
        ("7.2/info-saved.txt", VmState.SAVED),
        ("7.2/info-aborted.txt", VmState.FAILED),
        ("7.2/info-description.txt", VmState.DEFINED),
    ],
)
def test_state(file: str, state: VmState) -> None:
    assert parse.state_of(parse.parse_info(text(file))) is state
    assert parse.state_of(parse.parse_info(text(file).replace("\n", "\r\n"))) is state


def test_info_of_each_version() -> None:
    old = parse.parse_info(text("5.0/info.txt"))
    assert old["SATA-0-0"] == r"C:\Users\Thomas\.docker\machine\machines\default\boot2docker.iso"
    assert old["VideoMode"] == '"720,400,0"@0,0 1'
    assert old["SharedFolderPathMachineMapping1"] == r"c:\Users"
    assert old["GuestAdditionsFacility_VirtualBox Base Driver"] == "50,1465946658890"
    assert parse.parse_info(text("5.2/info.txt"))["CfgFile"].endswith(r"minishift\minishift\minishift.vbox")
    assert parse.parse_info(text("6.0/info.txt"))["CfgFile"] == r"F:\VirtualBox VMs\gitlab\gitlab.vbox"
    assert parse.parse_info(text("6.1/info.txt"))["storagecontrollertype1"] == "LsiLogic"
    new = parse.parse_info(text("7.2/info-running.txt"))
    assert (new["UUID"], new["CfgFile"], new["memory"]) == (ONE, "/data/vms/one/one.vbox", "64")
    assert (new["storagecontrollertype0"], new["disks-0-0"]) == ("VirtioSCSI", "/data/vms/one/base.vdi")
    assert (new["nic1"], new["uart1"], new["cpuexecutioncap"]) == ("none", "off", "100")


def test_lines_of_7_0_that_are_no_pairs_and_keys_with_spaces() -> None:
    info = parse.parse_info(text("7.0/info.txt"))
    assert (info["BIOS NVRAM File"], info["IDE Controller-0-0"]) == (
        "/data/vms/one/one.nvram",
        "/data/vms/one/one.vmdk",
    )
    assert (info["UUID"], info["rec_screen_enabled"], info["GuestMemoryBalloon"]) == (ONE, "off", "0")
    assert not {key for key in info if "Encryption" in key or "rec_screen0" in key}


def test_a_description_over_lines_hides_nothing_and_lies_to_nobody() -> None:
    info = parse.parse_info(text("7.2/info-description.txt"))
    assert info["description"] == 'a "quoted"\nVMState="running"\nback\\slash\\'
    assert (info["VMState"], info["GuestMemoryBalloon"]) == ("poweroff", "0")


def test_snapshots_are_read_by_the_same_words() -> None:
    listed, shown = (parse.parse_info(text(f"7.2/{name}.txt")) for name in ("snapshots", "info-snapshots"))
    assert (listed["SnapshotName"], listed["CurrentSnapshotNode"]) == ("first", "SnapshotName")
    assert shown["CurrentSnapshotUUID"] == "4980704e-210b-48bc-b6b8-b99c90ed8cc7"


def test_an_older_path_that_ends_in_a_backslash() -> None:
    info = parse.parse_info('SharedFolderPathMachineMapping1="C:\\"\nVMState="saved"\n')
    assert info == {"SharedFolderPathMachineMapping1": "C:\\", "VMState": "saved"}
    assert parse.parse_info('LogFldr="C:\\"') == {"LogFldr": "C:\\"}


def test_a_value_that_never_closes() -> None:
    assert parse.parse_info('description="one\ntwo') == {"description": '"one\ntwo'}
    assert parse.parse_info('name="<inaccessible>"\nx') == {"name": "<inaccessible>"}


def test_states_that_are_not_known(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert parse.state_of({"VMState": "levitating"}) is VmState.UNKNOWN
        assert parse.state_of({}) is VmState.UNKNOWN
    assert [record.args for record in caplog.records] == [("levitating",), ("",)]
    assert parse.state_of({"name": "<inaccessible>"}) is VmState.FAILED
    assert parse.state_of({"VMState": "aborted-saved"}) is VmState.SAVED
    assert parse.state_of({"VMState": "gurumeditation"}) is VmState.FAILED


def test_words_of_passage() -> None:
    assert {"saving", "starting", "stopping", "onlinesnapshotting", "snapshotting", "deletingsnapshotlive"} <= BUSY
    assert not BUSY & {"running", "paused", "saved", "poweroff", "aborted", "aborted-saved", "gurumeditation"}


def test_list_of_vms() -> None:
    listed = parse.parse_vms(text("7.2/vms.txt"))
    assert listed == (ListedVm("one", ONE), ListedVm("<inaccessible>", "27181781-2a9b-417b-9580-bbadf5e41309"))
    odd = f'"a "b" {{{BASE}}}" {{{ONE.upper()}}}\r\n<inaccessible> {{{BASE}}}\nnoise {{{ONE}}}\n'
    assert parse.parse_vms(odd) == (ListedVm(f'a "b" {{{BASE}}}', ONE), ListedVm("<inaccessible>", BASE))


def test_list_of_media() -> None:
    base, overlay, gone = parse.parse_media(text("7.2/hdds.txt"))
    assert base == ListedMedium(BASE, "", "created", "/data/vms/one/base.vdi", "VDI", (ONE,))
    assert (overlay.parent, overlay.usages) == (BASE, (ONE,))
    assert (gone.state, gone.path, gone.parent) == ("inaccessible", "/data/vms/two/two.vdi", "")
    assert parse.parse_media(text("7.2/hdds.txt").replace("\n", "\r\n")) == (base, overlay, gone)
    assert parse.parse_media("") == ()


def test_users_of_a_medium() -> None:
    record = (
        f"UUID:           {BASE}\nParent UUID:    base\nState:          locked read\nLocation:       C:\\a: b.vdi\n"
        f"Storage format: VDI\n"
        f"In use by VMs:  x (UUID: {OVERLAY}) (UUID: {ONE}) [now (UUID: {BASE}), b (UUID: {BASE})]\n"
        f"                y (UUID: {BASE})\n                x (UUID: {ONE})\n"
        f"Child UUIDs:    {OVERLAY}\n                {ONE}\n"
    )
    (medium,) = parse.parse_media(record)
    assert (medium.usages, medium.path, medium.state) == ((ONE, BASE), r"C:\a: b.vdi", "locked read")


def test_host() -> None:
    assert parse.parse_host(text("7.2/hostinfo.txt")) == Host(
        2, 24105, 21433, False, False, "Linux 6.18.44-cloud-amd64"
    )
    old = parse.parse_host(text("6.1/hostinfo.txt"))
    assert (old.processors, old.has_hardware, old.has_nested_paging, old.memory_mib) == (8, True, True, None)
    assert parse.parse_host("") == Host()


def test_extradata() -> None:
    assert parse.parse_extradata(text("7.2/extradata.txt")) == {"volunteer-cloud/mark": "one"}
    assert parse.parse_extradata("Key: a, Value: b, Value: c\r\nKey: d, Value: \r\n") == {"a": "b, Value: c", "d": ""}


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z][A-Za-z0-9()-]{0,12}", fullmatch=True), st.text().filter(lambda t: "\r" not in t)
    )
)
def test_what_newer_versions_escape_comes_back(info: dict[str, str]) -> None:
    printed = "".join(f'{key}="{_escaped(value)}"\n' for key, value in info.items())
    assert parse.parse_info(printed) == info


@given(st.text())
def test_nothing_raises(noise: str) -> None:
    parse.parse_info(noise)
    parse.parse_vms(noise)
    parse.parse_media("UUID: x\n" + noise)
    parse.parse_host(noise)
    parse.parse_version(noise)
    parse.parse_extradata(noise)
