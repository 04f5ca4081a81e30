"""Snapshots to look at: at least one for each activity, with figures as they really come."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from client.snapshot import (
    Activity,
    Allowed,
    ClientSnapshot,
    GuestFilesView,
    GuestView,
    JobState,
    JobView,
    LogLine,
    Problem,
    Reason,
    Severity,
    StoreView,
    Totals,
    TransferView,
    VmState,
    VmView,
)
from ui.trace import Trace

NOW = datetime(2026, 11, 20, 14, 30, 0, tzinfo=UTC)
BUSY = Allowed(start=False, pause=True, finish=True, stop=True)
NOTE = "Hardware speed is not available here (KVM made no progress); the virtual machine is emulated, which is slower."
GUEST = GuestView(NOW, 754.0, 1.02, 143, 486, 1800, "0.1.0", xmpp_connected=True)
JOB = JobView("3f2a", JobState.EXECUTING, "Proton collisions at 13 TeV, hard QCD", 120, 500, "events", 1.24, 306.0, NOW)
VM = VmView(
    "work-1",
    "Worker 1",
    VmState.RUNNING,
    "qemu",
    "tcg",
    NOTE,
    boot_fraction=1.0,
    guest=GUEST,
    job=JOB,
    cpu_percent=98.0,
    memory_mib=412.0,
    sent_bytes=412_000,
    received_bytes=1_280_000,
)
BASE = ClientSnapshot(
    7,
    NOW,
    project_name="Test4Theory",
    project_text="Collisions for the LHC, simulated with Pythia 8",
    totals=Totals(12, 0, 6000, 5400.0),
    client_version="0.1.0",
)


def log_lines(count: int = 12) -> tuple[LogLine, ...]:
    said = (
        ("INFO", "client", "The appliance is there and its checksum is right."),
        ("INFO", "client", "Virtual machine work-1 starts under QEMU (tcg, 1 processor, 512 MiB)."),
        ("DEBUG", "guest", "boot: mounting the software disk"),
        ("INFO", "agent", "Connected to the project as agent-7c1f@localhost."),
        ("INFO", "agent", "Got job 3f2a: 500 events, seed 20261120."),
        ("WARNING", "agent", "The file server did not answer in 10 s; trying again in 20 s (2 of 6)."),
        ("INFO", "job", "Pythia 8.317 initialised in 11.2 s."),
        ("ERROR", "client", "The connection to the job manager was lost: the server closed it."),
    )
    return tuple(
        LogLine(NOW - timedelta(seconds=7 * (count - index)), *said[index % len(said)]) for index in range(count)
    )


LOG = log_lines()
TRANSFER = TransferView("the appliance", "downloading", 12_000_000, 30_100_000, 3_100_000, 6.0)
LOST = Problem(
    "project-unreachable",
    "project",
    "The project's job manager does not answer.",
    "The job goes on; its output is kept and sent as soon as the project is back. Next try in 40 s.",
    Severity.WARNING,
    NOW - timedelta(minutes=3),
)
NO_QEMU = Problem(
    "tool-missing",
    "hypervisor",
    "QEMU is not installed, and no other hypervisor was found.",
    "Install the package qemu-system-x86 and press Start again.",
    Severity.ERROR,
    NOW - timedelta(minutes=1),
)
SLOW = Problem(
    "accelerator-failed",
    "vm work-1",
    "The virtual machine made no progress at hardware speed.",
    "It was started again in software; hardware speed is tried again next week.",
    Severity.NOTICE,
    NOW - timedelta(hours=30),
)


def with_vm(snapshot: ClientSnapshot, **changes: object) -> ClientSnapshot:
    return replace(snapshot, vms=(replace(VM, **changes),))


STOPPED = replace(BASE, headline="Ready to work", totals=Totals())
PREPARING = replace(
    BASE,
    activity=Activity.PREPARING,
    headline="Getting ready: 40 % of the appliance",
    allowed=Allowed(start=False, stop=True),
    transfers=(TRANSFER,),
    log=LOG[:1],
)
BOOTING = with_vm(
    replace(
        BASE,
        activity=Activity.BOOTING,
        headline="Starting the virtual machine",
        allowed=replace(BUSY, finish=False),
        log=LOG[:3],
    ),
    state=VmState.STARTING,
    boot_step="mounting the software disk",
    boot_fraction=0.62,
    guest=None,
    job=None,
    note="",
    memory_mib=188.0,
    received_bytes=0,
    sent_bytes=0,
)
WORKING = with_vm(
    replace(BASE, activity=Activity.WORKING, headline="Working: 120 of 500 events", allowed=BUSY, log=LOG)
)
FETCHING = with_vm(
    replace(BASE, activity=Activity.WORKING, headline="Working: fetching the job's input", allowed=BUSY, log=LOG),
    job=JobView("3f2b", JobState.GETTING_INPUT, "Proton collisions at 13 TeV, hard QCD"),
)
SENDING = with_vm(
    replace(
        BASE, activity=Activity.WORKING, headline="Working: sending the output", allowed=BUSY, log=LOG, problems=(LOST,)
    ),
    job=replace(JOB, state=JobState.PUTTING_OUTPUT, done_units=500, seconds_left=None),
)
ACCEPTED = with_vm(
    replace(BASE, activity=Activity.WORKING, headline="Working: asking for the next job", allowed=BUSY, log=LOG),
    job=replace(JOB, state=JobState.DONE, done_units=500, accepted=True),
)
JOB_FAILED = with_vm(
    replace(
        BASE,
        activity=Activity.WORKING,
        headline="Working: asking for the next job",
        allowed=BUSY,
        log=LOG,
        totals=Totals(1, 1, 500, 460),
    ),
    job=replace(JOB, state=JobState.FAILED, cause="The job's program ended with exit code 3."),
)
PAUSED = with_vm(
    replace(
        BASE,
        activity=Activity.PAUSED,
        headline="Paused at 120 of 500 events",
        reason=Reason("paused-by-user", "Paused by you.", NOW + timedelta(hours=1)),
        allowed=Allowed(start=False, resume=True, stop=True),
        log=LOG,
    ),
    state=VmState.PAUSED,
    cpu_percent=0.0,
)
FINISHING = with_vm(
    replace(
        BASE,
        activity=Activity.FINISHING,
        headline="Working on the last job: 120 of 500 events",
        allowed=BUSY,
        log=LOG,
        reason=Reason("finishing", "After this job nothing runs until you press Start."),
    ),
)
STOPPING = with_vm(
    replace(BASE, activity=Activity.STOPPING, headline="Saving the work", allowed=Allowed(start=False), log=LOG),
    state=VmState.SAVING,
)
BLOCKED = replace(
    BASE,
    activity=Activity.BLOCKED,
    headline="Cannot work on this computer yet",
    problems=(LOST, SLOW, NO_QEMU),
    log=LOG,
)
STORED = replace(
    WORKING,
    store=(
        StoreView(
            image_id="a" * 64,
            name="Test4Theory thin",
            version="1.4.2",
            size_bytes=79_300_000,
            own_bytes=0,
            is_whole=True,
            needed_by=("the project Test4Theory", "the virtual machine work-1"),
            used_at=NOW - timedelta(hours=2),
            checked_at=NOW - timedelta(days=1),
        ),
        StoreView(
            "b" * 64, "Test4Theory thin", "1.4.1", 78_900_000, 31_200_000, True, (), NOW - timedelta(days=17), NOW
        ),
        StoreView("c" * 64, "CernVM", "4.7", 12_000_000, 12_000_000, False),
    ),
    store_bytes=1_240_000_000,
    store_limit_bytes=10 << 30,
    guest_files=GuestFilesView(412_000_000, 4 << 30),
)

ALL: dict[str, ClientSnapshot] = {
    "stopped": STOPPED,
    "preparing": PREPARING,
    "booting": BOOTING,
    "fetching": FETCHING,
    "working": WORKING,
    "sending": SENDING,
    "accepted": ACCEPTED,
    "job-failed": JOB_FAILED,
    "paused": PAUSED,
    "finishing": FINISHING,
    "stopping": STOPPING,
    "blocked": BLOCKED,
}


def lengthened(text: str) -> str:
    """The text made 40 % longer, as a translation may be."""
    words = text.split()
    return " ".join(word + word[: math.ceil(len(word) * 0.4)] if len(word) > 1 else word for word in words)


def filled_trace(snapshot: ClientSnapshot) -> Trace:
    """Two minutes of a machine at work."""
    trace = Trace()
    for second in range(120):
        wave = 70 + 22 * math.sin(second / 9) + 7 * math.sin(second * 1.7)
        vms = tuple(replace(vm, cpu_percent=min(wave, 100.0), memory_mib=300 + second) for vm in snapshot.vms)
        trace.add(replace(snapshot, taken_at=NOW - timedelta(seconds=120 - second), vms=vms))
    return trace
