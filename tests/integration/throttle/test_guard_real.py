"""The guard on real processes: it throttles, and nothing is left stopped or behind, whoever is killed."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from client import process
from client.process import Identity
from client.throttle.guard import Guard, Order, guard_command
from tests.helpers.busy import busy, executed_s, never_stopped, percent_of, state_of
from tests.helpers.program import TOP
from tests.helpers.screen import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.skipif(sys.platform == "win32", reason="needs signals")]

#: A client that throttles what it is told to, says when that has begun, and then does nothing until it is killed.
CLIENT = """
import asyncio, sys
from pathlib import Path
from client import process
from client.throttle.guard import Guard, Order

async def main(owner, grace_s, *pids):
    guard = Guard(Path(owner))
    vms = {f"vm-{pid}": (process.identity(int(pid)),) for pid in pids}
    await guard.obey(Order(vms, 10.0, grace_s=float(grace_s)))
    print(guard.pid, flush=True)
    await asyncio.sleep(1000)

asyncio.run(main(*sys.argv[1:]))
"""


def client_of(owner: Path, grace_s: float, *vms: Identity) -> "tuple[subprocess.Popen[bytes], Identity]":
    command = [sys.executable, "-c", CLIENT, str(owner), str(grace_s), *(str(who.pid) for who in vms)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=TOP)
    assert child.stdout is not None
    guard = process.identity(int(child.stdout.readline()))
    child.stdout.close()
    assert guard is not None
    return child, guard


@pytest.fixture
def vms() -> Iterator[tuple[Identity, ...]]:
    with busy(2) as processes:
        yield processes


@pytest.fixture
def owner(tmp_path: Path) -> Path:
    return tmp_path / "guard.json"


async def test_it_keeps_a_budget_and_shares_it(vms: tuple[Identity, ...], owner: Path) -> None:
    guard = Guard(owner)
    try:
        await guard.obey(Order({"a": vms[:1], "b": vms[1:]}, 30.0))
        await asyncio.sleep(0.5)
        one, other = await asyncio.gather(percent_of(3, vms[0]), percent_of(3, vms[1]))
    finally:
        await guard.close()
    # Whoever else is busy here may leave them less, never more.
    assert one + other <= 32
    assert min(one, other) >= 10
    assert await never_stopped(0.3, *vms)
    assert not owner.exists()


async def test_what_one_does_not_use_is_the_other_s(owner: Path) -> None:
    guard = Guard(owner)
    with busy(1) as hungry, busy(1, "import time; time.sleep(1000)") as idle:
        try:
            await guard.obey(Order({"a": hungry, "b": idle}, 40.0))
            await asyncio.sleep(0.5)
            used = await percent_of(3, *hungry)
            assert await never_stopped(0.5, *idle)
        finally:
            await guard.close()
    assert 25 <= used <= 42


async def test_a_limit_that_is_taken_away_leaves_nothing_stopped(vms: tuple[Identity, ...], owner: Path) -> None:
    guard = Guard(owner)
    try:
        for percent in (5.0, None, 3.0, None):
            await guard.obey(Order({"a": vms}, percent))
            await asyncio.sleep(0.15)
        assert await never_stopped(0.3, *vms)
        await guard.obey(Order({"a": vms}, 5.0))
        await asyncio.sleep(0.15)
        await guard.obey(Order({"a": vms[:1]}, 5.0))
        await asyncio.sleep(0.05)
        assert await never_stopped(0.3, vms[1])
    finally:
        await guard.close()


@pytest.mark.parametrize("seed", range(5))
async def test_nothing_is_stopped_when_the_client_is_killed(seed: int, vms: tuple[Identity, ...], owner: Path) -> None:
    client, guard = client_of(owner, 1.0, *vms)
    await asyncio.sleep(random.Random(seed).uniform(0, 0.3))
    client.kill()
    client.wait()
    await asyncio.sleep(0.1)
    assert await never_stopped(0.5, *vms)
    assert all(process.alive(who.pid, who.started_at) for who in vms)
    # Its time is over: the VMs are ended, and the guard with them.
    assert await process.wait_gone(guard, 10)
    assert [state_of(who) in {"", "Z"} for who in vms] == [True, True]
    assert not owner.exists()


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_stopped_when_the_guard_is_killed(seed: int, vms: tuple[Identity, ...], owner: Path) -> None:
    guard = Guard(owner)
    order = Order({"a": vms}, 5.0)
    try:
        await guard.obey(order)
        first = guard.pid
        await asyncio.sleep(random.Random(seed).uniform(0.1, 0.4))
        os.kill(first, signal.SIGKILL)
        await asyncio.sleep(0.1)
        assert await never_stopped(0.3, *vms)
        await guard.obey(order)
        assert guard.pid not in {0, first}
        await asyncio.sleep(0.5)
        assert await percent_of(2, *vms) <= 8
    finally:
        await guard.close()
    assert await never_stopped(0.3, *vms)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_guard_that_is_asked_to_end_leaves_nothing_stopped(
    number: signal.Signals, vms: tuple[Identity, ...], owner: Path
) -> None:
    client, guard = client_of(owner, 100.0, *vms)
    try:
        await asyncio.sleep(0.2)
        os.kill(guard.pid, number)
        assert await process.wait_gone(guard, 5)
        assert await never_stopped(0.3, *vms)
    finally:
        client.kill()
        client.wait()


async def test_the_next_client_takes_over(vms: tuple[Identity, ...], owner: Path) -> None:
    client, left = client_of(owner, 1.5, *vms)
    client.kill()
    client.wait()
    guard = Guard(owner)
    try:
        await guard.obey(Order({"a": vms}))
        assert not process.alive(left.pid, left.started_at)
        await asyncio.sleep(2.0)
        assert all(process.alive(who.pid, who.started_at) for who in vms)
        assert json.loads(owner.read_text())["pid"] == guard.pid
    finally:
        await guard.close()
    assert all(process.alive(who.pid, who.started_at) for who in vms)


async def test_a_guard_that_cannot_be_ended_sees_itself_replaced(vms: tuple[Identity, ...], owner: Path) -> None:
    client, left = client_of(owner, 1.5, *vms)
    client.kill()
    client.wait()
    owner.write_text(json.dumps({"pid": os.getpid(), "started_at": "another"}))
    assert await process.wait_gone(left, 10)
    assert all(process.alive(who.pid, who.started_at) for who in vms)
    assert owner.exists()


async def test_limits_are_lifted_when_the_client_is_gone(vms: tuple[Identity, ...], tmp_path: Path) -> None:
    quota = tmp_path / "quota"
    quota.write_text("3000")
    child = subprocess.Popen(guard_command(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert child.stdin is not None
    order = {"vms": {"a": [(who.pid, who.started_at) for who in vms]}, "lift": [(str(quota), "-1")], "grace_s": 100}
    child.stdin.write(json.dumps(order).encode() + b"\n")
    child.stdin.close()
    try:
        wait_for("the lift", lambda: quota.read_text().startswith("-1"), 5, 0.02)
    finally:
        child.terminate()
        child.wait()


async def test_another_process_of_that_pid_is_never_touched(vms: tuple[Identity, ...], owner: Path) -> None:
    strangers = tuple(Identity(who.pid, "0000:1") for who in vms)
    guard = Guard(owner)
    try:
        await guard.obey(Order({"a": strangers}, 1.0))
        assert await never_stopped(0.5, *vms)
    finally:
        await guard.close()
    assert executed_s(*vms) > 0


async def test_a_standstill_is_at_once_and_spares_who_is_free(vms: tuple[Identity, ...], owner: Path) -> None:
    guard = Guard(owner)
    order = Order({"a": vms[:1], "b": vms[1:]}, 0.0, frozenset({"b"}))
    try:
        await guard.obey(Order(order.vms))
        began = time.monotonic()
        await guard.obey(order)
        wait_for("the standstill", lambda: state_of(vms[0]) == "T", 5, 0.001)
        assert time.monotonic() - began < 0.5
        assert await never_stopped(0.3, vms[1])
        assert state_of(vms[0]) == "T"
        await guard.obey(Order(order.vms, 20.0, frozenset({"b"})))
        assert await never_stopped(0.3, vms[1])
        await guard.obey(Order(order.vms))
        await asyncio.sleep(0.05)
        assert await never_stopped(0.3, *vms)
        await guard.obey(order)
    finally:
        await guard.close()
    assert await never_stopped(0.3, *vms)


async def test_a_guard_that_ends_at_once_is_not_started_for_ever(vms: tuple[Identity, ...], tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    guard = Guard(tmp_path / "guard.json", ("/bin/sh", "-c", f"echo x >> {starts}"))
    try:
        for _ in range(20):
            await guard.obey(Order({"a": vms}))
            await asyncio.sleep(0.05)
    finally:
        await guard.close()
    assert 2 <= len(starts.read_text().split()) <= 5


async def test_a_place_that_cannot_be_written_keeps_nobody_from_being_guarded(vms: tuple[Identity, ...]) -> None:
    guard = Guard(Path("/proc/no/guard.json"))
    try:
        await guard.obey(Order({"a": vms}, 0.0))
        wait_for("the standstill", lambda: state_of(vms[0]) == "T", 5, 0.01)
    finally:
        await guard.close()
    assert await never_stopped(0.2, *vms)
