"""Keeps one VM as it is wanted: asks what is, takes the next step, notices what the guest does by itself."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from client.actions import Actions, VmExchange
from client.errors import ClientError
from client.guest.channel import LinkChannel
from client.guest.errands import Errands
from client.guest.health import Pulse, Remedy, judge, lives_well
from client.guest.tracker import GuestTracker
from client.history import FinishedJob
from client.hypervisor.driver import Feature, Traffic, VmInfo
from client.link import Message
from client.log import logger
from client.messages import code_of, fill, sentence
from client.parts import Parts
from client.question import PATIENCE_S, Question
from client.reconcile import MAY_RUN, Intent, Observed, Step, Want, Wanted, next_step, settled, wanted
from client.snapshot import JobState, JobView, VmState, VmView
from client.supervisor import attempt, back_off_s
from client.usage import UsageMeter

#: a guest that ends sooner than this after its start has not worked
EARLY_END_S: Final = 60.0
#: a guest that has spoken for so long without being logged in has no project to talk to
OFFLINE_LIMIT_S: Final = 15.0
#: what a guest said just before it went off may still be on its way
LAST_WORDS_S: Final = 0.5
#: a reset that was asked for, and what the firmware makes of it, is seen within this
OWN_RESET_S: Final = 5.0
#: of the console of a guest that ended too soon, for the log
LAST_LINES: Final = 5
_TAIL_BYTES: Final = 8192
_UP: Final = frozenset({VmState.STARTING, VmState.RUNNING})
_IN_MEMORY: Final = _UP | {VmState.PAUSED, VmState.SAVING}
#: after these the guest begins to execute, so silence is counted anew
_BEGINNINGS: Final = frozenset({Step.BOOT, Step.RESTORE, Step.RESUME, Step.RESET})
#: problems that are over once the guest speaks
_OVER_WITH_LIFE: Final = ("guest-hung", "guest-hung-again", "guest-ends-early", "vm-failed")


class VmKeeper:
    """The wheel of one VM. `turn` is called about once a second and whenever something changed.

    Attributes:
        errands: what the guest does besides its jobs. To be loaded before the link is run.
    """

    def __init__(
        self,
        parts: Parts,
        vm_id: str,
        *,
        wake: Callable[[], None],
        on_finished: Callable[[], None],
    ) -> None:
        """Build it; nothing is started.

        Args:
            wake: asks for another turn soon.
            on_finished: called when the guest went off after its last job.
        """
        self._parts = parts
        self._vm_id = vm_id
        self._wake = wake
        self._on_finished = on_finished
        self._tracker = GuestTracker()
        self._channel = LinkChannel(lambda: parts.driver.open_link(vm_id), self._hear, parts.clock)
        exchange = VmExchange(parts.driver, vm_id)
        self.errands = Errands(parts.paths.errands(vm_id), self._channel.send, parts.clock, exchange)
        self._actions = Actions(parts, vm_id, self._channel, self._tracker)
        self._action: asyncio.Task[None] | None = None
        self._step = Step.NOTHING
        self._intent = Intent()
        self._info = VmInfo(vm_id, VmState.ABSENT)
        self._traffic = Traffic()
        self._sight = Question(self._look, wake)
        self._has_looked = self._saw_last_step = False
        self._tellers: set[asyncio.Task[None]] = set()
        self._running_since = parts.clock.monotonic()
        self._usual_boot_s = 0.0
        self._spoke = False
        #: it began to boot under this program, and has not spoken since; and was not held meanwhile
        self._boots = self._is_timed = False
        self._reset_asked = False
        self._reset_at = float("-inf")
        self._doubts = False
        self._troubles = 0
        self._failures = 0
        self._early_ends = 0
        self._not_before = 0.0
        self._gone_at: float | None = None
        self._offline_since: float | None = None
        self._told_offline = False
        self._usage = UsageMeter(parts.clock)
        self._share = self._least_share = 1.0

    async def run_link(self) -> None:
        """Keep the guest link open until cancelled."""
        await self._channel.run()

    @property
    def is_up(self) -> bool:
        """Whether the VM is in memory, or is just being taken there or away from there."""
        return self._info.state in _IN_MEMORY or bool(self._info.pids) or self._is_acting()

    @property
    def written_bytes(self) -> int:
        """Of its state, while it is saved; see `VmInfo.written_bytes`."""
        return self._info.written_bytes

    @property
    def info(self) -> VmInfo:
        """What the hypervisor said last."""
        return self._info

    @property
    def save_s(self) -> float | None:
        """How long saving its state took the last time; None when that is not known."""
        return self._actions.record.save_s

    def woke(self) -> None:
        """The computer slept: that was no silence of a guest, and its clock stood still."""
        if self._info.state not in _UP:
            # One that is held is told when it goes on; what it was told now it would read then.
            return
        self._running_since = self._parts.clock.monotonic()
        self._channel.expect_resume()

    def reset(self) -> None:
        """Have the guest reset, if it runs; a step like any other, taken at the next turn."""
        self._reset_asked = True
        self._wake()

    def doubts_driver(self) -> bool:
        """Whether something happened since the last call that may change what the driver thinks of itself."""
        doubts, self._doubts = self._doubts, False
        return doubts

    async def console(self, limit_bytes: int) -> str:
        """The end of what the guest printed; raises ClientError."""
        return await self._parts.driver.console_tail(self._vm_id, limit_bytes)

    async def turn(
        self, intent: Intent, may: Wanted = MAY_RUN, share: float = 1.0, *, may_transfer: bool = True
    ) -> bool:
        """Look, and take the next step if one is due. Returns whether what is wanted has been reached.

        Args:
            may: the most that the rules allow.
            share: of its processors' time that it gets, above 0 and at most 1.
            may_transfer: it may reach the project.
        """
        self._share, self._least_share = share, min(self._least_share, share)
        self._channel.share = share
        if intent.finishing != self._intent.finishing:
            self._channel.send("finish", undo=not intent.finishing)
        self._intent = intent
        self._sight.put()
        sight = await self._sight.answer(PATIENCE_S)
        if sight is not None:
            before, (self._info, self._traffic) = self._info, sight
            if not self._has_looked and self._info.state is VmState.RUNNING:
                # It worked under a program that was killed; what it did is not to be thrown away before it speaks.
                self._tracker.adopt()
            self._has_looked = self._saw_last_step = True
            self._notice(before, self._info)
            self._channel.is_held = self._info.state is VmState.PAUSED
        want = wanted(intent, may).want
        if self._is_acting():
            if self._step is Step.FETCH and want is not Want.RUN and self._action is not None:
                self._action.cancel()
        elif self._saw_last_step and (step := self._next_step(want)) is not Step.NOTHING:
            self._step = step
            self._action = asyncio.create_task(self._act(step))
        if sight is not None and not self._is_acting():
            self._actions.attend(self._info.state)
        self._watch_login(may_transfer)
        await self._draw()
        is_seen = self._saw_last_step and not self._is_acting()
        return is_seen and settled(want, self._info.state, bool(self._info.pids))

    async def close(self) -> None:
        """End a step under way; the next start takes it again, and what is to be done in the guest too."""
        await self._sight.close()
        for teller in self._tellers:
            teller.cancel()
        await self.errands.close()
        await self._actions.renewal.close()
        if self._action is not None and not self._action.done():
            self._action.cancel()
            await asyncio.gather(self._action, return_exceptions=True)

    async def _look(self) -> tuple[VmInfo, Traffic]:
        driver = self._parts.driver
        info = await driver.info(self._vm_id)
        return info, await driver.traffic(self._vm_id) if info.state is not VmState.ABSENT else Traffic()

    def _is_acting(self) -> bool:
        return self._action is not None and not self._action.done()

    def _next_step(self, want: Want) -> Step:
        asked, self._reset_asked = self._reset_asked, False
        if asked and want is Want.RUN and self._info.state in _UP:
            return Step.RESET
        return next_step(want, self._observe())

    def _observe(self) -> Observed:
        now = self._parts.clock.monotonic()
        waits = now < self._not_before
        return Observed(
            state=self._info.state,
            appliance_ready=self._actions.appliance_ready(self._info.state),
            state_usable=self._actions.state_usable(self._parts.clock),
            worth_saving=self._tracker.booted or self._info.state is VmState.PAUSED,
            can_save=Feature.SAVE_STATE in self._parts.features,
            remedy=self._remedy(now),
            waits=waits,
            executes=bool(self._info.pids),
        )

    def _remedy(self, now: float) -> Remedy:
        if self._info.state not in _UP:
            return Remedy.NONE
        pulse = Pulse(
            self._running_since,
            self._channel.heard_at,
            self._channel.longest_gap_s,
            self._usual_boot_s,
            self._troubles,
            self._parts.speed,
            self._least_share,
        )
        if lives_well(pulse, now):
            self._troubles = self._early_ends = 0
        remedy = judge(pulse, now)
        if remedy is not Remedy.NONE:
            since = max(pulse.running_since, pulse.heard_at or 0.0)
            code = "guest-hung" if remedy is Remedy.RESET else "guest-hung-again"
            self._problem(code, silence=round(now - since))
        return remedy

    async def _act(self, step: Step) -> None:
        error: Exception | None = None
        try:
            error = await attempt(step, lambda: self._journaled(step))
        finally:
            # What was asked before its end does not tell what has become of it.
            self._sight.outdate()
            self._saw_last_step = False
            self._wake()
        if error is not None:
            self._failed(step, error)

    async def _journaled(self, step: Step) -> None:
        journal, clock = self._parts.journal, self._parts.clock
        number = journal.begin(step, self._vm_id, clock.now())
        logger("core").info("%s: %s", self._vm_id, step)
        failure = "interrupted"
        try:
            began = clock.monotonic()
            await self._actions.take(step)
            failure = ""
            if step is Step.SAVE:
                self._actions.note_save(clock.monotonic() - began)
            self._done(step)
        except (ClientError, OSError) as error:
            failure = str(error)
            raise
        finally:
            # A journal that cannot be written now costs nothing: an open entry is looked into at the next start.
            with contextlib.suppress(OSError):
                journal.end(number, clock.now(), failure)

    def _done(self, step: Step) -> None:
        self._failures = 0
        if step in _BEGINNINGS:
            # A guest that ends before it was ever looked at has ended all the same.
            self._info = replace(self._info, state=VmState.STARTING)
            self._running_since = self._parts.clock.monotonic()
            self._is_timed = step in {Step.BOOT, Step.RESET}
            self._boots = self._boots or self._is_timed
            # Held in the midst of its boot it has not spoken yet.
            self._spoke = not self._boots
        if step is Step.RESET:
            self._reset_at = self._parts.clock.monotonic()
            # What is asked from here on is meant for the guest that boots now.
            self.errands.went_off("guest-restarted")
        if step in {Step.RESET, Step.FRESH_BOOT}:
            self._troubles += 1
        self._parts.board.settle(about=str(step))

    def _failed(self, step: Step, error: Exception) -> None:
        self._failures += 1
        self._doubts = self._doubts or step in _BEGINNINGS
        self._not_before = self._parts.clock.monotonic() + back_off_s(self._failures)
        said = sentence(error)
        logger("core").warning("%s failed: %s", step, said.text, extra={"fields": {"error": str(error)}})
        self._parts.board.raise_problem(code_of(error), str(step), said.text, said.doing, said.severity)

    def _hear(self, message: Message) -> None:
        clock = self._parts.clock
        self._least_share = self._share
        if message.kind == "log":
            self._pass_on(message)
        if self.errands.take(message, self._channel.peer) or message.kind == "log":
            return
        if message.kind == "account_taken":
            self._actions.renewal.heard(message)
        before = self._tracker.job
        self._tracker.take(message, clock.now(), clock.monotonic())
        if not self._spoke:
            self._first_word()
        for ended in self._tracker.drain_ended():
            self._record(ended.job, ended.cpu_s)
        # Progress alone, which may come many times a second, is drawn at the next regular turn.
        if message.kind in {"verdict", "bye", "boot"} or _is_other(before, self._tracker.job):
            self._wake()

    def _first_word(self) -> None:
        self._spoke, self._boots = True, False
        if self._intent.finishing:
            self._channel.send("finish", undo=False)
        self._actions.renewal.guest_began()
        if self._is_timed:
            self._usual_boot_s = (self._parts.clock.monotonic() - self._running_since) * self._share
        self._parts.board.settle(*_OVER_WITH_LIFE, about=self._vm_id)
        self._parts.board.settle(about="guest link")
        task = asyncio.ensure_future(self._parts.driver.saw_life(self._vm_id))
        task.add_done_callback(self._lived)

    def _lived(self, told: asyncio.Future[None]) -> None:
        """The driver knows now that a guest lives under it, and under which accelerator: it may say more of itself."""
        if not told.cancelled() and told.exception() is None:
            self._doubts = True

    def _pass_on(self, message: Message) -> None:
        said = message.fields
        area = "job" if said.get("source") == "job" else "agent"
        level = {"warning": 30, "error": 40, "debug": 10}.get(str(said.get("level")), 20)
        logger(area).log(level, "%s", str(said.get("text", "")).rstrip())

    def _record(self, job: JobView, cpu_s: float) -> None:
        parts, job_id = self._parts, job.job_id
        parts.history.put(
            FinishedJob(
                job_id,
                parts.project.name,
                parts.clock.now(),
                job.state,
                job.accepted,
                job.done_units,
                job.unit,
                cpu_s,
                job.cause,
            )
        )
        parts.board.facts.totals = parts.history.totals()
        if job.state is JobState.FAILED:
            self._problem("job-failed", job_id=job_id, cause=job.cause)
        elif job.accepted is False:
            self._problem("job-refused", job_id=job_id, cause=job.cause)
        elif job.accepted:
            logger("job").info("The project accepted the output of job %s", job_id)

    def _notice(self, before: VmInfo, now: VmInfo) -> None:
        if now.guest_resets > before.guest_resets and before.state in _UP and not self._resets():
            self._problem("guest-rebooted")
            self._channel.expect_boot()
            self._tracker.boot()
            self._running_since, self._spoke = self._parts.clock.monotonic(), False
            self._boots = self._is_timed = True
        if now.accelerator != before.accelerator:
            self._doubts = True
            if before.state in _UP and before.accelerator:
                self._running_since = self._parts.clock.monotonic()
        acting = self._is_acting()
        if now.state in {VmState.DEFINED, VmState.ABSENT} and not acting:
            self.errands.went_off()
        if before.state in _UP and now.state in {VmState.DEFINED, VmState.FAILED} and not acting:
            self._gone_at = self._parts.clock.monotonic()
            self._not_before = max(self._not_before, self._gone_at + LAST_WORDS_S)
            if now.state is VmState.FAILED:
                self._problem("vm-failed", cause=now.cause)
        if before.state is VmState.FAILED and now.state in _UP and not acting:
            # Its process answers again, and the guest has lived all the time.
            self._gone_at = None
            self._parts.board.settle("vm-failed", about=self._vm_id)
        if self._gone_at is not None and (self._tracker.bye or self._parts.clock.monotonic() >= self._not_before):
            self._went_off(now, self._gone_at - self._running_since)

    def _resets(self) -> bool:
        """Whether a reset that was asked for is under way, or was just now."""
        just_now = self._parts.clock.monotonic() - self._reset_at < OWN_RESET_S
        return just_now or (self._is_acting() and self._step is Step.RESET)

    def _went_off(self, now: VmInfo, lived_s: float) -> None:
        self._gone_at = None
        said = self._tracker.bye or now.cause or "without a word"
        logger("guest").info("The guest went off after %.0f s: %s", lived_s, said)
        if self._tracker.bye and self._intent.finishing:
            self._on_finished()
            return
        if lived_s >= EARLY_END_S:
            self._early_ends = 0
            return
        teller = asyncio.create_task(self._tell_last_lines())
        self._tellers.add(teller)
        teller.add_done_callback(self._tellers.discard)
        self._early_ends += 1
        wait = back_off_s(self._early_ends)
        self._not_before = self._parts.clock.monotonic() + wait
        if self._early_ends > 1:
            self._problem("guest-ends-early", times=self._early_ends, wait=round(wait))

    async def _tell_last_lines(self) -> None:
        with contextlib.suppress(ClientError):
            for line in (await self.console(_TAIL_BYTES)).splitlines()[-LAST_LINES:]:
                logger("guest").info("console: %s", line.strip())

    def _watch_login(self, may_transfer: bool) -> None:
        """A guest that speaks and cannot log in: the project is down, or the network is."""
        now = self._parts.clock.monotonic()
        speaks = self._info.state is VmState.RUNNING and self._tracker.guest is not None
        offline = speaks and may_transfer and not self._tracker.online
        self._offline_since = (self._offline_since or now) if offline else None
        if self._offline_since is None:
            self._parts.board.settle("project-offline", about=self._vm_id)
        elif now - self._offline_since > OFFLINE_LIMIT_S and not self._told_offline:
            self._problem("project-offline")
        self._told_offline = self._offline_since is not None and now - self._offline_since > OFFLINE_LIMIT_S

    def _problem(self, code: str, **fields: object) -> None:
        said = fill(code, fields)
        self._parts.board.raise_problem(code, self._vm_id, said.text, said.doing, said.severity)
        logger("core").warning("%s %s", said.text, said.doing)

    async def _draw(self) -> None:
        info, tracker = self._info, self._tracker
        usage = await self._usage.measure(info.pids)
        self._parts.board.update_vm(
            VmView(
                vm_id=self._vm_id,
                name=self._vm_id,
                state=info.state,
                hypervisor=self._parts.driver.name,
                accelerator=info.accelerator,
                note=info.note,
                cause=info.cause,
                boot_step=tracker.boot_step or ("Starting the kernel" if info.state in _UP else ""),
                boot_fraction=self._boot_fraction(),
                guest=tracker.guest,
                job=tracker.job,
                cpu_percent=usage.cpu_percent,
                memory_mib=usage.memory_mib,
                sent_bytes=self._traffic.sent_bytes,
                received_bytes=self._traffic.received_bytes,
            )
        )

    def _boot_fraction(self) -> float:
        if self._info.state is VmState.PAUSED or self._tracker.booted or self._told_offline:
            return 1.0
        if self._info.state not in _UP:
            return 0.0
        age = self._parts.clock.monotonic() - self._running_since
        return max(self._tracker.boot_fraction, min(0.45, 0.45 * age / (self._usual_boot_s or 8.0)))


def _is_other(before: JobView | None, after: JobView | None) -> bool:
    """Whether the agent has another job, or is at another step of it."""
    if before is None or after is None:
        return before is not after
    return (before.job_id, before.state) != (after.job_id, after.state)
