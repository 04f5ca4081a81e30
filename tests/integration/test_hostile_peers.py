"""Peers that want to do harm, against real managers and a real prosody: refused, told of once, nothing else happens."""

import asyncio
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest
from slixmpp import ClientXMPP

from client.copilot.queue.queue import JobState
from client.copilot.stanza import encode_value
from client.project.definition import Project, load_project
from client.project.enrolment import fetch_guest_token
from client.service.operator import JobOrder, get_job, submit
from client.service.site import Site

pytestmark = pytest.mark.integration
WITHIN_S = 60.0
MANAGERS = "jm@localhost"
#: what a shell, a path or a log would obey
WORDS = (
    "$(touch {trap})",
    "; touch {trap} #",
    "`touch {trap}`",
    "../../../../{trap}",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a/../../b",
    "a\x00b",
    "\x1b[2J\x07",
    "x" * 300,
    "%s%n%x",
    "\u202eevil",
    "'; DROP TABLE jobs; --",
)
COMMANDS = ("getJobOutputDir", "jobDone", "extendLease", "claimJob", "jobFailed", "want_getJobOutputDir")
#: what only managers may say
ANSWERS = ("runJob", "have_getJob", "storeJobOutputDir", "jobVerdict", "leaseLost", "redirect", "sleep", "error")


class Peer:
    """An account that may log in, and then writes what it likes."""

    def __init__(self, jid: str, password: str, project: Project) -> None:
        context = ssl.create_default_context(cadata=project.ca_pem)
        self._stream = ClientXMPP(f"{jid}/evil", password, ssl_context=context)
        self._stream.enable_direct_tls = False
        self._place = (project.xmpp_host, project.xmpp_port)
        self.jid = jid
        self.heard: list[str] = []
        self.online = asyncio.Event()
        self.offline = asyncio.Event()
        self._stream.add_event_handler("session_start", lambda _: self.online.set())
        self._stream.add_event_handler("disconnected", lambda _: self.offline.set())
        self._stream.add_filter("in", self._hear)
        self._number = 0

    def _hear(self, stanza: Any) -> Any:
        self.heard.append(str(stanza))
        return stanza

    async def connect(self) -> None:
        _trial = self._stream.connect(*self._place)
        async with asyncio.timeout(WITHIN_S):
            await self.online.wait()
        self.raw("<presence/>")

    def raw(self, text: str) -> None:
        self._stream.send_raw(text)

    def info(self, attributes: str, inner: str = "", **more: str) -> None:
        """A message to the managers whose `info` has these attributes as they stand."""
        self._number += 1
        said = {"to": MANAGERS, "id": f"evil-{self._number}", **more}
        head = "".join(f" {name}={quoteattr(value)}" for name, value in said.items())
        self.raw(f"<message{head}><body><info {attributes}>{inner}</info></body></message>")

    def coded(self, inner: str = "", **values: str) -> None:
        self.info(" ".join(f"{name}='{encode_value(value)}'" for name, value in values.items()), inner)

    async def answered(self) -> None:
        """Waits until all before has been dealt with: the managers confirm in order."""
        self._number += 1
        mark = f"mark-{self._number}"
        self.raw(f"<message to='{MANAGERS}' id='{mark}'><body><info command='nothing'/></body></message>")
        async with asyncio.timeout(WITHIN_S):
            while sum(mark in stanza for stanza in self.heard) < 2:
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        if not self.offline.is_set():
            await self._stream.disconnect(1.0)


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vc-hostile-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
async def site(base: Path) -> AsyncIterator[Site]:
    appliance = base / "appliance"
    appliance.mkdir(exist_ok=True)
    (appliance / "manifest.json").write_text('{"files": {}}')
    site = Site(base / "site", appliance)
    await site.up()
    yield site
    await site.down()


@asynccontextmanager
async def peer(site: Site, name: str = "evil") -> AsyncIterator[Peer]:
    project = load_project(site.folder.project)
    token = await asyncio.to_thread(fetch_guest_token, project, name)
    found = Peer(token.jid, token.password, project)
    await found.connect()
    try:
        yield found
    finally:
        await found.close()


def script(base: Path) -> Path:
    path = base / "run.sh"
    path.write_text("#!/bin/sh\ntrue\n")
    return path


