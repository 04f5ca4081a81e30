"""What people read when something goes wrong at a volunteer's: error code -> sentences."""

from dataclasses import dataclass
from typing import Final

from client.consent import SEES
from client.snapshot import Severity


@dataclass(frozen=True)
class Sentence:
    """What happened, what is done about it; both may hold {fields} of the error."""

    text: str
    doing: str
    severity: Severity = Severity.WARNING


#: what is done about most of what can be done again
RETRY: Final = "Trying again in a moment; nothing is lost."
_AGAIN: Final = "Fetching it again."

CLIENT: Final[dict[str, Sentence]] = {
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
    "command-failed": Sentence("The program {command} failed: {stderr}", RETRY),
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
    "project-unreachable": Sentence("The project's server does not answer ({url}).", RETRY),
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
    "preference-locked": Sentence(
        "{keys} cannot be changed on this computer: the file {file} keeps it.",
        "Ask whoever looks after this computer.",
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
    "limit-not-kept": Sentence(
        "This computer offers no way to hold virtual machines to {percent} % of a processor; they take what they want.",
        "They come after all other programs all the same. To have them wait instead:"
        " main.py preferences set when.in_use no.",
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
    "download-failed": Sentence("The appliance could not be fetched: {said}", RETRY),
    "bad-template": Sentence(
        "The template {where} cannot be used: {what}.", "Correct these places, or ask its author to.", Severity.ERROR
    ),
    "bad-context-values": Sentence(
        "The template {template} cannot be filled in like this: {what}.", "Correct these fields.", Severity.ERROR
    ),
    "worker-failed": Sentence("The part of the program that does {kind} ended before its time: {said}", RETRY),
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
    "invalid-vm-state": Sentence("The virtual machine {vm_id} is {state} and cannot {verb} now.", RETRY),
    "medium-missing": Sentence("A disk of the virtual machine is missing: {path}.", _AGAIN),
    "start-failed": Sentence("The virtual machine could not be started: {stderr}", RETRY, Severity.ERROR),
    "save-failed": Sentence(
        "The state of the virtual machine could not be saved: {said}", "It goes on as it was; trying again."
    ),
    "vm-folder-unreadable": Sentence("The file {path} of a virtual machine cannot be read now: {said}.", RETRY),
    "kept-disk-broken": Sentence(
        "The virtual machine {vm_id} cannot be started: {said}. Nothing in {path} was deleted.",
        "Put the file that is gone back to its place, or remove the virtual machine.",
    ),
    "route-port-taken": Sentence(
        "Another program on this computer uses port {port}, which the virtual machine {vm_id} needs for {route}.",
        "Starting the virtual machine afresh with another port.",
    ),
    "link-unavailable": Sentence("The virtual machine cannot be spoken to: {said}", RETRY),
    "not-supported-by-driver": Sentence(
        "{driver} cannot {verb} a virtual machine.", "Another hypervisor may: see the preferences."
    ),
    "file-not-moved": Sentence("The file {path} was not copied: {said}", "Nothing half-done stays.", Severity.ERROR),
    "guest-lost": Sentence(
        "The virtual machine was started afresh or went off before it had done its part of {what}.",
        "Ask for it once more.",
        Severity.ERROR,
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
    "job-refused": Sentence(
        "The project did not accept the output of job {job_id}: {cause}", "It goes back to the project's queue."
    ),
    "monitor-gone": Sentence(
        "The virtual machine {vm_id} does not answer its hypervisor ({said}).", "It is ended and started again."
    ),
    "monitor-refused": Sentence(
        "The hypervisor could not do {command} with the virtual machine {vm_id}: {said}", "It stays as it is. " + RETRY
    ),
    "virtualbox-too-old": Sentence(
        "VirtualBox {found} is too old; {needed} is the oldest that works here.",
        "Install the newest version; it is found by itself then.",
        Severity.ERROR,
    ),
    "virtualbox-broken": Sentence(
        "VirtualBox is installed but cannot run: {said}", "Install it again, over the old one.", Severity.ERROR
    ),
    "virtualbox-silent": Sentence("VirtualBox did not answer to {command}: {said}", RETRY),
    "virtualbox-failed": Sentence("VirtualBox could not do {command}: {said}", RETRY),
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
    "vboxsvc-dead": Sentence("VirtualBox's service (VBoxSVC) does not answer: {said}", RETRY),
    "virtualbox-session-locked": Sentence(
        "The virtual machine {vm} is held by another session of VirtualBox.",
        "Close its window if you opened it. " + RETRY,
    ),
    "virtualbox-medium-in-use": Sentence("A disk is in use by another virtual machine: {path}.", RETRY),
    "virtualbox-medium-unreadable": Sentence("VirtualBox cannot read a disk: {said}", "Making it anew."),
    "virtualbox-vm-inaccessible": Sentence(
        "VirtualBox cannot read the settings of a virtual machine: {said}", "Making it anew."
    ),
    "virtualbox-object-not-found": Sentence("VirtualBox does not know {what}: {said}", "Making it anew."),
    "virtualbox-object-exists": Sentence("VirtualBox has {what} already.", "Using it, or making room for a new one."),
    "virtualbox-wrong-state": Sentence("A virtual machine was not in the state for that: {said}", RETRY),
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
        "The virtual machine ended while VirtualBox started it: {said}", RETRY, Severity.ERROR
    ),
    "virtualbox-state-not-saved": Sentence(
        "The state of the virtual machine could not be saved: {said}",
        "It goes on as it was; look whether the disk is full.",
    ),
    "virtualbox-pipe-refused": Sentence("The virtual machine's serial port could not be made: {said}", RETRY),
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
    "disk-budget-small": Sentence(
        "The appliance {appliance} takes {needed_mb} MB, and what you let this program have of the disk leaves"
        " {limit_mb} MB for appliances.",
        "Nothing of it was fetched. Make room on the disk, or change disk.most_mib, disk.most_percent or"
        " disk.least_free_mib.",
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
