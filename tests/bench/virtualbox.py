"""The real VirtualBox of the benches: set up once, a guest booted once, and VMs made and driven without the program."""

import asyncio
import atexit
import fcntl
import functools
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from client import process
from client.hypervisor.driver import Medium, MediumRole, VmSpec
from client.hypervisor.virtualbox import shape
from client.hypervisor.virtualbox.driver import VirtualBoxDriver
from client.hypervisor.virtualbox.folder import VmFolder
from client.hypervisor.virtualbox.installation import Installation
from client.hypervisor.virtualbox.vboxmanage import VBoxManage
from tests.bench.harness import TOP
from tests.virtualbox.golden import Golden, boot_once, context_medium, guest_spec
from tests.virtualbox.guest.build import build
from tests.virtualbox.lane import Lane

#: exit code of the set-up for "cannot be had here and now"
_CANNOT = 75
_POLL_S = 0.001
_LOCK_PAUSE_S = 0.1
_END_LIMIT_S = 60.0
#: settings that go together in one call of a program which sets one thing at a time
_TOGETHER = ("--boot", "--bios", "--uart1", "--uart2", "--nic1")
_WITH_ITS_NEIGHBOUR = {"--uartmode1": "--uart1", "--uartmode2": "--uart2", "--nictype1": "--nic1"}


class NotHere(Exception):
    """The real VirtualBox cannot be had; the reason in one line."""


@dataclass(frozen=True)
class Site:
    """Attributes:
    folder: of all that the benches make; short, for sockets lie in it.
    """

    folder: Path
    lane: Lane
    golden: Golden
    spec: VmSpec

    def driver(self) -> VirtualBoxDriver:
        return VirtualBoxDriver(self.folder / "vms", needs_driver=False)

    def spec_of(self, vm_id: str) -> VmSpec:
        """The guest's spec under another id, with a contextualization medium of its own."""
        own = Medium(MediumRole.CONTEXT, context_medium(self.folder / f"{vm_id}.iso", vm_id))
        media = tuple(own if one.role is MediumRole.CONTEXT else one for one in self.spec.media)
        return replace(self.spec, vm_id=vm_id, media=media)

    def record_of(self, vm_id: str) -> VmFolder:
        return VmFolder(self.folder / "vms" / vm_id)

    def adopt(self, identity: str, machine_folder: Path) -> None:
        """Give a VM that is off the state of the guest that was booted."""
        to = machine_folder / "Snapshots" / "golden.sav"
        to.parent.mkdir(exist_ok=True)
        shutil.copy(self.golden.state, to)
        self.lane.manage("adoptstate", identity, str(to))


