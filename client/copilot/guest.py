"""The first program of a guest: opens the link, logs in, runs the agent, and ends the machine when it is told to.

    python3 /context/agent.pyz /context [LINK-DEVICE SCRATCH SOFTWARE]

It is PID 1: it reaps orphans, sets the clock from the host, and an exception that nobody expected is printed on the
console and said on the link before the machine starts again. Started as any other process (to try it), it only ends.

A guest whose host is silent for `link.host_silence_limit_s` of the guest's own running time saves its job and powers
itself off. Running time is counted in ticks of this program, each capped, so that a pause of the machine counts as
nothing, whatever its clocks say.
"""

import asyncio
import contextlib
import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import client
from client.copilot import guest_link, machine
from client.copilot.guest_link import GuestLink, LinkLogHandler
from client.copilot.power_button import PowerButton
from client.link import LinkEnd, Message

if TYPE_CHECKING:  # loaded when they are needed: a guest's start is counted in tenths of a second
    from client.copilot.agent import Agent
    from client.copilot.guest_errands import Errands
    from client.copilot.transport import Incoming, XmppTransport

log = logging.getLogger("guest")

JOB_UID: Final = 1000
GRACE_S: Final = 10.0
TICK_S: Final = 1.0
#: A tick counts at most this much of silence.
LONGEST_TICK_S: Final = 2.0
FAREWELL_S: Final = 2.0
#: No host can have a job's time stand still.
LEAST_SHARE: Final = 0.01
#: How long the session is waited for before the agent is loaded meanwhile.
LOGIN_PATIENCE_S: Final = 3.0
#: What programs may send messages by is made so long after the login, or at the host's first errand; a guest that
#: cannot log in waits no longer than the second.
ERRANDS_AFTER_S: Final = 5.0
ERRANDS_LATEST_S: Final = 60.0
ERRANDS_END_S: Final = 4.0


@dataclass(frozen=True)
class Places:
    """Where things are in the guest. link: None to look for it."""

    context: Path = Path("/context")
    link: Path | None = None
    scratch: Path = Path("/scratch")
    software: Path = Path("/software")


def main(argv: list[str]) -> int:
    """Runs the guest; as PID 1 it does not return. See the module for the arguments."""
    places = Places(*(Path(word) for word in argv[:4]))
    device = _open_link(places.link)
    sys.excepthook = _LastWords(device)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("slixmpp").setLevel(logging.WARNING)
    settings = json.loads((places.context / "context.json").read_bytes())
    machine.set_clock(float(settings.get("wall_clock", 0)))
    machine.set_host_name(str(settings.get("vm_id", "")))
    how = asyncio.run(Guest(places, settings, device).run())
    log.info("the guest ends: %s", how)
    machine.power_off()
    return 0


def _open_link(chosen: Path | None) -> int:
    """The link's device; a guest without one is of no use to anybody, but says so on its console at least."""
    path = chosen or guest_link.find_device()
    if path is None:
        raise FileNotFoundError("no guest link: neither a virtio port of that name nor a second serial line")
    return guest_link.open_device(path)


