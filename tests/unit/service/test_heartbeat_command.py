"""What `main.py heartbeat` makes of answers."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from client.copilot.transport import Incoming
from client.errors import BadInput
from client.service import heartbeat_command
from client.service.heartbeat_command import Round, main, put_questions
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


class OriginalInRoom:
    """As the original's agent: while an answer is not confirmed, further ones are dropped."""

    connected = True

    def __init__(self) -> None:
        self.answered: list[str] = []
        self._confirmed_at = 0.0

    async def send(self, to: str, info: dict[str, Any], *, noack: bool = False) -> str:
        now = asyncio.get_running_loop().time()
        if "component" in info and now >= self._confirmed_at:
            self.answered.append(info["component"])
            self._confirmed_at = now + 0.5
        return "id"

    async def drained(self) -> None:
        """Nothing waits."""

    def forget(self, message_id: str) -> None:
        """Nothing is kept."""

    def reset(self) -> None:
        """There is no session."""


@in_fast_time
async def test_an_original_gets_to_answer_each_question() -> None:
    there = OriginalInRoom()
    begun = asyncio.get_running_loop().time()
    await put_questions(there, ROOM, ("systemLoad", "memoryUsage"), 3.0)
    assert there.answered == ["systemLoad", "memoryUsage"]
    assert asyncio.get_running_loop().time() - begun == pytest.approx(3.0, abs=0.1)


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
