"""Every file name of the base folder, once.

<base>/
  lock, control.json, intent.json, journal.jsonl, history.sqlite, preferences.toml, client.jsonl,
      window.ini (the window's place), guard.json (which process looks after the virtual machines' processes)
  preferences.lock, preferences.toml.bak   held while preferences are written; what they were in an earlier version
  project.toml                    the project attached to
  appliances/objects/<2>/<sha256>/<name>   verified files, one copy for all VMs
  appliances/parts/               what is being fetched, or was found damaged
  appliances/known/               which appliances are known, and which is chosen
  appliances/trust/<id>/          what was seen of each catalogue
  appliances/own-images/<name>.toml   images of the user's own: their files are among objects/, too
  appliances/store.json           when each file was used and checked
  vms/<vm_id>/                    owned by the hypervisor driver
  vms/traffic.meter               what all processes that carry traffic obey and count in; see `client.meter`
  traffic.json                    what went over the network in this month
  errands/<vm_id>/                what is to be done in a guest and has been done for nobody who waited; messages
  keys/<project>.json             by which key a project knows this computer: where it is, or itself; mode 0600
  own/<vm_id>/                    what the volunteer's own virtual machines are
  cvmfs/                          what guests read over the network, owned by the proxy for it
  context-blank.iso               what the contextualization media of all boots have in common, made anew by each run
  context/<vm_id>.iso             contextualization media, mode 0600; beside those of templates their keys
"""

from typing import Final

LOCK: Final = "lock"
CONTROL: Final = "control.json"
INTENT: Final = "intent.json"
JOURNAL: Final = "journal.jsonl"
HISTORY: Final = "history.sqlite"
PREFERENCES: Final = "preferences.toml"
PREFERENCES_LOCK: Final = "preferences.lock"
LOG: Final = "client.jsonl"
GUARD: Final = "guard.json"
WINDOW: Final = "window.ini"
PROJECT: Final = "project.toml"
APPLIANCES: Final = "appliances"
VMS: Final = "vms"
CONTEXTS: Final = "context"
BLANK_CONTEXT: Final = "context-blank.iso"
CVMFS: Final = "cvmfs"
SPENDING: Final = "traffic.json"
ERRANDS: Final = "errands"
OWN: Final = "own"
KEYS: Final = "keys"
MANIFEST: Final = "manifest.json"
OBJECTS: Final = "objects"
PARTS: Final = "parts"
KNOWN: Final = "known"
TRUST: Final = "trust"
STORE: Final = "store.json"
OWN_IMAGES: Final = "own-images"
#: a file that is not whole or not verified yet
PART_SUFFIX: Final = ".part"
#: beside a medium made from a template: what its instance id and salts are made from
CONTEXT_KEY_SUFFIX: Final = ".key"

# Inside own/<vm_id>/
OWN_VM: Final = "vm.toml"
OWN_DISK: Final = "disk.qcow2"

# Inside errands/<vm_id>/
INBOX_MEDIUM: Final = "inbox.img"
MAIL_OUT: Final = "mail-out.json"
MAIL_IN: Final = "mail-in.jsonl"

# Inside vms/ and vms/<vm_id>/
ACCELERATORS: Final = "accelerators.json"
VM_SPEC: Final = "spec.json"
VM_RECORD: Final = "record.json"
VM_SCRATCH: Final = "scratch.qcow2"
VM_SAVED_STATE: Final = "saved.state"
VM_SAVED_FACTS: Final = "saved.json"
VM_PID: Final = "qemu.pid"
VM_CONTROL_SOCKET: Final = "qmp.sock"
VM_LINK_SOCKET: Final = "link.sock"
VM_CONSOLE: Final = "console.log"
VM_ROUTES: Final = "routes.tsv"
VM_TRAFFIC: Final = "traffic"
VM_SNAPSHOTS: Final = "snapshots"
VM_INBOX: Final = "inbox.raw"
VM_OUTBOX: Final = "outbox.raw"
