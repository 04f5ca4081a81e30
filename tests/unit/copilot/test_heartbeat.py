"""Heartbeats: who is answered what, how often; and the figures in the answers."""

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.copilot import host_status
from client.copilot.heartbeat import MAX_ANSWERS, WINDOW_S, Heartbeat
from client.copilot.host_status import COMPONENTS, MAX_ENTRIES, build_status, parse_status
from client.copilot.managers.config import ProcessSettings
from client.copilot.managers.process import ManagerProcess
from client.copilot.stanza import Kind, parse_message
from tests.helpers.fastloop import in_fast_time
from tests.unit.copilot.captured import elements
from tests.unit.copilot.conformance.wire import Wire, account_of, put_on_wire, running

ROOM = "pilots-lounge@conference.localhost"
ASKER = f"{ROOM}/probe"
JM = "jm@localhost"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_ping_is_answered_without_confirmation() -> None:
    answer = await Heartbeat(ROOM).answer(ASKER, {"command": "Heartbeat:ping"})
    assert answer == (ASKER, {"command": "pong"}, True)


@pytest.mark.parametrize("component", COMPONENTS)
async def test_each_component_is_told_in_the_words_of_the_original(component: str) -> None:
    asked = {"command": "Heartbeat:getStatus", "component": component}
    answer = await Heartbeat(ROOM).answer(ASKER, asked)
    assert answer is not None
    assert answer.info["component"] == ("" if component == "runningProcesses" else component)
    assert answer.info["command"] == "haveStatus"
    lists = parse_status(str(answer.info["status"]))
    names = {
        "systemLoad": {"1min", "5min", "15min"},
        "diskUsage": {"path", "totalBlocks", "used", "available", "used%", "mountpoint"},
        "memoryUsage": {"memory", "used", "available"},
        "runningProcesses": {"%cpu", "%mem", "rss", "time", "command"},
    }
    assert set(lists) == names[component]
    assert len({len(values) for values in lists.values()}) == 1
    assert len(str(answer.info["status"])) < 50_000


def test_disks_are_told_in_the_units_of_the_original(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of `df --block-size=M`: the total keeps its letter, and % is of what this user could fill."""
    blocks = os.statvfs_result((4096, 4096, 66_053_120, 21_000_000, 17_500_000, 0, 0, 0, 0, 255))
    monkeypatch.setattr(host_status, "_mounts", lambda: {"/dev/vda": "/"})
    monkeypatch.setattr(os, "statvfs", lambda _: blocks)
    lists = COMPONENTS["diskUsage"]()
    assert {name: values[0] for name, values in lists.items()} == {
        "path": "/dev/vda",
        "totalBlocks": "258020M",
        "used": "175989",
        "available": "68359",
        "used%": "73%",
        "mountpoint": "/",
    }


def test_times_of_processes_are_minutes_and_seconds() -> None:
    assert all(re.fullmatch(r"\d+:[0-5]\d", one) for one in COMPONENTS["runningProcesses"]()["time"])


async def test_load_and_memory_are_numbers_and_this_process_is_told() -> None:
    assert all(re.fullmatch(r"\d+\.\d\d", one[0]) for one in COMPONENTS["systemLoad"]().values())
    memory = COMPONENTS["memoryUsage"]()
    assert memory["memory"] == ["mem", "swap"]
    assert int(memory["available"][0]) > 0
    assert any("py" in name for name in COMPONENTS["runningProcesses"]()["command"])


async def test_unknown_components_and_strangers_get_nothing() -> None:
    beat = Heartbeat(ROOM, (JM,))
    asked = {"command": "Heartbeat:getStatus", "component": "passwords"}
    assert await beat.answer(ASKER, asked) is None
    assert await beat.answer(ASKER, {"command": "Heartbeat:getStatus", "component": {"a": "b"}}) is None
    ping = {"command": "Heartbeat:ping"}
    assert await beat.answer("mallory@localhost/x", ping) is None
    assert await beat.answer(f"{JM}/operator", ping)
    assert await Heartbeat("").answer("", ping) is None
    assert beat.asks(ping)
    assert not beat.asks({"command": "pong"})


async def test_a_manager_tells_its_users_processes_to_its_own_only() -> None:
    beat = Heartbeat(ROOM, (JM,), is_private=True)
    asked = {"command": "Heartbeat:getStatus", "component": "runningProcesses"}
    assert await beat.answer(ASKER, asked) is None
    assert await beat.answer(f"{JM}/operator", asked)
    assert await beat.answer(ASKER, {"command": "Heartbeat:getStatus", "component": "systemLoad"})


async def test_answers_are_limited() -> None:
    clock = Clock()
    beat = Heartbeat(ROOM, clock=clock)
    ping = {"command": "Heartbeat:ping"}
    given = [await beat.answer(ASKER, ping) for _ in range(MAX_ANSWERS + 5)]
    assert [one is not None for one in given] == [True] * MAX_ANSWERS + [False] * 5
    clock.now = WINDOW_S
    assert await beat.answer(ASKER, ping)


@given(st.dictionaries(st.text(min_size=1), st.lists(st.text(), min_size=1, max_size=200), max_size=5))
def test_no_value_breaks_the_form(lists: dict[str, list[str]]) -> None:
    found = parse_status(build_status({"n": [value for values in lists.values() for value in values][:300] or ["x"]}))
    assert set(found) == {"n"}
    assert len(found["n"]) <= MAX_ENTRIES


@given(st.text())
def test_any_status_can_be_read(text: str) -> None:
    json.dumps(parse_status(text))


def test_what_the_original_answered_is_read() -> None:
    infos = [parse_message(one).info for one in elements("monitor.txt")]
    status = next(info for info in infos if info.get("command") == "haveStatus" and info["component"] == "memoryUsage")
    assert set(parse_status(str(status["status"]))) == {"used", "memory", "available"}


def test_the_stanza_that_enters_a_room_is_the_originals() -> None:
    assert Heartbeat(ROOM).greeting("jobs-1") == (
        f"<presence to='{ROOM}/jobs-1'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
    )
    assert Heartbeat("").greeting("x") == ""
    assert "'/><" not in Heartbeat(ROOM).greeting("a'/><b c='").partition("><")[0]


@in_fast_time
async def test_a_manager_enters_the_room_and_answers_there(tmp_path: Path) -> None:
    asks = [one for one in elements("monitor.txt") if "Heartbeat:ping" in str(parse_message(one).info)]
    assert asks
    with pytest.MonkeyPatch.context() as patch:
        wire = Wire("jm@localhost/alpha")
        put_on_wire(patch, wire)
        process = ManagerProcess(account_of(wire), ProcessSettings(None, None, room=ROOM))
        async with running(process, wire):
            assert wire.greetings == [
                f"<presence to='{ROOM}/alpha'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
            ]
            received = next(one for one in asks if one.get("to", "").endswith("/alpha"))
            wire.feed(received)
            pong = await wire.command("pong")
            assert (pong.recipient, pong.noack) == (ASKER, True)
            await wire.settle()
            assert [one.kind for one in wire.sent] == [Kind.ACK] * (received.get("noack") != "1")
