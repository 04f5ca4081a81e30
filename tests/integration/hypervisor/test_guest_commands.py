"""Commands, files and messages in a real guest, the same on every hypervisor: the real agent, without a project."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from client.guest.commands import Order
from client.guest.files import LINK_LIMIT_BYTES
from tests.integration.hypervisor.errand_guest import Client, booted
from tests.integration.hypervisor.kit import Kit
from tests.integration.hypervisor.ready import Ready

pytestmark = pytest.mark.integration
#: more than one round of the exchange
LARGE_BYTES = 20_000_000
#: one round, for guests that are interpreted: they read some tens of KB a second
LARGE_FOR_SLOW_BYTES = 3_000_000
SLOW = 4
#: sends what it reads as messages, and prints the host's
MAILMAN = """
import json, socket, sys
door = socket.socket(socket.AF_UNIX)
door.connect("/run/volunteer-cloud.sock")
lines = door.makefile("rw")
if sys.argv[1] == "listen":
    lines.write(json.dumps({"listen": ["test"]}) + "\\n"); lines.flush()
    for _ in range(int(sys.argv[2])):
        print(json.loads(lines.readline())["text"], flush=True)
else:
    for number in range(int(sys.argv[2])):
        lines.write(json.dumps({"topic": "test", "text": f"guest {number}"}) + "\\n")
    lines.flush()
    # Gone before the last is taken is gone.
    lines.close(); door.shutdown(socket.SHUT_WR); door.recv(1)