class _LastWords:
    """Exception hook of a program that has nobody above it."""

    def __init__(self, device: int) -> None:
        self._device = device

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Prints the error, tells the host, and starts the machine again."""
        text = "".join(traceback.format_exception(kind, error, trace))
        print(text, file=sys.stderr, flush=True)
        end = LinkEnd(os.urandom(8).hex())
        said = end.hello(version=client.__version__) + end.send("log", source="guest", level="error", text=text[-4000:])
        with contextlib.suppress(OSError):
            os.write(self._device, said + end.send("bye", reason=f"broke down: {kind.__name__}"))
        machine.reboot()


class Guest:
    """Joins link, transport and agent. settings: see docs/context-medium.md."""

    def __init__(self, places: Places, settings: dict[str, Any], device: int) -> None:
        self._places = places
        self._settings = settings
        about_link = settings.get("link", {})
        self._interval_s = float(about_link.get("heartbeat_interval_s", 5))
        self._silence_limit_s = float(about_link.get("host_silence_limit_s", 60))
        self._silent_s = 0.0
        self._share = 1.0
        self._farewell = ""
        self._ended = asyncio.Event()
        self._agent: Agent | None = None
        self._transport: XmppTransport | None = None
        self._finish_asked = False
        self._errands: Errands | None = None
        self._opening: asyncio.Task[None] | None = None
        self._saving: asyncio.Task[None] | None = None
        self._power_button = PowerButton(lambda: self._end("the power button was pressed"))
        self._link = GuestLink(device, self._on_message, {"version": client.__version__, "peer": "guest"})

    async def run(self) -> str:
        """Works until told to end, or until the host is silent for too long; returns why it ended."""
        self._link.start()
        if machine.is_first_program():
            self._power_button.listen()
        logging.getLogger().addHandler(LinkLogHandler(self._link))
        self._step("python")
        self._step("link")
        pulse = asyncio.create_task(self._pulse())
        work = asyncio.create_task(self._work())
        ended = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait([pulse, work, ended], return_when=asyncio.FIRST_COMPLETED)
            for done in (pulse, work):
                if done.done():
                    done.result()
            if self._ended.is_set():
                await self._suspend(work)
        finally:
            for task in (work, ended):
                task.cancel()
            await asyncio.gather(work, ended, return_exceptions=True)
            if self._errands is not None:
                await self._errands.close(ERRANDS_END_S)
        self._power_button.close()
        self._link.send("bye", reason=self._farewell or "finished")
        await self._link.drain(FAREWELL_S)
        pulse.cancel()
        self._link.close()
        return self._farewell or "finished"

    # -- the agent

    async def _work(self) -> None:
        if not self._settings.get("agent"):
            # A guest for its host's errands only.
            await self._ended.wait()
            return
        # slixmpp is the greater part of what is loaded, so the session is begun before the agent is loaded.
        from client.copilot.errors import TransportDown
        from client.copilot.transport import XmppTransport, account_of

        account = account_of(self._settings["agent"])
        transport = self._transport = XmppTransport(account, self._on_info, resend=True)
        transport.on_state = self._on_session
        with contextlib.suppress(TransportDown):
            await transport.connect(LOGIN_PATIENCE_S)
        try:
            agent = self._agent = self._build(transport)
            if self._finish_asked:
                agent.finish()
            from client.copilot.start import run_over

            await run_over(transport, agent)
        finally:
            await transport.close()

    async def _on_info(self, incoming: "Incoming") -> None:
        """Before there is an agent nobody has asked for anything."""
        if self._agent is not None:
            await self._agent.on_info(incoming)

    def _build(self, transport: "XmppTransport") -> "Agent":
        from client.copilot.start import build_agent, runner_settings

        uid = JOB_UID if machine.is_first_program() else None
        job, cvmfs = self._settings.get("job", {}), self._settings.get("cvmfs")
        settings = runner_settings(job, self._places.scratch, self._places.software, uid, cvmfs)
        runner = replace(settings, share=lambda: self._share)
        return build_agent(self._settings["agent"], runner, transport, self._link, durable=True)

    def _on_session(self, connected: bool) -> None:
        if connected:
            self._step("xmpp")
        self._link.xmpp(connected)
        if self._agent is not None:
            self._agent.on_state(connected)

    async def _suspend(self, work: "asyncio.Task[None]") -> None:
        """The job saves itself and stays on the scratch disk."""
        if self._agent is not None and not work.done():
            await self._agent.suspend(GRACE_S)
            await asyncio.wait([work], timeout=GRACE_S)
        await asyncio.to_thread(os.sync)

    def _end(self, why: str) -> None:
        self._farewell = self._farewell or why
        self._ended.set()

    # -- the host

    def _on_message(self, message: Message) -> None:
        self._silent_s = 0.0
        said = message.fields
        self._keep_time(said)
        match message.kind:
            case "finish":
                self._finish_asked = not said.get("undo", False)
                if self._agent is not None:
                    self._agent.finish(undo=not self._finish_asked)
            case "shutdown":
                self._end(str(said.get("reason", "")) or "told to shut down")
            case "account":
                self._take_account(str(said.get("jid", "")), str(said.get("password", "")))
            case "checkpoint":
                self._saving = asyncio.create_task(self._checkpoint(self._saving))
            case "resumed":
                machine.add_entropy(str(said.get("entropy", "")))
                if self._agent is not None:
                    self._agent.resumed()
            case kind if kind.startswith(("exec", "file", "message")):
                self._open_errands().take(message)

    def _keep_time(self, said: Mapping[str, Any]) -> None:
        """What time it is, and how much of it the guest has."""
        if "wall_clock" in said and machine.set_clock(float(said["wall_clock"])):
            log.info("clock set by the host")
        if "share" in said:
            self._share = max(LEAST_SHARE, float(said["share"]))

    def _take_account(self, jid: str, password: str) -> None:
        """The next account, before the one in use ends: the job goes on, and is claimed under the new name."""
        agent = self._settings.get("agent")
        if not (jid and password and agent):
            return
        agent.update(jid=jid, password=password)
        if self._transport is not None:
            self._transport.renew(jid, password)
        if self._agent is not None:
            self._agent.resumed()
        self._link.send("account_taken", jid=jid)

    def _open_errands(self) -> "Errands":
        if self._errands is None:
            from client.copilot.guest_commands import Ways
            from client.copilot.guest_errands import Errands

            network = bool(self._settings.get("job", {}).get("needs_network", False))
            proxy = str((self._settings.get("cvmfs") or {}).get("proxy", ""))
            ways = Ways(machine.is_first_program(), network, self._places.software, proxy)
            self._errands = Errands(self._link.send, ways, self._link.boot_id)
            if machine.is_first_program():
                self._opening = asyncio.create_task(self._errands.open())
        return self._errands

    async def _checkpoint(self, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await before
        if self._agent is not None:
            await self._agent.save()
        await asyncio.to_thread(os.sync)

    # -- time

    async def _pulse(self) -> None:
        """Heartbeats, orphans, and the count of the host's silence."""
        loop = asyncio.get_running_loop()
        began = busy_at = seen_at = beat_at = loop.time()
        self._beat()
        while True:
            await asyncio.sleep(min(TICK_S, self._interval_s))
            now = loop.time()
            self._silent_s += min(LONGEST_TICK_S, now - seen_at)
            seen_at = now
            machine.reap_orphans()
            if not self._link.online and now - began < ERRANDS_LATEST_S:
                busy_at = now
            elif now - busy_at > ERRANDS_AFTER_S:
                self._open_errands()
            if now - beat_at >= self._interval_s - TICK_S / 2:
                beat_at = now
                self._beat()
            if self._silent_s > self._silence_limit_s:
                log.warning("nothing heard from the host for %.0f s", self._silent_s)
                self._end("the host is silent")
                self._silent_s = 0.0

    def _beat(self) -> None:
        signs = machine.vital_signs(self._places.scratch)
        self._link.send("heartbeat", **signs, xmpp=self._link.online, interval_s=self._interval_s)

    def _step(self, name: str) -> None:
        self._link.send("boot", step=name, uptime_s=machine.uptime_s())
