"""`main.py monitor`: hears what managers tell, keeps it, hands it on, shows it. Managers do not need it."""

import argparse
import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from client.copilot.events import Tally
from client.copilot.managers.config import Config, read_process_settings
from client.copilot.managers.monitor.desk import MonitorDesk
from client.copilot.managers.monitor.errors import StoreUnusable
from client.copilot.managers.monitor.figures import AGENTS, LEASED, OWN, WAITING, Window, build_figures
from client.copilot.managers.monitor.graphite import GraphiteFeed
from client.copilot.managers.monitor.ledger import Ledger, Slots
from client.copilot.managers.monitor.metrics import MonitorMetrics
from client.copilot.managers.monitor.reading import Reading, read_queue
from client.copilot.managers.monitor.settings import MonitorSettings, is_loopback, read_settings
from client.copilot.managers.monitor.state import GraphiteState, MonitorState
from client.copilot.managers.monitor.store import EventStore
from client.copilot.managers.monitor.web import build_application
from client.copilot.managers.process import read_arguments, role_parser, run_until_signal
from client.copilot.transport import Incoming, XmppTransport
from client.errors import BadInput
from client.log import logger

log = logger("site")

#: how often what was told is written down and handed on; the original's monitor does it as often
FLUSH_S: Final = 10.0
PRUNE_S: Final = 3600.0
#: between two looks into the queue; at least so many times as long as a look takes
READ_S: Final = 2.0
READ_SHARE: Final = 50.0
_BEFORE_S: Final = 0.5
_AFTER_S: Final = 0.1
#: figures are worked out once in this time, however many look on
FRESH_S: Final = 1.0
#: word and purpose
_ROLE: Final = ("monitor", "Collects what managers report; shows it to operators.")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    return role_parser(*_ROLE)


def main(argv: list[str]) -> int:
    """Serve until a signal ends it."""
    config = read_arguments(*_ROLE, argv)
    return run_until_signal(lambda stop: serve(config, stop), read_process_settings(config))


async def serve(config: Config, stop: asyncio.Event) -> None:
    """Serve until `stop` is set.

    Raises:
        BadInput: the configuration cannot be used, or its port is taken.
        StoreUnusable: its file cannot be opened.
    """
    service = MonitorService(config)
    try:
        await service.run(stop)
    finally:
        service.close()


