"""A monitor with the real prosody, real managers, Debian's carbon-cache and Chromium."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from client.copilot import events as e
from client.copilot import native
from client.copilot.managers.config import Config
from client.copilot.managers.monitor import graphite, service
from client.copilot.managers.monitor.ledger import Kind, Series
from client.copilot.managers.monitor.service import MonitorService
from client.copilot.messages import EXTENSIONS, WantGetJob, build_info
from client.copilot.queue.queue import JobState
from client.copilot.report import LogReport
from client.copilot.transport import Account, Incoming, XmppTransport
from client.project.definition import load_project
from client.project.enrolment import fetch_guest_token
from client.service.operator import JobOrder, job_counts, submit
from client.service.site import MAIN, Site
from client.service.site_plan import build_toml, load_plan
from client.service.site_told import status_facts
from tests.helpers.browser import Browser, chromium
from tests.helpers.graphite import carbon_cache
from tests.helpers.servers import Xmpp, free_port, xmpp_server

pytestmark = pytest.mark.integration
WITHIN_S = 60.0
TOKEN = "0123456789abcdef"
HOSTILE = "<img src=x onerror=alert(1)>"
USER = 0x71000000 + os.getpid()


async def until(true: Callable[[], Any], within_s: float = WITHIN_S) -> None:
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.1)


async def ignore(_: Incoming) -> None:
    """Nothing is expected."""


@pytest.fixture
def base() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vc-monitor-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def xmpp() -> Iterator[Xmpp]:
    with xmpp_server("jm", "monitor", "stranger") as server:
        yield server


@pytest.fixture
async def site(base: Path) -> AsyncIterator[Site]:
    (base / "appliance").mkdir()
    (base / "appliance" / "manifest.json").write_text('{"files": {}}')
    site = Site(base / "site", base / "appliance")
    await site.up()
    watch = asyncio.create_task(site.watch())
    yield site
    watch.cancel()
    await site.down()


def write_config(base: Path, port: int, ca_pem: str, **more: dict[str, Any]) -> Config:
    account = {"jid": "monitor@localhost", "password": "pw", "host": "127.0.0.1", "port": port, "ca_pem": ca_pem}
    sections = {
        "xmpp": {**account, "resource": "monitor"},
        "queue": {"path": base / "queue.sqlite"},
        "monitor": {"store": base / "store.sqlite", "senders": "jm@localhost"},
    }
    (base / "monitor.toml").write_text(build_toml({**sections, **more}))
    return Config(base / "monitor.toml")


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[MonitorService]:
    monitor, stop = MonitorService(config), asyncio.Event()
    serving = asyncio.create_task(monitor.run(stop))
    await until(lambda: monitor.port or serving.done())
    try:
        yield monitor
    finally:
        stop.set()
        await serving
        monitor.close()


@asynccontextmanager
async def account(xmpp: Xmpp, user: str) -> AsyncIterator[XmppTransport]:
    given = Account(f"{user}@localhost", "pw", "127.0.0.1", xmpp.port, xmpp.ca_pem)
    transport = XmppTransport(given, ignore, resend=False)
    await transport.connect(WITHIN_S)
    yield transport
    await transport.close()


async def tell(transport: XmppTransport, *reports: e.Report) -> None:
    for report in reports:
        await transport.send("monitor@localhost", build_info(report), noack=True)


async def fetch(port: int, path: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        assert answer.status == 200
        return await answer.text()


async def test_reports_reach_the_metrics_and_strangers_do_not(base: Path, xmpp: Xmpp) -> None:
    async with (
        running(write_config(base, xmpp.port, xmpp.ca_pem)) as monitor,
        account(xmpp, "jm") as manager,
        account(xmpp, "stranger") as stranger,
    ):
        await until(lambda: monitor.state().connected)
        await tell(stranger, e.ReportEvent("jobmanager.generic.alpha", "job.accepted"))
        await tell(
            manager,
            e.ReportEvent("jobmanager.generic.alpha", "job.start"),
            e.ReportEventDuration("jobmanager.generic.alpha", "job.succeeded", 3),
            e.ReportEvents("jobmanager.generic.alpha", e.Tally({"job.accepted": 41})),
        )
        expected = 'copilot_events_total{component="jobmanager.generic.alpha",event="job.accepted"} 41.0'
        async with asyncio.timeout(WITHIN_S):
            while expected not in (metrics := await fetch(monitor.port, "/metrics")).splitlines():
                await asyncio.sleep(0.05)
        await until(lambda: monitor.state().refused == 1)
    assert (
        'copilot_event_duration_seconds_sum{component="jobmanager.generic.alpha",event="job.succeeded"} 3.0' in metrics
    )
    assert 'copilot_jobs{state="waiting"} 0.0' in metrics


async def test_graphite_keeps_what_is_told_also_after_it_was_away(
    base: Path, xmpp: Xmpp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "FLUSH_S", 0.25)
    monkeypatch.setattr(graphite, "LONGEST_PAUSE_S", 0.5)
    name = "copilot.jobmanager.generic.alpha.job"
    with carbon_cache() as carbon:
        config = write_config(base, xmpp.port, xmpp.ca_pem, graphite={"host": "127.0.0.1", "port": carbon.port})
        async with running(config) as monitor, account(xmpp, "jm") as manager:
            await until(lambda: monitor.state().connected)
            tally = e.Tally({"start": 7}, {"succeeded": e.one(90)})
            await tell(manager, e.ReportEvents("jobmanager.generic.alpha.job", tally))
            await until(lambda: carbon.values(f"{name}.start") == [7])
            await until(lambda: carbon.values(f"{name}.succeeded.avg") == [1.5])
            carbon.server.stop()
            await until(lambda: (state := monitor.state().graphite) and not state.connected)
            await tell(manager, e.ReportEvent("jobmanager.generic.alpha.job", "late"))
            await until(lambda: (state := monitor.state().graphite) and state.waiting)
            carbon.server.start()
            await until(lambda: carbon.values(f"{name}.late") == [1])
            assert monitor.state().graphite is not None
            assert monitor.state().graphite.dropped == 0


async def test_a_carbon_that_takes_nothing_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphite, "STALLED_S", 0.2)
    monkeypatch.setattr(graphite, "LONGEST_PAUSE_S", 0.1)
    monkeypatch.setattr(graphite, "_CLOSE_S", 0.1)
    came: list[asyncio.StreamWriter] = []

    async def take_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer)

    server = await asyncio.start_server(take_nothing, "127.0.0.1", 0, limit=1024)
    feed = graphite.GraphiteFeed(graphite.GraphiteSettings("127.0.0.1", server.sockets[0].getsockname()[1], "p" * 80))
    many = {Series("c" * 300, f"e{number}", Kind.COUNT): e.one(1) for number in range(graphite.MAX_LINES - 1)}
    feed.feed(0, many)
    sending = asyncio.create_task(feed.run())
    await until(lambda: len(came) > 1 and feed.connected)
    assert feed.waiting > 0
    sending.cancel()
    async with asyncio.timeout(10):
        await asyncio.gather(sending, return_exceptions=True)
    for writer in came:
        writer.transport.abort()
    server.close()


async def test_an_agent_may_tell_how_its_computer_does(base: Path, xmpp: Xmpp) -> None:
    own = {"store": base / "store.sqlite", "senders": "jm@localhost", "guests": True}
    given = {"jid": "stranger@localhost", "password": "pw", "host": "127.0.0.1", "port": xmpp.port}
    settings = {
        "agent": {**given, "job_manager": "jm@localhost", "ca_pem": xmpp.ca_pem},
        "root": str(base),
        "monitor": "monitor@localhost",
    }
    async with running(write_config(base, xmpp.port, xmpp.ca_pem, monitor=own)) as monitor:
        await until(lambda: monitor.state().connected)
        agent = asyncio.create_task(native.run(settings, LogReport()))
        async with asyncio.timeout(WITHIN_S):
            while 'component="agent",event="system.load.5min"' not in await fetch(monitor.port, "/metrics"):
                assert not agent.done(), agent.exception()
                await asyncio.sleep(0.05)
        agent.cancel()
        await asyncio.gather(agent, return_exceptions=True)


async def guest(site: Site) -> XmppTransport:
    project = load_project(site.folder.project)
    token = await asyncio.to_thread(fetch_guest_token, project, "native")
    given = Account(token.jid, token.password, project.xmpp_host, project.xmpp_port, project.ca_pem)
    transport = XmppTransport(given, ignore, resend=False)
    await transport.connect(WITHIN_S)
    return transport


@asynccontextmanager
async def native_agent(site: Site, base: Path) -> AsyncIterator[None]:
    project = load_project(site.folder.project)
    token = await asyncio.to_thread(fetch_guest_token, project, "native")
    (base / "agent").mkdir(mode=0o755)
    agent = {
        "jid": token.jid,
        "password": token.password,
        "host": project.xmpp_host,
        "port": project.xmpp_port,
        "domain": project.domain,
        "job_manager": project.job_manager,
        "ca_pem": project.ca_pem,
    }
    settings = base / "agent.json"
    settings.write_text(json.dumps({"agent": agent, "root": str(base / "agent"), "job": {}, "job_uid": USER}))
    child = await asyncio.create_subprocess_exec(sys.executable, str(MAIN), "agent", str(settings))
    try:
        yield
    finally:
        child.terminate()
        async with asyncio.timeout(WITHIN_S):
            await child.wait()


def script(base: Path) -> Path:
    (base / "job.sh").write_text("#!/bin/sh\nexit $1\n")
    return base / "job.sh"


@contextmanager
def opened(url: str) -> Iterator[Browser]:
    with chromium() as browser:
        browser.open(url)
        yield browser


class Page:
    """The page in a browser that works in a thread of its own, so that the site goes on meanwhile."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser

    async def shows(self, selector: str, words: str) -> None:
        async with asyncio.timeout(WITHIN_S):
            while words not in (found := await asyncio.to_thread(self.browser.text, selector)):
                print(f"{selector}: {found!r}")
                await asyncio.sleep(0.2)

    async def run(self, code: str) -> Any:
        return await asyncio.to_thread(self.browser.run, code)


