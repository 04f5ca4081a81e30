"""What `main.py heartbeat` makes of answers."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from client.copilot.messages import Info
from client.copilot.transport import Incoming
from client.errors import BadInput
from client.service import heartbeat_command
from client.service.heartbeat_command import Round, main
from tests.helpers.fastloop import in_fast_time

ROOM = "r@conference.x"


async def heard(*said: tuple[str, dict[str, Any]]) -> Round:
    found = Round(ROOM)
    for sender, info in said:
        await found.on_info(Incoming(sender, info, "1"))
    return found


async def test_answers_are_kept_by_name() -> None:
    found = await heard(
        (f"{ROOM}/a", {"command": "pong"}),
        (f"{ROOM}/b", {"command": "haveStatus", "component": "systemLoad", "status": "1min=0.5####5min=1####"}),
        (f"{ROOM}/b", {"command": "haveStatus", "component": "", "status": "command=x::::y####"}),
        ("mallory@x/y", {"command": "pong"}),
        (f"{ROOM}/c", {"command": "Heartbeat:ping"}),
        (f"{ROOM}/\x1b[2J", {"command": "haveStatus", "component": {}, "status": "x"}),
    )
    assert found.found == {
        "a": {},
        "b": {"systemLoad": {"1min": ["0.5"], "5min": ["1"]}, "runningProcesses": {"command": ["x", "y"]}},
        "?[2J": {},
    }


class Lounge:
    """Originals in a room: one that pongs may be asked; while its answer is not taken, it drops further questions."""

    connected = True

    def __init__(self, answers: Round, takes_s: dict[str, float]) -> None:
        self.answers, self.takes_s = answers, takes_s
        self.questions: list[tuple[str, str]] = []
        self._busy: set[str] = set()
        self._replies: set[asyncio.Task[None]] = set()

    async def send(self, to: str, info: Info, *, noack: bool = False) -> str:
        if info["command"] == "Heartbeat:ping":
            assert to == ROOM
            for name in self.takes_s:
                self._later(name, 0.1, {"command": "pong"})
            return "id"
        name = to.removeprefix(f"{ROOM}/")
        assert name not in self._busy, "it would drop the question"
        self.questions.append((name, str(info["component"])))
        self._busy.add(name)
        shown = "" if info["component"] == "runningProcesses" else info["component"]
        self._later(name, self.takes_s[name], {"command": "haveStatus", "component": shown, "status": "a=1####"})
        return "id"

    def _later(self, name: str, after_s: float, info: dict[str, Any]) -> None:
        self._replies.add(asyncio.create_task(self._reply(name, after_s, info)))

    async def _reply(self, name: str, after_s: float, info: dict[str, Any]) -> None:
        await asyncio.sleep(after_s)
        self._busy.discard(name)
        await self.answers.on_info(Incoming(f"{ROOM}/{name}", info, "1"))

    async def drained(self) -> None:
        """Nothing waits."""

    def forget(self, message_id: str) -> None:
        """Nothing is kept."""

    def reset(self) -> None:
        """There is no session."""


async def ask(takes_s: dict[str, float], wait_s: float = 3.0) -> tuple[Lounge, Round, float]:
    answers = Round(ROOM, ("systemLoad", "runningProcesses", "memoryUsage"))
    lounge = Lounge(answers, takes_s)
    begun = asyncio.get_running_loop().time()
    await answers.put(lounge, wait_s)
    return lounge, answers, asyncio.get_running_loop().time() - begun


@in_fast_time
async def test_who_ponged_gets_to_answer_each_question() -> None:
    lounge, answers, took_s = await ask({"a": 0.1, "b": 0.5})
    asked = ["systemLoad", "runningProcesses", "memoryUsage"]
    assert {name: list(told) for name, told in answers.found.items()} == {"a": asked, "b": asked}
    assert len(lounge.questions) == 6
    assert took_s == pytest.approx(3.0, abs=0.1)


@in_fast_time
async def test_who_did_not_pong_is_asked_nothing() -> None:
    answers = Round(ROOM, ("systemLoad",))
    lounge = Lounge(answers, {})
    await answers.put(lounge, 1.0)
    await answers.on_info(Incoming(f"{ROOM}/late", {"command": "pong"}, "1"))
    assert (lounge.questions, answers.found) == ([], {"late": {}})


@in_fast_time
async def test_a_late_answer_is_waited_for_and_nothing_more_is_asked() -> None:
    lounge, answers, took_s = await ask({"slow": 5.0})
    assert lounge.questions == [("slow", "systemLoad")]
    assert answers.found == {"slow": {"systemLoad": {"a": ["1"]}}}
    assert took_s == pytest.approx(5.1, abs=0.2)


@in_fast_time
async def test_one_that_never_answers_is_not_waited_for_for_ever() -> None:
    _, answers, took_s = await ask({"gone": 10_000.0})
    assert answers.found == {"gone": {}}
    assert took_s == pytest.approx(3.0 + heartbeat_command.LINGER_S, abs=0.2)


def run(monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], *words: str) -> int:
    async def ask(*_: Any) -> dict[str, Any]:
        return found

    monkeypatch.setattr(heartbeat_command, "ask_room", ask)
    return main(list(words))


def test_what_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text("")
    account = ("--account", str(tmp_path / "m.toml"))
    found = {"a": {"memoryUsage": {"memory": ["mem", "swap"], "used": ["1", "0"]}}}
    assert run(monkeypatch, found, ROOM, *account) == 0
    said = capsys.readouterr().out
    assert "1 in r@conference.x:" in said
    assert "mem  1" in said
    assert run(monkeypatch, found, "--json", *account) == 0
    assert json.loads(capsys.readouterr().out) == found
    assert run(monkeypatch, {}, "lounge", *account) == 1
    assert capsys.readouterr().out == "Nobody answered in lounge@conference.legacy.localhost.\n"


@pytest.mark.parametrize("words", [("--wait", "0"), ("--ask", "passwords"), ()])
def test_what_cannot_be_asked(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOLUNTEER_CLOUD_SITE", raising=False)
    with pytest.raises(BadInput):
        main(list(words))
