"""Keeps one of the volunteer's own VMs as it is wanted. No agent is in it: what it does is its owner's affair.

The same driver, steps and back-off as for the project's; of its life only what the hypervisor says is known.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from client.appliance.own_import import verify_place
from client.board import Board
from client.clock import Clock
from client.errors import ClientError
from client.hypervisor.driver import Driver, Feature, Medium, MediumRole, Traffic, VmInfo, VmSpec
from client.journal import Journal
from client.log import logger
from client.messages import code_of, fill, sentence
from client.own_make import unmake_vm
from client.own_view import elsewhere, view_of
from client.own_vm import Boots, Network, OwnStore, OwnVm, Wish
from client.parts import Unhindered, as_it_is
from client.paths import Paths
from client.preferences.store import Preferences
from client.question import PATIENCE_S, Question
from client.reconcile import Observed, Step, Want, Wanted, next_step, settled
from client.snapshot import Severity, VmState
from client.supervisor import attempt, back_off_s
from client.usage import UsageMeter

#: what is journaled and logged for the step that no project's VM has
REMOVE: Final = "remove"
#: what a guest may take to go when it is asked to
SHUT_DOWN_S: Final = 20.0
#: what is shown of a console
CONSOLE_CHARS: Final = 4096
#: how often a console is read for the window
CONSOLE_INTERVAL_S: Final = 2.0
#: before a step is taken once more that was the last one, though nothing seemed to be wrong with it
SAME_AGAIN_S: Final = 1.0
UP: Final = frozenset({VmState.STARTING, VmState.RUNNING, VmState.PAUSED, VmState.SAVING})
_EXECUTE: Final = frozenset({VmState.STARTING, VmState.RUNNING})
_ENDINGS: Final = frozenset({Step.SHUT_DOWN, Step.PULL_PLUG, Step.POWER_OFF})
_BEGINNINGS: Final = frozenset({Step.BOOT, Step.RESTORE, Step.RESUME, Step.RESET})


@dataclass(frozen=True)
class OwnParts:
    """What the keepers of own VMs share.

    Attributes:
        features: of the driver.
        keep: writes a changed VM down.
        removed: called with the id when a VM is gone.
    """

    paths: Paths
    preferences: Preferences
    clock: Clock
    board: Board
    journal: Journal
    store: OwnStore
    driver: Driver
    features: frozenset[Feature]
    keep: Callable[[OwnVm], None]
    removed: Callable[[str], None]
    wake: Callable[[], None]
    unhindered: Unhindered = as_it_is


class OwnKeeper:
    """The wheel of one own VM. `turn` is called about once a second and whenever something changed.

    Attributes:
        vm: what it is and what is asked of it; replaced by the one who keeps all.
        state: as last seen.
        errands: none, since there is no agent.
    """

    errands = None

    def __init__(self, parts: OwnParts, vm: OwnVm) -> None:
        self.vm = vm
        self._parts = parts
        self._info = VmInfo(vm.vm_id, VmState.ABSENT)
        self._traffic = Traffic()
        self._console = ""
        self._console_at = float("-inf")
        self._sight = Question(self._look, parts.wake)
        self._saw_last_step = False
        self._action: asyncio.Task[None] | None = None
        self._reset_asked = False
        self._is_gone = False
        self._failures = 0
        self._not_before = 0.0
        self._last_step: tuple[str, float] = ("", 0.0)
        self._usage = UsageMeter(parts.clock)

    @property
    def is_up(self) -> bool:
        """Whether it is in memory, as far as is known."""
        return self._info.state in UP or bool(self._info.pids) or self._is_acting()

    @property
    def state(self) -> VmState:
        """What the hypervisor said last."""
        return self._info.state

    @property
    def info(self) -> VmInfo:
        """What the hypervisor said last."""
        return self._info

    async def turn(self, wanted: Wanted) -> bool:
        """Look, and take the next step if one is due. Returns whether what is wanted has been reached."""
        self._sight.put()
        sight = await self._sight.answer(PATIENCE_S)
        if sight is not None:
            before, (self._info, self._traffic, self._console) = self._info, sight
            self._notice(before, self._info)
            self._saw_last_step = True
        if not self._is_acting() and self._saw_last_step and not self._is_gone:
            step = self._next_step(wanted.want)
            if step != Step.NOTHING and not self._was_just_taken(step):
                self._action = asyncio.create_task(self._act(step))
        await self._draw(wanted)
        is_seen = self._saw_last_step and not self._is_acting()
        return is_seen and settled(wanted.want, self._info.state, bool(self._info.pids))

    @property
    def written_bytes(self) -> int:
        """Of its state, while it is saved; see `VmInfo.written_bytes`."""
        return self._info.written_bytes

    def reset(self) -> None:
        """Have the guest reset, if it runs."""
        self._reset_asked = True
        self._parts.wake()

    async def console(self, limit_bytes: int) -> str:
        """The end of what the guest printed; raises ClientError."""
        return await self._parts.driver.console_tail(self.vm.vm_id, limit_bytes)

    async def power_off(self) -> None:
        """Pull the plug, when nothing else has worked; raises ClientError."""
        await self.close()
        if self.is_up:
            await self._parts.driver.power_off(self.vm.vm_id)

    async def close(self) -> None:
        """End a step under way; the next start takes it again."""
        await self._sight.close()
        if self._is_acting() and self._action is not None:
            self._action.cancel()
            await asyncio.gather(self._action, return_exceptions=True)

    async def _look(self) -> tuple[VmInfo, Traffic, str]:
        driver, vm_id = self._parts.driver, self.vm.vm_id
        info = await driver.info(vm_id)
        now = self._parts.clock.monotonic()
        text = self._console
        if info.state in _EXECUTE and now - self._console_at >= CONSOLE_INTERVAL_S:
            self._console_at = now
            with contextlib.suppress(ClientError):
                text = (await driver.console_tail(vm_id, CONSOLE_CHARS))[-CONSOLE_CHARS:]
        return info, await driver.traffic(vm_id) if info.state is not VmState.ABSENT else Traffic(), text

    def _is_acting(self) -> bool:
        return self._action is not None and not self._action.done()

    def _next_step(self, want: Want) -> str:
        asked, self._reset_asked = self._reset_asked, False
        waits = self._parts.clock.monotonic() < self._not_before
        if self.vm.removing:
            return Step.NOTHING if waits or self._is_elsewhere() else REMOVE
        if self._is_elsewhere():
            return Step.NOTHING
        if asked and want is Want.RUN and self._info.state in _EXECUTE:
            return Step.RESET
        can_save = Feature.SAVE_STATE in self._parts.features
        return next_step(
            want, Observed(self._info.state, can_save=can_save, waits=waits, executes=bool(self._info.pids))
        )

    def _was_just_taken(self, step: str) -> bool:
        """Whether it changed nothing a moment ago, and would again and again."""
        last, at = self._last_step
        return step == last != Step.RESET and self._parts.clock.monotonic() < at + SAME_AGAIN_S

    def _is_elsewhere(self) -> bool:
        return self.vm.hypervisor not in {"", self._parts.driver.name}

    def _notice(self, before: VmInfo, now: VmInfo) -> None:
        if self._is_acting() or before.state not in _EXECUTE:
            return
        if now.state is VmState.DEFINED and self.vm.wish is Wish.RUN:
            # It went by itself, as its owner told it from inside; started again it would come back for ever.
            logger("core").info("%s turned itself off", self.vm.vm_id)
            self._parts.keep(replace(self.vm, wish=Wish.OFF))
        elif now.state is VmState.FAILED:
            self._problem("own-vm-failed", cause=now.cause or "for an unknown reason")

    async def _act(self, step: str) -> None:
        error: Exception | None = None
        try:
            error = await attempt(step, lambda: self._journaled(step))
        finally:
            # What was asked before its end does not tell what has become of it.
            self._sight.outdate()
            self._saw_last_step = False
            self._last_step = step, self._parts.clock.monotonic()
            self._parts.wake()
        if error is not None:
            self._last_step = "", 0.0
            self._failures += 1
            self._not_before = self._parts.clock.monotonic() + back_off_s(self._failures)
            said = sentence(error)
            logger("core").warning("%s: %s failed: %s", self.vm.vm_id, step, said.text)
            self._show(code_of(error), said.text, said.doing)

    async def _journaled(self, step: str) -> None:
        journal, clock, vm_id = self._parts.journal, self._parts.clock, self.vm.vm_id
        number = journal.begin(step, vm_id, clock.now())
        logger("core").info("%s: %s", vm_id, step)
        failure = "interrupted"
        try:
            async with self._parts.unhindered(self.vm.vm_id):
                await self._take(step)
            failure = ""
            self._failures = 0
            self._parts.board.settle(about=vm_id)
        except (ClientError, OSError) as error:
            failure = str(error)
            raise
        finally:
            # A journal that cannot be written now costs nothing: an open entry is looked into at the next start.
            with contextlib.suppress(OSError):
                journal.end(number, clock.now(), failure)

    async def _take(self, step: str) -> None:
        driver, vm_id = self._parts.driver, self.vm.vm_id
        verbs = {
            Step.RESTORE: driver.start,
            Step.PAUSE: driver.pause,
            Step.RESUME: driver.resume,
            Step.SAVE: driver.save,
            Step.DISCARD: driver.discard_saved,
            Step.PULL_PLUG: driver.power_off,
            Step.POWER_OFF: driver.power_off,
            Step.RESET: driver.reset,
        }
        match step:
            case _ if step == REMOVE:
                await self._remove()
            case Step.BOOT:
                await self._boot()
            case Step.SHUT_DOWN:
                await driver.shut_down(vm_id, SHUT_DOWN_S)
            case _:
                await verbs[Step(step)](vm_id)
        if step in _BEGINNINGS:
            # A guest that ends before it was ever looked at has ended all the same.
            self._info = replace(self._info, state=VmState.STARTING)
        elif step in _ENDINGS:
            # What this program ended did not go by itself.
            self._info = replace(self._info, state=VmState.DEFINED)

    async def _boot(self) -> None:
        driver, vm = self._parts.driver, self.vm
        if not vm.hypervisor:
            await verify_place(vm.image, vm.image_name)
            # Before the disk: a VM of which nobody knows where its disk is could never be removed.
            self._parts.keep(replace(vm, hypervisor=driver.name))
        await driver.define(await self._spec())
        await driver.start(vm.vm_id)

    async def _remove(self) -> None:
        parts, vm_id = self._parts, self.vm.vm_id
        await parts.driver.destroy(vm_id)
        await asyncio.to_thread(unmake_vm, parts.store, parts.paths, vm_id)
        self._is_gone = True
        parts.removed(vm_id)

    async def _spec(self) -> VmSpec:
        vm = self.vm
        online = self._may_be_online()
        return VmSpec(
            vm_id=vm.vm_id,
            name=f"Volunteer Cloud {vm.vm_id}",
            cpus=vm.cpus,
            memory_mib=vm.memory_mib,
            media=tuple(self._media()),
            internet=online,
            network=online,
            keeps_disk=True,
            accelerator=await self._accelerator(),
        )

    def _media(self) -> list[Medium]:
        vm, parts = self.vm, self._parts
        media = [Medium(MediumRole.SYSTEM if vm.boots is Boots.CD else MediumRole.SCRATCH, vm.image)]
        if vm.boots is Boots.CD and vm.disk_gib:
            media.append(Medium(MediumRole.SCRATCH, parts.store.disk(vm.vm_id)))
        if vm.template:
            media.append(Medium(MediumRole.CONTEXT, parts.paths.context(vm.vm_id)))
        return media

    async def _accelerator(self) -> str:
        """One by name where there is a choice: a guest that says nothing must not decide what this computer can."""
        chosen = self._parts.preferences.text("hypervisor.accelerator")
        report = await self._parts.driver.probe()
        if chosen != "auto" or len(report.accelerators) < 2:
            return chosen
        return report.accelerators[0 if report.is_proven else -1]

    def _may_be_online(self) -> bool:
        asked = self.vm.network is Network.NAT
        if asked and self._parts.preferences.text("network.unconfined") == "none":
            self._problem("own-vm-offline", name=self.vm.name)
            return False
        return asked

    def _problem(self, code: str, **fields: object) -> None:
        said = fill(code, {"name": self.vm.name, **fields})
        self._show(code, said.text, said.doing)

    def _show(self, code: str, text: str, doing: str) -> None:
        # Never an error: it does not stand in the way of the project's work.
        self._parts.board.raise_problem(code, self.vm.vm_id, text, doing, Severity.WARNING)

    async def _draw(self, wanted: Wanted) -> None:
        info, vm = self._info, self.vm
        usage = await self._usage.measure(info.pids)
        if self._is_gone:
            # It went while this turn was under way, and must not be shown again.
            return
        view = view_of(vm)
        reason = wanted.reason
        if self._is_elsewhere():
            reason = elsewhere(vm)
        self._parts.board.update_vm(
            replace(
                view,
                state=info.state,
                hypervisor=self._parts.driver.name,
                accelerator=info.accelerator,
                note=info.note,
                cause=info.cause,
                boot_fraction=1.0,
                cpu_percent=usage.cpu_percent,
                memory_mib=usage.memory_mib,
                sent_bytes=self._traffic.sent_bytes,
                received_bytes=self._traffic.received_bytes,
                reason=view.reason or reason,
                console=self._console,
            )
        )
