"""What becomes of an agent whose network is closed by a rule, behind real relays before a real prosody."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from client.copilot import transport as module
from client.copilot.transport import Account, Incoming, XmppTransport
from client.guest import relay
from tests.helpers.metered import Vm
from tests.helpers.servers import Xmpp, xmpp_server

pytestmark = pytest.mark.integration


@pytest.fixture
def server() -> Iterator[Xmpp]:
    with xmpp_server("agent", "jm", modules=("smacks", "volunteer_cloud_resumption")) as running:
        yield running


@asynccontextmanager
async def nat(vm: Vm) -> AsyncIterator[int]:
    """A port at which each connection gets a relay of its own, as a guest's address does."""
    children: list[asyncio.subprocess.Process] = []
    files = [str(vm.folder / name) for name in ("routes.tsv", "traffic", "pid")]

    async def accept() -> None:
        while True:
            guest, _ = await asyncio.get_running_loop().sock_accept(listener)
            with guest:
                guest.setblocking(True)
                command = (sys.executable, "-I", "-S", relay.__file__, "x", *files)
                children.append(await asyncio.create_subprocess_exec(*command, stdin=guest, stdout=guest))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        accepting = asyncio.create_task(accept())
        try:
            yield listener.getsockname()[1]
        finally:
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()


@pytest.mark.parametrize("is_told", [False, True])
@pytest.mark.parametrize("closed_s", [0.3, 3.0])
async def test_work_goes_on_within_seconds_and_nothing_is_lost(
    server: Xmpp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed_s: float, is_told: bool
) -> None:
    """Closed for a moment, and for longer than a stream lives in silence; the guest is told of the end, or not."""
    monkeypatch.setattr(module, "PING_INTERVAL_S", 0.4)
    monkeypatch.setattr(module, "FIRST_RESEND_S", 0.5)
    vm = Vm(tmp_path, server.port)
    vm.rule()
    heard: list[str] = []

    async def on_info(incoming: Incoming) -> None:
        heard.append(str(incoming.info["number"]))

    manager = XmppTransport(
        Account("jm@localhost", "pw", "127.0.0.1", server.port, server.ca_pem), on_info, resend=False
    )
    async with nat(vm) as port:
        agent = XmppTransport(Account("agent@localhost", "pw", "127.0.0.1", port, server.ca_pem), on_info, resend=True)
        try:
            await manager.connect(60)
            await agent.connect(60)
            to = manager.full_jid
            for number in range(20):
                await agent.send(to, {"command": "x", "number": str(number), "padding": "p" * 2000})
                if number == 5:
                    vm.rule(closed=True)
            await asyncio.sleep(closed_s)
            before = list(heard)
            assert len(before) < 20
            vm.rule()
            if is_told:
                agent.reset()
            async with asyncio.timeout(10):
                while set(heard) != {str(number) for number in range(20)}:
                    await asyncio.sleep(0.02)
        finally:
            await agent.close()
            await manager.close()
