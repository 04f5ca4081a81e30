"""The guest's program as a process of its own: a pseudo terminal for its serial line, real servers, a real job."""

import asyncio
import json
import os
import signal
import sys
import tempfile
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from client.link import LinkEnd, Message
from tests.helpers.servers import Chirp, Xmpp
from tests.helpers.small_manager import managed

pytestmark = pytest.mark.integration
TOP = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vc-guest-", dir="/tmp") as name:
        yield Path(name)


class Host:
    """The host's end: reads all the time, pings while it is told to."""

    def __init__(self, device: int) -> None:
        self.end = LinkEnd("host-1")
        self.heard: list[Message] = []
        self.pinging = True
        self._device = device
        self._came = asyncio.Event()
        asyncio.get_running_loop().add_reader(device, self._read)
        self._task = asyncio.create_task(self._ping())

    def _read(self) -> None:
        try:
            data = os.read(self._device, 65536)
        except OSError:
            asyncio.get_running_loop().remove_reader(self._device)
            return
        self.heard += self.end.receive(data)
        self._came.set()
        self.write(self.end.replies())

    def write(self, data: bytes) -> None:
        os.write(self._device, data)

    async def _ping(self) -> None:
        self.write(self.end.hello(peer="host"))
        while True:
            if self.pinging:
                self.write(self.end.send("ping"))
            await asyncio.sleep(0.2)

    async def wait_for(self, fits: Callable[[Message], bool], limit_s: float = 60) -> Message:
        async with asyncio.timeout(limit_s):
            while True:
                for message in self.heard:
                    if fits(message):
                        return message
                self._came.clear()
                await self._came.wait()

    async def wait_state(self, state: str) -> Message:
        return await self.wait_for(lambda message: message.kind == "job" and message.fields.get("state") == state)

    async def wait_kind(self, kind: str, limit_s: float = 60) -> Message:
        return await self.wait_for(lambda message: message.kind == kind, limit_s)

    def close(self) -> None:
        self._task.cancel()
        asyncio.get_running_loop().remove_reader(self._device)


def context_of(xmpp: Xmpp, **link: float) -> dict[str, Any]:
    agent = {"jid": "agent@localhost", "password": "pw", "host": "127.0.0.1", "port": xmpp.port}
    return {
        "version": 1,
        "agent": {**agent, "ca_pem": xmpp.ca_pem, "job_manager": "jm@localhost"},
        "job": {"time_limit_s": 60, "output_limit_mib": 10},
        "link": {"heartbeat_interval_s": 0.5, "host_silence_limit_s": 30, **link},
    }


@asynccontextmanager
async def guest(folder: Path, context: dict[str, Any]) -> AsyncIterator[tuple[Host, asyncio.subprocess.Process]]:
    (folder / "context.json").write_text(json.dumps(context))
    (folder / "scratch").mkdir(exist_ok=True)
    host_end, guest_end = os.openpty()
    tty.setraw(guest_end)
    words = [str(folder), os.ttyname(guest_end), str(folder / "scratch"), "/usr"]
    code = "import sys; from client.copilot.guest import main; sys.exit(main(sys.argv[1:]))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, *words, cwd=TOP)
    host = Host(host_end)
    try:
        yield host, process
    finally:
        host.close()
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        os.close(host_end)
        os.close(guest_end)


async def until_there(folder: Path, name: str) -> Path:
    """The job has written this file; returns its folder."""
    async with asyncio.timeout(60):
        while not (found := list(folder.glob(f"scratch/**/{name}"))):
            await asyncio.sleep(0.05)
    return found[0].parent


async def ended(process: asyncio.subprocess.Process) -> int:
    async with asyncio.timeout(60):
        return await process.wait()


async def test_a_boot_a_job_and_the_end(xmpp: Xmpp, chirp: Chirp, folder: Path) -> None:
    script = '#!/bin/sh\necho \'{"done": 1, "total": 2, "unit": "events"}\' >&$VC_PROGRESS_FD\nsleep 0.6\n'
    async with managed(xmpp, chirp, script, 5), guest(folder, context_of(xmpp)) as (host, process):
        await host.wait_state("executing")
        host.write(host.end.send("finish"))
        assert (await host.wait_kind("verdict")).fields["accepted"] is True
        assert (await host.wait_kind("bye")).fields["reason"] == "finished"
        assert await ended(process) == 0
        steps = [message.fields["step"] for message in host.heard if message.kind == "boot"]
        assert steps == ["python", "link", "xmpp"]
        states = [message.fields["state"] for message in host.heard if message.kind == "job"]
        assert states.count("done") == 1, "finish means after this job"
        progress = [message.fields for message in host.heard if message.fields.get("done") == 1]
        assert progress[0]["unit"] == "events"
        beats = [message.fields for message in host.heard if message.kind == "heartbeat"]
        assert beats[-1]["xmpp"] is True
        assert beats[-1]["memory_total_mib"] > 0


