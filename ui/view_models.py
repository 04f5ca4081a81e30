"""From a snapshot to what is drawn: texts, rows, enabled flags. Pure functions, no toolkit, no clock of their own."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

from client.commands import Command, Finish, Pause, Resume, Start, Stop
from client.snapshot import Activity, Allowed, ClientSnapshot, JobView, LogLine, Problem, Severity
from ui.job_view import Figure, JobCard, Progress, job_card
from ui.machine_view import MachineCard, machine_card, main_vm, preparations, total_figures
from ui.words import clock_text

PROGRAM_NAME = "Volunteer Cloud"


class Mood(StrEnum):
    """What the icon says at a glance; each has its own shape, not only its own colour."""

    WORKING = "working"
    PREPARING = "preparing"
    PAUSED = "paused"
    STOPPED = "stopped"
    NEEDS_YOU = "needs you"


_MOODS = {
    Activity.STOPPED: Mood.STOPPED,
    Activity.PREPARING: Mood.PREPARING,
    Activity.BOOTING: Mood.PREPARING,
    Activity.WORKING: Mood.WORKING,
    Activity.PAUSED: Mood.PAUSED,
    Activity.FINISHING: Mood.WORKING,
    Activity.STOPPING: Mood.PREPARING,
    Activity.BLOCKED: Mood.NEEDS_YOU,
}
_HEADLINES = {
    Activity.STOPPED: "Stopped",
    Activity.PREPARING: "Getting ready",
    Activity.BOOTING: "Starting the virtual machine",
    Activity.WORKING: "Working",
    Activity.PAUSED: "Paused",
    Activity.FINISHING: "Finishing the last job",
    Activity.STOPPING: "Stopping",
    Activity.BLOCKED: "Needs your help",
}
#: in which it matters how much of the processor virtual machines get
_SLOWED = frozenset({Activity.BOOTING, Activity.WORKING, Activity.FINISHING})
NO_TRAY_TEXT = (
    "This desktop shows no tray icons. Closing the window minimizes it and the work goes on; Ctrl+Q saves the work and "
    "quits."
)
NO_PROJECT = "no-project"
CHOOSE_PROJECT = "Choose the pro&ject file …"
SAVING_TEXT = "Saving the work …"


@dataclass(frozen=True)
class Headline:
    """The state in words: one big line, why, and for whom."""

    mood: Mood
    title: str
    reason: str
    project: str


@dataclass(frozen=True)
class Action:
    """A button or menu entry. name is stable (tests and accessibility); label has a mnemonic."""

    name: str
    label: str
    enabled: bool
    command: Command
    tip: str
    primary: bool = False


@dataclass(frozen=True)
class ProblemRow:
    """One problem as shown; (code, about) is its key."""

    code: str
    about: str
    text: str
    doing: str
    severity: Severity
    since: str
    #: label of the button that helps; empty: there is none
    help: str = ""


@dataclass(frozen=True)
class HomeView:
    """All that the home page shows."""

    headline: Headline
    actions: tuple[Action, ...]
    problems: tuple[ProblemRow, ...]
    preparations: tuple[Progress, ...]
    job: JobCard
    machine: MachineCard
    totals: tuple[Figure, ...]
    log: tuple[LogLine, ...]


def home_view(snapshot: ClientSnapshot, zone: tzinfo | None = None) -> HomeView:
    """The whole page. zone: the reader's time zone, None for the computer's own."""
    vm = main_vm(snapshot)
    return HomeView(
        headline=headline(snapshot, zone),
        actions=actions(snapshot),
        problems=problem_rows(snapshot, zone),
        preparations=preparations(snapshot),
        job=job_card(vm.job if vm else None, snapshot.activity),
        machine=machine_card(vm),
        totals=total_figures(snapshot.totals),
        log=snapshot.log,
    )


def first_snapshot(now: datetime) -> ClientSnapshot:
    """What is shown before the core has said anything: nothing may be pressed."""
    return ClientSnapshot(0, now, Activity.PREPARING, "Starting …", allowed=Allowed(start=False))


def saving_snapshot(snapshot: ClientSnapshot) -> ClientSnapshot:
    """The snapshot as shown while the program ends: nothing may be pressed any more."""
    return replace(
        snapshot, activity=Activity.STOPPING, headline=SAVING_TEXT, reason=None, allowed=Allowed(start=False)
    )


def failed_snapshot(snapshot: ClientSnapshot, problem: Problem) -> ClientSnapshot:
    """The snapshot as shown after the core itself ended with an error."""
    others = tuple(known for known in snapshot.problems if known.code != problem.code)
    return replace(
        snapshot,
        activity=Activity.BLOCKED,
        headline="The program's core has stopped",
        reason=None,
        allowed=Allowed(start=False),
        problems=(*others, problem),
    )


def is_pressing(before: ClientSnapshot, after: ClientSnapshot) -> bool:
    """Whether the change must be seen at once; if only numbers and log lines moved, a picture a second is enough."""
    return _gist(before) != _gist(after)


def _gist(snapshot: ClientSnapshot) -> tuple[object, ...]:
    vms = tuple(
        (vm.vm_id, vm.state, vm.boot_step, vm.note, vm.reason, vm.job and _job_gist(vm.job)) for vm in snapshot.vms
    )
    transfers = tuple((transfer.name, transfer.step) for transfer in snapshot.transfers)
    return snapshot.activity, snapshot.allowed, snapshot.reason, snapshot.problems, snapshot.totals, vms, transfers


def _job_gist(job: JobView) -> tuple[object, ...]:
    return job.job_id, job.state, job.accepted


def headline(snapshot: ClientSnapshot, zone: tzinfo | None = None) -> Headline:
    """State, reason and project in words."""
    return Headline(
        mood=_MOODS[snapshot.activity],
        title=snapshot.headline or _HEADLINES[snapshot.activity],
        reason=reason_text(snapshot, zone),
        project=" \u2013 ".join(part for part in (snapshot.project_name, snapshot.project_text) if part),
    )


def reason_text(snapshot: ClientSnapshot, zone: tzinfo | None = None) -> str:
    """Why it is held, and until when, or why it is slow; empty when it is neither."""
    reason = snapshot.reason
    if reason is None:
        return snapshot.policy.pace if snapshot.policy is not None and snapshot.activity in _SLOWED else ""
    if reason.until is None or reason.until <= snapshot.taken_at:
        return reason.text
    until = clock_text(reason.until, snapshot.taken_at, zone)
    return reason.text if until in reason.text else f"{reason.text.rstrip('.')}, until {until}."


def actions(snapshot: ClientSnapshot) -> tuple[Action, ...]:
    """The four buttons, enabled by `snapshot.allowed` and nothing else."""
    allowed = snapshot.allowed
    finishing = snapshot.activity is Activity.FINISHING
    # Without a project Start can only say again what is missing.
    start_helps = not allowed.resume and not lacks_project(snapshot)
    hold = Action("pause", "&Pause", allowed.pause, Pause(), "Hold the work in memory (Ctrl+P)")
    if allowed.resume:
        hold = Action("pause", "&Resume", True, Resume(), "Go on with the work (Ctrl+P)", primary=True)
    finish = Action("finish", "&Finish after this job", allowed.finish, Finish(), "Let the job end, then stop")
    if finishing:
        finish = Action(
            "finish", "&Keep working", allowed.finish, Finish(undo=True), "Do not stop after this job", primary=True
        )
    return (
        Action("start", "&Start", allowed.start, Start(), "Start to work (Ctrl+Return)", primary=start_helps),
        hold,
        finish,
        Action("stop", "S&top", allowed.stop, Stop(), "Save the work and run nothing until Start"),
    )


def pause_choices(now: datetime) -> tuple[tuple[str, Pause], ...]:
    """Labels and commands of the timed pauses; `now` is aware."""
    return (
        ("Pause for 15 &minutes", Pause(now.astimezone(UTC) + timedelta(minutes=15))),
        ("Pause for 1 &hour", Pause(now.astimezone(UTC) + timedelta(hours=1))),
        ("Pause &until I say", Pause()),
    )


def problem_rows(snapshot: ClientSnapshot, zone: tzinfo | None = None) -> tuple[ProblemRow, ...]:
    """Problems, the gravest first and among equals the newest first."""
    rank = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTICE: 2}
    newest_first = reversed(snapshot.problems)
    ordered = sorted(newest_first, key=lambda problem: rank[problem.severity])
    return tuple(_problem_row(problem, snapshot.taken_at, zone) for problem in ordered)


def _problem_row(problem: Problem, now: datetime, zone: tzinfo | None) -> ProblemRow:
    since = f"since {clock_text(problem.since, now, zone)}"
    help = CHOOSE_PROJECT if problem.code == NO_PROJECT else ""
    return ProblemRow(problem.code, problem.about, problem.text, problem.doing, problem.severity, since, help)


def lacks_project(snapshot: ClientSnapshot) -> bool:
    """Whether a project can be attached to now."""
    return any(problem.code == NO_PROJECT for problem in snapshot.problems)


def tooltip(snapshot: ClientSnapshot, zone: tzinfo | None = None) -> str:
    """The tray's: program, state, reason."""
    said = headline(snapshot, zone)
    return "\n".join(part for part in (PROGRAM_NAME, said.title, said.reason) if part)


def log_text(line: LogLine, zone: tzinfo | None = None) -> str:
    """One line of the log, also as it is copied."""
    return f"{line.at.astimezone(zone):%H:%M:%S}  {line.source}  {line.text}"


def count_known(shown: tuple[LogLine, ...], current: tuple[LogLine, ...]) -> int:
    """How many lines at the start of `current` are already shown.

    It is the longest end of `shown` with which `current` starts: a log grows at its end and loses lines at its start.
    """
    for length in range(min(len(shown), len(current)), 0, -1):
        if shown[-length:] == current[:length]:
            return length
    return 0
