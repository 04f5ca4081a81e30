"""The one truth that every face reads: `ClientSnapshot`, frozen and replaced whole.

The core publishes it; window, tray, command line and control socket only draw it.
"""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class VmState(StrEnum):
    """States of a virtual machine; unknown words of a hypervisor map to UNKNOWN and a log line."""

    #: nothing of it exists
    ABSENT = "absent"
    #: its folder and disks exist, it does not run and has no saved state
    DEFINED = "defined"
    #: its process is there, its guest has not executed anything provable yet
    STARTING = "starting"
    #: the guest executes
    RUNNING = "running"
    #: the guest is held in memory
    PAUSED = "paused"
    #: its state is being written to disk
    SAVING = "saving"
    #: its state is on disk; nothing runs
    SAVED = "saved"
    #: it ended in a way it should not have; `cause` says how
    FAILED = "failed"
    #: the hypervisor used a word that this program does not know
    UNKNOWN = "unknown"


class VmKind(StrEnum):
    """Whose a virtual machine is."""

    #: it works for the project
    PROJECT = "project"
    #: the volunteer's own
    OWN = "own"


class JobState(StrEnum):
    """States of the agent's job, in the order in which a job passes them (the Co-Pilot protocol's)."""

    #: the agent has no job and asks for none
    IDLE = "idle"
    #: asked the job manager for a job
    WANTING = "wanting"
    #: fetches the job's input files
    GETTING_INPUT = "getting input"
    #: the job runs
    EXECUTING = "executing"
    #: the project's validation script runs
    VALIDATING = "validating"
    #: asked where the output may go
    WANTING_OUTPUT_PLACE = "wanting output place"
    #: uploads the output
    PUTTING_OUTPUT = "putting output"
    #: the output is with the storage manager
    DONE = "done"
    #: the job ended without usable output; `cause` says why
    FAILED = "failed"


class Activity(StrEnum):
    """What the client as a whole is doing; the tray icon and the headline show it."""

    #: nothing runs and nothing should
    STOPPED = "stopped"
    #: fetches or checks the appliance, makes the VM's disks
    PREPARING = "preparing"
    #: a guest boots
    BOOTING = "booting"
    #: a guest runs and its agent is at work or asks for work
    WORKING = "working"
    #: held; `reason` says why and until when
    PAUSED = "paused"
    #: works on the last job, then stops
    FINISHING = "finishing"
    #: saves or shuts down the guest
    STOPPING = "stopping"
    #: cannot go on without help; `problems` says why
    BLOCKED = "blocked"


class Severity(StrEnum):
    """How much a problem matters to the volunteer."""

    #: being handled; shown, no help wanted
    NOTICE = "notice"
    #: slows or delays the work; handled
    WARNING = "warning"
    #: work cannot go on until something changes
    ERROR = "error"


@dataclass(frozen=True)
class Reason:
    """Why something waits or is held.

    Attributes:
        code: stable, kebab-case (`paused-by-user`, `finishing`, ...).
        text: the sentence for people.
        until: when it ends by itself, aware UTC; None when only an event ends it.
    """

    code: str
    text: str
    until: datetime | None = None


@dataclass(frozen=True)
class Problem:
    """Something that went wrong, what is being done about it, and since when.

    Attributes:
        code: the error's code; at most one problem per (code, about) stands at a time.
        about: what it concerns (`appliance`, `vm work-1`, `job 3f...`).
        text: what happened, one sentence.
        doing: what is being done or what the volunteer can do, one sentence.
        since: aware UTC.
    """

    code: str
    about: str
    text: str
    doing: str
    severity: Severity
    since: datetime


@dataclass(frozen=True)
class LogLine:
    """One line of the log as shown: source is `client`, `agent`, `job` or `guest`; level as in `logging`."""

    at: datetime
    level: str
    source: str
    text: str


@dataclass(frozen=True)
class TransferView:
    """A download or a check under way. Sizes in bytes, rate in bytes per second.

    Attributes:
        total_bytes: 0 when unknown.
        seconds_left: None when unknown.
        step: `downloading`, `verifying` or `unpacking`.
        held: why it rests; None when it does not.
    """

    name: str
    step: str
    done_bytes: int
    total_bytes: int
    rate_bytes_per_s: float
    seconds_left: float | None
    held: Reason | None = None