"""


@pytest.fixture
async def kit(ready: Ready) -> AsyncIterator[Kit]:
    """Booted once, and gone back to."""
    await ready.go_back()
    yield ready.kit()
    await ready.end()


async def test_commands(kit: Kit, tmp_path: Path) -> None:
    async with booted(kit, tmp_path) as (_, client):
        out, err, ended = await client.run("/bin/sh", "-c", "cat; echo err >&2; exit 7", given=b"given " * 20_000)
        assert (out, err, ended.exit_code) == (b"given " * 20_000, b"err\n", 7)
        assert (await client.run("/bin/sh", "-c", "kill -9 $$"))[2].status == 128 + signal.SIGKILL
        assert (await client.run("/no/such"))[2].status == 127
        # Confined as a job is: a user of its own, without a network.
        assert int(await client.out("/usr/bin/id", "-u")) >= 1001
        cards = "import os; print(sorted(os.listdir('/proc/self/net/dev') if 0 else "
        cards += "[line.split(':')[0].strip() for line in open('/proc/self/net/dev') if ':' in line]))"
        assert await client.out("/usr/bin/python3", "-I", "-c", cards) == "['lo']"
        assert await client.out("/usr/bin/id", "-u", root=True) == "0"
        assert "eth0" in await client.out("/usr/bin/python3", "-I", "-c", cards, root=True)


async def test_output_comes_as_it_is_said_and_limits_hold(kit: Kit, tmp_path: Path) -> None:
    async with booted(kit, tmp_path) as (_, client):
        command = client.errands.commands.run(
            Order(("/bin/sh", "-c", "echo first; read answer; echo $answer"), has_input=True)
        )
        assert await command.read() == ("stdout", b"first\n")
        await command.write(b"second\n")
        assert await command.read() == ("stdout", b"second\n")
        assert await command.read() is None
        text = "(trap '' TERM; sleep 30) & (trap '' TERM; sleep 30)"
        ended = (await client.run("/bin/sh", "-c", text, time_limit_s=1))[2]
        assert (ended.cause, ended.status) == ("time-limit", 124)
        left = (
            "import os; print([p for p in os.listdir('/proc') if p.isdigit() and os.stat('/proc/' + p).st_uid > 1000 "
        )
        left += "and open(f'/proc/{p}/stat').read().rpartition(')')[2].split()[0] != 'Z'])"
        assert await client.out("/usr/bin/python3", "-I", "-c", left, root=True) == "[]"
        order = ("/usr/bin/python3", "-I", "-c", "bytearray(100 << 20)")
        _, err, ended = await client.run(*order, memory_limit_mib=80)
        assert b"MemoryError" in err
        assert (await client.run(*order))[2].status == 0
        # One that talks without end is held back, not the guest, and does not outlive its end.
        endless = client.errands.commands.run(Order(("/bin/sh", "-c", "while :; do echo and so on; done")))
        for _ in range(20):
            assert await endless.read() is not None
        assert await client.out("/bin/echo", "beside it") == "beside it"
        endless.kill()
        while await endless.read() is not None:
            pass
        assert endless.ended is not None and endless.ended.signal == signal.SIGTERM


@pytest.mark.parametrize("size_bytes", [0, 5, LINK_LIMIT_BYTES, LARGE_BYTES])
async def test_files(kit: Kit, tmp_path: Path, size_bytes: int) -> None:
    if kit.slowness > SLOW:
        size_bytes = min(size_bytes, LARGE_FOR_SLOW_BYTES)
    data = os.urandom(size_bytes)
    sha256 = hashlib.sha256(data).hexdigest()
    local, back = tmp_path / "file", tmp_path / "back"
    local.write_bytes(data)
    local.chmod(0o750)
    async with booted(kit, tmp_path) as (_, client):
        moved = await client.errands.files.put(local, "/scratch/there")
        assert (moved.size_bytes, moved.sha256) == (size_bytes, sha256)
        said = "import hashlib, os; print(hashlib.sha256(open('/scratch/there', 'rb').read()).hexdigest(), "
        said += "oct(os.stat('/scratch/there').st_mode), os.listdir('/scratch'))"
        found = await client.out("/usr/bin/python3", "-I", "-c", said, root=True)
        assert found.startswith(f"{sha256} 0o100750")
        assert ".part" not in found
        moved = await client.errands.files.get("/scratch/there", back)
        assert moved.sha256 == sha256
        assert back.read_bytes() == data
        assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


async def test_nothing_is_lost_over_pause_save_and_restart(kit: Kit, tmp_path: Path) -> None:
    async with booted(kit, tmp_path) as (driver, client):
        mailman = tmp_path / "mailman.py"
        mailman.write_text(MAILMAN)
        await client.errands.files.put(mailman, "/tmp/mailman.py")
        counting = client.errands.commands.run(
            Order(("/bin/sh", "-c", "for i in $(seq 40); do echo $i; sleep 0.2; done"))
        )
        listening = client.errands.commands.run(Order(("/usr/bin/python3", "-I", "/tmp/mailman.py", "listen", "30")))
        # A slow guest may have come to the second line when it says the first.
        first = await counting.read()
        assert first is not None and first[0] == "stdout"
        for number in range(10):
            client.errands.mailbox.send("test", f"host {number}")
        await driver.pause("one")
        for number in range(10, 20):
            client.errands.mailbox.send("test", f"host {number}")
        late = client.errands.commands.run(Order(("/bin/echo", "after the pause")))
        await asyncio.sleep(0.5)
        # The client is killed while the guest is held; the next one finds it saved.
        await client.die()
        await driver.save("one")
        client = Client.start(driver, tmp_path / "errands")
        try:
            for number in range(20, 30):
                client.errands.mailbox.send("test", f"host {number}")
            speaking = client.errands.commands.run(Order(("/usr/bin/python3", "-I", "/tmp/mailman.py", "speak", "40")))
            await driver.start("one")
            client.channel.expect_resume()
            assert await _kept(client, late.exec_id) == b"after the pause\n"
            assert await _kept(client, listening.exec_id) == b"".join(b"host %d\n" % n for n in range(30))
            numbers = await _kept(client, counting.exec_id)
            assert first[1] + numbers == b"".join(b"%d\n" % n for n in range(1, 41))
            while len(client.errands.mailbox.inbox()) < 40:
                await client.errands.mailbox.wait(len(client.errands.mailbox.inbox()))
            assert [one.text for one in client.errands.mailbox.inbox()] == [f"guest {n}" for n in range(40)]
            assert client.errands.mailbox.unconfirmed == 0
            speaking.let_go()
            # What a reset takes with it is said.
            doomed = client.errands.commands.run(Order(("/bin/sh", "-c", "echo on; sleep 100")))
            assert await doomed.read() == ("stdout", b"on\n")
            await driver.reset("one")
            assert await doomed.read() is None
            assert doomed.ended is not None and doomed.ended.cause == "guest-restarted"
            assert await client.out("/bin/echo", "anew") == "anew"
        finally:
            await client.die()


async def _kept(client: Client, exec_id: str) -> bytes:
    """What a command said that nobody waited for, when it has ended."""
    ledger = client.errands.ledger
    while (entry := ledger.result(exec_id)) is None or entry.outcome is None:
        await asyncio.sleep(0.1)
    assert entry.outcome["exit_code"] == 0, entry.outcome
    return ledger.output(entry, "stdout")
