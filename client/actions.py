"""The acting half of the reconciler: takes one step for one VM, through the parts. Every step may be taken again."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from client.appliance.context import ContextSettings, fill_medium
from client.appliance.manifest import Appliance
from client.clock import Clock
from client.errors import ClientError
from client.guest.channel import LinkChannel
from client.guest.tracker import GuestTracker
from client.hypervisor.driver import (
    INBOX_BLOCK_BYTES,
    OUTBOX_HEADER_BYTES,
    DirectBoot,
    Driver,
    Exchange,
    Feature,
    Medium,
    MediumRole,
    Route,
    VmSpec,
)
from client.hypervisor.errors import OTHER_ROUTES, InvalidVmState, RoutePortTaken
from client.log import logger
from client.messages import fill
from client.parts import Parts
from client.reconcile import Step
from client.renewal import Renewal
from client.snapshot import VmState
from client.vm_record import VmRecord

#: where the guest finds them, unless the hypervisor has its own idea; the network is QEMU's user network
GUEST_ADDRESS: Final = "10.0.2.15/24"
XMPP_ADDRESS: Final = ("10.0.2.100", 5222)
CHIRP_ADDRESS: Final = ("10.0.2.101", 9094)
HTTPS_ADDRESS: Final = ("10.0.2.103", 443)
#: a saved guest whose token ends sooner than this, and that cannot take another, is not worth restoring
TOKEN_MARGIN: Final = timedelta(minutes=5)
#: of each way that large files take into a guest and out of it; sparse
EXCHANGE_MIB: Final = 64
#: what a guest may take to save its job and go
SHUT_DOWN_S: Final = 15.0
#: how often, and after which pauses, a place of a route that another program has is asked for again
LEAD_TRIES: Final = 10
LEAD_PAUSE_S: Final = 1.0
#: the same, when it was to be powered off
FAREWELL_S: Final = 4.0


class VmExchange:
    """One VM's way for large files, as `client.guest.files` wants it."""

    outbox_header_bytes = OUTBOX_HEADER_BYTES
    inbox_block_bytes = INBOX_BLOCK_BYTES

    def __init__(self, driver: Driver, vm_id: str, size_mib: int = EXCHANGE_MIB) -> None:
        self._driver = driver
        self._vm_id = vm_id
        self._size_mib = size_mib

    async def size_bytes(self) -> int:
        """Its size; 0 when the VM has none, as one that was defined by an older client."""
        try:
            await self.outbox()
        except ClientError:
            return 0
        return self._size_mib << 20

    async def insert(self, path: Path | None) -> None:
        """See the driver's Exchange."""
        await self._power().insert(self._vm_id, path)

    async def outbox(self) -> Path:
        """See the driver's Exchange."""
        return await self._power().outbox(self._vm_id)

    def _power(self) -> Exchange:
        if self._driver.exchange is None:
            raise InvalidVmState(self._vm_id, "exchange files", "without an exchange")
        return self._driver.exchange