@dataclass(frozen=True)
class StoreView:
    """One appliance in the store. Times aware UTC, None for never.

    Attributes:
        image_id: what commands call it.
        size_bytes: what is here of it.
        own_bytes: what removing it would free; files that others have too stay.
        is_whole: whether all that a VM needs of it is here.
        needed_by: who needs it now, in words ("the virtual machine work-1"); it cannot be removed then.
        used_at: when a VM was last started with it.
        checked_at: when all its bytes were last found right.
    """

    image_id: str
    name: str
    version: str
    size_bytes: int
    own_bytes: int
    is_whole: bool
    needed_by: tuple[str, ...] = ()
    used_at: datetime | None = None
    checked_at: datetime | None = None


@dataclass(frozen=True)
class GuestFilesView:
    """What the proxy for guests' files (CVMFS) keeps on this computer, and did since it was started last.

    Attributes:
        kept_bytes, limit_bytes: what its cache holds, and may hold.
        given_bytes: what virtual machines had of it.
        fetched_bytes: what of that, and of what nobody waited for any more, came over the network.
        hits, misses: how often the cache had what was wanted, and had not.
    """

    kept_bytes: int
    limit_bytes: int
    given_bytes: int = 0
    fetched_bytes: int = 0
    hits: int = 0
    misses: int = 0


@dataclass(frozen=True)
class JobView:
    """The agent's current or last job.

    Attributes:
        done_units, total_units: progress in the job's own units (`unit`, plural, e.g. "events"); total 0 when unknown.
        rate_per_s: units per second, None when unknown.
        seconds_left: None when unknown.
        accepted: the project's verdict on the output; None until it came.
        cause: why it failed; empty otherwise.
        output_tail: the last lines that it printed, oldest first; printable.
    """

    job_id: str
    state: JobState
    title: str = ""
    done_units: int = 0
    total_units: int = 0
    unit: str = ""
    rate_per_s: float | None = None
    seconds_left: float | None = None
    started_at: datetime | None = None
    accepted: bool | None = None
    cause: str = ""
    output_tail: tuple[str, ...] = ()


@dataclass(frozen=True)
class GuestView:
    """What the guest last said of itself. Memory in MiB, disk in MiB, uptime in seconds of guest time."""

    heard_at: datetime
    uptime_s: float = 0.0
    load_1min: float = 0.0
    memory_used_mib: int = 0
    memory_total_mib: int = 0
    scratch_free_mib: int = 0
    agent_version: str = ""
    xmpp_connected: bool = False


@dataclass(frozen=True)
class VmView:
    """One virtual machine as shown.

    Attributes:
        accelerator: `kvm`, `hvf`, `whpx`, `tcg`, `hardware`, `interpreter`, ...; empty until known.
        note: what the hypervisor driver wants known ("KVM makes no progress here; using TCG ...").
        boot_step: the last step that the booting guest reported, in words; empty once the agent is online.
        boot_fraction: 0..1 of the usual boot; 1.0 once the agent is online.
        cpu_percent: of one core, over the last seconds; None until measured.
        memory_mib: resident memory of the VM's processes on the host; None until measured.
        wish: what is asked of an own one: `run`, `hold`, `rest`, `off`, `making`, `removed`, `unreadable`; empty for a
            project's.
        about: what an own one is, in one line.
        reason: why an own one does not do what is asked of it; None when it does.
        console: the end of what an own one printed.
    """

    vm_id: str
    name: str
    state: VmState
    hypervisor: str
    accelerator: str = ""
    note: str = ""
    cause: str = ""
    boot_step: str = ""
    boot_fraction: float = 0.0
    guest: GuestView | None = None
    job: JobView | None = None
    cpu_percent: float | None = None
    memory_mib: float | None = None
    sent_bytes: int = 0
    received_bytes: int = 0
    kind: VmKind = VmKind.PROJECT
    wish: str = ""
    about: str = ""
    reason: Reason | None = None
    console: str = ""


