"""Error code -> sentences, for every face: what happened, and what is being done or can be done."""

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from client.consent import SEES
from client.errors import ClientError
from client.snapshot import Severity


@dataclass(frozen=True)
class Sentence:
    """What happened, what is done about it; both may hold {fields} of the error."""

    text: str
    doing: str
    severity: Severity = Severity.WARNING


_RETRY: Final = "Trying again in a moment; nothing is lost."
_AGAIN: Final = "Fetching it again."

SENTENCES: Final[dict[str, Sentence]] = {
    "internal": Sentence("Something unexpected happened: {said}", "Trying again; the log has the details."),
    "bad-input": Sentence("{where}: {what}.", "What to do: {remedy}.", Severity.ERROR),
    "disk-full": Sentence(
        "There is not enough disk space in {folder}: {needed_mb} MB are needed, {free_mb} MB are free.",
        "Free some space; work goes on by itself then.",
        Severity.ERROR,
    ),
    "no-space": Sentence(
        "There is no space left on the disk.", "Free some space; work goes on by itself then.", Severity.ERROR
    ),
    "already-running": Sentence(
        "Volunteer Cloud already runs in {base_folder}.", "Use that window, or quit it first.", Severity.ERROR
    ),
    "not-running": Sentence("Volunteer Cloud does not run in {base_folder}.", "Start it first.", Severity.ERROR),
    "command-failed": Sentence("The program {command} failed: {stderr}", _RETRY),
    "tool-missing": Sentence("The program {tool} is not installed.", "Install the package {package}.", Severity.ERROR),
    "no-project": Sentence(
        "No project is attached yet.",
        f"Choose the project file that you were sent, in the window or with: main.py attach PROJECT-FILE. {SEES}",
        Severity.ERROR,
    ),
    "own-vm-failed": Sentence(
        "Your own virtual machine {name} ended: {cause}.", "It is started again, each time after a longer wait."
    ),
    "own-vm-offline": Sentence(
        "Your own virtual machine {name} has no network: the preference network.unconfined says that none may have it.",
        "Change that preference to confining or all, and start it again.",
    ),
    "own-vm-unreadable": Sentence(
        "What your own virtual machine {name} is cannot be read any more.",
        "Nothing is done to it until you remove it, or mend its file vm.toml and start the program again.",
    ),
    "project-unreachable": Sentence("The project's server does not answer ({url}).", _RETRY),
    "enrolment-refused": Sentence(
        "The project refuses this computer: {said} (status {status}).",
        "Ask the project for a new project file. Trying again from time to time.",
        Severity.ERROR,
    ),
    "keyring-silent": Sentence(
        "This computer's keyring does not give the key by which the project knows it: {said}",
        "Open the keyring. Trying again from time to time.",
        Severity.ERROR,
    ),
    "no-hypervisor": Sentence(
        "No program that runs virtual machines was found that works here (looked for: {looked_for}). {reasons}",
        "Install QEMU (Debian: qemu-system-x86) or VirtualBox; it is found by itself then.",
        Severity.ERROR,
    ),
    "chosen-unavailable": Sentence(
        "The preferences say that {driver} is to be used, and it does not work here. {reasons}",
        "Mend that, or set hypervisor.driver to auto to have the fastest that works.",
        Severity.ERROR,
    ),
    "hypervisor-unproven": Sentence(
        "{driver} is installed, but no virtual machine ran under it when it was last tried ({cause}).",
        "It is tried again after a week, or as soon as it or the system is renewed.",
    ),
    "slow-hypervisor": Sentence(
        "Virtual machines run about {times_slower} times slower here than the computer could: {driver} works without"
        " the processor's help.",
        "Work goes on. To make it faster: {remedy}.",
        Severity.NOTICE,
    ),
    "appliance-missing": Sentence("A file of the appliance is missing: {path}.", _AGAIN),
    "appliance-truncated": Sentence(
        "A file of the appliance is not whole: {path} has {found_bytes} of {expected_bytes} bytes.", _AGAIN
    ),
    "appliance-altered": Sentence(
        "A file of the appliance is not the one that the project published: {path}.", f"It is not used. {_AGAIN}"
    ),
    "bad-manifest": Sentence(
        "The description of the appliance cannot be used: {what} ({where}).",
        "Nothing of it is used; asking the project again from time to time.",
        Severity.ERROR,
    ),
    "download-failed": Sentence("The appliance could not be fetched: {said}", _RETRY),
    "bad-template": Sentence(
        "The template {where} cannot be used: {what}.", "Correct these places, or ask its author to.", Severity.ERROR
    ),
    "bad-context-values": Sentence(
        "The template {template} cannot be filled in like this: {what}.", "Correct these fields.", Severity.ERROR
    ),
    "worker-failed": Sentence("The part of the program that does {kind} ended before its time: {said}", _RETRY),
    "network-not-agreed": Sentence(
        "The virtual machine of {appliance} runs without network: {hypervisor} could not keep it from the computers in"
        " your own network.",
        "If you trust it, set network.unconfined to all; or use QEMU, which keeps it in.",
        Severity.ERROR,
    ),
    "no-such-snapshot": Sentence(
        "The virtual machine {vm_id} has no snapshot {name}.", "Choose another.", Severity.ERROR
    ),
    "no-such-vm": Sentence("The virtual machine {vm_id} is gone.", "Making it anew."),
    "invalid-vm-state": Sentence("The virtual machine {vm_id} is {state} and cannot {verb} now.", _RETRY),
    "medium-missing": Sentence("A disk of the virtual machine is missing: {path}.", _AGAIN),
    "start-failed": Sentence("The virtual machine could not be started: {stderr}", _RETRY, Severity.ERROR),
    "save-failed": Sentence(
        "The state of the virtual machine could not be saved: {said}", "It goes on as it was; trying again."
    ),
    "vm-folder-unreadable": Sentence("The file {path} of a virtual machine cannot be read now: {said}.", _RETRY),
    "kept-disk-broken": Sentence(
        "The virtual machine {vm_id} cannot be started: {said}. Nothing in {path} was deleted.",
        "Put the file that is gone back to its place, or remove the virtual machine.",
    ),
    "route-port-taken": Sentence(
        "Another program on this computer uses port {port}, which the virtual machine {vm_id} needs for {route}.",
        "Starting the virtual machine afresh with another port.",
    ),
    "link-unavailable": Sentence("The virtual machine cannot be spoken to: {said}", _RETRY),
    "not-supported-by-driver": Sentence(
        "{driver} cannot {verb} a virtual machine.", "Another hypervisor may: see the preferences."
    ),
    "file-not-moved": Sentence("The file {path} was not copied: {said}", "Nothing half-done stays.", Severity.ERROR),
    "guest-lost": Sentence(
        "The virtual machine was started afresh or went off before it had done its part of {what}.",
        "Ask for it once more.",
        Severity.ERROR,
    ),
    "guest-not-ready": Sentence(
        "The virtual machine {vm_id} is {state}.", "Start it first: main.py vm start.", Severity.ERROR
    ),
    "mailbox-full": Sentence(
        "The virtual machine has not taken {kept} messages, and no more are kept for it.",
        "Let it go on, or see what its programs do.",
        Severity.ERROR,
    ),
    "no-such-errand": Sentence(
        "There is no result {errand_id}, or not any more.",
        "Results that nobody waited for are kept for a week.",
        Severity.ERROR,
    ),
    "guest-hung": Sentence("The virtual machine has not answered for {silence} s.", "Resetting it; its job goes on."),
    "guest-hung-again": Sentence(
        "The virtual machine did not come back.", "Booting it afresh; its job goes on from its last checkpoint."
    ),
    "guest-ends-early": Sentence(
        "The virtual machine ended by itself {times} times in a row.",
        "Waiting {wait} s before the next try; its last words are in the log.",
        Severity.ERROR,
    ),
    "vm-failed": Sentence(
        "The virtual machine failed: {cause}.", "Starting it again; its job goes on from its last checkpoint."
    ),
    "guest-rebooted": Sentence("The virtual machine rebooted by itself.", "Its job goes on from its last checkpoint."),
    "project-offline": Sentence(
        "The virtual machine cannot reach the project's server.", "It keeps trying; a job under way goes on meanwhile."
    ),
    "job-failed": Sentence("Job {job_id} failed: {cause}", "It was reported; the next job is being asked for."),
    "job-refused": Sentence(
        "The project did not accept the output of job {job_id}: {cause}", "It goes back to the project's queue."
    ),
    "monitor-gone": Sentence(
        "The virtual machine {vm_id} does not answer its hypervisor ({said}).", "It is ended and started again."
    ),
    "monitor-refused": Sentence(
        "The hypervisor could not do {command} with the virtual machine {vm_id}: {said}", "It stays as it is. " + _RETRY
    ),
    "bad-stanza": Sentence(
        "A message ({command}) carried an unusable value: {field} {said}.", "It was dropped, nothing else happened."
    ),
    "not-decoded": Sentence("An encrypted message could not be read: {said}.", "It was dropped."),
    "ticket-refused": Sentence("A ticket was refused: {said}.", "Its agent was told, and may ask for a new one."),
    "no-key-of": Sentence(
        "Nothing can be encrypted for {jid}: its public key is not known.",
        "Add it to the file of public keys, or leave the secure mode of the original Co-Pilot.",
        Severity.ERROR,
    ),
    "transport-down": Sentence("There is no connection to the project's message server as {jid}.", _RETRY),
    "ask-failed": Sentence("{to} did not answer a question: {said}.", _RETRY),
    "transfer-failed": Sentence(
        "A file could not be moved to or from {server}: {path} ({said}).",
        "It is tried a few times, then the job goes back to the queue.",
    ),
    "file-too-big": Sentence(
        "{path} has {size_bytes} bytes, more than the {limit_bytes} allowed.", "The job goes back to the project."
    ),
    "bad-requirements": Sentence(
        "The requirements {text} cannot be read from character {position} on: {said}.",
        'Write comparisons such as other.Memory >= 2000 && other.Platform == "Linux-x86_64".',
        Severity.ERROR,
    ),
    "bad-order": Sentence("Job {job_id} cannot be taken: {said}.", "Correct it and submit it again.", Severity.ERROR),
    "job-exists": Sentence("There is a job {job_id} already.", "Submit it under another id.", Severity.ERROR),
    "queue-unusable": Sentence(
        "The job queue {path} cannot be used: {said}",
        "Check the file and its folder; no job is taken until then.",
        Severity.ERROR,
    ),
    "redis-unusable": Sentence(
        "The job queue at {path} cannot be used: {said}.",
        "Check the Redis server; all goes on by itself when it is back.",
        Severity.ERROR,
    ),
    "monitor-store": Sentence(
        "The monitor's file {path} cannot be used: {said}",
        "Make room on the disk, or move the file away: the monitor then begins a new one.",
        Severity.ERROR,
    ),
    "instance-running": Sentence(
        "A storage manager named {instance} works in {folder} already.",
        "Give this one another name ([xmpp] resource in its configuration file), or stop the other one.",
        Severity.ERROR,
    ),
    "output-refused": Sentence("The output was refused: {said}", "The job goes back to the queue."),
    "site-running": Sentence(
        "The local site in {folder} runs already.", "Use it, or end it: main.py site down.", Severity.ERROR
    ),
    "site-not-running": Sentence(
        "The local site in {folder} does not run.", "Start it: main.py site up.", Severity.ERROR
    ),
    "no-site": Sentence("There is no local site in {folder}.", "Make one: main.py site up.", Severity.ERROR),
    "site-child-not-ready": Sentence(
        "{child} did not start: {said}", "The site was taken down; mend the cause and start it again.", Severity.ERROR
    ),
    "no-such-job": Sentence("There is no job {job_id} in this site.", "What to do: {remedy}.", Severity.ERROR),
    "no-such-agent": Sentence("No agent of {owner} was ever seen here.", "What to do: {remedy}.", Severity.ERROR),
    "job-not-changed": Sentence(
        "Job {job_id} is {state} and cannot {verb}.", "main.py jobs list shows which can.", Severity.ERROR
    ),
    "virtualbox-too-old": Sentence(
        "VirtualBox {found} is too old; {needed} is the oldest that works here.",
        "Install the newest version; it is found by itself then.",
        Severity.ERROR,
    ),
    "virtualbox-broken": Sentence(
        "VirtualBox is installed but cannot run: {said}", "Install it again, over the old one.", Severity.ERROR
    ),
    "virtualbox-silent": Sentence("VirtualBox did not answer to {command}: {said}", _RETRY),
    "virtualbox-failed": Sentence("VirtualBox could not do {command}: {said}", _RETRY),
    "virtualbox-option-refused": Sentence(
        "This version of VirtualBox does not understand {command}: {said}",
        "Install the newest version.",
        Severity.ERROR,
    ),
    "no-virtualization": Sentence(
        "VirtualBox finds neither VT-x nor AMD-V in this computer's processor.",
        "Look for it in the firmware setup (BIOS, UEFI); on Windows switch Hyper-V off. A computer without it cannot"
        " use VirtualBox here.",
        Severity.ERROR,
    ),
    "virtualization-off": Sentence(
        "The processor's virtualization (VT-x, AMD-V) is switched off.",
        "Switch it on in the firmware setup (BIOS, UEFI): it is called Virtualization Technology, VT-x or SVM Mode.",
        Severity.ERROR,
    ),
    "virtualization-taken": Sentence(
        "The processor's virtualization is held by {holder}, so VirtualBox cannot use it.",
        "End the other virtual machines, or switch {holder} off. Trying again in a moment.",
        Severity.ERROR,
    ),
    "kernel-module-missing": Sentence(
        "VirtualBox's kernel module (vboxdrv) is not installed for the system that runs.",
        "Install the package with the module, or restart the computer after an update of the kernel.",
        Severity.ERROR,
    ),
    "kernel-module-not-loaded": Sentence(
        "VirtualBox's kernel module (vboxdrv) is installed but not loaded.",
        "Load it as administrator: modprobe vboxdrv. A restart of the computer does it too.",
        Severity.ERROR,
    ),
    "kernel-module-mismatch": Sentence(
        "VirtualBox's kernel module belongs to another version of VirtualBox.",
        "Restart the computer; if it is still so, install VirtualBox again.",
        Severity.ERROR,
    ),
    "kernel-module-denied": Sentence(
        "VirtualBox may not open its own kernel module.",
        "Install VirtualBox again: its programs have lost the rights that the installer gave them.",
        Severity.ERROR,
    ),
    "secure-boot-blocks": Sentence(
        "Secure Boot keeps VirtualBox's kernel module from being loaded: it is not signed with a known key.",
        "Enrol the key that your system signed it with (mokutil --import), or switch Secure Boot off in the firmware.",
        Severity.ERROR,
    ),
    "mac-approval-missing": Sentence(
        "This Mac has not been allowed to load VirtualBox's system extension.",
        "Open System Settings, Privacy & Security, allow the software of Oracle, and restart the computer.",
        Severity.ERROR,
    ),
    "extension-pack-missing": Sentence(
        "A setting of the virtual machine needs VirtualBox's extension pack.",
        "It is not needed here: the virtual machine is made anew without that setting.",
    ),
    "extension-pack-licence": Sentence(
        "The licence of VirtualBox's extension pack has not been agreed to.",
        "The pack is not needed here; read its licence in VirtualBox if you want it.",
    ),
    "vboxsvc-dead": Sentence("VirtualBox's service (VBoxSVC) does not answer: {said}", _RETRY),
    "virtualbox-session-locked": Sentence(
        "The virtual machine {vm} is held by another session of VirtualBox.",
        "Close its window if you opened it. " + _RETRY,
    ),
    "virtualbox-medium-in-use": Sentence("A disk is in use by another virtual machine: {path}.", _RETRY),
    "virtualbox-medium-unreadable": Sentence("VirtualBox cannot read a disk: {said}", "Making it anew."),
    "virtualbox-vm-inaccessible": Sentence(
        "VirtualBox cannot read the settings of a virtual machine: {said}", "Making it anew."
    ),
    "virtualbox-object-not-found": Sentence("VirtualBox does not know {what}: {said}", "Making it anew."),
    "virtualbox-object-exists": Sentence("VirtualBox has {what} already.", "Using it, or making room for a new one."),
    "virtualbox-wrong-state": Sentence("A virtual machine was not in the state for that: {said}", _RETRY),
    "virtualbox-denied": Sentence(
        "VirtualBox may not read or write a file: {said}", "Check the rights of the folder.", Severity.ERROR
    ),
    "virtualbox-disk-full": Sentence(
        "VirtualBox found no space left on the disk: {said}",
        "Free some space; work goes on by itself then.",
        Severity.ERROR,
    ),
    "virtualbox-no-memory": Sentence(
        "There is not enough free memory for the virtual machine.",
        "Close some programs, or give it less memory in the preferences. Trying again in a moment.",
    ),
    "virtualbox-ended-at-start": Sentence(
        "The virtual machine ended while VirtualBox started it: {said}", _RETRY, Severity.ERROR
    ),
    "virtualbox-state-not-saved": Sentence(
        "The state of the virtual machine could not be saved: {said}",
        "It goes on as it was; look whether the disk is full.",
    ),
    "virtualbox-pipe-refused": Sentence("The virtual machine's serial port could not be made: {said}", _RETRY),
    "virtualbox-saved-state-unusable": Sentence(
        "The saved state of a virtual machine cannot be used: {said}",
        "It is thrown away; the virtual machine boots and its job goes on from its last checkpoint.",
    ),
    "catalog-unreachable": Sentence(
        "The catalogue of appliances at {url} cannot be reached: {said}",
        "What is on this computer already is used. Trying again later.",
    ),
    "catalog-refused": Sentence(
        "The catalogue of appliances at {url} did not prove that it is genuine: {said}",
        "Nothing of it is used. It is asked again later; if this goes on, tell the project.",
        Severity.ERROR,
    ),
    "catalog-expired": Sentence(
        "The catalogue of appliances at {url} is out of date: its {part} was good until {expired_at}.",
        "If this computer's date is right, the catalogue's keeper must renew it. It is asked again later.",
    ),
    "clock-wrong": Sentence(
        "This computer's clock says {here}, but the catalogue of appliances knows that it is {there}.",
        "Set the clock; whether signatures are still good cannot be told without.",
        Severity.ERROR,
    ),
    "catalog-root-wrong": Sentence(
        "The catalogue of appliances at {url} is not the one that the project file names: {said}",
        "Nothing of it is used. Ask the project for its file again.",
        Severity.ERROR,
    ),
    "not-in-catalog": Sentence(
        "The catalogue of appliances has no {what}; it has: {known}.",
        "Ask the project for a corrected file, or wait until it publishes it.",
        Severity.ERROR,
    ),
    "client-too-old": Sentence(
        "The appliance {appliance} needs version {needed} of this program, and this is {found}.",
        "Install the newest version of this program.",
        Severity.ERROR,
    ),
    "needs-not-met": Sentence(
        "The appliance {appliance} cannot run on this computer as it is set up: {what}.",
        "Nothing of it was fetched. Change that, or attach another project.",
        Severity.ERROR,
    ),
    "store-too-small": Sentence(
        "The appliance {appliance} takes {needed_mb} MB, and all appliances together may take {limit_mb} MB.",
        "Nothing of it was fetched. Set appliances.cache_mib higher.",
        Severity.ERROR,
    ),
    "image-damaged": Sentence(
        "Your image {image} is damaged on this computer: {path} is not what was added.",
        "This computer's disk may be failing. What to do: remove the image and what was made from it, and add {origin} "
        "again.",
        Severity.ERROR,
    ),
    "image-needed": Sentence("{image} cannot be removed: it is needed by {who}.", "It stays as it is.", Severity.ERROR),
    "no-such-image": Sentence(
        "There is no image {image}; there are: {known}.", "main.py images list shows them.", Severity.ERROR
    ),
    "appliance-end-of-life": Sentence(
        "The system in the appliance {appliance} gets no more updates since {date}.",
        "It goes on working; ask its project for a newer one.",
        Severity.NOTICE,
    ),
    "own-note-damaged": Sentence(
        "What is known of your image {image} cannot be read: {what}.",
        "Nothing of the store is removed while that is so. Remove the file {path}, and add the image again.",
        Severity.ERROR,
    ),
    "image-refused": Sentence("{path} cannot be used as an image: {what}.", "What to do: {remedy}.", Severity.ERROR),
    "image-unproven": Sentence(
        "Nothing proves who made {path}: {what}.",
        "Nothing of it was kept. If you trust where you have it from, main.py image add --trust-unsigned takes it.",
        Severity.ERROR,
    ),
    "image-forged": Sentence(
        "{path} is not as its maker closed it: {file} {what}.",
        "Nothing of it was kept; get it again, from its maker.",
        Severity.ERROR,
    ),
    "image-exists": Sentence(
        "There is an image {name} already.", "Give another name with --name, or remove that one.", Severity.ERROR
    ),
    "import-busy": Sentence("Another image is being added to {folder}.", "Try again when it is done.", Severity.ERROR),
    "no-converter": Sentence(
        "A disk of the form {found} must be brought into the form {wanted}, and no program here can do that.",
        "Install qemu-img (Debian: qemu-utils) or VirtualBox; it is found by itself then.",
        Severity.ERROR,
    ),
    "conversion-failed": Sentence(
        "{tool} could not bring the disk {path} into another form: {said}",
        "The image stays as it is; nothing half-done was kept.",
        Severity.ERROR,
    ),
    "own-image-end-of-life": Sentence(
        "The system in {image} has had no updates since {date}: its makers have ended it.",
        "It goes on working; do not give it a network that you would not give to a stranger.",
        Severity.NOTICE,
    ),
    "damaged-file": Sentence("{path} was damaged and has been set aside.", "Starting with a new one."),
}


