"""One VM under VirtualBox, as this run of the client sees it.

VBoxManage costs a tenth of a second of a processor, and the core wants to know every second. So the state is asked of
VirtualBox only when a cheap sign has changed (its process, its settings file, a state change in its log), after a verb,
and once a minute for whatever leaves no sign.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Final

from client import log, process
from client.clock import Clock
from client.errors import ClientError
from client.hypervisor.driver import VmInfo
from client.hypervisor.errors import RoutePortTaken
from client.hypervisor.virtualbox import full_disk, vm_log
from client.hypervisor.virtualbox.folder import RUNNING, STOPPED, VmFolder
from client.hypervisor.virtualbox.installation import Manage
from client.hypervisor.virtualbox.link import Link
from client.hypervisor.virtualbox.parse import BUSY, parse_info, state_of
from client.hypervisor.virtualbox.problems import ObjectNotFound, SessionLocked, VirtualBoxSilent, VmInaccessible
from client.hypervisor.virtualbox.relays import Relays
from client.meter import Meter
from client.process import Identity
from client.snapshot import VmState

ASK_INTERVAL_S: Final = 60.0
#: What a verb has done is checked after this time.
_CHECK_AFTER_S: Final = 5.0
#: The core asks every second; VirtualBox may take fifteen when its server has just died.
ANSWER_LIMIT_S: Final = 3.0
#: VirtualBox needs a moment to see that a VM's process has ended; until then the VM counts as locked.
LOCK_LIMIT_S: Final = 10.0
_LOCK_PAUSE_S: Final = 0.1
#: For the tries of a change that may be made twice.
INSIST_LIMITS_S: Final = (30.0, 60.0)
_GONE_LIMIT_S: Final = 15.0
_KILL_LIMIT_S: Final = 5.0
#: The client starts to count processes here.
ONLINE: Final = (VmState.STARTING, VmState.RUNNING, VmState.PAUSED, VmState.SAVING)
#: VirtualBox 7.2 may stand still for ever where it suspends or resumes a VM: when a CD is changed, for one.
STILL_LIMIT_S: Final = 60.0
#: While a verb is under way that leads through one of these, VirtualBox says how it goes.
_ASKED_ALONG: Final = (VmState.RUNNING, VmState.PAUSED, VmState.SAVING)
#: A guest that prints without end fills no disk: the file is emptied beyond this.
_MOST_CONSOLE_BYTES: Final = 4 << 20
_ENDED: Final = "its process ended unexpectedly"
_STILL: Final = "VirtualBox stands still inside it"
_GURU: Final = "VirtualBox stopped it after an error inside it"

_log = log.logger("hypervisor")

Signs = tuple[Any, ...]
#: Locks a known VM, by its id, for a verb.
Verb = Callable[[str], AbstractAsyncContextManager["Machine"]]


@dataclass(frozen=True)
class Seen:
    """What VirtualBox said last.

    Attributes:
        signs: what the cheap signs were just before.
        is_settled: whether it is believed until a sign changes; else it is asked again next time.
        note: a sentence for the volunteer, or empty.
    """

    state: VmState
    signs: Signs
    asked_at: float
    cause: str = ""
    is_settled: bool = True
    note: str = ""


class Machine:
    """A VM and what this run of the client holds of it.

    Attributes:
        lock: verbs on one VM come one after the other.
        verb: the state that a verb under way leads through, or None.
        runs_since: monotonic seconds at which this client first saw it run.
        progress: how far a verb under way is, as a sentence for the volunteer; empty when nobody knows.
    """

    def __init__(
        self,
        folder: VmFolder,
        manage: Manage,
        clock: Clock,
        changed: Callable[[str], None],
        meter: Meter | None = None,
    ) -> None:
        self.folder = folder
        self.manage = manage
        self.lock = asyncio.Lock()
        self.verb: VmState | None = None
        self.runs_since: float | None = None
        self.progress = ""
        self.relays = Relays(folder.vm_id, folder.traffic, clock, meter)
        self.link = Link(folder.vm_id, folder.path, self.replug_link)
        self._clock = clock
        self._changed = changed
        self._asking = asyncio.Lock()
        self._log: vm_log.LogTail | None = None
        self._seen: Seen | None = None
        self._looking: asyncio.Task[Seen] | None = None
        self._moved: tuple[tuple[int, ...], float] | None = None

    @property
    def vm_id(self) -> str:
        """Its id."""
        return self.folder.vm_id

    @property
    def uuid(self) -> str:
        """Under which VirtualBox has it; empty when it never had."""
        return self.folder.record().uuid

    @property
    def log(self) -> vm_log.LogTail:
        """The log of its process."""
        if self._log is None or self._log.path != self.folder.log_file:
            self._log = vm_log.LogTail(self.folder.log_file)
        return self._log

    def running(self) -> Identity | None:
        """Its process, as far as it is known; cheap."""
        record = self.folder.record()
        if record.pid and process.alive(record.pid, record.started_at):
            return Identity(record.pid, record.started_at)
        return None

    def find_process(self, *, is_certain: bool = False) -> Identity | None:
        """Its process by what the log says; it is written down.

        Args:
            is_certain: only if its arguments say so, too: for when VirtualBox does not say that the VM runs.
        """
        head = self.log.head()
        who = process.identity(vm_log.parse_pid(head)) if head else None
        if who is None or not _runs(who, self.uuid, is_certain):
            return None
        accelerator = vm_log.parse_accelerator(head) or self.folder.record().accelerator
        self.folder.write_record(pid=who.pid, started_at=who.started_at, accelerator=accelerator)
        return who

    async def info(self) -> VmInfo:
        """Its state now."""
        if not self.folder.path.is_dir():
            return VmInfo(self.vm_id, VmState.ABSENT)
        if self.verb is not None and self.verb not in _ASKED_ALONG:
            # VirtualBox has it locked, and says only that.
            seen = self._seen
            return self._info(self.verb, seen.cause if seen and seen.state is self.verb else "")
        if self.folder.spec() is None:
            return self._info(VmState.FAILED, "its folder is not complete")
        seen = await self._look_in_time()
        state = self.verb or seen.state
        note = seen.note
        if state in ONLINE:
            held = full_disk.NOTE if state is VmState.PAUSED and full_disk.holds(self.log) else ""
            note = held or self.progress or await self._serve() or note
            self._bound_console()
        return self._info(state, seen.cause, note)

    async def state(self) -> VmState:
        """Its state now, without the rest, however long VirtualBox takes to say it."""
        if not self.folder.path.is_dir():
            return VmState.ABSENT
        if self.folder.spec() is None:
            return VmState.FAILED
        return (await self.look()).state

    async def look(self) -> Seen:
        """What VirtualBox says, or said when the signs were the same."""
        seen, signs = self._seen, self._signs()
        if seen is not None and self._holds(seen, signs):
            return seen
        async with self._asking:
            if self._seen is not seen and self._seen is not None:
                return self._seen
            return await self._ask(signs)

    async def _look_in_time(self) -> Seen:
        """What VirtualBox says, or, while it takes its time, what the signs say; the answer comes in the background."""
        if self._looking is None:
            self._looking = asyncio.create_task(self.look())
        looking = self._looking
        await asyncio.wait((looking,), timeout=ANSWER_LIMIT_S)
        if not looking.done():
            return self._unanswered(self._signs())
        if self._looking is looking:
            self._looking = None
        return self._unanswered(self._signs()) if looking.cancelled() else looking.result()

    async def ask(self) -> Seen:
        """What VirtualBox says now."""
        if self._seen is not None:
            self._seen = replace(self._seen, is_settled=False)
        return await self.look()

    def assume(self, state: VmState) -> None:
        """A verb has succeeded: believe it, and ask VirtualBox a little later, or when a sign changes."""
        due = self._clock.monotonic() - ASK_INTERVAL_S + _CHECK_AFTER_S
        self._keep(Seen(state, self._signs(), due))

    async def change(self, *words: str, timeout_s: float = 60.0) -> str:
        """A verb of VBoxManage; begun again while VirtualBox has the VM locked, for then nothing was done.

        Raises:
            HypervisorError: as `VBoxManage.change`.
        """
        self.wake()
        end = self._clock.monotonic() + LOCK_LIMIT_S
        while True:
            try:
                return await self.manage.change(*words, timeout_s=timeout_s)
            except SessionLocked:
                if self._clock.monotonic() >= end or self.running() is not None:
                    raise
            await asyncio.sleep(_LOCK_PAUSE_S)

    async def insist(self, *words: str, is_done: Callable[[], Awaitable[bool]] | None = None) -> None:
        """A change that may be made twice: once more, with more time, if VirtualBox does not say that it is done.

        Args:
            is_done: sees whether it is done nevertheless; asked before the second try and after it.

        Raises:
            HypervisorError: as `VBoxManage.change`.
        """
        for limit_s in INSIST_LIMITS_S:
            try:
                await self.change(*words, timeout_s=limit_s)
            except VirtualBoxSilent:
                if is_done is not None and await is_done():
                    return
                if limit_s == INSIST_LIMITS_S[-1]:
                    raise
            else:
                return

    async def ended(self) -> None:
        """See its process gone, by force if it does not go, and let go of what belongs to a running VM."""
        # The client may have been killed before it wrote down who runs it.
        who = self.running() or self.find_process(is_certain=True)
        if who is not None and not await process.wait_gone(who, _GONE_LIMIT_S):
            await process.terminate(who, _KILL_LIMIT_S)
        await self._let_go()
        self.runs_since = None
        self.folder.write_record(phase=STOPPED, pid=0, started_at="")

    async def release(self) -> None:
        """Let go of connections and tasks; the VM runs on."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        await self._let_go()

    async def _let_go(self) -> None:
        await self.link.close()
        await self.relays.close()

    async def plug_link(self) -> None:
        """Have VirtualBox listen at the guest link's socket again."""
        address = self.folder.record().link
        await self.manage.change("controlvm", self.uuid, "changeuartmode2", "server", address)
        self.folder.write_record(unplugged=False)

    async def replug_link(self) -> None:
        """Plug the guest link's UART out and in again; whoever has its socket open loses it."""
        # VirtualBox keeps it unplugged, at later starts too, if this client is killed between the two.
        self.folder.write_record(unplugged=True)
        await self.manage.change("controlvm", self.uuid, "changeuartmode2", "disconnected")
        await self.plug_link()

    def wake(self) -> None:
        """Let its process go on if a throttle that was killed left it stopped: VirtualBox waits for its answers."""
        who = self.running()
        if who is not None:
            process.wake(who)

    def _signs(self) -> Signs:
        log = self.log.look()
        return (self.running(), self.folder.settings_sign(), log, self._stands_still(log))

    def _stands_still(self, log: tuple[int, int]) -> bool:
        """Whether its process has been on the way from one state to another for so long that it will not arrive."""
        now = self._clock.monotonic()
        between = self.verb is None and self.log.last in vm_log.BETWEEN
        # While it is saved, its log is silent and its state grows.
        moves = (*log, self.folder.state_bytes() if between else 0)
        if self._moved is None or self._moved[0] != moves:
            self._moved = (moves, now)
        is_late = now - self._moved[1] >= STILL_LIMIT_S
        return is_late and between

    def _holds(self, seen: Seen, signs: Signs) -> bool:
        is_young = self._clock.monotonic() - seen.asked_at < ASK_INTERVAL_S
        return seen.is_settled and is_young and seen.signs == signs

    async def _ask(self, signs: Signs) -> Seen:
        self.wake()
        try:
            said = await self.manage.read("showvminfo", self.uuid, "--machinereadable")
        except ObjectNotFound:
            seen = await self._unknown(signs)
        except VmInaccessible:
            seen = self._judged(VmState.FAILED, signs, "VirtualBox cannot read its settings")
        except ClientError as error:
            _log.warning("VirtualBox does not say what %s does: %s", self.vm_id, error)
            seen = self._unanswered(signs)
        else:
            info = parse_info(said)
            seen = self._told(state_of(info), info.get("VMState", ""), signs)
        return self._keep(seen)

    def _told(self, state: VmState, word: str, signs: Signs) -> Seen:
        is_settled = word not in BUSY
        if state in ONLINE and self.running() is None and self.find_process() is None:
            # VirtualBox has not noticed yet that the process is gone, or the process not said yet who it is.
            is_settled = False
        if word == "aborted" and self.folder.record().phase != RUNNING:
            # We ended it ourselves.
            return self._judged(VmState.DEFINED, signs)
        if word == "poweroff" and self.folder.record().phase == RUNNING and self.log.breaks_off:
            # It went down with VBoxSVC, whose successor knows nothing of it.
            return self._judged(VmState.FAILED, signs, _ENDED)
        if state in ONLINE and signs[-1]:
            return self._judged(VmState.FAILED, signs, _STILL)
        cause = "" if state is not VmState.FAILED else (_ENDED if word == "aborted" else _GURU)
        if word == "inaccessible" or not word:
            cause = "VirtualBox cannot read its settings"
        return Seen(state, (self.running(), *signs[1:]), self._clock.monotonic(), cause, is_settled)

    def _judged(self, state: VmState, signs: Signs, cause: str = "") -> Seen:
        return Seen(state, signs, self._clock.monotonic(), cause)

    async def _unknown(self, signs: Signs) -> Seen:
        """VirtualBox does not have it: tell it of the settings file, if that is there."""
        if self.folder.settings() is None:
            return self._judged(VmState.FAILED, signs, "its settings file is gone")
        try:
            await self.manage.change("registervm", str(self.folder.settings_file))
        except ClientError as error:
            return self._judged(VmState.FAILED, signs, f"VirtualBox does not take it back ({error.code})")
        return Seen(VmState.UNKNOWN, signs, self._clock.monotonic(), is_settled=False)

    def _unanswered(self, signs: Signs) -> Seen:
        """VirtualBox does not answer now: what was known counts while the signs are the same, then what they say."""
        note = "VirtualBox does not answer now; it is asked again."
        state, cause = self._by_signs(signs)
        return Seen(state, signs, self._clock.monotonic(), cause, note=note)

    def _by_signs(self, signs: Signs) -> tuple[VmState, str]:
        if self._seen is not None and self._seen.signs == signs:
            return self._seen.state, self._seen.cause
        if self.running() is not None:
            return VmState.UNKNOWN, ""
        settings = self.folder.settings()
        if settings is None:
            return VmState.FAILED, "its settings file is gone"
        if settings.has_state:
            return VmState.SAVED, ""
        return (VmState.FAILED, _ENDED) if self.folder.record().phase == RUNNING else (VmState.DEFINED, "")

    def _keep(self, seen: Seen) -> Seen:
        before, self._seen = self._seen, seen
        if seen.state not in ONLINE:
            self.runs_since = None
        elif self.runs_since is None:
            self.runs_since = self._clock.monotonic()
        if before is not None and before.state is not seen.state:
            self._changed(self.vm_id)
        return seen

    def _info(self, state: VmState, cause: str = "", note: str = "") -> VmInfo:
        record, who = self.folder.record(), self.running()
        return VmInfo(
            vm_id=self.vm_id,
            state=state,
            cause=cause,
            accelerator=record.accelerator,
            note=note or record.note,
            pids=(who.pid,) if who else (),
            runs_since=self.runs_since,
            guest_resets=max(0, self.log.resets - record.own_resets) if who else 0,
        )

    async def _serve(self) -> str:
        """Have the relays of a running VM open, as after a restart of the client; a note if one cannot be."""
        spec = self.folder.spec()
        if spec is None or self.lock.locked():
            return ""
        self.relays.set_routes(spec.routes)
        try:
            await self.relays.open()
        except RoutePortTaken as error:
            return f"Another program has port {error.port}, so the guest cannot reach {error.route}."
        return ""

    def _bound_console(self) -> None:
        try:
            found = self.folder.console.stat()
            # VirtualBox writes on where it was: the file has a hole at its beginning then, which takes no space.
            if getattr(found, "st_blocks", found.st_size // 512) * 512 > _MOST_CONSOLE_BYTES:
                with self.folder.console.open("r+b") as file:
                    file.truncate(0)
        except OSError:
            return


async def end_process(folder: VmFolder) -> None:
    """End a VM's process without VirtualBox, which is gone itself or does not answer."""
    record = folder.record()
    said = vm_log.parse_pid(vm_log.LogTail(folder.log_file).head())
    who = Identity(record.pid, record.started_at) if record.pid else process.identity(said)
    if who is not None and (record.pid or _runs(who, record.uuid, is_certain=True)):
        await process.terminate(who, _KILL_LIMIT_S)
    if record.uuid:
        # So it is no accident when VirtualBox comes back and finds it ended.
        folder.write_record(phase=STOPPED, pid=0, started_at="")


def _runs(who: Identity, uuid: str, is_certain: bool) -> bool:
    """Whether a process that a log names is a VM's."""
    said = process.command_line(who.pid)
    # Hardened processes hide their arguments on some systems; then the log is believed, if VirtualBox says it runs.
    return bool(uuid) and (uuid in said or (not said and not is_certain))
