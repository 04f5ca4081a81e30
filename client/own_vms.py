"""All of the volunteer's own VMs: their keepers, what they share, and what is asked of them.

The core hands over its driver while it has one. Without one they are shown as they are kept, and nothing is done.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from client import filenames
from client.appliance.worker import OnProgress
from client.board import Board
from client.clock import Clock
from client.commands import CreateVm, OrderVm, VmVerb
from client.errors import BadInput, ClientError
from client.hypervisor.driver import Driver, Feature
from client.journal import Journal
from client.log import logger
from client.messages import code_of, fill, sentence
from client.own_image import BootImage, boot_file, forget_image
from client.own_keeper import OwnKeeper, OwnParts
from client.own_make import check_wanted, make_vm, sized, unmake_vm
from client.own_share import NOTHING, Project, Size, project_waits, share_out, wanted_of
from client.own_view import ALL, MAKING, NOT_READY, elsewhere, making_view, unreadable_view, view_of
from client.own_vm import MARK, Network, OwnStore, OwnVm, Wish, fault_of_name, id_of, is_own
from client.parts import Unhindered, as_it_is
from client.paths import Paths
from client.preferences.store import Preferences
from client.reconcile import MAY_RUN, Intent, Wanted
from client.snapshot import Reason, Severity, VmView

_WISHES: Final = {
    VmVerb.START: Wish.RUN,
    VmVerb.RESUME: Wish.RUN,
    VmVerb.PAUSE: Wish.HOLD,
    VmVerb.SAVE: Wish.REST,
    VmVerb.POWER_OFF: Wish.OFF,
}


class OwnVms:
    """The volunteer's own VMs.

    Args:
        wake: asks the core for another turn soon.
    """

    def __init__(
        self,
        paths: Paths,
        preferences: Preferences,
        clock: Clock,
        board: Board,
        journal: Journal,
        wake: Callable[[], None],
    ) -> None:
        self._paths = paths
        self._preferences = preferences
        self._clock = clock
        self._board = board
        self._journal = journal
        self._wake = wake
        self._store = OwnStore(paths.own)
        self._vms: dict[str, OwnVm] = {}
        self._unreadable: frozenset[str] = frozenset()
        self._making: dict[str, asyncio.Task[object] | None] = {}
        self._creating: set[asyncio.Task[None]] = set()
        self._parts: OwnParts | None = None
        self.keepers: dict[str, OwnKeeper] = {}
        self._is_known = False
        self._swept: asyncio.Task[None] | None = None
        self._project = Project(NOTHING)

    def load(self) -> None:
        """Read what is kept; what cannot be read is said, and left alone."""
        try:
            vms, self._unreadable = self._store.load()
        except OSError as error:
            self._complain(ALL, error)
            return
        self._is_known = True
        self._vms = {vm.vm_id: vm for vm in vms}
        self._show_kept()

    def open(self, driver: Driver, features: frozenset[Feature], unhindered: Unhindered = as_it_is) -> None:
        """Keep the VMs with this driver from now on. unhindered: see `Parts`."""
        self._parts = OwnParts(
            paths=self._paths,
            preferences=self._preferences,
            clock=self._clock,
            board=self._board,
            journal=self._journal,
            store=self._store,
            driver=driver,
            features=features,
            keep=self._keep,
            removed=self._removed,
            wake=self._wake,
            unhindered=unhindered,
        )
        self.keepers = {vm_id: OwnKeeper(self._parts, vm) for vm_id, vm in self._vms.items()}
        self._swept = asyncio.create_task(self._sweep(driver))

    async def turn(self, intent: Intent, project: Project, may: Wanted = MAY_RUN) -> bool:
        """Turn all wheels once. Returns whether all have reached what is wanted of them. may: what the rules allow."""
        self._project = project
        waiting = self._waiting()
        reached = [
            await keeper.turn(wanted_of(keeper.vm, intent, waiting.get(vm_id), may))
            for vm_id, keeper in tuple(self.keepers.items())
        ]
        return all(reached)

    def hold_back(self, project: Project) -> bool:
        """Whether the project's VM must wait until own ones have made room for it."""
        return project_waits(self._vms.values(), self._up(), self._limit(project), project)

    def written_bytes(self) -> dict[str, int]:
        """vm_id -> how much of its state is written, while it is saved."""
        return {vm_id: keeper.written_bytes for vm_id, keeper in self.keepers.items()}

    async def power_off(self) -> None:
        """Pull all plugs: the time for saving is over."""
        for keeper in self.keepers.values():
            try:
                await keeper.power_off()
            except (ClientError, OSError) as error:
                self._complain(keeper.vm.vm_id, error)

    async def close(self, *, for_good: bool = False) -> None:
        """End what is under way; the next driver, or the next start, goes on with it.

        Args:
            for_good: the program ends, so one that is being made is given up; else that goes on meanwhile.
        """
        ending = [*(self._creating if for_good else ()), *((self._swept,) if self._swept is not None else ())]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        for keeper in self.keepers.values():
            await keeper.close()
        self.keepers, self._parts, self._swept = {}, None, None

    def machine(self, vm_id: str) -> OwnKeeper | None:
        """The keeper of one, by id or name; None when there is none, or no driver."""
        return self.keepers.get(self.find(vm_id).vm_id) if self._finds(vm_id) else None

    def find(self, words: str) -> OwnVm:
        """One by its name or id.

        Raises:
            BadInput: there is none.
        """
        found = self._finds(words)
        if found is None:
            raise BadInput(words, "there is no such virtual machine", "main.py vm list shows them")
        return found

    def stop_all(self) -> None:
        """Save all that run; `start_all`, or starting one of them, lets them go on."""
        for vm in tuple(self._vms.values()):
            if vm.wish in {Wish.RUN, Wish.HOLD} and not vm.stopped:
                self._keep(replace(vm, stopped=True))

    def start_all(self) -> None:
        """Let go on what `stop_all` saved."""
        for vm in tuple(self._vms.values()):
            if vm.stopped:
                self._keep(replace(vm, stopped=False))

    async def create(self, wanted: CreateVm, on_progress: OnProgress = lambda said: None) -> OwnVm:
        """Make one. It is shown meanwhile; cancelled, failed or removed before its end, nothing of it stays.

        Args:
            on_progress: told the step, and how far it is, while the image is taken in.

        Raises:
            ClientError, OSError: it cannot be made, and why.
        """
        vm_id = id_of(wanted.name)
        if vm_id in self._vms or vm_id in self._unreadable or vm_id in self._making:
            raise BadInput(f"the name {wanted.name!r}", "there is a virtual machine of that name", "choose another one")
        self._check_network(wanted)

        def tell(said: Mapping[str, Any]) -> None:
            self._board.update_vm(making_view(vm_id, wanted.name, said))
            on_progress(said)

        image: BootImage | None = None
        self._making[vm_id] = asyncio.current_task()
        try:
            await asyncio.to_thread(check_wanted, vm_id, sized(wanted))
            tell({})
            image = await boot_file(self._paths, wanted.image, tell)
            vm = await self._make(vm_id, replace(sized(wanted, image.asked), image=str(image.path)), image.name)
        except BaseException:
            self._board.drop_vm(vm_id)
            if image is not None and image.is_new:
                await asyncio.to_thread(forget_image, self._paths, image.name)
            raise
        finally:
            del self._making[vm_id]
        if image.end_of_life:
            self._tell_end_of_life(image)
        self._vms[vm_id] = vm
        if self._parts is not None:
            self.keepers[vm_id] = OwnKeeper(self._parts, vm)
        self._board.update_vm(self._kept_view(vm))
        logger("core").info("%s was made: %s", vm_id, vm.name)
        self._wake()
        return vm

    def order(self, wanted: OrderVm) -> OwnVm | None:
        """Have something done with one; None when it is of no use any more, being removed.

        Raises:
            BadInput: there is no such one.
            OSError: it could not be written down, so it is not done.
        """
        if wanted.verb is VmVerb.REMOVE and wanted.vm_id in self._unreadable:
            self._unreadable -= {wanted.vm_id}
            self._take_up_removal(wanted.vm_id)
            return None
        if wanted.verb is VmVerb.REMOVE and (making := self._making_of(wanted.vm_id)) is not None:
            # Once: a second time would break off the tidying up.
            if not making.cancelling():
                making.cancel()
            return None
        vm = self.find(wanted.vm_id)
        logger("core").info("Command: %s %s", wanted.verb.value, vm.vm_id)
        if vm.removing:
            return None
        if wanted.verb is VmVerb.REMOVE:
            self._keep(replace(vm, removing=True, wish=Wish.OFF))
        elif wanted.verb is VmVerb.RESET:
            if vm.vm_id not in self.keepers or not self.keepers[vm.vm_id].is_up:
                raise BadInput(vm.name, "it does not run, so there is nothing to reset", "start it")
            self.keepers[vm.vm_id].reset()
        else:
            self._keep(replace(vm, wish=_WISHES[wanted.verb], stopped=False))
        self._wake()
        return self._vms.get(vm.vm_id)

    def obstacle(self, vm: OwnVm) -> Reason | None:
        """Why one that is to run does not run soon; None when nothing is in its way."""
        if self._parts is None:
            return NOT_READY
        if vm.hypervisor not in {"", self._parts.driver.name}:
            return elsewhere(vm)
        return self._waiting().get(vm.vm_id)

    async def obey(self, command: CreateVm | OrderVm) -> None:
        """Do what somebody at a face wants; what cannot be done shows as a problem. Making one goes on by itself."""
        if isinstance(command, CreateVm):
            # A large image takes minutes, and whoever asked may want to pause meanwhile.
            creating = asyncio.create_task(self._obey(command))
            self._creating.add(creating)
            creating.add_done_callback(self._creating.discard)
        else:
            await self._obey(command)

    async def _obey(self, command: CreateVm | OrderVm) -> None:
        about = f"{MAKING}{command.name}" if isinstance(command, CreateVm) else command.vm_id
        self._board.settle(about=about)
        try:
            if isinstance(command, CreateVm):
                await self.create(command)
            else:
                self.order(command)
        except (ClientError, OSError) as error:
            self._complain(about, error)

    async def _make(self, vm_id: str, wanted: CreateVm, image_name: str) -> OwnVm:
        work = asyncio.to_thread(make_vm, self._store, self._paths, vm_id, wanted, image_name)
        making = asyncio.create_task(work)
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            # A thread cannot be ended: it is waited for, and what it made goes.
            await asyncio.gather(making, return_exceptions=True)
            await asyncio.to_thread(unmake_vm, self._store, self._paths, vm_id)
            raise

    def _check_network(self, wanted: CreateVm) -> None:
        if wanted.network == Network.NAT and self._preferences.text("network.unconfined") == "none":
            what = "the preference network.unconfined says that no virtual machine may have an open network"
            raise BadInput("the network", what, "choose none, or change that preference")

    def _take_up_removal(self, vm_id: str) -> None:
        """One of which nothing is known but its id."""
        self._board.drop_vm(vm_id)
        self._store.place(vm_id).joinpath(filenames.OWN_VM).unlink(missing_ok=True)
        if self._parts is not None:
            self._swept = asyncio.create_task(self._sweep(self._parts.driver))

    async def _sweep(self, driver: Driver) -> None:
        """Remove what was half made or half removed. Of others' VMs nothing is touched."""
        if not self._is_known:
            return
        known = {*self._vms, *self._unreadable, *self._making}
        try:
            there = {info.vm_id for info in await driver.list_vms() if is_own(info.vm_id)}
            half = set(await asyncio.to_thread(self._store.half_made)) | self._lone_seeds()
            for vm_id in sorted((there | half) - known):
                if vm_id in self._vms or vm_id in self._making:
                    continue
                logger("core").info("Removing what is left of %s", vm_id)
                await driver.destroy(vm_id)
                await asyncio.to_thread(unmake_vm, self._store, self._paths, vm_id)
        except (ClientError, OSError) as error:
            self._complain(ALL, error)

    def _lone_seeds(self) -> set[str]:
        folder = self._paths.context("x").parent
        found = (path.name.partition(".")[0] for path in folder.glob(f"{MARK}*"))
        return {vm_id for vm_id in found if is_own(vm_id)}

    def _making_of(self, words: str) -> "asyncio.Task[object] | None":
        return self._making.get(words if words in self._making or fault_of_name(words) else id_of(words))

    def _tell_end_of_life(self, image: BootImage) -> None:
        said = fill("own-image-end-of-life", {"image": image.name, "date": image.end_of_life})
        self._board.raise_problem("own-image-end-of-life", image.name, said.text, said.doing, said.severity)

    def _finds(self, words: str) -> OwnVm | None:
        if words in self._vms or fault_of_name(words):
            return self._vms.get(words)
        return self._vms.get(id_of(words))

    def _keep(self, vm: OwnVm) -> None:
        """Write it down, then go by it."""
        if vm == self._vms.get(vm.vm_id):
            return
        self._store.save(vm)
        self._vms[vm.vm_id] = vm
        keeper = self.keepers.get(vm.vm_id)
        if keeper is not None:
            keeper.vm = vm
        else:
            self._board.update_vm(self._kept_view(vm))

    def _removed(self, vm_id: str) -> None:
        self._vms.pop(vm_id, None)
        self.keepers.pop(vm_id, None)
        self._board.drop_vm(vm_id)
        self._board.settle(about=vm_id)
        logger("core").info("%s is removed", vm_id)

    def _limit(self, project: Project) -> Size:
        memory_mib = self._preferences.number("guest.memory_mib")
        room_mib = memory_mib if project.room_mib is None else min(memory_mib, project.room_mib)
        return Size(self._preferences.number("guest.cpus"), room_mib)

    def _waiting(self) -> dict[str, Reason]:
        most = self._preferences.number("guest.most_vms")
        limit = self._limit(self._project)
        is_ruled = limit.memory_mib < self._preferences.number("guest.memory_mib")
        return share_out(self._vms.values(), self._up(), limit, self._project, most, is_ruled=is_ruled)

    def _up(self) -> dict[str, bool]:
        return {vm_id: keeper.is_up for vm_id, keeper in self.keepers.items()}

    def _show_kept(self) -> None:
        for vm in self._vms.values():
            self._board.update_vm(self._kept_view(vm))
        for vm_id in self._unreadable:
            self._board.update_vm(unreadable_view(vm_id))

    def _kept_view(self, vm: OwnVm) -> VmView:
        view = view_of(vm)
        return view if view.reason or self._parts is not None else replace(view, reason=NOT_READY)

    def _complain(self, about: str, error: Exception) -> None:
        said = sentence(error)
        logger("core").warning("%s: %s", about, said.text)
        self._board.raise_problem(code_of(error), about, said.text, said.doing, Severity.WARNING)
