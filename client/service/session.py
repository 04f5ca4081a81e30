"""One run of the program in a base folder: lock, log file, core and control socket, for every face."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from client import log
from client.commands import Command, Start
from client.core import Core, Make
from client.errors import ClientError
from client.hypervisor.driver import Driver, DriverReport
from client.paths import Paths
from client.preferences.store import Preferences, check_sets, load
from client.project.attach import attach
from client.project.definition import load_project
from client.service.control import ControlServer
from client.service.images_desk import ImagesDesk
from client.service.own_desk import OwnDesk
from client.service.quota import Outcome, Quota
from client.service.regulation import AT_ONCE, make_regulator
from client.service.relay_command import relay_command
from client.service.vm_desk import VmDesk
from client.snapshot import ClientSnapshot


@dataclass(frozen=True)
class Options:
    """What the command line says of a run.

    Attributes:
        sets: KEY=VALUE preferences.
        start: begin to work at once.
        project: a project file to attach to first; None keeps the one attached.
        jobs: leave after so many finished jobs; 0: stay.
    """

    base: Path
    sets: tuple[str, ...] = ()
    start: bool = False
    project: Path | None = None
    jobs: int = 0


class Port(Protocol):
    """A face's end: takes snapshots, gives commands."""

    def publish(self, snapshot: ClientSnapshot) -> None:
        """Show a snapshot; called in the event loop, must not block."""

    def show_window(self) -> bool:
        """Bring the window to the front; False if there is none."""

    async def next_command(self) -> Command:
        """The next command of the person at this face."""


async def run(options: Options, port: Port) -> Outcome:
    """Run the core for a face until Quit, or until enough jobs are finished. The caller holds the `InstanceLock`.

    Raises:
        BadInput: preferences of the command line, or the project file, do not fit.
    """
    paths = Paths(options.base)
    paths.make()
    preferences = load(paths.preferences, options.sets, implied=AT_ONCE if options.jobs else {})
    if options.project is not None:
        attach(paths, options.project)
    file = log.to_file(paths.log)
    core = Core(paths, preferences, Make(driver=find_driver, faster=has_faster, regulator=make_regulator))
    core.load()
    end = core.board.subscribe(port.publish)
    quota = Quota(core, options.jobs)
    images = ImagesDesk(core.board, core.appliances)
    vms, own = VmDesk(core.board, core.machine), OwnDesk(core.board, core.own)
    control = ControlServer(paths, core.board, core.handle, port.show_window, vms, images, own)
    commands = asyncio.create_task(_obey(port, core.handle))
    try:
        await control.open()
        if options.start:
            await core.handle(Start())
        await core.run()
        return quota.outcome
    finally:
        commands.cancel()
        await control.close()
        end()
        log.remove(file)


def check(options: Options) -> None:
    """Whether what the command line says of a run fits; a face that opens a window says so before it does.

    Raises:
        BadInput: preferences, or the project file, do not fit.
    """
    check_sets(options.sets)
    if options.project is not None:
        load_project(options.project)


async def find_driver(paths: Paths, preferences: Preferences) -> tuple[Driver, DriverReport]:
    """The hypervisor driver that the preferences and this computer call for.

    Raises:
        NoHypervisor: there is none.
    """
    from client.hypervisor.registry import choose, put_away_others

    preferred = preferences.text("hypervisor.driver")
    driver, report = await choose(preferred, paths.vms, relay_command())
    await put_away_others(report.name, paths.vms, relay_command(), preferred=preferred)
    try:
        # A driver's first look at its VMs is when it finds what an earlier run left half done.
        await driver.list_vms()
    except (ClientError, OSError) as error:
        log.logger("hypervisor").warning("What %s has is not known yet: %s", report.name, error)
    return driver, report


async def has_faster(paths: Paths, preferences: Preferences, than: DriverReport) -> bool:
    """Whether another driver would be chosen now; see the registry's."""
    from client.hypervisor import registry

    return await registry.has_faster(than, preferences.text("hypervisor.driver"), paths.vms, relay_command())


async def _obey(port: Port, handle: Callable[[Command], Awaitable[None]]) -> None:
    while True:
        await handle(await port.next_command())