class MonitorService:
    """A monitor with its session, its file, its feed and its page."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.settings: MonitorSettings = read_settings(config)
        self._ready_file: Path | None = read_process_settings(config).ready_file
        self._store = EventStore(self.settings.store)
        self._ledger = Ledger()
        self._desk = MonitorDesk(self._ledger, self._store, self.settings.senders, self.settings.guests)
        self._unfed = Slots()
        self._feed = GraphiteFeed(self.settings.graphite) if self.settings.graphite else None
        self._reading = Reading()
        self._metrics = MonitorMetrics(self._ledger, lambda: self._reading, self.state)
        self._changed_at = time.time()
        self._store_fault = ""
        self._cached: dict[Window, tuple[float, dict[str, Any]]] = {}
        self._transport = XmppTransport(config.account(), self._on_info, resend=False, on_state=self._on_state)
        self.port = 0

    def state(self) -> MonitorState:
        """How it does."""
        feed, connected = self._feed, self._transport.connected
        return MonitorState(
            connected=connected,
            changed_at=self._changed_at,
            refused=self._desk.refused + self._ledger.refused,
            store_fault=self._store_fault,
            graphite=GraphiteState(feed.connected, feed.waiting, feed.dropped) if feed else None,
            silent=self._desk.presence.silent(self._changed_at, time.time()) if connected else {},
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set."""
        runner = web.AppRunner(
            build_application(self.settings, self._figures, self._metrics.text), access_log=None, shutdown_timeout=2.0
        )
        await runner.setup()
        duties: list[asyncio.Task[Any]] = []
        try:
            await self._listen(runner)
            await self._transport.connect(0)
            own = [stop.wait(), self._read(), self._flush_all(), self._prune(), self._transport.wait_closed()]
            duties = [asyncio.create_task(duty) for duty in (*own, *([self._feed.run()] if self._feed else []))]
            done, _ = await asyncio.wait(duties, return_when=asyncio.FIRST_COMPLETED)
            for duty in done:
                duty.result()
        finally:
            for duty in duties:
                duty.cancel()
            await asyncio.gather(*duties, return_exceptions=True)
            self._flush(time.time())
            await self._transport.close()
            self._on_state(False)
            await runner.cleanup()

    def close(self) -> None:
        """Close its file."""
        self._store.close()

    async def _listen(self, runner: web.AppRunner) -> None:
        try:
            await web.TCPSite(runner, self.settings.host, self.settings.port).start()
        except OSError as error:
            what = f"nobody can listen at [monitor] host {self.settings.host}, port {self.settings.port} ({error})"
            raise BadInput(str(self._config.path), what, "correct them, or end what has that port") from error
        self.port = int(runner.addresses[0][1])
        log.info("the page is at http://%s:%d/", self.settings.host, self.port)
        if not is_loopback(self.settings.host):
            log.warning("the page is served in clear text beyond this computer: put a proxy with TLS before it")

    async def _on_info(self, incoming: Incoming) -> None:
        try:
            self._desk.hear(incoming.sender, incoming.info, time.time())
        except StoreUnusable as error:
            self._note_fault(error)

    def _on_state(self, connected: bool) -> None:
        self._changed_at = time.time()
        if self._ready_file is not None:
            with contextlib.suppress(OSError):
                if connected:
                    self._ready_file.touch()
                else:
                    self._ready_file.unlink(missing_ok=True)

    async def _read(self) -> None:
        while True:
            self._reading = reading = await asyncio.to_thread(read_queue, self._config)
            if reading.is_good:
                values = {f"jobs.{name}": float(number) for name, number in reading.jobs.items()}
                wanted = {name: values[name] for name in (WAITING, LEASED)}
                self._ledger.add(OWN, Tally(values={**wanted, AGENTS: float(reading.active)}))
            await asyncio.sleep(max(READ_S, READ_SHARE * reading.took_s))

    async def _flush_all(self) -> None:
        while True:
            now = time.time()
            # A little later than the slot's end: a clock that is being slowed down would else have a slot end twice.
            await asyncio.sleep(FLUSH_S - now % FLUSH_S + _AFTER_S)
            self._flush(time.time() - _AFTER_S)
            if self._feed is not None:
                # Carbon keeps one number for each name and 10 s, so it is told once in that time.
                self._feed.feed(now, self._unfed.take())

    def _flush(self, now: float) -> None:
        slots = self._ledger.take()
        if self._feed is not None:
            self._unfed.put(slots)
        try:
            # What was told came before now, so it belongs to the slot that ends at this moment.
            self._store.write(now - _BEFORE_S, slots)
        except StoreUnusable as error:
            self._note_fault(error)
        else:
            # Writing nothing succeeds on a full disk too.
            if slots:
                self._store_fault = ""

    async def _prune(self) -> None:
        while True:
            try:
                self._store.prune(time.time())
            except StoreUnusable as error:
                self._note_fault(error)
            await asyncio.sleep(PRUNE_S)

    def _note_fault(self, error: StoreUnusable) -> None:
        if not self._store_fault:
            log.error("what was told cannot be kept: %s", error.said)
        self._store_fault = error.said

    async def _figures(self, window: Window) -> dict[str, Any]:
        now = time.time()
        at, found = self._cached.get(window, (0.0, {}))
        if not 0 <= now - at < FRESH_S:
            # What was told since the last flush is shown at once.
            self._flush(now)
            try:
                found = build_figures(self._store, self._reading, self.state(), window, now, self.settings.title)
            except StoreUnusable as error:
                self._note_fault(error)
                raise web.HTTPServiceUnavailable(text="what was told cannot be read") from error
            self._cached[window] = (now, found)
        return found