async def test_the_page_shows_a_real_site_and_goes_with_it(site: Site, base: Path) -> None:
    began = time.monotonic()
    url = status_facts(site.folder, load_plan(site.folder.plan))["monitor"]
    liar = await guest(site)
    await liar.send("jm@localhost", build_info(WantGetJob(f'[\nVersion="{HOSTILE}";\n]\n', "vm", EXTENSIONS)))
    await until(lambda: site.folder.ready("monitor").exists())
    context = opened(url)
    browser = await asyncio.to_thread(context.__enter__)
    page = Page(browser)
    try:
        await page.shows("#live", "Live")
        await page.shows("#versions", HOSTILE)
        submit(site.folder.base, JobOrder("job.sh", [script(base)], "0", number=3))
        await page.shows("#waiting", "3")
        await page.run("window.loaded = 'once'")
        async with native_agent(site, base):
            await page.shows("#done", "3")
            submit(site.folder.base, JobOrder("job.sh", [script(base)], "3"))
            await page.shows("#failures", "Refused: the job ended with an error")
            await page.shows("#chart-results", "accepted 3")
        assert await page.run("return window.loaded") == "once"
        assert await page.run("return document.querySelectorAll('main img, main script').length") == 0
        assert await page.run("return document.querySelector('#owners tbody td.number').innerText") == "3"
        for width, theme in ((360, "dark"), (1920, "light")):
            await asyncio.to_thread(browser.resize, width, 900, theme)
            wide = await page.run("return [document.documentElement.scrollWidth, innerWidth]")
            assert wide[0] <= wide[1], f"the page is wider than the window of {width} pixels"
        assert await asyncio.to_thread(browser.console) == []
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)
        await liar.close()
    print(f"took {time.monotonic() - began:.1f} s")


