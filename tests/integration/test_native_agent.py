"""The agent natively: real prosody, real chirp_server, real jobs; the managers are a few lines here."""

import asyncio
import json
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from client.copilot import native
from client.copilot.jdl import parse_jdl
from client.copilot.report import LogReport
from client.errors import BadInput
from tests.helpers.servers import Chirp, Xmpp
from tests.helpers.small_manager import managed

pytestmark = pytest.mark.integration


def settings_of(xmpp: Xmpp, root: Path, **job: Any) -> dict[str, Any]:
    agent = {"jid": "agent@localhost", "password": "pw", "host": "127.0.0.1", "port": xmpp.port}
    return {"root": str(root), "agent": {**agent, "ca_pem": xmpp.ca_pem, "job_manager": "jm@localhost"}, "job": job}


async def one_job(settings: dict[str, Any], report: LogReport) -> None:
    async with asyncio.timeout(120):
        await native.run(settings, report, max_jobs=1)


async def test_a_job_is_done_for_real(xmpp: Xmpp, chirp: Chirp, root: Path) -> None:
    async with managed(xmpp, chirp, "#!/bin/sh\necho result > out.txt\nexit 3\n", 1) as manager:
        report = LogReport()
        await one_job(settings_of(xmpp, root), report)
        assert [done.exit_code for done in manager.done] == [768]
        with tarfile.open(chirp.root / "job-1" / "job-1.tgz") as packed:
            content = packed.extractfile("./out.txt")
            assert content is not None and content.read() == b"result\n"
        assert (report.done_jobs, report.accepted_jobs, report.failed_jobs) == (1, 1, 0)
        assert list(root.iterdir()) == []


@pytest.mark.parametrize(("folder", "said"), [("", {}), ("nowhere", {"Software": "none"})])
async def test_an_agent_without_software_says_so(
    xmpp: Xmpp, chirp: Chirp, root: Path, folder: str, said: dict[str, str]
) -> None:
    async with managed(xmpp, chirp, "#!/bin/sh\n", 1) as manager:
        await one_job(settings_of(xmpp, root) | {"software": str(root / folder)}, LogReport())
        about = parse_jdl(manager.described)
        assert {name: value for name, value in about.items() if name == "Software"} == said


async def test_a_job_without_end_is_given_back(xmpp: Xmpp, chirp: Chirp, root: Path) -> None:
    async with managed(xmpp, chirp, "#!/bin/sh\nsleep 60\n", 1) as manager:
        await one_job(settings_of(xmpp, root, time_limit_s=1), LogReport())
        assert [failed.cause.partition(":")[0] for failed in manager.failed] == ["time-limit"]


async def test_the_server_may_restart_during_a_job(xmpp: Xmpp, chirp: Chirp, root: Path) -> None:
    script = f"#!/bin/sh\n: > ready\nuntil [ -e {root}/go ]; do sleep 0.1; done\n"
    async with managed(xmpp, chirp, script, 1) as manager, asyncio.timeout(120):
        run = asyncio.create_task(native.run(settings_of(xmpp, root), LogReport(), max_jobs=1))
        while not list(root.rglob("ready")):
            await asyncio.sleep(0.05)
        xmpp.server.stop()
        chirp.server.stop()
        xmpp.server.start()
        chirp.server.start()
        (root / "go").touch()
        await run
        assert len(manager.done) == 1


@pytest.mark.alone
async def test_trivial_jobs_per_minute(xmpp: Xmpp, chirp: Chirp, root: Path) -> None:
    async with managed(xmpp, chirp, "#!/bin/sh\nexit 0\n", 60) as manager:
        started = time.perf_counter()
        async with asyncio.timeout(120):
            await native.run(settings_of(xmpp, root), LogReport(), max_jobs=60)
        per_minute = 60 * 60 / (time.perf_counter() - started)
        latency_ms = sorted(manager.latencies_ms)[30]
        print(f"{per_minute:.0f} jobs per minute, want_getJob to runJob {latency_ms:.2f} ms")
        assert len(manager.done) == 60
        assert per_minute > 450, "half of what is aimed at, for busy machines"
        assert latency_ms < 20


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"agent": {}}', '{"agent": {}, "root": "/"}', '{"agent": {"jid": "a"}, "root": "/nowhere"}'),
        *('{"agent": {"port": "x"}, "root": "/"}', '{"agent": {}, "root": "/", "job": [1]}'),
        *('{"agent": {"port": 99999}, "root": "/"}', '{"agent": {"jid": "bad jid"}, "root": "/"}'),
        '{"agent": {}, "root": "/", "job": {"time_limit_s": "long"}}',
    ],
)
def test_settings_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(BadInput):
        native.main([str(path)])


def test_settings_are_read(xmpp: Xmpp, root: Path) -> None:
    path = root / "settings.json"
    path.write_text(json.dumps(settings_of(xmpp, root)))
    assert native.load_settings(path)["agent"]["jid"] == "agent@localhost"