def pids(site: Site) -> dict[str, int | None]:
    return {name: child.pid for name, child in site.children.items()}


def logged(site: Site, is_it: Callable[[str], bool]) -> int:
    """Lines of the managers' logs that were written because of this."""
    lines = [line for log in site.folder.logs.glob("*-manager*.log") for line in log.read_text().splitlines()]
    return sum(is_it(line) for line in lines)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != ".__acl"}


async def test_words_that_a_shell_or_a_path_would_obey_do_nothing(site: Site, base: Path) -> None:
    [job_id] = await asyncio.to_thread(submit, site.folder.base, JobOrder("run.sh", [script(base)]))
    trap = base / "trapped"
    before, running = (files(site.folder.chirp_root), files(site.folder.results)), pids(site)
    async with peer(site) as evil:
        for word in WORDS:
            said = word.format(trap=trap) if "{trap}" in word else word
            for command in COMMANDS:
                evil.coded(command=command, jobID=said, leaseID=said, exitCode="0", cause=said, agentHost=said)
        for command in COMMANDS:
            evil.coded(command=command, jobID=job_id, leaseID="0" * 32, exitCode="0", cause="mine")
        await evil.answered()
        place = encode_value("storeJobOutputDir").strip()
        assert not any(place in stanza for stanza in evil.heard)
    assert not trap.exists()
    assert (files(site.folder.chirp_root), files(site.folder.results)) == before
    assert pids(site) == running
    job = await asyncio.to_thread(get_job, site.folder.base, job_id)
    assert (job.state, job.attempts) == (JobState.WAITING, 0)
    # Each kind of fault once for each manager, however often it came; and what is said can be read as one line of JSON.
    assert 0 < logged(site, lambda line: "refused from" in line) <= 2 * 3 * len(COMMANDS)
    assert not logged(site, lambda line: "\x1b" in line)


async def test_answers_of_managers_are_not_taken_from_a_guest(site: Site, base: Path) -> None:
    running = pids(site)
    async with peer(site) as evil, peer(site, "victim") as victim:
        for answer in ANSWERS:
            evil.coded(command=answer, jobID="j", accepted="1", referral=victim.jid, errorString="x")
            # Neither to another guest, nor in a manager's name.
            evil.info(f"command='{answer}'", to=victim.jid)
            evil.info(f"command='{answer}'", **{"from": MANAGERS})
        await evil.answered()
        await victim.answered()
        assert not any("<info" in stanza for stanza in victim.heard)
    assert pids(site) == running


async def test_stanzas_beyond_all_bounds_end_at_most_the_session_of_who_sent_them(site: Site) -> None:
    running = pids(site)
    deep = "<a>" * 500 + "</a>" * 500
    wide = " ".join(f"a{number}='x'" for number in range(5000))
    for text in (
        f"<message to='{MANAGERS}' id='deep'><body><info command='getJob'>{deep}</info></body></message>",
        f"<message to='{MANAGERS}' id='wide'><body><info command='getJob' {wide}/></body></message>",
        f"<message to='{MANAGERS}' id='long'><body><info command='getJob' jdl='{'x' * 300_000}'/></body></message>",
        "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]><message>&b;</message>",
        "<?php system('id') ?>",
        "<message to='jm@localhost' id='entity'><body><info command='&xxe;'/></body></message>",
        "</message></stream:stream>",
        "\x00\x01\x02",
    ):
        async with peer(site, "bounds") as evil:
            evil.raw(text)
            with_answer = asyncio.create_task(evil.answered())
            ended = asyncio.create_task(evil.offline.wait())
            await asyncio.wait([with_answer, ended], timeout=WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
            assert with_answer.done() or ended.done(), text[:60]
            for task in (with_answer, ended):
                task.cancel()
            await asyncio.gather(with_answer, ended, return_exceptions=True)
    assert pids(site) == running
    async with peer(site, "honest") as honest:
        await honest.answered()


async def test_a_thousand_faults_are_told_of_once(site: Site) -> None:
    async with peer(site, "flood") as evil:
        for number in range(1000):
            evil.coded(command="getJobOutputDir", jobID=f"no such/{number}")
        await evil.answered()
        account = evil.jid
    told = logged(site, lambda line: "refused from" in line and account in json.loads(line)["text"])
    # By each of the managers that share the name.
    assert 1 <= told <= 2