def code_of(error: BaseException) -> str:
    """The stable code of any error; a full disk has its own whoever met it."""
    if isinstance(error, ClientError):
        return error.code
    return "disk-full" if _is_full(error) else "internal"


def sentence(error: BaseException) -> Sentence:
    """Both sentences with the error's fields filled in; works for every error, known or not."""
    if isinstance(error, OSError) and _is_full(error):
        return SENTENCES["no-space"]
    if not isinstance(error, ClientError):
        known = SENTENCES["internal"]
        said = _whole(known.text.format(said=error or type(error).__name__))
        return Sentence(said, known.doing, known.severity)
    return fill(error.code, error.details())


def fill(code: str, fields: dict[str, Any]) -> Sentence:
    """The sentences of a code with `fields` filled in; a field that is missing shows as its name."""
    known = SENTENCES.get(code) or Sentence(f"{code.replace('-', ' ').capitalize()}: {{said}}", _RETRY)
    words = _Fields({"said": ", ".join(f"{k} {_shown(v)}" for k, v in fields.items())} | _readable(fields))
    return Sentence(_whole(known.text.format_map(words)), _doing(known.doing, words), known.severity)


def _doing(text: str, words: Mapping[str, Any]) -> str:
    # A remedy may be a question: it has its mark already.
    return text.format_map(words).replace("?.", "?")


def _whole(text: str) -> str:
    """The text with a full stop: what ends it is often another program's words."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


class _Fields(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return key.replace("_", " ")


def _readable(fields: dict[str, Any]) -> dict[str, Any]:
    shown = {name: _shown(value) for name, value in fields.items()}
    for name, value in fields.items():
        if name.endswith("_bytes") and isinstance(value, int):
            shown[name.removesuffix("_bytes") + "_mb"] = f"{value / 1e6:,.0f}"
    return shown


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        return " ".join(_shown(item) for item in value)
    if isinstance(value, ClientError):
        return sentence(value).text
    return str(value).strip()
