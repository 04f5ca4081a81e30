"""What is read without asking VirtualBox: settings file and log."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.hypervisor.virtualbox.settings_file import KeptSnapshot, parse_settings
from client.hypervisor.virtualbox.vm_log import LogTail, parse_accelerator, parse_pid

SETTINGS = """<?xml version="1.0"?>
<VirtualBox xmlns="http://www.virtualbox.org/" version="1.19-linux">
  <Machine uuid="{aaaa}" name="vc-one" OSType="Linux26_64" stateFile="Snapshots/x.sav" aborted="false"
      currentSnapshot="{2222}">
    <ExtraData><ExtraDataItem name="VolunteerCloud/Folder" value="/vms/one"/></ExtraData>
    <Snapshot uuid="{1111}" name="first" timeStamp="2026-11-21T00:00:00Z">
      <Snapshots><Snapshot uuid="{2222}" name="second" stateFile="Snapshots/y.sav"><Hardware/></Snapshot></Snapshots>
    </Snapshot>
  </Machine>
</VirtualBox>
"""


def test_settings() -> None:
    said = parse_settings(SETTINGS)
    assert (said.uuid, said.name, said.has_state, said.aborted) == ("aaaa", "vc-one", True, False)
    assert said.snapshots == (KeptSnapshot("1111", "first", False), KeptSnapshot("2222", "second", True))
    assert said.mark("VolunteerCloud/Folder") == "/vms/one" and said.mark("other") == ""


def test_only_disks_that_are_in_drives_now_count() -> None:
    def drive(kind: str, holds: str) -> str:
        return f'<AttachedDevice type="{kind}">{holds}</AttachedDevice>'

    image = '<Image uuid="{3333}"/>'
    now = drive("HardDisk", image) + drive("HardDisk", "") + drive("DVD", image)
    text = SETTINGS.replace("<ExtraData>", f"<StorageControllers>{now}</StorageControllers><ExtraData>")
    text = text.replace("<Hardware/>", f"<Hardware><StorageControllers>{now}</StorageControllers></Hardware>")
    assert parse_settings(text).attached == 1


@given(st.text(max_size=300) | st.integers(0, len(SETTINGS)).map(lambda cut: SETTINGS[:cut].rstrip()))
def test_settings_that_are_none_are_refused(text: str) -> None:
    if text == SETTINGS.rstrip():
        return
    with pytest.raises(ValueError, match="settings file"):
        parse_settings(text)


def test_settings_cannot_blow_up() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]>' + SETTINGS.partition("?>")[2].replace("vc-one", "&a;")
    with pytest.raises(ValueError, match="settings file"):
        parse_settings(bomb)


@pytest.mark.parametrize(
    ("line", "accelerator"),
    [
        (b"00:00:01.1 HM: HMR3Init: VT-x w/ nested paging and unrestricted guest execution", "hardware"),
        (b"00:00:01.1 HM: HMR3Init: AMD-V w/ nested paging", "hardware"),
        (b"00:00:01.1 HM: HMR3Init: Attempting fall back to NEM: VT-x is not available\n"
         b"00:00:01.1 NEM: NEMR3Init: Snail execution mode is active!", "native-api"),
        (b"00:00:01.1 NEM: NEMR3Init: Turtle execution mode is active!", "native-api"),
        (b"00:00:01.1 HM: HMR3Init: Falling back on IEM: VT-x is not available", "interpreter"),
        (b"nothing of that kind", ""),
    ],
)  # fmt: skip
def test_accelerators(line: bytes, accelerator: str) -> None:
    assert parse_accelerator(line) == accelerator


def test_process() -> None:
    assert parse_pid(b"00:00:00.02 Process ID: 4711\n") == 4711
    assert parse_pid(b"no") == 0


def test_a_log_is_read_on_and_noticed_when_replaced(tmp_path: Path) -> None:
    log = LogTail(tmp_path / "VBox.log")
    assert log.look() == (0, 0) and log.head() == b"" and log.tail() == ""
    line = "00:00:01 Changing the VM state from '{}' to '{}'\n"
    log.path.write_text(line.format("CREATING", "CREATED"))
    first = log.look()
    with log.path.open("a") as file:
        file.write("00:00:02 something else\n")
    assert log.look() == first, "only state changes are signs"
    with log.path.open("a") as file:
        file.write(line.format("RUNNING", "RESETTING")[:20])
    assert log.look() == first
    with log.path.open("a") as file:
        file.write(line.format("RUNNING", "RESETTING")[20:])
    assert log.look() != first and log.resets == 1
    replaced = tmp_path / "new"
    replaced.write_text("")
    replaced.replace(log.path)
    assert log.look() != first and log.resets == 0


def test_what_the_guest_writes_into_the_log_is_nothing(tmp_path: Path) -> None:
    said = (
        "Changing the VM state from 'RUNNING' to 'RESETTING'",
        "VBoxSVC became unavailable, exiting.",
        "NEM: NEMR3Init: Snail execution mode is active!",
        "HM: HMR3Init: Falling back on IEM: no",
        "Process ID: 4711",
    )
    log = LogTail(tmp_path / "VBox.log")
    log.path.write_text("".join(f"00:00:01.000000 VMMDev: Guest Log: {line}\n" for line in said))
    log.look()
    assert (log.changes, log.resets, log.breaks_off) == (0, 0, False)
    assert parse_accelerator(log.head()) == "" and parse_pid(log.head()) == 0
    log.path.write_text("".join(f"00:00:01.000000 {line}\n" for line in said))
    log.look()
    assert (log.changes, log.resets, log.breaks_off) == (1, 1, True)
    assert parse_accelerator(log.head()) == "native-api" and parse_pid(log.head()) == 4711
