"""What VBoxManage said, as one named error. Pure.

VirtualBox's own status codes (`VERR_...`, `VBOX_E_...`) are trusted before its sentences: those are reworded.
Source: VirtualBox's manual, chapters "Troubleshooting" and "VBoxManage"; its SDK reference (result codes);
the texts that the tests hold, each with its source.
"""

import re
import sys
from collections.abc import Callable
from typing import Final

from client.errors import ClientError
from client.hypervisor.virtualbox import problems

#: How much of what VBoxManage said goes into an error.
_TAIL_CHARS: Final = 2000
_ERROR: Final = re.compile(r"^\S*VBox(?:Manage|Headless)(?:\.exe)?: error:[ \t]*(.*)$", re.MULTILINE)
#: Printed at each call on a computer without the kernel module, whatever the call does.
_WARNING: Final = re.compile(r"WARNING: [^\n]*vboxdrv[^\n]*(?:\n[ \t][^\n]*|\n)*")
_QUOTED: Final = re.compile(r"'([^'\n]+)'|\"([^\"\n]+)\"|\{([0-9a-f-]{36})\}")
#: The shell's words for "cannot be executed" and "not found".
_CANNOT_RUN: Final = frozenset({126, 127})

_Maker = Callable[[str], ClientError]


def _named(text: str) -> str:
    """What the message puts between quotes first."""
    found = _QUOTED.search(text)
    return next(filter(None, found.groups())) if found else ""


def _holder(text: str) -> str:
    if re.search(r"KVM", text):
        return "KVM"
    return "Hyper-V" if re.search(r"Hyper-V|HYPER_V|WHv|_NEM_|hypervisor partition", text) else "another hypervisor"


def _taken(text: str) -> ClientError:
    return problems.VirtualizationTaken(_holder(text), text)


def _with_name(kind: Callable[[str, str], ClientError]) -> _Maker:
    return lambda text: kind(_named(text), text)


def _ended(text: str) -> ClientError:
    log = re.search(r"may be available in ['\u2018]([^'\u2019\n]+)", text)
    return problems.EndedAtStart(_named(text), log[1] if log else "", text)


