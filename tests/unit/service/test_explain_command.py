"""`main.py explain`, as typed; what it says of a decision; the drawn weeks."""

import asyncio
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from client.board import Board
from client.commands import Command
from client.errors import BadInput
from client.host.part import Wanted
from client.host.sample import Sample
from client.paths import Paths
from client.preferences.types import Limits, When
from client.service import explain_command
from client.service.control import ControlServer
from client.service.explain_command import main, policy_json
from client.service.explain_plot import INKS, legend, pieces, plot
from client.service.explain_svg import draw
from client.service.explain_words import explain_lines, policy_of
from client.snapshot import Reason
from client.throttle.decision import Rung
from client.throttle.moment import Moment
from client.throttle.past import Past
from client.throttle.policy import decide
from client.throttle.random_week import random_week
from client.throttle.rule import Computer
from client.throttle.rules import GUESTS
from client.throttle.simulate import START, Span, World, replay, spans
from client.throttle.view import policy_view
from client.throttle.week_lines import write_week
from tests.helpers.clock import FakeClock

NOON = Moment(datetime(2026, 3, 4, 12, tzinfo=UTC), 0.0)
HOUR = 3600.0


class FakeSensors:
    """Those of a computer that is as a sample says."""

    def __init__(self, sample: Sample) -> None:
        self.sample, self.wanted = sample, Wanted()
        self.is_open = False

    def __call__(self, wanted: Wanted) -> "FakeSensors":
        self.wanted = wanted
        return self

    async def open(self, on_change: Callable[[], None], on_wake: Callable[[float], None]) -> None:
        self.is_open = True

    def look(self) -> Sample:
        assert self.is_open
        return self.sample

    def want(self, wanted: Wanted) -> None:
        self.wanted = wanted

    def let_go(self) -> None:
        """Nothing is held up."""

    async def close(self) -> None:
        self.is_open = False


def said(limits: Limits, sample: Sample) -> Any:
    return policy_view(decide(limits, sample, Computer(4, 8000), NOON, Past.of_start(NOON))[0])


def span(first_s: float, end_s: float, reason: str = "", cpu_percent: int = 0) -> Span:
    rung = Rung.HOLD if reason else Rung.RUN
    return Span(first_s, end_s, START + timedelta(seconds=first_s), rung, cpu_percent, reason, f"{reason} & more.")


def test_what_is_said_while_guests_run() -> None:
    policy = replace(said(Limits(), Sample(idle_s=500.0)), used_percent=41.6, means="cgroup")
    assert explain_lines(policy, NOON.at) == [
        "Virtual machines may run: 300 % of one processor, on 3 processors side by side, with 6000 MiB of memory."
        " They use 42 %. Kept by: cgroup.",
        "Transfers over the network may go on.",
        "This changes only when something happens.",
    ]


def test_what_is_said_while_they_do_not() -> None:
    sample = Sample(idle_s=0.0, on_battery=True, awake=True, metered=True)
    assert explain_lines(said(Limits(), sample), NOON.at.astimezone(timezone(timedelta(hours=1)))) == [
        "Virtual machines are held in memory.",
        "  On battery; goes on when the computer is plugged in.  [when.on_battery]",
        "  A program keeps the screen awake, as calls and films do; goes on when it does no more.  [when.in_calls]",
        "Nothing goes over the network.",
        "  This network is paid by the byte; goes on over another one.  [network.on_metered]",
        "If nothing happens, this does not change before 13:03:00.",
    ]


def test_a_snapshots_policy_and_back() -> None:
    policy = said(Limits(When(in_use=False)), Sample(idle_s=0.0))
    plain = json.loads(json.dumps(policy_json(policy)))
    assert policy_of(plain) == policy
    later = {**plain, "mood": "good", "rules": [{**rule, "weight": 1} for rule in plain["rules"]]}
    assert policy_of(later) == policy


def test_without_an_instance_the_computer_is_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain_command, "_LISTEN_S", 0.0)
    sensors = FakeSensors(Sample(on_battery=True))
    words = ["--basedir", str(tmp_path)]
    site = tmp_path / "site.toml"
    assert main(words, sensors=sensors, site=site) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "The program does not run. If it began now:",
        "Virtual machines are held in memory.",
        "  On battery; goes on when the computer is plugged in.  [when.on_battery]",
    ]
    assert (sensors.wanted.folder, sensors.is_open) == (tmp_path, False)
    assert main([*words, "--json", "--set", "when.on_battery=yes"], sensors=sensors, site=site) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["running"], told["policy"]["rung"]) == (False, "run")