@dataclass(frozen=True)
class RuleView:
    """What one rule says now.

    Attributes:
        rule: its stable name, kebab-case.
        preference: key of the preference behind it; empty for none.
        forbids: it keeps guests from running.
        text: what is and what would change it, one sentence; empty when there is nothing to say.
        until: when it may change by itself, aware UTC; None when only an event ends it.
    """

    rule: str
    preference: str
    forbids: bool
    text: str = ""
    until: datetime | None = None


@dataclass(frozen=True)
class PolicyView:
    """What the rules allow the guests now, and what they use of it.

    Attributes:
        rung: `run`, `hold`, `save` or `off`.
        cpu_percent: most that all guests get, of one processor.
        used_percent: what they use, of one processor; None until measured.
        cpus: most processors that they use side by side.
        memory_mib: most memory of all guests.
        means: how the limit is kept (`cgroup`, `duty cycle`, ...); empty when there is none to keep.
        transfers: whether anything may go over the network.
        reason, transfers_reason: why not; None when it may.
        changes_at: earliest time at which this may change by the clock alone, aware UTC; None: only by an event.
        rules: those for guests, those that forbid first.
        transfer_rules: likewise those for the network.
        pace: why guests that run are slower than they could be, one sentence; empty when they are not.
    """

    rung: str
    cpu_percent: int
    used_percent: float | None
    cpus: int
    memory_mib: int
    means: str = ""
    transfers: bool = True
    reason: Reason | None = None
    transfers_reason: Reason | None = None
    changes_at: datetime | None = None
    rules: tuple[RuleView, ...] = ()
    pace: str = ""
    transfer_rules: tuple[RuleView, ...] = ()


@dataclass(frozen=True)
class Totals:
    """What this client has done since it was installed: jobs by end, units (events), CPU seconds of finished jobs."""

    jobs_accepted: int = 0
    jobs_failed: int = 0
    units_done: int = 0
    cpu_s: float = 0.0


@dataclass(frozen=True)
class Allowed:
    """Which commands make sense now; faces enable their buttons by it and nothing else."""

    start: bool = True
    pause: bool = False
    resume: bool = False
    finish: bool = False
    stop: bool = False


@dataclass(frozen=True)
class ClientSnapshot:
    """The whole state of the client at one moment.

    Attributes:
        seq: grows by one with each snapshot of a run of the program.
        vms: the project's first, then the volunteer's own.
        headline: the state in words, one short sentence ("Working: 120 of 500 events").
        reason: why it is held or waits; None when it is not.
        problems: newest last.
        log: newest last, at most 200.
        transfers: downloads and checks under way.
        store: appliances on this computer, by name.
        store_bytes, store_limit_bytes: what they take together, and may take; 0: not known yet.
        fetching_held: why nothing is fetched now; None when it may be.
        guest_files: of the proxy for guests' files; None when the project asks for none, or it has not run yet.
        policy: what the rules allow; None until they were looked at.
    """

    seq: int
    taken_at: datetime
    activity: Activity = Activity.STOPPED
    headline: str = ""
    reason: Reason | None = None
    project_name: str = ""
    project_text: str = ""
    allowed: Allowed = field(default_factory=Allowed)
    vms: tuple[VmView, ...] = ()
    transfers: tuple[TransferView, ...] = ()
    problems: tuple[Problem, ...] = ()
    log: tuple[LogLine, ...] = ()
    totals: Totals = field(default_factory=Totals)
    client_version: str = ""
    store: tuple[StoreView, ...] = ()
    store_bytes: int = 0
    store_limit_bytes: int = 0
    fetching_held: Reason | None = None
    guest_files: GuestFilesView | None = None
    policy: PolicyView | None = None

    @property
    def project_vm(self) -> VmView | None:
        """The VM that works for the project; None while there is none."""
        return next((vm for vm in self.vms if vm.kind is VmKind.PROJECT), None)

    @property
    def own_vms(self) -> tuple[VmView, ...]:
        """The volunteer's own ones."""
        return tuple(vm for vm in self.vms if vm.kind is VmKind.OWN)

    def to_json(self) -> dict[str, Any]:
        """The snapshot as plain JSON data: times as ISO 8601 text, enums as their words."""
        plain: dict[str, Any] = asdict(self, dict_factory=_json_dict)
        return plain


def _json_dict(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in items}
