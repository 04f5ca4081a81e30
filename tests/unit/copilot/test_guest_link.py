"""The guest's end of the link on a pair of sockets: it never waits, never grows, and says everything again."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from client.copilot.execute import RunnerSettings
from client.copilot.guest import Guest, Places
from client.copilot.guest_link import MAX_LOG_RATE, MAX_UNSENT_BYTES, GuestLink, open_device
from client.link import LinkEnd, Message


@asynccontextmanager
async def link() -> AsyncIterator[tuple[GuestLink, socket.socket, list[Message]]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    heard: list[Message] = []
    end = GuestLink(ours.fileno(), heard.append, {"version": "1"})
    try:
        yield end, theirs, heard
    finally:
        end.close()
        ours.close()
        theirs.close()


async def said(host: LinkEnd, device: socket.socket) -> list[Message]:
    """What the guest says until it has no more to say."""
    found: list[Message] = []
    silent = 0
    while silent < 3:
        await asyncio.sleep(0)
        try:
            data = device.recv(1 << 20)
        except BlockingIOError:
            silent += 1
            await asyncio.sleep(0.01)
            continue
        silent = 0
        found += host.receive(data)
    return found


async def test_it_greets_and_reports() -> None:
    async with link() as (guest, device, _):
        guest.start()
        guest.job("job-1", "executing", title="run.sh", done=1, total=2, unit="events")
        guest.verdict("job-1", True, "")
        guest.log("agent", "info", "hello \udce4")
        messages = await said(LinkEnd("host"), device)
        assert messages[0].kind == "hello"
        kinds = [message.kind for message in messages if message.number]
        assert kinds == ["job", "verdict", "log"]
        assert messages[-1].fields["text"] == "hello ?"


async def greeted(name: str, device: socket.socket, kind: str = "job") -> list[Message]:
    """What a guest says of its job to a host that begins under this name, hears it and confirms."""
    host = LinkEnd(name)
    device.send(host.hello())
    found = await said(host, device)
    device.send(host.acknowledge())
    return [message for message in found + await said(host, device) if message.kind == kind]


async def test_a_host_that_began_anew_is_told_the_whole_state_of_the_job() -> None:
    async with link() as (guest, device, _):
        guest.start()
        guest.job("job-0", "executing", done=9)
        guest.job("job-1", "getting input", title="run.sh")
        guest.job("job-1", "executing", done=1, total=5, unit="events")
        guest.job("job-1", "executing", done=2)
        await greeted("first", device)
        assert await greeted("first", device) == []
        (told,) = await greeted("second", device)
        assert told.fields == {
            "job_id": "job-1",
            "state": "executing",
            "title": "run.sh",
            "done": 2,
            "total": 5,
            "unit": "events",
        }


async def test_the_end_of_a_job_is_not_said_again_to_be_counted_twice() -> None:
    async with link() as (guest, device, _):
        guest.start()
        guest.job("job-1", "executing", title="run.sh")
        guest.job("job-1", "done")
        assert len(await greeted("first", device)) > 0
        assert await greeted("second", device) == []


async def test_the_agent_of_a_guest_is_told_of_sessions() -> None:
    class FakeAgent:
        def __init__(self) -> None:
            self.sessions: list[bool] = []

        def on_state(self, connected: bool) -> None:
            self.sessions.append(connected)

    ours, theirs = socket.socketpair()
    with ours, theirs:
        guest = Guest(Places(), {}, ours.fileno())
        guest._on_session(True)
        guest._agent = agent = FakeAgent()  # type: ignore[assignment]
        guest._on_session(False)
        guest._on_session(True)
    assert agent.sessions == [False, True]


@pytest.mark.parametrize(("told", "counts"), [(0.25, 0.25), (0.0, 0.01), (None, 1.0)])
def test_the_time_of_jobs_counts_by_what_the_host_told_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: float | None, counts: float
) -> None:
    built: list[RunnerSettings] = []
    monkeypatch.setattr("client.copilot.start.build_agent", lambda _, runner, *rest, **more: built.append(runner))
    guest = Guest(Places(scratch=tmp_path), {"agent": {}}, -1)
    guest._build(object())  # type: ignore[arg-type]
    guest._on_message(Message("ping", {"wall_clock": 0.0} | ({} if told is None else {"share": told})))
    assert built[0].share() == counts


async def test_it_hears_the_host() -> None:
    async with link() as (guest, device, heard):
        guest.start()
        device.send(LinkEnd("host").send("finish", undo=False))
        await asyncio.sleep(0.05)
        assert [(message.kind, message.fields) for message in heard] == [("finish", {"undo": False})]


async def test_a_host_that_does_not_read_costs_nothing_and_misses_nothing_of_weight() -> None:
    async with link() as (guest, device, _):
        guest.start()
        for number in range(3000):
            guest.job("job-1", "executing", cause="x" * 900, done=number)
        assert len(guest._unsent) <= MAX_UNSENT_BYTES
        guest.job("job-1", "done")
        host = LinkEnd("host")
        device.send(host.hello())
        messages = await said(host, device)
        device.send(host.replies() or host.hello())
        messages += await said(host, device)
        assert [message.fields["state"] for message in messages if message.kind == "job"][-1] == "done"


async def test_log_lines_come_at_a_bounded_rate() -> None:
    async with link() as (guest, device, _):
        guest.start()
        for number in range(500):
            guest.log("job", "info", str(number))
        lines = [message for message in await said(LinkEnd("host"), device) if message.kind == "log"]
        assert len(lines) == MAX_LOG_RATE


async def test_a_device_that_fails_is_looked_at_again() -> None:
    async with link() as (guest, device, heard):
        device.close()
        guest.start()
        guest.job("job-1", "executing")
        await asyncio.sleep(0.3)
        assert heard == []
        assert not guest._reading


def test_a_serial_line_is_made_raw() -> None:
    host_end, guest_end = os.openpty()
    number = open_device(Path(os.ttyname(guest_end)))
    os.write(number, b"a\n\x03")
    assert os.read(host_end, 10) == b"a\n\x03"
    for end in (number, host_end, guest_end):
        os.close(end)


async def test_a_host_that_began_anew_hears_the_last_lines_of_the_job_in_hand() -> None:
    async with link() as (guest, device, _):
        guest.start()
        guest.job("job-1", "executing")
        guest.output("job-1", [str(number) for number in range(20)], 0)
        guest.output("job-1", ["20"], 7)
        first = [dict(message.fields) for message in await said(LinkEnd("host"), device) if message.kind == "output"]
        assert first[-1] == {"job_id": "job-1", "lines": ["20"], "left_out": 7}
        await greeted("host", device)
        again = await greeted("another host", device, "output")
        assert [message.fields["lines"] for message in again] == [[str(number) for number in range(1, 21)]]
        guest.output("job-2", ["of the next"], 0)
        assert guest._printed == ["of the next"]


async def test_the_record_and_the_disk_are_brought_up_to_date_for_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    class Agent:
        async def save(self) -> None:
            done.append("saved")

    monkeypatch.setattr("client.copilot.guest.os.sync", lambda: done.append("synced"))
    guest = Guest(Places(), {}, -1)
    monkeypatch.setattr(guest, "_agent", Agent())
    guest._on_message(Message("checkpoint"))
    assert guest._saving is not None
    await guest._saving
    assert done == ["saved", "synced"]