async def test_a_file_that_takes_nothing_is_told_until_it_does(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "FLUSH_S", 0.2)
    monkeypatch.setattr(service, "READ_S", 0.5)
    monkeypatch.setattr(service, "FRESH_S", 0.0)
    async with running(write_config(base, free_port(), "")) as monitor:
        with contextlib.closing(sqlite3.connect(base / "store.sqlite")) as other:
            other.execute("CREATE TRIGGER full BEFORE INSERT ON slots BEGIN SELECT RAISE(ABORT, 'no room'); END")
            other.commit()
            await until(lambda: monitor.state().store_fault)
            for _ in range(10):
                # Most of these have nothing to write, which succeeds.
                assert json.loads(await fetch(monitor.port, "/figures.json"))["store_fault"] == "no room"
            other.execute("DROP TRIGGER full")
            other.commit()
        await until(lambda: not monitor.state().store_fault)


def port_of(site: Site) -> int:
    return load_plan(site.folder.plan).ports.monitor


async def test_the_page_asks_for_the_token_and_says_what_it_does_not_know(base: Path) -> None:
    (base / "queue.sqlite").mkdir()
    own = {"store": base / "store.sqlite", "senders": "jm@localhost", "token": TOKEN}
    async with running(write_config(base, free_port(), "", monitor=own)) as monitor:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{monitor.port}/") as answer:
            assert answer.status == 401
        context = opened(f"http://operator:{TOKEN}@127.0.0.1:{monitor.port}/")
        page = Page(await asyncio.to_thread(context.__enter__))
        try:
            await page.shows("#notices", "The queue cannot be read.")
            await page.shows("#notices", "The monitor has had no session since")
            await page.shows("#live", "Trouble")
            await page.shows("#chart-results", "No results in this time.")
            assert await page.run("return document.getElementById('waiting').innerText") == "\u2013"
        finally:
            await asyncio.to_thread(context.__exit__, None, None, None)