class Actions:
    """Steps of one VM.

    Attributes:
        record: what is known of the VM.
        renewal: of its guest's account.
    """

    def __init__(self, parts: Parts, vm_id: str, channel: LinkChannel, tracker: GuestTracker) -> None:
        self._parts = parts
        self._vm_id = vm_id
        self._channel = channel
        self._tracker = tracker
        self.record = VmRecord.load(parts.paths, vm_id)
        self.renewal = Renewal(parts, vm_id, channel, lambda: self.record, self._note)

    async def take(self, step: Step) -> None:
        """Take a step.

        Raises:
            ClientError: it failed; taking it again later is right.
        """
        match step:
            case Step.NOTHING:
                return
            case Step.FETCH:
                await self._fetch()
            case Step.BOOT:
                await self._boot()
            case _:
                async with self._parts.unhindered(self._vm_id):
                    await self._take_verb(step)

    async def _take_verb(self, step: Step) -> None:
        driver, vm_id = self._parts.driver, self._vm_id
        match step:
            case Step.RESTORE:
                await self._verified(self.record.appliance)
                await self._lead_as_told()
                await driver.start(vm_id)
                self._resumed()
            case Step.PAUSE:
                await driver.pause(vm_id)
                self._tracker.held()
            case Step.RESUME:
                await driver.set_routes(vm_id, await self._routes())
                await driver.resume(vm_id)
                self._resumed()
            case Step.SAVE:
                await driver.save(vm_id)
                self._tracker.held()
            case _:
                await self._take_hard(step)

    def attend(self, state: VmState) -> None:
        """Look after what a VM in this state needs besides its steps; at each turn between two of them. Never waits."""
        self.renewal.attend(state)
        if self._parts.guest_files is not None:
            self._parts.guest_files.attend(state, self._lead)

    def note_save(self, took_s: float) -> None:
        """Remember how long saving the state takes here."""
        self._note(replace(self.record, save_s=round(took_s, 2)))

    async def _lead(self) -> None:
        await self._parts.driver.set_routes(self._vm_id, await self._routes())

    def state_usable(self, clock: Clock) -> bool:
        """Whether the saved guest can still log in, or be told how, and its appliance can be had."""
        expires, can_renew = self.record.token_expires_at, self.record.token_asked_at is not None
        is_known = self._parts.cache.knows(self.record.appliance)
        return is_known and expires is not None and (can_renew or expires - TOKEN_MARGIN > clock.now())

    def appliance_ready(self, state: VmState) -> bool:
        """Whether the files are there that a VM in this state needs to execute."""
        if state in {VmState.STARTING, VmState.RUNNING}:
            # Asking costs a tenth of a turn, and a guest that is up has its files open.
            return True
        return self._parts.cache.is_ready(self.record.appliance if state is VmState.SAVED else "")

    async def _fetch(self) -> None:
        parts = self._parts
        saved = (await parts.driver.info(self._vm_id)).state is VmState.SAVED
        # A newer version is nothing to a guest that was saved with another.
        await parts.cache.fetch(parts.board.show_transfer, self.record.appliance if saved else "")
        parts.appliances.soon()

    async def _take_hard(self, step: Step) -> None:
        driver, vm_id = self._parts.driver, self._vm_id
        match step:
            case Step.DISCARD:
                await driver.discard_saved(vm_id)
            case Step.SHUT_DOWN:
                await self._shut_down(SHUT_DOWN_S)
            case Step.PULL_PLUG:
                await self._shut_down(FAREWELL_S)
            case Step.POWER_OFF:
                await driver.power_off(vm_id)
            case Step.RESET:
                self._channel.expect_boot()
                self._tracker.boot()
                await driver.reset(vm_id)
            case Step.FRESH_BOOT:
                await driver.power_off(vm_id)
                await driver.discard_saved(vm_id)
            case _:
                raise AssertionError(step)

    async def _lead_as_told(self) -> None:
        """Have the routes of a saved guest begin where it was told; one for which that cannot be has to boot afresh.

        Another program may have had a place for a moment only, and nothing else is a reason to give the state up.

        Raises:
            RoutePortTaken: it cannot; the saved state is gone, the job is on the scratch disk.
            ClientError: it is not known; the saved state stays.
        """
        driver = self._parts.driver
        for tries_left in reversed(range(LEAD_TRIES)):
            routes = await self._routes()
            try:
                await driver.set_routes(self._vm_id, routes)
                return
            except InvalidVmState as error:
                if error.state != OTHER_ROUTES:
                    raise
                if not tries_left:
                    await driver.discard_saved(self._vm_id)
                    raise RoutePortTaken(self._vm_id, routes[0].name, routes[0].guest_port) from error
            await asyncio.sleep(LEAD_PAUSE_S)

    def _resumed(self) -> None:
        self._tracker.held()
        self._channel.expect_resume()

    async def _boot(self) -> None:
        parts = self._parts
        parts.blank.begin()
        asking = asyncio.ensure_future(parts.fetch_token(parts.project, self._vm_id))
        try:
            appliance = await self._verified()
            token = await asking
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        has_https = bool(parts.project.https)
        routes = await self._routes(has_https=has_https)
        settings = self._settings(token.jid, token.password, routes)
        medium = parts.paths.context(self._vm_id)
        await asyncio.to_thread(fill_medium, medium, settings.to_json(), await parts.blank.get())
        spec = self._spec(appliance, routes)
        await parts.driver.define(spec)
        await parts.driver.set_routes(self._vm_id, spec.routes)
        self._channel.expect_boot()
        self._tracker.boot()
        self._note(
            VmRecord(
                token.expires_at,
                parts.cache.current,
                parts.clock.now(),
                has_https=has_https,
                save_s=self.record.save_s,
            )
        )
        logger("hypervisor").info("Starting %s with %s %s", self._vm_id, appliance.name, appliance.version)
        await parts.driver.start(self._vm_id)
        parts.appliances.tell_end_of_life(parts.cache)
        # What it had before may be over.
        parts.appliances.soon()

    def _note(self, record: VmRecord) -> None:
        self.record = record
        record.save(self._parts.paths, self._vm_id)

    async def _verified(self, id: str = "") -> Appliance:
        """The appliance, hashed just now: a guest sees no byte of it that the project did not publish."""
        return await self._parts.cache.verified(self._parts.board.show_transfer, id)

    def _settings(self, jid: str, password: str, routes: tuple[Route, ...]) -> ContextSettings:
        led = {route.name: route for route in routes}
        xmpp, files, https = led.pop("xmpp"), led.pop("chirp"), led.pop("https", None)
        project = self._parts.project
        transfer = {f"{project.chirp_host}:{project.chirp_port}": f"{files.guest_host}:{files.guest_port}"}
        if https is not None:
            transfer[project.https] = f"{https.guest_host}:{https.guest_port}"
        return ContextSettings(
            vm_id=self._vm_id,
            jid=jid,
            password=password,
            host=xmpp.guest_host,
            port=xmpp.guest_port,
            domain=project.domain,
            job_manager=project.job_manager,
            ca_pem=project.ca_pem,
            transfer=transfer,
            https=project.https if https is not None else "",
            needs_network=self._internet(),
            time_limit_s=project.needs.time_limit_s,
            output_limit_mib=project.needs.output_limit_mib,
            host_silence_limit_s=self._parts.preferences.number("guest.host_silence_limit_s"),
            wall_clock=self._parts.clock.now().timestamp(),
            cvmfs_proxy="".join(f"http://{route.guest_host}:{route.guest_port}" for route in led.values()),
        )

    def _spec(self, appliance: Appliance, routes: tuple[Route, ...]) -> VmSpec:
        parts = self._parts
        needs, preferences = parts.project.needs, parts.preferences
        return VmSpec(
            vm_id=self._vm_id,
            name=f"Volunteer Cloud {self._vm_id}",
            cpus=min(needs.cpus, preferences.number("guest.cpus")),
            memory_mib=min(needs.memory_mib, preferences.number("guest.memory_mib")),
            media=self._media(appliance),
            direct_boot=self._direct_boot(appliance),
            routes=routes,
            internet=self._internet(),
            accelerator=preferences.text("hypervisor.accelerator"),
            network=self._may_be_online(appliance),
            exchange_mib=EXCHANGE_MIB if parts.driver.exchange is not None else 0,
        )

    def _place(self, name: str) -> Path:
        return self._parts.cache.place(name)

    def _media(self, appliance: Appliance) -> tuple[Medium, ...]:
        direct = Feature.DIRECT_BOOT in self._parts.features
        context = Medium(MediumRole.CONTEXT, self._parts.paths.context(self._vm_id))
        files = appliance.media(direct).items()
        return (*(Medium(MediumRole(role), self._place(name)) for role, name in files), context)

    def _direct_boot(self, appliance: Appliance) -> DirectBoot | None:
        direct = appliance.direct
        if direct is None or Feature.DIRECT_BOOT not in self._parts.features:
            return None
        return DirectBoot(self._place(direct.kernel), self._place(direct.initrd), direct.command_line)

    def _may_be_online(self, appliance: Appliance) -> bool:
        """Whether the volunteer agreed to what the guest could reach; says so if not."""
        parts = self._parts
        agreed = parts.preferences.text("network.unconfined")
        confined = Feature.CONFINED_NETWORK in parts.features
        if confined or agreed == "all" or (agreed == "confining" and appliance.confines_jobs):
            parts.board.settle("network-not-agreed", about=self._vm_id)
            return True
        said = fill("network-not-agreed", {"appliance": appliance.name, "hypervisor": parts.driver.name})
        parts.board.raise_problem("network-not-agreed", self._vm_id, said.text, said.doing, said.severity)
        return False

    def _internet(self) -> bool:
        return self._parts.project.needs.network and self._parts.preferences.flag("network.internet")

    async def _routes(self, *, has_https: bool | None = None) -> tuple[Route, ...]:
        """To the project's servers and the proxy for CVMFS, at the addresses that they have in the guest.

        Args:
            has_https: whether the guest knows of the HTTPS server; None: as it was booted.
        """
        project = self._parts.project
        limit = self._parts.preferences.number("network.limit_kib_per_s") * 1024 or None
        wanted: tuple[Route, ...] = (
            Route("xmpp", *XMPP_ADDRESS, project.xmpp_host, project.xmpp_port, limit),
            Route("chirp", *CHIRP_ADDRESS, project.chirp_host, project.chirp_port, limit),
        )
        if project.https and (self.record.has_https if has_https is None else has_https):
            wanted = (*wanted, Route("https", *HTTPS_ADDRESS, project.https_host, project.https_port, limit))
        if self._parts.guest_files is not None:
            wanted = (*wanted, await self._parts.guest_files.route())
        return await self._parts.driver.plan_routes(self._vm_id, wanted)

    async def _shut_down(self, patience_s: float) -> None:
        driver, vm_id = self._parts.driver, self._vm_id
        info = await driver.info(vm_id)
        if info.state is VmState.RUNNING and self._tracker.online:
            self._channel.send("shutdown", reason="stopped by the volunteer")
            for _ in range(int(patience_s * 10)):
                await asyncio.sleep(0.1)
                if (await driver.info(vm_id)).state is not VmState.RUNNING:
                    break
        await driver.power_off(vm_id)
