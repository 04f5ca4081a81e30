"""The state in words: one activity and one short sentence, worked out of what is known. Pure."""

from typing import Final

from client.snapshot import Activity, JobState, JobView, Problem, Reason, Severity, TransferView, VmState, VmView

_STEPS: Final = {
    JobState.IDLE: "Waiting for a job from the project",
    JobState.WANTING: "Waiting for a job from the project",
    JobState.GETTING_INPUT: "Fetching the job's input",
    JobState.EXECUTING: "Computing",
    JobState.VALIDATING: "Checking the job's output",
    JobState.WANTING_OUTPUT_PLACE: "Asking where the output may go",
    JobState.PUTTING_OUTPUT: "Uploading the output",
    JobState.DONE: "Job done",
    JobState.FAILED: "The job failed; asking for another",
}
_TRANSFERS: Final = {
    "downloading": "Fetching the appliance",
    "verifying": "Verifying the appliance",
    "unpacking": "Unpacking the appliance",
}


def activity_of(
    vm: VmView | None, wanted_reason: Reason | None, working: bool, finishing: bool, blocked: bool
) -> Activity:
    """What the client as a whole is doing.

    Args:
        vm: the VM, None while there is none.
        wanted_reason: why it should not run; None when it should.
        working: Start was asked and no Stop since.
    """
    state = vm.state if vm is not None else VmState.ABSENT
    if not working or (wanted_reason is not None and wanted_reason.code == "leaving"):
        up = {VmState.STARTING, VmState.RUNNING, VmState.PAUSED, VmState.SAVING}
        return Activity.STOPPING if state in up else Activity.STOPPED
    is_blocked = blocked and state not in {VmState.RUNNING, VmState.PAUSED}
    if wanted_reason is not None and (wanted_reason.code == "paused-by-user" or not is_blocked):
        return Activity.PAUSED
    if is_blocked:
        # What needs somebody's help is not over when the rules let guests go on.
        return Activity.BLOCKED
    if state in {VmState.STARTING, VmState.RUNNING}:
        if vm is not None and vm.boot_fraction < 1.0:
            return Activity.BOOTING
        return Activity.FINISHING if finishing else Activity.WORKING
    return Activity.PREPARING


def headline_of(
    activity: Activity,
    vm: VmView | None,
    transfers: tuple[TransferView, ...],
    problems: tuple[Problem, ...],
    reason: Reason | None = None,
) -> str:
    """One sentence for the volunteer, without a full stop.

    Args:
        reason: why the VM should not run; None when it should.
    """
    match activity:
        case Activity.STOPPED:
            return "Stopped"
        case Activity.PAUSED:
            # "Paused" is what one has asked for oneself; rules only have it wait.
            return "Paused" if reason is None or reason.code == "paused-by-user" else "Waiting"
        case Activity.STOPPING:
            return "Saving the work" if vm is not None and vm.state is VmState.SAVING else "Stopping"
        case Activity.BOOTING:
            return "Starting the virtual machine"
        case Activity.PREPARING:
            return _preparing(transfers)
        case Activity.BLOCKED:
            errors = [problem.text for problem in problems if problem.severity is Severity.ERROR]
            return errors[-1].rstrip(".") if errors else "Cannot go on"
        case Activity.FINISHING:
            return _finishing(vm)
        case Activity.WORKING:
            return _of_job(vm)


def _preparing(transfers: tuple[TransferView, ...]) -> str:
    if not transfers:
        return "Preparing the virtual machine"
    if transfers[-1].held is not None:
        return "Waiting to fetch the appliance"
    return _TRANSFERS.get(transfers[-1].step, "Preparing")


def _of_job(vm: VmView | None) -> str:
    job = vm.job if vm is not None else None
    if job is None:
        # One that was found running has not said yet what it does.
        is_heard = vm is not None and vm.guest is not None
        return _STEPS[JobState.IDLE] if is_heard else "Waiting for a word of the virtual machine"
    return _computing(job) if job.state is JobState.EXECUTING else _STEPS[job.state]


def _finishing(vm: VmView | None) -> str:
    job = vm.job if vm is not None else None
    if job is not None and job.state is JobState.EXECUTING:
        return _with_units("Finishing the last job", job)
    step = _of_job(vm)
    return f"Finishing: {step[0].lower()}{step[1:]}"


def _computing(job: JobView) -> str:
    return _with_units(_STEPS[JobState.EXECUTING], job)


def _with_units(said: str, job: JobView) -> str:
    if not job.total_units:
        return said
    return f"{said}: {job.done_units:,} of {job.total_units:,} {job.unit}".rstrip()