#: First match wins: causes before the consequences that VirtualBox reports with them.
_RULES: Final[tuple[tuple[str, _Maker], ...]] = (
    (r"error while loading shared libraries|symbol lookup error|Library not loaded", problems.VirtualBoxBroken),
    (r"VERR_DISK_FULL|No space left on device|disk is full", problems.VirtualBoxDiskFull),
    (r"Key was rejected by service|Required key not available|EFI Secure Boot", problems.SecureBootBlocks),
    (r"VERR_VMX_IN_VMX_ROOT_MODE|VERR_SVM_IN_USE|used by another hypervisor", _taken),
    (r"VERR_VMX_MSR_\w*DISABLED|VERR_VMX_MSR_LOCKING_FAILED|VERR_SVM_DISABLED", problems.VirtualizationOff),
    (r"(?:VT-x|AMD-V) is disabled", problems.VirtualizationOff),
    (r"VERR_VMX_NO_VMX|VERR_SVM_NO_SVM|VERR_UNSUPPORTED_CPU", problems.NoVirtualization),
    (r"(?:VT-x|AMD-V) is not available|VERR_HM_NO_\w+", problems.NoVirtualization),
    (r"VERR_NEM_\w+|VERR_SUPDRV_NO_RAW_MODE_HYPER_V\w*", _taken),
    (r"VERR_VM_DRIVER_VERSION_MISMATCH|\brc=-1912\b", problems.KernelModuleMismatch),
    (
        r"VERR_VM_DRIVER_NOT_ACCESSIBLE|\b(?:rc=|Error )-1909\b|[Kk]ernel driver not accessible",
        problems.KernelModuleDenied,
    ),
    # On Windows the program that starts a VM says it of the driver's device, in its own log.
    (r"VERR_VM_DRIVER_(?:LOAD|OPEN)_ERROR|VBoxDrvStub\) failed", problems.KernelModuleNotLoaded),
    (r"VERR_VM_DRIVER_NOT_INSTALLED|\brc=-1908\b|[Kk]ernel driver not installed", problems.KernelModuleMissing),
    (r"vboxdrv kernel module is not loaded|vboxdrv does not exist", problems.KernelModuleMissing),
    (r"[Ll]icense.*(?:accept|agree)|agree to these license|accept-license", problems.ExtensionPackLicence),
    (r"[Ee]xtension [Pp]ack|VERR_EXTPACK|Implementation of the USB 2\.0", problems.ExtensionPackMissing),
    (
        r"VERR_SSM_\w+|Failed to load unit '|[Ss]aved state file .*(?:is invalid|does not exist)",
        problems.SavedStateUnusable,
    ),
    (r"Failed to save machine state", problems.StateNotSaved),
    (r"NamedPipe#\d+ failed", problems.PipeRefused),
    (r"VERR_NO_(?:\w+_)?MEMORY|VERR_GMM_\w+|_OUT_?OF_?MEMORY", problems.NotEnoughMemory),
    (r"Failed to create the VirtualBox object|COM server is not running", problems.ServiceDead),
    (r"Failed to initialize COM|NS_ERROR_CALL_FAILED|NS_ERROR_ABORT|CO_E_SERVER_EXEC", problems.ServiceDead),
    (r"0x800706[bB][aAeE]|RPC_[SE]_\w+|VBoxSVC became unavailable", problems.ServiceDead),
    (r"REGDB_E_CLASSNOTREG|NS_ERROR_FACTORY_NOT_REGISTERED|object is not ready", problems.ServiceDead),
    (r"already locked (?:for|by) a session|while it is locked", _with_name(problems.SessionLocked)),
    (r"object functionality is limited|VBOX_E_XML_ERROR", _with_name(problems.VmInaccessible)),
    (r"'[^'\n]*\.vbox'(?:.*for reading|, line)", _with_name(problems.VmInaccessible)),
    (r"VBOX_E_OBJECT_IN_USE|is (?:still|already) attached to|has \d+ child", _with_name(problems.MediumInUse)),
    (r"is locked for (?:reading|writing)|Failed to lock .*media|Locking of .*media", _with_name(problems.MediumInUse)),
    (r"already exists|VERR_ALREADY_EXISTS|already registered", _with_name(problems.ObjectExists)),
    (r"terminated unexpectedly during startup|session was closed before any attempt", _ended),
    (r"VBOX_E_INVALID_VM_STATE|VBOX_E_INVALID_SESSION_STATE|is not currently running", problems.WrongState),
    (r"not mutable|[Ii]nvalid machine state|VBOX_E_INVALID_OBJECT_STATE", problems.WrongState),
    (r"VERR_ACCESS_DENIED|VERR_WRITE_PROTECT|Permission denied", problems.VirtualBoxDenied),
    (
        r"VBOX_E_OBJECT_NOT_FOUND|Could not find a |Cannot open file .*VERR_FILE_NOT_FOUND",
        _with_name(problems.ObjectNotFound),
    ),
    (r"Could not (?:find|open) (?:file for )?the medium|VERR_VD_\w+", _with_name(problems.MediumUnreadable)),
    (r"VERR_(?:FILE|PATH)_NOT_FOUND|VBOX_E_FILE_ERROR", _with_name(problems.MediumUnreadable)),
    (r"E_ACCESSDENIED", problems.VirtualBoxDenied),
)
#: The command line itself is at fault.
_USAGE: Final = re.compile(
    # Printed before help that nobody asked for; the error text may be empty then.
    r"Command Line Management Interface Version|"
    r"[Uu]nknown (?:option|command|subcommand)|[Ii]nvalid (?:option|parameter|command|subcommand|argument)"
    r"|[Uu]nrecognized|[Ss]yntax error|VERR_GETOPT|[Tt]oo (?:few|many) (?:parameters|arguments)"
)


def classify(
    words: tuple[str, ...], exit_code: int, stdout: str, stderr: str, platform: str = sys.platform
) -> ClientError | None:
    """The failure in what a call of VBoxManage said, or None when it did its work.

    An error text counts whatever the exit code. On standard output, which may hold other people's words (names,
    descriptions, what a guest wrote), it counts only when nothing stands before it.

    Args:
        words: the call without the program.
    """
    if exit_code in _CANNOT_RUN:
        return problems.VirtualBoxBroken(_tail(stderr or stdout))
    errors = _ERROR.findall(stderr)
    stdout = without_warning(stdout)
    if not errors and _ERROR.match(stdout.lstrip()):
        errors = _ERROR.findall(stdout)
    if not errors and not exit_code:
        return None
    said = "\n".join(errors).strip() if errors else without_warning(stderr).strip() or stdout.strip()
    return name_of(_tail(said), platform) or _unnamed(words, exit_code, _tail(said), stderr)


def without_warning(text: str) -> str:
    """What was printed, without the warning about the missing kernel module that may stand before it.

    Debian's start script prints it on standard output, Oracle's on standard error.
    """
    return _WARNING.sub("", text, count=1) if text.startswith("WARNING: ") else text


def name_of(text: str, platform: str = sys.platform) -> ClientError | None:
    """The known failure that a text speaks of: an error of VBoxManage or VBoxHeadless, the end of a VM's log."""
    for pattern, make in _RULES:
        if re.search(pattern, text):
            problem = make(text)
            # The same words there, but another thing to do.
            is_mac = platform == "darwin" and isinstance(problem, problems.KernelModuleMissing)
            return problems.MacApprovalMissing(text) if is_mac else problem
    return None


def _unnamed(words: tuple[str, ...], exit_code: int, said: str, stderr: str) -> ClientError:
    if _USAGE.search(said or stderr):
        return problems.OptionRefused(words, said)
    return problems.VirtualBoxFailed(words, exit_code, said or "nothing")


def _tail(text: str) -> str:
    return text[-_TAIL_CHARS:].strip()