async def test_a_shut_down_job_goes_on_at_the_next_boot(xmpp: Xmpp, chirp: Chirp, folder: Path) -> None:
    script = "#!/bin/sh\n[ -e mark ] && exit 7\ntrap 'touch mark; exit 0' TERM\n: > ready\nsleep 50 & wait\n"
    async with managed(xmpp, chirp, script, 1) as manager:
        async with guest(folder, context_of(xmpp)) as (host, process):
            await host.wait_state("executing")
            await until_there(folder, "ready")
            host.write(host.end.send("shutdown", reason="test"))
            assert (await host.wait_kind("bye")).fields["reason"] == "test"
            assert await ended(process) == 0
        async with guest(folder, context_of(xmpp)) as (host, process):
            done = await host.wait_state("done")
            assert done.fields["exit_code"] == 7 * 256
        assert manager.claims == 1


async def test_a_job_of_a_killed_guest_goes_on_at_the_next_boot(xmpp: Xmpp, chirp: Chirp, folder: Path) -> None:
    async with managed(xmpp, chirp, "#!/bin/sh\n[ -e mark ] && exit 7\ntouch mark\nsleep 5\n", 1) as manager:
        async with guest(folder, context_of(xmpp)) as (host, process):
            await host.wait_state("executing")
            await until_there(folder, "mark")
            process.kill()
        async with guest(folder, context_of(xmpp)) as (host, process):
            done = await host.wait_state("done")
            assert done.fields["exit_code"] == 7 * 256
        assert manager.claims == 1


async def test_a_guest_whose_host_is_silent_saves_its_job_and_ends(xmpp: Xmpp, chirp: Chirp, folder: Path) -> None:
    context = context_of(xmpp, host_silence_limit_s=5)
    async with managed(xmpp, chirp, "#!/bin/sh\nsleep 50\n", 1), guest(folder, context) as (host, process):
        await host.wait_state("executing")
        host.pinging = False
        await host.wait_for(lambda message: message.kind == "bye" and "silent" in message.fields["reason"])
        assert await ended(process) == 0
        assert (folder / "scratch" / "job.json").exists()


async def test_after_resumed_the_session_is_new_and_the_job_claimed(xmpp: Xmpp, chirp: Chirp, folder: Path) -> None:
    script = "#!/bin/sh\n: > ready\nuntil [ -e go ]; do sleep 0.1; done\n"
    async with managed(xmpp, chirp, script, 1) as manager, guest(folder, context_of(xmpp)) as (host, _):
        await host.wait_state("executing")
        job = await until_there(folder, "ready")
        host.write(host.end.send("resumed", wall_clock=1.0, entropy="00ff" * 8))
        async with asyncio.timeout(60):
            while not manager.claims:
                await asyncio.sleep(0.05)
        (job / "go").touch()
        await host.wait_state("done")
        assert manager.claims == 1
        assert [message.fields["step"] for message in host.heard if message.kind == "boot"].count("xmpp") == 2


async def test_garbage_of_the_host_does_no_harm(xmpp: Xmpp, chirp: Chirp, folder: Path) -> None:
    async with managed(xmpp, chirp, "#!/bin/sh\nexit 0\n", 1), guest(folder, context_of(xmpp)) as (host, _):
        await host.wait_kind("heartbeat")
        for _ in range(20):
            host.write(os.urandom(1000))
            await asyncio.sleep(0.01)
        await host.wait_state("done")


async def test_what_breaks_the_guest_is_said_on_the_link(folder: Path, xmpp: Xmpp) -> None:
    context = context_of(xmpp)
    del context["agent"]["port"]
    async with guest(folder, context) as (host, process):
        assert "KeyError" in (await host.wait_kind("bye")).fields["reason"]
        said = await host.wait_for(lambda message: message.kind == "log" and "Traceback" in message.fields["text"])
        assert "port" in said.fields["text"]
        assert await ended(process) == 1
