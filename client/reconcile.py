"""What should run against what does run: pure. (intent, observed) -> the next small, idempotent step.

Nothing here acts or remembers; `client.actions` takes the step, `client.core` turns the wheel.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from client.commands import Finish, Pause, PauseEnd, PowerOff, Quit, Resume, Start, Stop, WhatOfWork
from client.errors import BadInput
from client.guest.health import Remedy
from client.snapshot import Reason, VmState


@dataclass(frozen=True)
class Intent:
    """What the volunteer last asked for; kept on disk, so that a restart goes on with it.

    Attributes:
        working: Start was asked, and no Stop since.
        paused_until: end of a pause, aware UTC; None with `paused` means "until I say".
        pause_end: what else ends the pause.
        pause_login: in which login session it began.
        finishing: end after the current job.
        off: what does not work is powered off, not saved.
        leaving: set while the program ends; not kept.
    """

    working: bool = False
    paused: bool = False
    paused_until: datetime | None = None
    finishing: bool = False
    off: bool = False
    leaving: WhatOfWork | None = None
    pause_end: PauseEnd = PauseEnd.NONE
    pause_login: str = ""

    def without_pause(self) -> "Intent":
        """The same, not paused."""
        return replace(self, paused=False, paused_until=None, pause_end=PauseEnd.NONE, pause_login="")


class Want(StrEnum):
    """What should become of the VM."""

    #: execute
    RUN = "run"
    #: be held in memory
    HOLD = "hold"
    #: have its state on disk
    SAVED = "saved"
    #: not execute; a state that was saved before stays
    OFF = "off"
    #: be off without a saved state, at once
    POWERED_OFF = "powered off"


_RESTING = frozenset({Want.SAVED, Want.OFF, Want.POWERED_OFF})


@dataclass(frozen=True)
class Wanted:
    """A Want and its reason for the volunteer's eyes (None for RUN)."""

    want: Want
    reason: Reason | None = None


class Step(StrEnum):
    """One step of the reconciler."""

    NOTHING = "nothing"
    #: download and verify the appliance
    FETCH = "fetch appliance"
    #: token, context medium, definition, start from power-on
    BOOT = "boot"
    #: start from the saved state
    RESTORE = "restore"
    #: throw away a saved state that cannot be used any more
    DISCARD = "discard saved state"
    PAUSE = "pause"
    RESUME = "resume"
    SAVE = "save"
    #: ask the guest to save its job and go, then power off
    SHUT_DOWN = "shut down"
    #: the same, but the guest has little time for its farewell
    PULL_PLUG = "pull the plug"
    #: end what hangs or has failed, so that it can be booted
    POWER_OFF = "power off"
    RESET = "reset"
    #: power off a guest that did not come back by a reset
    FRESH_BOOT = "fresh boot"


@dataclass(frozen=True)
class Observed:
    """What was asked of the hypervisor and the disk just now.

    Attributes:
        appliance_ready: all files are there; they are verified again at boot.
        state_usable: the saved state's guest still has a token it can log in with.
        worth_saving: the guest's agent is online; one that boots is cheaper to boot again.
        can_save: the driver can save states.
        remedy: what the guest's silence calls for.
        waits: a back-off is running: nothing that may fail again is begun.
        executes: a process of the VM is there, whatever state it is in.
    """

    state: VmState
    appliance_ready: bool = True
    state_usable: bool = True
    worth_saving: bool = True
    can_save: bool = True
    remedy: Remedy = Remedy.NONE
    waits: bool = False
    executes: bool = False


def obey(
    intent: Intent,
    command: Start | Pause | Resume | Finish | Stop | PowerOff | Quit,
    login: str = "",
    *,
    on_battery: bool | None = True,
) -> Intent:
    """The intent after a command. Commands that change nothing are no errors.

    Args:
        login: the login session in which it was given.

    Raises:
        BadInput: a pause until there is mains, which there is; or nobody can tell.
    """
    match command:
        case Pause(end=PauseEnd.MAINS) if not on_battery:
            said = "This computer is not on battery, so a pause until it is plugged in would end at once."
            raise BadInput("--until", said, "Pause without --until, or until a time.")
        case Start():
            return replace(intent.without_pause(), working=True, finishing=False, off=False)
        case Pause(until, end):
            paused = replace(intent, paused=True, paused_until=until, pause_end=end, pause_login=login)
            return paused if intent.working else intent
        case Resume():
            return intent.without_pause()
        case Finish(undo):
            return replace(intent, finishing=intent.working and not undo)
        case Stop() | PowerOff():
            off = isinstance(command, PowerOff)
            return replace(intent.without_pause(), working=False, finishing=False, off=off)
        case Quit(work):
            return replace(intent, leaving=work)


def lapse(intent: Intent, now: datetime, *, on_battery: bool | None = None, login: str = "") -> Intent:
    """The intent with a pause that is over taken out.

    Args:
        on_battery: None where that is not known: then mains are not waited for.
        login: the login session now; empty where there is none.
    """
    if not intent.paused:
        return intent
    is_over = {
        PauseEnd.NONE: intent.paused_until is not None and intent.paused_until <= now,
        PauseEnd.MAINS: not on_battery,
        PauseEnd.LOG_OFF: login != intent.pause_login,
    }[intent.pause_end]
    return intent.without_pause() if is_over else intent