async def test_a_guest_cannot_reach_the_monitor_and_a_site_goes_on_without_it(site: Site, base: Path) -> None:
    await until(lambda: site.folder.ready("monitor").exists())
    bounced: list[str] = []
    stranger = await guest(site)
    stranger.on_bounce = bounced.append
    sent = await stranger.send("monitor@localhost", build_info(e.ReportEvent("x", "job.accepted")), noack=True)
    await until(lambda: sent in bounced)
    await stranger.close()
    assert 'event="job.accepted"' not in await fetch(port_of(site), "/metrics")
    assert await fetch(port_of(site), "/figures.json")
    async with native_agent(site, base):
        pid = site.children["monitor"].pid
        assert pid
        os.kill(pid, signal.SIGSTOP)
        try:
            submit(site.folder.base, JobOrder("job.sh", [script(base)], "0", number=2))
            await until(lambda: job_counts(site.folder.base)[JobState.DONE] == 2)
        finally:
            os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGKILL)
        site.folder.ready("monitor").unlink(missing_ok=True)
        submit(site.folder.base, JobOrder("job.sh", [script(base)], "0"))
        await until(lambda: job_counts(site.folder.base)[JobState.DONE] == 3)
    await until(lambda: site.folder.ready("monitor").exists())
    told = re.compile(r'^copilot_events_total\{component="[a-z0-9.-]+",event="job.accepted"\} [1-3]\.0$', re.MULTILINE)
    async with asyncio.timeout(WITHIN_S):
        while not told.search(await fetch(port_of(site), "/metrics")):
            await asyncio.sleep(0.2)
