"""What is kept on this computer as it is drawn: how much, of what, who needs it. Pure functions, no toolkit."""

from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from client.appliance.own_check import CHECKING_OWN
from client.appliance.transfers import BY_USER
from client.appliance.upkeep import CHECKING, LOOKING
from client.appliances import REMOVING
from client.commands import HoldFetching, RemoveImage
from client.snapshot import ClientSnapshot, Problem, StoreView, VmKind, VmState, VmView
from ui.job_view import Progress
from ui.machine_view import transfer_progress
from ui.view_models import ProblemRow, lacks_project, problem_rows
from ui.words import bytes_text

TITLE = "Disk space"
INTRODUCTION = (
    "Virtual machines start from appliances: small systems that are fetched once, checked, and kept for all of them."
)
EMPTY = (
    "No appliance is kept here yet. The first one is fetched when you press Start for a project; then it is shown here."
)
OWN_IMAGES = (
    "Images of your own take a part of this space, too, but are not shown here: on a terminal, main.py images list "
    "shows them."
)
NOT_KNOWN = "Looking at what is kept here …"
CHECK_ASKED = "All files are being read again. What is damaged is fetched again."
LOOK_ASKED = "Newer versions are being looked for. What is found is fetched and shown here."
NO_PROJECT_YET = "Newer versions are looked for when there is a project."
#: what problems that belong here are about
_ABOUT = frozenset({"appliance", LOOKING, CHECKING, CHECKING_OWN, REMOVING})
_OF_VM = "the virtual machine "


@dataclass(frozen=True)
class StoreRow:
    """One appliance. remove: what the button asks for; None: it is off, and `removal` says why."""

    image_id: str
    name: str
    size: str
    needed: str
    times: str
    removal: str
    remove: RemoveImage | None


@dataclass(frozen=True)
class StorePage:
    """The page: how much is used, what is under way, what can be asked for, and each appliance.

    Attributes:
        space: how full it is; one bar for appliances, one for guests' files if there are any.
        held: why nothing is fetched now; empty when it may be.
        hold: what the button that pauses fetching, or lets it go on, asks for.
        no_look: why newer versions cannot be looked for; empty when they can be.
        empty: what is said when there is none.
    """

    space: tuple[Progress, ...]
    under_way: tuple[Progress, ...]
    held: str
    hold: HoldFetching
    no_look: str
    rows: tuple[StoreRow, ...]
    empty: str
    problems: tuple[ProblemRow, ...]


def store_page(snapshot: ClientSnapshot, zone: tzinfo | None = None) -> StorePage:
    """The whole page."""
    held = snapshot.fetching_held
    known = snapshot.store_limit_bytes > 0
    theirs = tuple(one for one in snapshot.problems if one.about in _ABOUT)
    return StorePage(
        space=_space(snapshot),
        under_way=tuple(transfer_progress(transfer) for transfer in snapshot.transfers),
        held=held.text if held is not None else "",
        hold=HoldFetching(undo=held is not None and held.code == BY_USER),
        no_look=NO_PROJECT_YET if lacks_project(snapshot) else "",
        rows=tuple(_row(snapshot, one, zone) for one in snapshot.store),
        empty=EMPTY if known and not snapshot.store else "",
        problems=problem_rows(replace(snapshot, problems=theirs), zone),
    )


def removal_problem(snapshot: ClientSnapshot) -> Problem | None:
    """Why the last removal was refused; None if it was not."""
    return next((one for one in snapshot.problems if one.about == REMOVING), None)


def _space(snapshot: ClientSnapshot) -> tuple[Progress, ...]:
    if snapshot.store_limit_bytes <= 0:
        return (Progress(NOT_KNOWN, None, ""),)
    detail = "When room is wanted, what was used longest ago gives way, but never what is needed."
    label = "Appliances and images of your own"
    bars = [_bar(label, snapshot.store_bytes, snapshot.store_limit_bytes, detail)]
    files = snapshot.guest_files
    if files is not None and files.limit_bytes > 0:
        label = "Software that virtual machines read over the network"
        bars.append(_bar(label, files.kept_bytes, files.limit_bytes, "Kept, so that it is fetched once only."))
    return tuple(bars)


def _bar(label: str, used_bytes: int, limit_bytes: int, detail: str) -> Progress:
    said = f"{label}: {bytes_text(used_bytes)} of at most {bytes_text(limit_bytes)}"
    return Progress(said, min(max(used_bytes / limit_bytes, 0.0), 1.0), detail)


def _row(snapshot: ClientSnapshot, view: StoreView, zone: tzinfo | None) -> StoreRow:
    vms = {vm.vm_id: vm for vm in snapshot.vms}
    whole = "all of it is here" if view.is_whole else "not all of it is here yet"
    needed = _listed([_who(each, vms) for each in view.needed_by])
    used, checked = (_when(at, snapshot.taken_at, zone) for at in (view.used_at, view.checked_at))
    return StoreRow(
        image_id=view.image_id,
        name=f"{view.name} {view.version}".strip(),
        size=f"{bytes_text(view.size_bytes)}, {whole}",
        needed=f"Needed by {needed}." if needed else "Nobody needs it now.",
        times=f"Last used: {used} · Last checked: {checked}",
        removal=_removal(view),
        remove=None if view.needed_by else RemoveImage(view.image_id),
    )


def _removal(view: StoreView) -> str:
    if view.needed_by:
        return "It cannot be removed while it is needed."
    rest = "" if view.own_bytes >= view.size_bytes else "; others share the rest"
    return f"Removing it frees {bytes_text(view.own_bytes)}{rest}. If it is wanted again, it is fetched again."


def _who(said: str, vms: dict[str, VmView]) -> str:
    """Who needs it; virtual machines by the names that the reader knows them by."""
    vm = vms.get(said.removeprefix(_OF_VM)) if said.startswith(_OF_VM) else None
    if vm is None:
        return said
    name = f"your virtual machine {vm.name}" if vm.kind is VmKind.OWN else "the project's virtual machine"
    return f"{name} (saved)" if vm.state is VmState.SAVED else name


def _listed(names: list[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def _when(at: datetime | None, now: datetime, zone: tzinfo | None) -> str:
    """A moment that is over: `today 14:05`, `yesterday 09:00`, `3 Nov 2026`."""
    if at is None:
        return "never"
    local, today = at.astimezone(zone), now.astimezone(zone).date()
    days = (today - local.date()).days
    if days in (0, 1):
        return f"{'yesterday' if days else 'today'} {local:%H:%M}"
    return f"{local.day} {local:%b %Y}"
