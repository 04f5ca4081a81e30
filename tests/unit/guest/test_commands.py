"""Commands in the guest, both ends joined in memory; the commands are real ones of this computer."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from client.copilot.guest_commands import Ways
from client.errors import BadInput
from client.guest.commands import Command, Ended, Order
from tests.helpers.errands import ErrandRig, errand_rig

PYTHON = sys.executable


def shell(text: str, **more: object) -> Order:
    return Order(("/bin/sh", "-c", text), **more)  # type: ignore[arg-type]


async def output_of(command: Command) -> tuple[bytes, bytes]:
    said = {"stdout": b"", "stderr": b""}
    while (piece := await command.read()) is not None:
        said[piece[0]] += piece[1]
    return said["stdout"], said["stderr"]


async def ran(rig: ErrandRig, order: Order) -> tuple[bytes, bytes, Ended]:
    command = rig.host.errands.commands.run(order)
    out, err = await output_of(command)
    assert command.ended is not None
    return out, err, command.ended


async def test_output_exit_code_and_error_output(tmp_path: Path) -> None:
    async with errand_rig(tmp_path) as rig:
        out, err, ended = await ran(rig, shell("echo out; echo err >&2; exit 7"))
    assert (out, err, ended.exit_code, ended.signal, ended.cause) == (b"out\n", b"err\n", 7, 0, "")
    assert list(tmp_path.iterdir()) == [], "nothing is kept of what was read to its end"


@pytest.mark.parametrize(("network", "root", "told"), [(True, False, 1), (False, True, 1), (False, False, 0)])
async def test_those_that_may_use_the_network_are_told_the_proxy_for_cvmfs(
    tmp_path: Path, network: bool, root: bool, told: int
) -> None:
    async with errand_rig(tmp_path) as rig:
        rig.guest.errands._commands._ways = Ways(False, network, Path("/usr"), "http://10.0.2.102:3128")
        out, _, _ = await ran(rig, Order(("env",), root=root))
    assert out.count(b"CVMFS_HTTP_PROXY=http://10.0.2.102:3128\n") == told


async def test_words_arrive_unchanged(tmp_path: Path) -> None:
    words = ("two\nlines", "\x1b[31m", "ž \u202e 🙂", "")
    async with errand_rig(tmp_path) as rig:
        out, _, _ = await ran(rig, Order(("/bin/sh", "-c", 'printf "%s|" "$@"', "sh", *words)))
    assert out.decode() == "".join(f"{word}|" for word in words)


async def test_input_is_given_as_fast_as_it_is_read(tmp_path: Path) -> None:
    data = bytes(range(256)) * 2000
    async with errand_rig(tmp_path) as rig:
        command = rig.host.errands.commands.run(Order(("/bin/cat",), has_input=True))

        async def give() -> None:
            await command.write(data)
            await command.end_input()

        giving = asyncio.create_task(give())
        out, _ = await output_of(command)
        await giving
    assert out == data
    assert command.ended == Ended(cpu_s=command.ended.cpu_s if command.ended else 0)


async def test_input_that_nobody_reads_does_not_hang(tmp_path: Path) -> None:
    async with errand_rig(tmp_path) as rig:
        command = rig.host.errands.commands.run(Order(("/bin/true",), has_input=True))
        await command.write(bytes(200_000))
        await command.end_input()
        assert await output_of(command) == (b"", b"")


async def test_a_signal_a_missing_program_and_a_missing_folder(tmp_path: Path) -> None:
    async with errand_rig(tmp_path) as rig:
        assert (await ran(rig, shell("kill -9 $$")))[2].status == 128 + signal.SIGKILL
        missing = (await ran(rig, Order(("/no/such/program",))))[2]
        assert (missing.status, missing.cause) == (127, "not-started")
        assert "/no/such/program" in missing.text
        assert (await ran(rig, Order(("/bin/true",), cwd="/no/such/folder")))[2].cause == "not-started"


async def test_the_time_limit_ends_all_that_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    async with errand_rig(tmp_path / "e") as rig:
        text = f"(trap '' TERM; sleep 3; touch {mark}) & sleep 60"
        _, _, ended = await ran(rig, shell(text, time_limit_s=0.3))
        assert (ended.cause, ended.status) == ("time-limit", 124)
        await asyncio.sleep(1.2)
    assert not mark.exists()


async def test_the_memory_limit(tmp_path: Path) -> None:
    async with errand_rig(tmp_path) as rig:
        order = Order((PYTHON, "-c", "bytearray(400 << 20)"), memory_limit_mib=200)
        _, err, ended = await ran(rig, order)
    assert b"MemoryError" in err
    assert ended.exit_code == 1


async def test_kill(tmp_path: Path) -> None:
    async with errand_rig(tmp_path) as rig:
        command = rig.host.errands.commands.run(shell("echo ready; sleep 60"))
        assert await command.read() == ("stdout", b"ready\n")
        command.kill()
        assert await command.read() is None
        assert command.ended is not None and command.ended.status == 128 + signal.SIGTERM


async def test_a_command_that_talks_without_end_waits_for_its_reader(tmp_path: Path) -> None:
    async with errand_rig(tmp_path) as rig:
        command = rig.host.errands.commands.run(Order(("/usr/bin/yes",)))
        assert await command.read() is not None
        await asyncio.sleep(0.3)
        said = rig.lines_up
        await asyncio.sleep(0.3)
        # Only what is said again unasked.
        assert rig.lines_up - said < 20
        command.kill()
        while await command.read() is not None:
            pass


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_lost_or_doubled_over_a_bad_line(tmp_path: Path, seed: int) -> None:
    async with errand_rig(tmp_path, loss=0.2, seed=seed) as rig:
        text = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; cat >&2"
        command = rig.host.errands.commands.run(shell(text, has_input=True))
        giving = asyncio.create_task(command.write(b"x" * 50_000))
        reading = asyncio.create_task(output_of(command))
        await giving
        await command.end_input()
        out, err = await reading
    assert out == b"".join(b"line %d\n" % i for i in range(3000))
    assert err == b"x" * 50_000


async def test_more_than_run_at_a_time(tmp_path: Path) -> None:
    async with errand_rig(tmp_path) as rig:
        found = await asyncio.gather(*(ran(rig, shell(f"sleep 0.1; echo {n}")) for n in range(10)))
    assert [out for out, _, _ in found] == [b"%d\n" % n for n in range(10)]


async def test_a_held_guest_does_it_when_it_goes_on(tmp_path: Path) -> None:
    async with errand_rig(tmp_path) as rig:
        await ran(rig, shell("true"))
        rig.held = True
        running = asyncio.create_task(ran(rig, shell("echo late")))
        await asyncio.sleep(0.2)
        assert not running.done()
        rig.held = False
        assert (await running)[0] == b"late\n"


async def test_a_client_that_is_killed_before_the_guest_heard(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    async with errand_rig(tmp_path / "e") as rig:
        rig.held = True
        first = rig.host.errands.commands.run(shell(f"echo once >> {mark}; echo said"))
        await rig.restart_client()
        rig.held = False
        while (entry := rig.host.errands.ledger.result(first.exec_id)) is None or entry.outcome is None:
            await asyncio.sleep(0.01)
        assert rig.host.errands.ledger.output(entry, "stdout") == b"said\n"
        assert entry.outcome["exit_code"] == 0
    assert mark.read_text() == "once\n"


@pytest.mark.parametrize("loss", [0.0, 0.2])
async def test_a_client_that_is_killed_while_it_runs(tmp_path: Path, loss: float) -> None:
    mark = tmp_path / "mark"
    async with errand_rig(tmp_path / "e", loss=loss) as rig:
        text = f"echo once >> {mark}; i=0; while [ $i -lt 9000 ]; do echo $i; i=$((i+1)); done; echo end >&2; exit 3"
        command = rig.host.errands.commands.run(shell(text))
        before = {"stdout": b"", "stderr": b""}
        while len(before["stdout"]) < 10_000:
            piece = await command.read()
            assert piece is not None
            before[piece[0]] += piece[1]
        await rig.restart_client()
        ledger = rig.host.errands.ledger
        while (entry := ledger.result(command.exec_id)) is None or entry.outcome is None:
            await asyncio.sleep(0.01)
        after = ledger.output(entry, "stdout")
        assert entry.outcome["exit_code"] == 3
        assert b"end\n" in (before["stderr"], ledger.output(entry, "stderr"))
    assert mark.read_text() == "once\n"
    whole = b"".join(b"%d\n" % i for i in range(9000))
    # What the killed client had taken it has taken along; what follows is there without a gap.
    assert whole.endswith(after)
    assert len(after) >= len(whole) - len(before["stdout"])


async def test_a_guest_that_is_reset_ends_what_was_open(tmp_path: Path) -> None:
    async with errand_rig(tmp_path) as rig:
        command = rig.host.errands.commands.run(shell("echo ready; sleep 60"))
        await command.read()
        await rig.reset_guest()
        assert await command.read() is None
        assert command.ended is not None and command.ended.cause == "guest-restarted"
        assert (await ran(rig, shell("echo again")))[0] == b"again\n"


async def test_a_guest_that_goes_off_ends_what_was_open(tmp_path: Path) -> None:
    async with errand_rig(tmp_path) as rig:
        command = rig.host.errands.commands.run(shell("echo ready; sleep 60"))
        await command.read()
        rig.host.errands.went_off()
        assert await command.read() is None
        assert command.ended is not None and command.ended.cause == "guest-gone"


async def test_input_that_went_away_ends_the_command(tmp_path: Path) -> None:
    async with errand_rig(tmp_path) as rig:
        command = rig.host.errands.commands.run(Order(("/bin/cat",), has_input=True))
        await command.write(b"half")
        assert await command.read() == ("stdout", b"half")
        await rig.restart_client()
        while (entry := rig.host.errands.ledger.result(command.exec_id)) is None or entry.outcome is None:
            await asyncio.sleep(0.01)
        assert entry.outcome["cause"] == "killed"


async def test_what_nobody_reads_is_kept_and_bounded(tmp_path: Path) -> None:
    async with errand_rig(tmp_path) as rig:
        command = rig.host.errands.commands.run(shell("head -c 1500000 /dev/zero"))
        command.let_go()
        ledger = rig.host.errands.ledger
        while (entry := ledger.result(command.exec_id)) is None or entry.outcome is None:
            await asyncio.sleep(0.01)
        assert len(ledger.output(entry, "stdout")) == 1 << 20
        assert entry.marks["cut"]


@pytest.mark.parametrize(
    "order",
    [
        Order(()),
        Order(("",)),
        Order(("a\0b",)),
        Order(("\udcff",)),
        Order(("x" * 20_000,)),
        Order(("a",), time_limit_s=-1),
    ],
    ids=repr,
)
async def test_what_cannot_be_told_is_refused(tmp_path: Path, order: Order) -> None:
    async with errand_rig(tmp_path) as rig:
        with pytest.raises(BadInput):
            rig.host.errands.commands.run(order)
