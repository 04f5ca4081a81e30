"""What VBoxManage said, sorted: captured from VirtualBox 7.2, and as people reported it of older ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from client.errors import ClientError
from client.hypervisor.virtualbox import problems
from client.hypervisor.virtualbox.problems import (
    EndedAtStart,
    ExtensionPackLicence,
    ExtensionPackMissing,
    KernelModuleDenied,
    KernelModuleMismatch,
    KernelModuleMissing,
    KernelModuleNotLoaded,
    MacApprovalMissing,
    MediumInUse,
    MediumUnreadable,
    NotEnoughMemory,
    NoVirtualization,
    ObjectExists,
    ObjectNotFound,
    OptionRefused,
    PipeRefused,
    SavedStateUnusable,
    SecureBootBlocks,
    ServiceDead,
    SessionLocked,
    StateNotSaved,
    VirtualBoxBroken,
    VirtualBoxDenied,
    VirtualBoxDiskFull,
    VirtualBoxFailed,
    VirtualizationOff,
    VirtualizationTaken,
    VmInaccessible,
    WrongState,
)
from client.hypervisor.virtualbox.verdict import classify, name_of, without_warning

DATA = Path(__file__).resolve().parents[3] / "data" / "virtualbox"
CAPTURED: dict[str, dict[str, Any]] = {
    row["name"]: row for row in json.loads((DATA / "7.2" / "errors.json").read_text())
}

#: captured call -> what it is, and what its second field holds
EXPECTED: dict[str, tuple[type[ClientError], str | None]] = {
    "no_vm": (ObjectNotFound, "nosuch"),
    "no_vm_uuid": (ObjectNotFound, "00000000-0000-0000-0000-000000000001"),
    "no_controller": (ObjectNotFound, "nosuch"),
    "no_snapshot": (ObjectNotFound, None),
    "convert_missing": (ObjectNotFound, "/data/nosuch"),
    "again": (ObjectExists, "/data/vms/one/one.vbox"),
    "medium_again": (ObjectExists, "/data/vms/one/base.vdi"),
    "clone_full": (ObjectExists, "/data/small/copy.vdi"),
    "attach": (WrongState, None),
    "attach_missing": (MediumUnreadable, "/data/vms/nosuch.vdi"),
    "start_disk_gone": (MediumUnreadable, None),
    "start_disk_gone2": (MediumUnreadable, "/data/vms/two/two.vdi"),
    "start_bad_uart": (PipeRefused, None),
    "close_used2": (MediumInUse, "/data/vms/one/base.vdi"),
    "attach_twice": (MediumInUse, "/data/vms/one/base.vdi"),
    "clone_locked": (MediumInUse, "/data/vms/one/base.vdi"),
    "start_six_shared": (MediumInUse, ""),
    "mod_medium_locked": (MediumInUse, "/data/vms/shared.vdi"),
    "close_delete_locked": (MediumInUse, "/data/vms/shared.vdi"),
    "vrde_extpack": (ExtensionPackMissing, None),
    "start_again": (SessionLocked, "one"),
    "modify_running": (SessionLocked, "one"),
    "unregister_running": (SessionLocked, "one"),
    "not_running": (WrongState, None),
    "no_saved": (WrongState, None),
    "detach_running": (WrongState, None),
    "resume_running": (WrongState, None),
    "pause_again": (WrongState, None),
    "restore_running": (WrongState, None),
    "modify_saved": (WrongState, None),
    "wrong_option": (OptionRefused, None),
    "wrong_value": (OptionRefused, None),
    "wrong_command": (OptionRefused, None),
    "unknown_sub": (OptionRefused, None),
    "start_truncated": (EndedAtStart, None),
    "start_stock": (EndedAtStart, "four"),
    "save_full": (StateNotSaved, None),
    "snap_full": (VirtualBoxDiskFull, None),
    "medium_full": (VirtualBoxDiskFull, None),
    "medium_ro": (VirtualBoxDenied, None),
    "create_ro": (VirtualBoxDenied, None),
    "after_svc_kill": (ServiceDead, None),
    # The VM is unregistered nevertheless: VirtualBox only has no settings file to delete.
    "unregister_inaccessible": (ServiceDead, None),
    "info_inaccessible_uuid": (VmInaccessible, None),
    "start_inaccessible": (VmInaccessible, None),
    "register_missing": (VmInaccessible, "/data/vms/two/two.vbox"),
    "register_broken": (VmInaccessible, "/data/vms/two/two.vbox"),
}

#: Text, and what it is. Source of each: tests/data/virtualbox/README.md, by the word at the end.
REPORTED: list[tuple[str, type[ClientError], str]] = [
    ("VT-x is disabled in the BIOS for all CPU modes (VERR_VMX_MSR_ALL_VMX_DISABLED)", VirtualizationOff, "vtx-off"),
    ("VT-x is disabled in the BIOS. (VERR_VMX_MSR_VMXON_DISABLED).", VirtualizationOff, "vtx-off-old"),
    (
        "Not in a hypervisor partition (HVP=0) (VERR_NEM_NOT_AVAILABLE).\n"
        "AMD-V is disabled in the BIOS (or by the host OS) (VERR_SVM_DISABLED)",
        VirtualizationOff,
        "amdv-off",
    ),
    ("AMD-V is not available (VERR_SVM_NO_SVM)", NoVirtualization, "no-amdv"),
    ("VT-x is not available. (VERR_VMX_NO_VMX)", NoVirtualization, "no-vtx"),
    (
        "VT-x is being used by another hypervisor (VERR_VMX_IN_VMX_ROOT_MODE).\nVirtualBox can't operate in VMX root"
        " mode. Please disable the KVM kernel extension, recompile your kernel and reboot (VERR_VMX_IN_VMX_ROOT_MODE)",
        VirtualizationTaken,
        "kvm-holds",
    ),
    (
        "VirtualBox can't enable the AMD-V extension. Please close all other virtualization programs."
        " (VERR_SVM_IN_USE).",
        VirtualizationTaken,
        "amdv-held",
    ),
    (
        "Kernel driver not installed (rc=-1908)\nMake sure the kernel module has been loaded successfully.\nwhere:"
        " suplibOsInit what: 3 VERR_VM_DRIVER_NOT_INSTALLED (-1908) - The support driver is not installed.",
        KernelModuleMissing,
        "no-driver",
    ),
    (
        "RTR3InitEx failed with rc=-1912 (rc=-1912)\nThe VirtualBox kernel modules do not match this version of"
        " VirtualBox.",
        KernelModuleMismatch,
        "driver-mismatch",
    ),
    (
        "Error -1909 in suplibOsInit!\nKernel driver not accessible\n\n"
        "Tip! Make sure the kernel module is loaded. It may also help to reinstall VirtualBox.",
        KernelModuleDenied,
        "driver-denied",
    ),
    ("VERR_VM_DRIVER_LOAD_ERROR", KernelModuleNotLoaded, "status-codes"),
    (
        "In supR3HardenedWinReSpawn\n\nNtCreateFile(\\Device\\VBoxDrvStub) failed: 0xc0000034"
        " STATUS_OBJECT_NAME_NOT_FOUND (0 retries) (rc=-101)\n\n"
        "Make sure the kernel module has been loaded successfully.",
        KernelModuleNotLoaded,
        "driver-stopped",
    ),
    ("modprobe: ERROR: could not insert 'vboxdrv': Key was rejected by service", SecureBootBlocks, "secure-boot"),
    (
        "If your system is using EFI Secure Boot you may need to sign the kernel modules (vboxdrv, vboxnetflt,"
        " vboxnetadp, vboxpci) before you can load them.",
        SecureBootBlocks,
        "secure-boot-setup",
    ),
    (
        "Failed to create the VirtualBox object!\nCode CO_E_SERVER_EXEC_FAILURE (0x80080005) - Server execution failed"
        " (extended info not available)\nMost likely, the VirtualBox COM server is not running or failed to start.",
        ServiceDead,
        "no-service-windows",
    ),
    ("The object functionality is limited", VmInaccessible, "inaccessible"),
    (
        "Runtime error opening '/root/VirtualBox VMs/a/a.vbox' for reading: -102 (File not found.).",
        VmInaccessible,
        "inaccessible-old",
    ),
    (
        "The saved state file 'Z:\\Snapshots\\2015-03-01T05-24-35-433324345Z.sav' is invalid (VERR_PATH_NOT_FOUND)."
        " Delete the saved state and try again",
        SavedStateUnusable,
        "saved-state-old",
    ),
    (
        "Medium 'C:\\VMs\\CentOS7.vdi' cannot be closed because it is still attached to 1 virtual machines",
        MediumInUse,
        "medium-5.2",
    ),
    ("The machine 'a' is already locked for a session (or being unlocked)", SessionLocked, "locked-5.2"),
    ("Implementation of the USB 2.0 controller not found!", ExtensionPackMissing, "manual"),
    (
        "Do you agree to these license terms and conditions (y/n)?\n"
        'Installation of "Oracle VM VirtualBox Extension Pack" aborted.',
        ExtensionPackLicence,
        "licence",
    ),
    (
        "Out of memory condition when allocating memory with low physical backing. (VERR_NO_LOW_MEMORY)",
        NotEnoughMemory,
        "no-memory",
    ),
    (
        "/opt/VirtualBox-1.3.8/VBoxManage: error while loading shared libraries: VBoxDD.so: cannot open shared object"
        " file: No such file or directory",
        VirtualBoxBroken,
        "loader",
    ),
    (
        "Not in a hypervisor partition (HVP=0) (VERR_NEM_NOT_AVAILABLE).\n"
        "VT-x is disabled in the BIOS for all CPU modes (VERR_VMX_MSR_ALL_VMX_DISABLED).",
        VirtualizationOff,
        "vtx-off-windows",
    ),
    (
        "Call to WHvSetupPartition failed: ERROR_SUCCESS (Last=0xc000000d/87) (VERR_NEM_VM_CREATE_FAILED)",
        VirtualizationTaken,
        "hyperv-holds",
    ),
    (
        "Raw-mode is unavailable courtesy of Hyper-V. (VERR_SUPDRV_NO_RAW_MODE_HYPER_V_ROOT)",
        VirtualizationTaken,
        "hyperv-raw",
    ),
    ("Failed to load unit 'cpum' (VERR_CPUM_INVALID_XCR0).", SavedStateUnusable, "saved-state-7.1"),
    ("Failed to load unit 'lsilogicscsi' (VERR_SSM_LOADED_TOO_LITTLE)", SavedStateUnusable, "saved-state-6.0"),
    (
        "cpum#1: X86_CPUID_AMD_FEATURE_EDX_AXMMX is not supported by the host but has already exposed to the guest"
        " [ver=17 pass=final] (VERR_SSM_LOAD_CPUID_MISMATCH)",
        SavedStateUnusable,
        "saved-elsewhere",
    ),
    (
        "The virtual machine 'a' has terminated unexpectedly during startup because of signal 6",
        EndedAtStart,
        "ended-6.1",
    ),
    (
        "Could not create the clone medium '/b/box-disk1.vmdk'.\nVMDK: cannot write allocated data block in"
        " '/b/box-disk1.vmdk' (VERR_DISK_FULL)",
        VirtualBoxDiskFull,
        "medium-full",
    ),
]


def test_every_captured_error_is_expected() -> None:
    assert set(CAPTURED) == set(EXPECTED)


@pytest.mark.parametrize("name", CAPTURED)
def test_captured(name: str) -> None:
    row = CAPTURED[name]
    problem = classify(tuple(row["words"]), row["exit_code"], row["stdout"], row["stderr"], "linux")
    kind, named = EXPECTED[name]
    assert type(problem) is kind, row["stderr"]
    assert "VBoxManage: error:" not in str(problem)
    if named is not None and problem is not None:
        assert next(iter(problem.details().values())) == named


def test_an_error_with_exit_code_0_was_really_met() -> None:
    assert CAPTURED["no_saved"]["exit_code"] == 0


@pytest.mark.parametrize("program", ["VBoxManage", "VBoxManage.exe", "/usr/lib/virtualbox/VBoxManage"])
@pytest.mark.parametrize(("text", "kind", "source"), REPORTED, ids=[row[2] for row in REPORTED])
def test_reported(program: str, text: str, kind: type[ClientError], source: str) -> None:
    stderr = "".join(f"{program}: error: {line}\r\n" for line in text.split("\n")).replace("\r\n", "\n")
    for exit_code in (0, 1):
        assert type(classify(("startvm", "a"), exit_code, "", stderr, "linux")) is kind
    assert type(name_of(text, "linux")) is kind


def test_every_source_is_written_down() -> None:
    readme = (DATA / "README.md").read_text()
    assert [source for _, _, source in REPORTED if f"| {source} |" not in readme] == []


def test_the_mac_says_it_in_the_same_words() -> None:
    text = next(text for text, _, source in REPORTED if source == "no-driver")
    assert type(name_of(text, "darwin")) is MacApprovalMissing


@pytest.mark.parametrize(
    ("text", "holder"),
    [
        ("Please disable the KVM kernel extension (VERR_SVM_IN_USE)", "KVM"),
        ("WHvCreatePartition failed (VERR_NEM_VM_CREATE_FAILED)", "Hyper-V"),
        ("Raw-mode is unavailable (VERR_SUPDRV_NO_RAW_MODE_HYPER_V_ROOT)", "Hyper-V"),
        ("VERR_VMX_IN_VMX_ROOT_MODE", "another hypervisor"),
    ],
)
def test_who_holds_it(text: str, holder: str) -> None:
    problem = name_of(text, "linux")
    assert isinstance(problem, VirtualizationTaken)
    assert problem.holder == holder


def test_where_to_look_when_the_process_ended() -> None:
    text = (
        "The virtual machine 'XXX' has terminated unexpectedly during startup with exit code -1073740791 (0xc0000409)."
        " More details may be available in 'E:\\VirtualBox VMs\\Arch\\Logs\\VBoxHardening.log'."
    )
    problem = name_of(text, "win32")
    assert isinstance(problem, EndedAtStart)
    assert (problem.vm, problem.log) == ("XXX", "E:\\VirtualBox VMs\\Arch\\Logs\\VBoxHardening.log")


def test_the_log_names_the_cause() -> None:
    lines = (DATA / "7.2" / "log-saved-state.txt").read_text().splitlines()
    assert len(lines) == 3
    assert {type(name_of(line, "linux")) for line in lines} == {SavedStateUnusable}
    # What VBoxManage called "extended info not available".
    assert type(name_of((DATA / "7.2" / "log-disk-full.txt").read_text(), "linux")) is VirtualBoxDiskFull


def test_the_warning_is_no_error_and_hides_none() -> None:
    warning = (DATA / "7.2" / "version.txt").read_text().partition("7.2.22")[0]
    assert classify(("list", "vms"), 0, warning, "", "linux") is None
    assert classify(("list", "vms"), 0, "", warning, "linux") is None
    assert without_warning(warning + '"a" {0}\n') == '"a" {0}\n'
    assert without_warning("WARNING: something else\n") == "WARNING: something else\n"
    behind = classify(("x",), 0, warning + "VBoxManage: error: No space left on device", "", "linux")
    assert type(behind) is VirtualBoxDiskFull
    alone = classify(("x",), 1, "", warning, "linux")
    assert isinstance(alone, VirtualBoxFailed)
    assert alone.said == "nothing"


def test_other_peoples_words_are_not_errors() -> None:
    guest = "Name: /guest/says, value: x\nVBoxManage: error: Could not find a registered machine named 'one'\n"
    assert classify(("guestproperty", "enumerate", "one"), 0, guest, "0%...100%\n", "linux") is None


def test_failure_without_words_and_in_new_words() -> None:
    silent = classify(("startvm", "a"), 3, "", "", "linux")
    assert isinstance(silent, VirtualBoxFailed)
    assert silent.details() == {"command": ("startvm", "a"), "exit_code": 3, "said": "nothing"}
    reworded = classify(("startvm", "a"), 1, "", "VBoxManage: error: Der Rechner brennt\n", "linux")
    assert isinstance(reworded, VirtualBoxFailed)
    assert reworded.said == "Der Rechner brennt"
    assert isinstance(classify(("list",), 127, "", "not found", "linux"), VirtualBoxBroken)


def test_long_words_are_cut() -> None:
    said = "VBoxManage: error: " + "x" * 100_000
    problem = classify(("x",), 1, "", said, "linux")
    assert isinstance(problem, VirtualBoxFailed)
    assert len(problem.said) <= 2000


def test_every_problem_that_a_text_can_name_is_tested_here() -> None:
    tested = {kind for kind, _ in EXPECTED.values()} | {kind for _, kind, _ in REPORTED}
    tested |= {
        MacApprovalMissing,
        VirtualBoxFailed,
        OptionRefused,
        problems.VirtualBoxSilent,
        problems.VirtualBoxTooOld,
    }
    known = {
        kind for kind in vars(problems).values() if isinstance(kind, type) and kind.__module__ == problems.__name__
    }
    assert known - tested == set()