def test_a_week_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record, picture = tmp_path / "week.jsonl", tmp_path / "week.svg"
    record.write_text(
        '{"at": 0, "idle_s": 500}\n{"at": 86400, "on_battery": true}\n{"at": 129600, "on_battery": false}'
    )
    words = ["--basedir", str(tmp_path), "--week", str(record), "--spans", "--svg", str(picture)]
    assert main(words, site=tmp_path / "site.toml") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["Reason", "Times", "In", "all", "Share", "Longest"]
    assert lines[1].split() == ["-", "2", "6.5", "d", "92.9", "%", "5.5", "d", "virtual", "machines", "run"]
    assert lines[2].split() == ["on-battery", "2", "12.0", "h", "7.1", "%", "11.8", "h", "on", "battery"]
    assert "Mon 05  " + "#" * 48 in lines
    assert "Tue 06  " + "B" * 24 + "#" * 24 in lines
    assert lines[-1].startswith("Tue 06 12:00:10")
    ElementTree.parse(picture)


def test_a_week_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = tmp_path / "week.jsonl"
    record.write_text("\n".join(write_week(random_week(2))))
    site = tmp_path / "site.toml"
    assert main(["--basedir", str(tmp_path), "--week", "random:2", "--json"], site=site) == 0
    made_up = json.loads(capsys.readouterr().out)
    assert main(["--basedir", str(tmp_path), "--week", str(record), "--json"], site=site) == 0
    recorded = json.loads(capsys.readouterr().out)
    assert [one["reason"] for one in recorded["spans"]] == [one["reason"] for one in made_up["spans"]]
    assert sum(one["seconds"] for one in made_up["totals"]) == pytest.approx(7 * 24 * HOUR)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--svg", "x.svg"], "about a week"),
        (["--week", "random:x"], "no number"),
        (["--week", "{base}/binary"], "UTF-8"),
        (["--week", "{base}/year"], "longer than a year"),
        (["--week", "{base}/bad"], "no object"),
    ],
)
def test_what_does_not_fit(words: list[str], what: str, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "year").write_text('{"at": 0}\n{"at": 99999999}')
    (tmp_path / "bad").write_text("[]")
    typed = [word.replace("{base}", str(tmp_path)) for word in words]
    with pytest.raises(BadInput, match=what):
        main(["--basedir", str(tmp_path), *typed], site=tmp_path / "site.toml")


def test_every_reason_has_a_letter_and_a_colour_of_its_own() -> None:
    assert {rule.name for rule in GUESTS} == set(INKS) - {"run", "run less"}
    assert len({ink.letter for ink in INKS.values()}) == len({ink.colour for ink in INKS.values()}) == len(INKS)
    assert legend({"run", "strange"}) == ["  #  runs", "  ?  another reason"]


def test_a_drawing_begins_when_the_record_does() -> None:
    start = datetime(2026, 1, 7, 22, 15, tzinfo=timezone(timedelta(hours=2)))
    lines = plot([span(0, HOUR, cpu_percent=100), span(HOUR, 3 * HOUR, "in-use"), span(3 * HOUR, 4 * HOUR)], start)
    assert lines[1] == "Wed 07  " + " " * 44 + "###U"
    assert lines[2] == "Thu 08  UUU++"
    parts = list(pieces([span(0, 3 * HOUR, "in-use")], start))
    assert [(piece.first_s / HOUR, piece.end_s / HOUR) for piece in parts] == [(22.25, 24), (0, 1.25)]


def test_the_picture_holds_the_time_and_the_words() -> None:
    picture = ElementTree.fromstring(draw([span(0, 6 * HOUR, "in-use"), span(6 * HOUR, 24 * HOUR)], START))
    bars = [one for one in picture.iter() if one.tag.endswith("rect") and len(one)]
    assert [float(bar.get("width") or 0) for bar in bars] == [6 * 36, 18 * 36]
    assert [bar[0].text for bar in bars] == ["00:00-06:00: in-use & more.", "06:00-24:00:  & more."]
    texts = [one.text for one in picture.iter() if one.tag.endswith("text")]
    assert {"Mon 05 Jan", "in use", "runs"} <= set(texts)


def test_a_whole_week_is_drawn_whole() -> None:
    found = spans(replay(random_week(1), World()))
    days = {piece.day: 0.0 for piece in pieces(found, START)}
    for piece in pieces(found, START):
        days[piece.day] += piece.end_s - piece.first_s
    assert list(days.values()) == [pytest.approx(24 * HOUR)] * 7


async def test_a_running_instance_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = Board(FakeClock())

    async def take(command: Command) -> None:
        raise AssertionError(command)

    def typed(*words: str) -> str:
        assert main([*words, "--basedir", str(tmp_path)], site=tmp_path / "site.toml") == 0
        return capsys.readouterr().out

    server = ControlServer(Paths(tmp_path), board, take, lambda: True)
    await server.open()
    try:
        board.facts.reason = Reason("paused-by-user", "Paused by you.")
        assert "  Paused by you." in (await asyncio.to_thread(typed)).splitlines()
        assert json.loads(await asyncio.to_thread(typed, "--json"))["policy"] is None
        board.facts.policy = said(Limits(), Sample(on_battery=True))
        assert "On battery; goes on" in await asyncio.to_thread(typed)
        assert json.loads(await asyncio.to_thread(typed, "--json"))["running"] is True
    finally:
        await server.close()