def finished(intent: Intent) -> Intent:
    """The intent after the guest went off at its job's end."""
    return replace(intent, working=False, finishing=False)


#: what the rules say when they have nothing against it
MAY_RUN: Final = Wanted(Want.RUN)


def wanted(intent: Intent, may: Wanted = MAY_RUN) -> Wanted:
    """What should become of the VM, and why: what the volunteer asked for, within what the rules allow.

    Args:
        may: the most that the rules allow, and why not more.
    """
    return stricter(_asked(intent), may)


def stricter(asked: Wanted, may: Wanted) -> Wanted:
    """What is asked, or what the rules allow of it. Where both come to the same it is as asked: a pause goes on."""
    return may if _BURDEN.index(may.want) > _BURDEN.index(asked.want) else asked


#: from what burdens the computer most to what does least
_BURDEN: Final = (Want.RUN, Want.HOLD, Want.SAVED, Want.OFF, Want.POWERED_OFF)


def _asked(intent: Intent) -> Wanted:
    if intent.leaving is WhatOfWork.STOP:
        return Wanted(Want.OFF, Reason("leaving", "The program is ending."))
    if intent.leaving is WhatOfWork.SAVE:
        return Wanted(Want.SAVED, Reason("leaving", "The program is ending; the work is being saved."))
    if not intent.working and intent.off:
        return Wanted(Want.POWERED_OFF, Reason("powered-off", "Powered off; nothing runs until you press Start."))
    if not intent.working:
        return Wanted(Want.SAVED, Reason("stopped-by-user", "Nothing runs until you press Start."))
    if intent.paused:
        return Wanted(Want.HOLD, Reason("paused-by-user", _of_pause(intent), intent.paused_until))
    return Wanted(Want.RUN)


def _of_pause(intent: Intent) -> str:
    if intent.pause_end is PauseEnd.MAINS:
        return "Paused by you until the computer is plugged in."
    if intent.pause_end is PauseEnd.LOG_OFF:
        return "Paused by you until you log off."
    if intent.paused_until is None:
        return "Paused by you until you resume."
    return f"Paused by you until {intent.paused_until.astimezone():%H:%M}."


def next_step(want: Want, seen: Observed) -> Step:
    """The next step from what is seen towards what is wanted."""
    if seen.state is VmState.SAVING:
        return Step.NOTHING
    if seen.state is VmState.UNKNOWN:
        # Not understood, so left alone; but nothing may go on executing when nothing should.
        resting = want in _RESTING
        return Step.POWER_OFF if resting and seen.executes and not seen.waits else Step.NOTHING
    match want:
        case Want.RUN:
            return _towards_running(seen)
        case Want.HOLD:
            return Step.PAUSE if seen.state is VmState.RUNNING else Step.NOTHING
        case Want.SAVED:
            return _towards_saved(seen)
        case Want.OFF:
            return _towards_off(seen)
        case Want.POWERED_OFF:
            return _towards_powered_off(seen)


def settled(want: Want, state: VmState, executes: bool = False) -> bool:
    """Whether the wish is fulfilled, so that the program may end: nothing of the VM executes any more."""
    stays = state is VmState.SAVING or (state is VmState.SAVED and want is Want.POWERED_OFF)
    return want in _RESTING and not executes and not _is_up(state) and not stays


def _is_up(state: VmState) -> bool:
    return state in {VmState.STARTING, VmState.RUNNING, VmState.PAUSED}


def _towards_running(seen: Observed) -> Step:
    if seen.state in {VmState.STARTING, VmState.RUNNING}:
        return {Remedy.RESET: Step.RESET, Remedy.FRESH_BOOT: Step.FRESH_BOOT}.get(seen.remedy, Step.NOTHING)
    if seen.state is VmState.PAUSED:
        return Step.RESUME
    if seen.waits:
        return Step.NOTHING
    if seen.state is VmState.FAILED and seen.executes:
        return Step.POWER_OFF
    if seen.state is VmState.SAVED and not seen.state_usable:
        return Step.DISCARD
    if not seen.appliance_ready:
        return Step.FETCH
    return Step.RESTORE if seen.state is VmState.SAVED else Step.BOOT


def _towards_off(seen: Observed) -> Step:
    if _is_up(seen.state):
        return Step.SHUT_DOWN
    return Step.POWER_OFF if seen.executes and not seen.waits else Step.NOTHING


def _towards_powered_off(seen: Observed) -> Step:
    if seen.state is VmState.SAVED:
        return Step.NOTHING if seen.waits else Step.DISCARD
    return Step.PULL_PLUG if _is_up(seen.state) else _towards_off(seen)


def _towards_saved(seen: Observed) -> Step:
    if not _is_up(seen.state):
        return _towards_off(seen)
    if not seen.worth_saving:
        return Step.POWER_OFF
    if not seen.can_save:
        return Step.SHUT_DOWN
    if not seen.waits:
        return Step.SAVE
    # What cannot be saved now must not go on executing until it can.
    return Step.PAUSE if seen.state is VmState.RUNNING else Step.NOTHING
