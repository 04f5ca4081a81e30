"""The core: builds the parts, holds the intent, turns the wheel, publishes snapshots, takes commands.

run() ── choose a driver ── load the project ── keep the VM (once a second, and at every change) ── leave
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from client.appliance.blank import BlankMedium
from client.appliance.transfers import RunWorker
from client.appliance.worker import run_worker
from client.appliances import Appliances, AskLink
from client.board import Board
from client.clock import Clock, SystemClock
from client.commands import (
    Attach,
    Command,
    CreateVm,
    DismissProblem,
    HoldFetching,
    OrderVm,
    Pause,
    Quit,
    RemoveImage,
    Reset,
    Start,
    Stop,
    TendStore,
)
from client.cvmfs import guest_files
from client.errors import ClientError
from client.headline import activity_of, headline_of
from client.history import History
from client.host.login import login_id
from client.host.metered import is_metered
from client.hypervisor.driver import Driver, DriverReport, Feature
from client.hypervisor.errors import NoSuchVm
from client.intent_file import load_intent, save_intent
from client.journal import Journal
from client.keeper import VmKeeper
from client.leaving import Patience
from client.log import logger, remove, to_listener
from client.messages import code_of, fill, sentence
from client.own_keeper import OwnKeeper
from client.own_share import NOTHING, Size
from client.own_share import Project as ProjectVm
from client.own_vm import PROJECTS_NAME
from client.own_vms import OwnVms
from client.parts import Parts
from client.paths import Paths
from client.preferences.store import Preferences
from client.project.attach import attach_first
from client.project.definition import Project, load_project
from client.project.enrolment import GuestToken
from client.project.token import ask_token
from client.question import PATIENCE_S, Question
from client.reconcile import Intent, Want, finished, lapse, obey, wanted
from client.regulated import Rules, guest_of, guests_of, need_mib
from client.regulator import Regulator
from client.snapshot import Activity, Allowed, Severity, VmKind
from client.supervisor import supervise

VM_ID: Final = PROJECTS_NAME
TURN_S: Final = 1.0
#: how often a missing project file or hypervisor is looked for again
LOOK_AGAIN_S: Final = 5.0
#: leaving takes at most so long without anything being written; what is not saved by then is powered off
LEAVE_S: Final = 75.0
#: a hypervisor that is still being looked for then has so long to be found: a VM of an earlier run may be executing
LAST_LOOK_S: Final = 20.0
#: what problems with the driver are about
_HYPERVISOR: Final = "hypervisor"
#: what problems with a project file that was just chosen are about
_ATTACHING: Final = "attaching"


@dataclass(frozen=True)
class Make:
    """How the core gets what tests replace.

    Attributes:
        driver: finds the best hypervisor; raises `NoHypervisor`.
        faster: whether there is a better one than that of the report; None: never.
        token: asks a project for a guest token; None: with this computer's key, in a process of its own.
        worker: has a process of its own do some work.
        is_metered: whether the network is paid by the byte; None: not known.
        regulator: has the rules kept; None: there are none.
    """

    driver: Callable[[Paths, Preferences], Awaitable[tuple[Driver, DriverReport]]]
    faster: Callable[[Paths, Preferences, DriverReport], Awaitable[bool]] | None = None
    token: Callable[[Project, str], Awaitable[GuestToken]] | None = None
    clock: Clock = field(default_factory=SystemClock)
    worker: RunWorker = run_worker
    is_metered: AskLink = is_metered
    regulator: Callable[[Paths, Preferences, Clock, Callable[[], None]], Regulator] | None = None


class Core:
    """The client without a face. One per base folder (the caller holds the lock)."""

    def __init__(self, paths: Paths, preferences: Preferences, make: Make) -> None:
        self.board = Board(make.clock)
        self._paths = paths
        self._preferences = preferences
        self._make = make
        self._clock = make.clock
        self._intent = Intent()
        self._login = login_id()
        self._wake = asyncio.Event()
        regulator = make.regulator(paths, preferences, make.clock, self._wake.set) if make.regulator else None
        self.appliances = Appliances(paths, preferences, make.clock, self.board, make.worker, make.is_metered)
        self._rules = Rules(regulator, paths, preferences, self.board, make.clock, self.appliances)
        self._journal = Journal(paths.journal)
        self.own = OwnVms(paths, preferences, make.clock, self.board, self._journal, self._wake.set)
        self._history = History(paths.history)
        self._blocked = True
        self._keeper: VmKeeper | None = None
        self._reasons: tuple[str, ...] = ()
        #: a project was attached and has not been looked at yet
        self._was_attached = False

    def load(self) -> None:
        """Read what the last run left: intent, journal, history. Before `handle` and `run`."""
        self._paths.make()
        self._journal.load()
        self._history.open()
        self.board.facts.totals = self._history.totals()
        self._intent = load_intent(self._paths)
        self.own.load()

    async def run(self) -> None:
        """Run until Quit has been obeyed; no VM executes when this returns."""
        tap = to_listener(self.board.log)
        publisher = asyncio.create_task(self.board.publish())
        try:
            await self._rules.open()
            for entry in self._journal.open_entries():
                logger("core").info("Was interrupted: %s of %s; taking it up", entry.step, entry.about)
            await supervise("core", self._work, self._show_failure)
        finally:
            await self.own.close(for_good=True)
            await self._rules.close()
            self._draw()
            self.board.publish_now()
            publisher.cancel()
            await asyncio.gather(publisher, return_exceptions=True)
            remove(tap)
            self._history.close()

    async def handle(self, command: Command) -> None:
        """Take a command; its effect shows in later snapshots. Idempotent."""
        match command:
            case DismissProblem():
                self.board.settle(command.code, about=command.about)
                return
            case Attach():
                await self._attach(Path(command.file))
                return
            case HoldFetching() | TendStore() | RemoveImage():
                await self.appliances.obey(command)
                return
            case OrderVm() | CreateVm():
                await self.own.obey(command)
                return
            case Start():
                self.own.start_all()
            case Stop():
                self.own.stop_all()
        if isinstance(command, Reset):
            if self._keeper is not None:
                self._keeper.reset()
        else:
            self._set_intent(obey(self._intent, command, self._login, on_battery=self._rules.on_battery))
        if isinstance(command, Quit):
            logger("core").info("Leaving; the work is %s", "saved" if command.work == "save" else "stopped")
        until = command.until if isinstance(command, Pause) else None
        logger("core").info("Command: %s%s", type(command).__name__.lower(), f" until {until}" if until else "")

    async def _attach(self, file: Path) -> None:
        self.board.settle(about=_ATTACHING)
        try:
            await asyncio.to_thread(attach_first, self._paths, file)
        except (ClientError, OSError) as error:
            self._show_failure(_ATTACHING, error)
        else:
            logger("core").info("Attached to the project of %s", file)
            self._was_attached = True
            self._wake.set()

    def machine(self, vm_id: str) -> VmKeeper | OwnKeeper | None:
        """The keeper of a VM, for errands in its guest; None when there is no such VM now."""
        return self._keeper if vm_id == VM_ID else self.own.machine(vm_id)

    async def _work(self) -> None:
        """Keep the VM until Quit, under another hypervisor if the one in use turns out not to work."""
        while (parts := await self._find_parts()) is not None:
            if await self._keep(parts):
                return

    async def _keep(self, parts: Parts) -> bool:
        """Returns True when the program is to end, False when the driver cannot work here after all."""
        keeper = VmKeeper(parts, VM_ID, wake=self._wake.set, on_finished=self._finish)
        keeper.errands.load()
        parts.driver.on_change(lambda _: self._wake.set())
        link = asyncio.create_task(supervise("guest link", keeper.run_link, self._show_failure))
        upkeep = asyncio.create_task(supervise("appliances", self.appliances.keep, self._show_failure))
        try:
            self._blocked = False
            self._keeper = keeper
            self.own.open(parts.driver, parts.features, self._rules.unhindered)
            self.board.settle(about="core")
            return await self._turn_until_left(keeper, parts)
        finally:
            self._keeper = None
            link.cancel()
            upkeep.cancel()
            await asyncio.gather(link, upkeep, self._rules.detach(), return_exceptions=True)
            await keeper.close()
            await self.own.close()
            await parts.blank.close()
            if parts.guest_files is not None:
                await parts.guest_files.close()
            await parts.driver.close()

    async def _turn_until_left(self, keeper: VmKeeper, parts: Parts) -> bool:
        trial = Question(lambda: self._try(parts.driver), self._wake.set)
        try:
            return await self._turn(keeper, parts, trial)
        finally:
            await trial.close()

    async def _turn(self, keeper: VmKeeper, parts: Parts, trial: Question[tuple[DriverReport, bool]]) -> bool:
        patience: Patience | None = None
        while True:
            self._lapse()
            reached = await self._turn_all(keeper, parts)
            self._draw()
            if self._intent.leaving is not None:
                patience = patience or Patience(self._clock, LEAVE_S)
                if reached:
                    return True
                if patience.is_over({VM_ID: keeper.written_bytes, **self.own.written_bytes()}):
                    logger("core").warning("Nothing more of the work is saved since %.0f s; powering off", LEAVE_S)
                    await keeper.close()
                    try:
                        # Own ones may have run without it.
                        with contextlib.suppress(NoSuchVm):
                            await parts.driver.power_off(VM_ID)
                    finally:
                        await self.own.power_off()
                    return True
            else:
                if keeper.doubts_driver():
                    trial.outdate()
                    trial.put()
                answer = await trial.answer()
                if answer is not None and not self._still_works(*answer):
                    return False
            await self._sleep(TURN_S)

    async def _turn_all(self, keeper: VmKeeper, parts: Parts) -> bool:
        """One turn of the project's VM and of all own ones. Returns whether all is as it is wanted."""
        needs, most = parts.project.needs, parts.preferences
        size = Size(min(needs.cpus, most.number("guest.cpus")), min(needs.memory_mib, most.number("guest.memory_mib")))
        guest = partial(guest_of, keeper, size)
        is_to_start = wanted(self._intent).want is Want.RUN and not keeper.is_up
        guests = guests_of(guest(), self.own, most)
        needed_mib = need_mib(guests, self.own, most, size.memory_mib if is_to_start else 0)
        may, share = self._rules.look(guests, needed_mib, parts.project.name)
        self._rules.attend_disk(parts.guest_files)
        if self._rules.was_cut_off():
            keeper.woke()
        want = wanted(self._intent, may).want
        # Nothing makes room for one that the rules do not let start.
        claims = want is Want.RUN or (want is Want.HOLD and (keeper.is_up or self._intent.paused))
        project = ProjectVm(size, claims, keeper.is_up, self._rules.room_mib)
        # Own ones that have to make room for it go first.
        waits = claims and self.own.hold_back(project)
        intent = replace(self._intent, working=False, off=False) if waits else self._intent
        reached = await keeper.turn(intent, may, share, may_transfer=self._rules.may_transfer)
        reached = await self.own.turn(self._intent, project, self._rules.may_own) and reached and not waits
        await self._rules.steer(guests_of(guest(), self.own, most), parts.driver.live)
        return reached

    def _lapse(self) -> None:
        now = self._clock.now()
        self._set_intent(lapse(self._intent, now, on_battery=self._rules.on_battery, login=self._login))

    async def _try(self, driver: Driver) -> tuple[DriverReport, bool]:
        """Ask a driver once more what it thinks of itself, and whether there is a faster one."""
        report = await driver.probe()
        if not report.available or self._make.faster is None:
            return report, False
        return report, await self._make.faster(self._paths, self._preferences, report)

    def _still_works(self, report: DriverReport, has_faster: bool) -> bool:
        """Show what slows a driver down. Returns whether it is the right one."""
        self._show_reasons(report)
        if not report.available:
            logger("core").warning("%s cannot work here (%s); looking for another", report.name, report.problem)
        elif has_faster:
            logger("core").info("%s is slower here than it seemed; another hypervisor is taken", report.name)
        return report.available and not has_faster

    def _show_reasons(self, report: DriverReport) -> None:
        """Once: what the volunteer has waved away comes back only if it is something else."""
        codes = tuple(reason.code for reason in report.reasons)
        if codes == self._reasons:
            return
        self._reasons = codes
        self.board.settle(about=_HYPERVISOR)
        for reason in report.reasons:
            self._show_failure(_HYPERVISOR, reason)

    async def _find_parts(self) -> Parts | None:
        """Project and driver, looked for again until found; None when leaving comes first.

        They are looked for once in any case: a VM of an earlier run may be executing.
        """
        has_looked = False
        while self._intent.leaving is None or not has_looked:
            has_looked = True
            try:
                chosen = await self._choose()
            except ClientError as error:
                self._show_failure("start", error)
                await self._rules.attend_alone()
                self._draw()
                await self._sleep(LOOK_AGAIN_S)
                continue
            if chosen is None:
                return None
            driver, report = chosen
            project = self._attached()
            if project is not None:
                return self._build(driver, report, project)
            self._blocked = True
            await self._keep_own(driver, report)
        return None

    def _attached(self) -> Project | None:
        """The project that is attached; None if there is none that can be used, which is shown."""
        self.board.settle(about="start")
        try:
            if self._paths.project.exists():
                return load_project(self._paths.project)
        except ClientError as error:
            self._show_failure("start", error)
        else:
            said = fill("no-project", {})
            self.board.raise_problem("no-project", "start", said.text, said.doing, said.severity)
        return None

    async def _keep_own(self, driver: Driver, report: DriverReport) -> None:
        """Keep the volunteer's own VMs until a project is attached, or they are at rest for the end."""
        driver.on_change(lambda _: self._wake.set())
        self._show_reasons(report)
        patience: Patience | None = None
        look_at = self._clock.monotonic() + LOOK_AGAIN_S
        upkeep = asyncio.create_task(supervise("appliances", self.appliances.keep, self._show_failure))
        try:
            self.own.open(driver, report.features, self._rules.unhindered)
            while True:
                self._lapse()
                guests = guests_of(None, self.own, self._preferences)
                self._rules.look(guests, need_mib(guests, self.own, self._preferences))
                alone = ProjectVm(NOTHING, room_mib=self._rules.room_mib)
                self._rules.attend_disk()
                reached = await self.own.turn(self._intent, alone, self._rules.may_own)
                await self._rules.steer(guests_of(None, self.own, self._preferences), driver.live)
                self._draw()
                if self._intent.leaving is not None:
                    patience = patience or Patience(self._clock, LEAVE_S)
                    if reached:
                        return
                    if patience.is_over(self.own.written_bytes()):
                        await self.own.power_off()
                        return
                elif self._was_attached or self._clock.monotonic() >= look_at:
                    self._was_attached = False
                    if _is_project(self._paths):
                        return
                    look_at = self._clock.monotonic() + LOOK_AGAIN_S
                await self._sleep(TURN_S)
        finally:
            upkeep.cancel()
            await asyncio.gather(upkeep, self._rules.detach(), return_exceptions=True)
            await self.own.close()
            await driver.close()

    async def _choose(self) -> tuple[Driver, DriverReport] | None:
        """The best driver; None if the hypervisors have not said what they can do when the program is to end."""
        choice = Question(lambda: self._make.driver(self._paths, self._preferences), self._wake.set)
        choice.put()
        self._blocked = False
        look_until: float | None = None
        try:
            while (chosen := await choice.answer(PATIENCE_S)) is None:
                if self._intent.leaving is not None:
                    look_until = look_until or self._clock.monotonic() + LAST_LOOK_S
                    if self._clock.monotonic() > look_until:
                        logger("core").warning("No hypervisor has answered; leaving without it")
                        return None
                await self._rules.attend_alone()
                self._draw()
                await self._sleep(TURN_S)
            return chosen
        finally:
            await choice.close()

    def _build(self, driver: Driver, report: DriverReport, project: Project) -> Parts:
        self.board.facts.project_name, self.board.facts.project_text = project.name, project.text
        self._show_reasons(report)
        cache = self.appliances.cache_for(project, direct=Feature.DIRECT_BOOT in report.features)
        return Parts(
            paths=self._paths,
            clock=self._clock,
            preferences=self._preferences,
            board=self.board,
            journal=self._journal,
            history=self._history,
            appliances=self.appliances,
            cache=cache,
            driver=driver,
            features=report.features,
            project=project,
            blank=BlankMedium(self._paths.blank_context, self._make.worker),
            fetch_token=self._make.token or partial(ask_token, self._paths.keys),
            speed=report.speed,
            unhindered=self._rules.unhindered,
            guest_files=guest_files(project, self._paths, self._preferences, self.board, self._clock),
        )

    async def _sleep(self, longest_s: float) -> None:
        longest_s = self._rules.sleep_s(longest_s)
        # Not wait_for: on Python 3.11 it swallows a cancellation that comes together with the event.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._wake.wait()
        self._wake.clear()

    def _set_intent(self, intent: Intent) -> None:
        if intent == self._intent:
            return
        self._intent = intent
        save_intent(self._paths, intent)
        self._wake.set()

    def _finish(self) -> None:
        logger("core").info("The last job is finished; stopping as you asked")
        self._set_intent(finished(self._intent))

    def _show_failure(self, name: str, error: BaseException) -> None:
        said = sentence(error)
        self.board.raise_problem(code_of(error), name, said.text, said.doing, said.severity)

    def _draw(self) -> None:
        facts, intent = self.board.facts, self._intent
        vm = next((vm for vm in facts.vms if vm.kind is VmKind.PROJECT), None)
        reason = wanted(intent, self._rules.may).reason
        facts.activity = activity_of(vm, reason, intent.working, intent.finishing, self._is_blocked())
        facts.reason = reason
        facts.headline = headline_of(facts.activity, vm, self.board.transfers, self.board.problems, reason)
        facts.allowed = _allowed(intent, facts.activity)
        self.board.changed()

    def _is_blocked(self) -> bool:
        return self._blocked or any(problem.severity is Severity.ERROR for problem in self.board.problems)


def _is_project(paths: Paths) -> bool:
    """Whether a project is attached that can be used."""
    try:
        return paths.project.exists() and load_project(paths.project) is not None
    except ClientError:
        return False


def _allowed(intent: Intent, activity: Activity) -> Allowed:
    if intent.leaving is not None:
        return Allowed(start=False)
    working = intent.working
    return Allowed(
        start=not working,
        pause=working and not intent.paused,
        resume=working and intent.paused,
        finish=working and activity is not Activity.BLOCKED,
        stop=working,
    )
