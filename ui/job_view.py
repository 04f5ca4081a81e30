"""The job as shown: steps on a line, progress, figures. Pure functions, no toolkit."""

from dataclasses import dataclass, replace
from enum import StrEnum

from client.snapshot import Activity, JobState, JobView
from ui.words import UNKNOWN, count_text, rate_text, time_left_text

#: The stations of a job, in the order in which it passes them.
STEP_LABELS = ("Getting input", "Executing", "Sending output", "Accepted")


class StepState(StrEnum):
    """How far one station of the line is."""

    WAITING = "waiting"
    ACTIVE = "active"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class StepRow:
    """One station. fraction: how full the line to the next one is, 0..1."""

    label: str
    state: StepState
    fraction: float = 0.0


@dataclass(frozen=True)
class Figure:
    """A number with its caption."""

    value: str
    caption: str


@dataclass(frozen=True)
class Progress:
    """A bar. fraction: 0..1, or None while the end is unknown."""

    label: str
    fraction: float | None
    detail: str = ""


@dataclass(frozen=True)
class JobCard:
    """All that the job's card shows."""

    title: str
    caption: str
    steps: tuple[StepRow, ...]
    progress: Progress | None
    figures: tuple[Figure, ...]
    failed: bool = False

    @property
    def spoken(self) -> str:
        """The line of steps for those who cannot see it."""
        return "; ".join(f"{step.label}: {step.state}" for step in self.steps)


#: state -> (active station, caption). The number of stations before it are done.
_PLACES: dict[JobState, tuple[int, str]] = {
    JobState.GETTING_INPUT: (0, "The agent fetches the job's input files."),
    JobState.EXECUTING: (1, "The job is being computed."),
    JobState.VALIDATING: (2, "The agent checks the result before it is sent."),
    JobState.WANTING_OUTPUT_PLACE: (2, "The agent asks where the output may go."),
    JobState.PUTTING_OUTPUT: (2, "The agent sends the output."),
}
#: Told by the agent or not known at all, it is the same to the reader: there is no job.
_JOBLESS = (JobState.IDLE, JobState.WANTING)
_NO_JOB: dict[Activity, str] = {
    Activity.STOPPED: "Nothing runs now. Work begins with Start.",
    Activity.PREPARING: "The job follows when the virtual machine is ready.",
    Activity.BOOTING: "The job follows when the virtual machine is up.",
    Activity.PAUSED: "The work is held.",
    Activity.BLOCKED: "No job can be done until this is solved.",
    Activity.STOPPING: "The virtual machine is being put away.",
}
#: What is said of a job that is neither ended nor being worked on.
_HELD: dict[Activity, str] = {
    Activity.PAUSED: "The job is held and goes on from here.",
    Activity.STOPPING: "The job is being saved.",
    Activity.STOPPED: "The job goes on from here when you press Start.",
    Activity.BLOCKED: "The job waits until this is solved.",
    Activity.PREPARING: "The job goes on when the virtual machine is ready.",
    Activity.BOOTING: "The job goes on when the virtual machine is up.",
}


def job_card(job: JobView | None, activity: Activity) -> JobCard:
    """The card for the agent's current or last job; an idle one when there is none."""
    if job is None or job.state in _JOBLESS:
        caption = _NO_JOB.get(activity, "The agent waits for a job from the project.")
        return JobCard("No job yet", caption, _steps(-1, 0.0), None, ())
    held = "" if job.state in (JobState.DONE, JobState.FAILED) else _HELD.get(activity, "")
    # While it is held the figures stay as dashes: a card that shrinks would move all that is below it.
    figures = job_figures(job)
    return JobCard(
        title=job.title or f"Job {job.job_id}",
        caption=held or job_caption(job),
        steps=job_steps(job),
        progress=job_progress(job),
        figures=tuple(replace(figure, value=UNKNOWN) for figure in figures) if held else figures,
        failed=job.state is JobState.FAILED or job.accepted is False,
    )


def job_fraction(job: JobView) -> float | None:
    """0..1 of the job's own units; None when it does not say."""
    if job.total_units <= 0:
        return None
    return min(max(job.done_units / job.total_units, 0.0), 1.0)


def job_caption(job: JobView) -> str:
    """What the agent does with it now, one sentence."""
    if job.state is JobState.FAILED:
        return job.cause or "The job ended without a result."
    if job.state is JobState.DONE:
        if job.accepted is None:
            return "The output is with the project, which checks it."
        return "The project accepted the result." if job.accepted else job.cause or "The project refused the result."
    return _PLACES[job.state][1] if job.state in _PLACES else ""


def _steps(active: int, fraction: float, *, active_state: StepState = StepState.ACTIVE) -> tuple[StepRow, ...]:
    def row(index: int, label: str) -> StepRow:
        if index < active:
            return StepRow(label, StepState.DONE, 1.0)
        return StepRow(label, active_state, fraction) if index == active else StepRow(label, StepState.WAITING)

    return tuple(row(index, label) for index, label in enumerate(STEP_LABELS))


def job_steps(job: JobView) -> tuple[StepRow, ...]:
    """The stations, with the line filled as far as the job is."""
    last = len(STEP_LABELS) - 1
    if job.state is JobState.DONE:
        if job.accepted is None:
            return _steps(last, 0.0)
        return _steps(last + 1, 0.0) if job.accepted else _steps(last, 0.0, active_state=StepState.FAILED)
    if job.state is JobState.FAILED:
        ran = job.done_units > 0 or job.started_at is not None
        return _steps(1 if ran else 0, job_fraction(job) or 0.0, active_state=StepState.FAILED)
    active = _PLACES[job.state][0] if job.state in _PLACES else -1
    fraction = (job_fraction(job) or 0.0) if job.state is JobState.EXECUTING else 0.0
    return _steps(active, fraction)


def job_progress(job: JobView) -> Progress | None:
    """The bar; None before the job runs."""
    if job.state in _JOBLESS:
        return None
    fraction = job_fraction(job)
    if job.state is JobState.GETTING_INPUT:
        return Progress("Progress of the job", None)
    label = f"{count_text(job.done_units)} of {count_text(job.total_units)} {job.unit or 'steps'}"
    if fraction is None:
        running = job.state is JobState.EXECUTING
        return Progress("Progress of the job", None) if running else None
    return Progress(label, fraction)


def job_figures(job: JobView) -> tuple[Figure, ...]:
    """Rate and time left, while they mean something."""
    if job.state is not JobState.EXECUTING:
        return ()
    rate = (
        Figure(rate_text(job.rate_per_s, job.unit), "rate") if job.rate_per_s is not None else Figure(UNKNOWN, "rate")
    )
    left = Figure(UNKNOWN, "time left")
    if job.seconds_left is not None:
        left = Figure(time_left_text(job.seconds_left).removesuffix(" left"), "time left")
    return (rate, left)