@functools.cache
def open_site() -> Site:
    """Set VirtualBox up and boot the guest, once for all benches of a run; both end with this process.

    Raises:
        NotHere: it cannot be had.
    """
    home = _set_up()
    folder = Path(tempfile.mkdtemp(prefix="vc-bench-", dir="/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # Held by everybody who runs VMs there, until this process ends.
    lock = (home / "use.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    atexit.register(lock.close)
    lane = Lane(folder / "home")
    os.environ.update(lane.environment, PATH=f"{home / 'bin'}:{os.environ['PATH']}")
    atexit.register(lane.end)
    template = folder / "template.raw"
    template.write_bytes(b"SCRATCH".ljust(1 << 20, b"\0"))
    context = context_medium(folder / "context.iso", "gold")
    spec = guest_spec("golden", build(TOP / "build/virtualbox/guest.iso"), template, context)
    return Site(folder, lane, asyncio.run(boot_once(folder, spec)), spec)


def _set_up() -> Path:
    if subprocess.run([TOP / "packaging/linux/setup.sh", "virtualbox-lane"], check=False).returncode:
        raise NotHere("the packages that its set-up needs could not be installed")
    done = subprocess.run([TOP / "packaging/linux/virtualbox.sh"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == _CANNOT:
        raise NotHere(done.stdout.strip())
    done.check_returncode()
    return Path(done.stdout.strip())


async def installed(driver: VirtualBoxDriver) -> tuple[Installation, VBoxManage]:
    """What a driver found."""
    installation = await driver._prospect.installation()
    assert isinstance(installation.manage, VBoxManage)
    return installation, installation.manage


class Bare:
    """The same VM, made and driven by calls of VBoxManage alone.

    Args:
        model: a VM of the driver's, whose base disk and CD of the system are used, too.
    """

    def __init__(self, site: Site, installation: Installation, model: VmFolder) -> None:
        self._manage = site.lane.manage
        self._site, self._abilities = site, installation.abilities
        self._context = str(context_medium(site.folder / "bare.iso", "bare"))
        self._media = {**model.record().media, MediumRole.CONTEXT.value: self._context}
        self.identity = str(uuid.uuid4())
        self.folder = site.folder / "bare"
        name = "bare"
        link, console = self.folder / "link", self.folder / "console"
        self._naming = shape.Naming(self.identity, name, str(self.folder), str(console), str(link))
        self._who: process.Identity | None = None
        self.folder.mkdir()

    @property
    def link(self) -> Path:
        return Path(self._naming.link)

    def define(self) -> int:
        """As programs do that set one thing at a time: about twenty calls. Returns how many."""
        drives = shape.plan_drives(self._media, boots_from_disk=False)
        modify = shape.build_modify(self._site.spec, self._naming, self._abilities)
        calls = [
            shape.build_create(self._naming),
            *(("modifyvm", self.identity, *words) for words in one_by_one(modify[2:])),
            *shape.build_controllers(self._naming, drives, self._abilities),
            *(shape.build_attach(self._naming, drive) for drive in drives),
        ]
        for words in calls:
            self._manage(*words)
        return len(calls)

    def adopt(self) -> None:
        self._site.adopt(self.identity, self.folder / self._naming.name)

    def look(self) -> None:
        """See who runs it; not timed, and before each verb."""
        self._who = next((process.identity(one.pid) for one in self._site.lane.processes("VBoxHeadless")), None)

    def start(self) -> None:
        """Begun again while VirtualBox has the VM locked, as it has for a moment after another call or process."""
        self.link.unlink(missing_ok=True)
        end = time.monotonic() + _END_LIMIT_S
        while True:
            try:
                self._manage("startvm", self.identity, "--type", "headless")
            except AssertionError as error:
                if "locked" not in str(error) or time.monotonic() > end:
                    raise
                # Nothing tells when VirtualBox lets go of a VM; whoever asks sooner only keeps its server busy.
                time.sleep(_LOCK_PAUSE_S)
            else:
                return

    def control(self, word: str) -> None:
        self._manage("controlvm", self.identity, word)

    def end(self, word: str) -> None:
        """A verb after which the VM's process ends: done when it has gone, as with the driver.

        It is done when it is seen to be: VirtualBox 7.2.22 was seen to say E_ACCESSDENIED of a `savestate`, whose
        process ends while VirtualBox still writes the VM's settings.
        """
        assert self._who is not None
        said = self._manage("controlvm", self.identity, word, check=False)
        end = time.monotonic() + _END_LIMIT_S
        while process.alive(self._who.pid, self._who.started_at):
            assert time.monotonic() < end, f"{word} does not end: {said}"
            # It is nobody's child here, so there is nothing to wait on.
            time.sleep(_POLL_S)

    def restart(self) -> None:
        """What a reset of a restored VM has to be: the plug pulled, and a start."""
        self.end("poweroff")
        self.start()

    def snapshot(self, verb: str) -> None:
        self._manage("snapshot", self.identity, verb, "point")

    def destroy(self) -> None:
        """Its CD has to be forgotten by itself; the system's is another VM's, too."""
        self._manage("unregistervm", self.identity, "--delete")
        self._manage("closemedium", "dvd", self._context)
        shutil.rmtree(self.folder)


def one_by_one(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """One call's settings as those of many: each option by itself, but for the few that belong together."""
    groups: dict[str, list[str]] = {}
    key = ""
    for word in words:
        if word.startswith("--"):
            whole = _WITH_ITS_NEIGHBOUR.get(word, word)
            key = next((start for start in _TOGETHER if whole.startswith(start)), whole)
        groups.setdefault(key, []).append(word)
    return [tuple(group) for group in groups.values()]
