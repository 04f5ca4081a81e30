"""Managers that fall silent are noticed, and nobody else."""

import pytest

from client.copilot import events as e
from client.copilot.events import Report, Tally
from client.copilot.managers.monitor.desk import MonitorDesk
from client.copilot.managers.monitor.ledger import Ledger
from client.copilot.managers.monitor.presence import GONE_S, MAX_HEARD, SILENT_S, Presence
from client.copilot.messages import build_info
from tests.unit.copilot.managers.monitor.test_desk import JM, FakeDetails

NOW = 1_800_000_000.0
WAITING = {"queuedJobs": 3.0}


@pytest.mark.parametrize(
    "report",
    [e.ReportEventValue("jm.a", "queuedJobs", 3), e.ReportEvents("jm.a", Tally({"job.start": 1}, {}, WAITING))],
)
def test_a_manager_that_tells_nothing_any_more_is_noticed_until_it_does(report: Report) -> None:
    desk = MonitorDesk(Ledger(), FakeDetails(), frozenset({"jm@localhost"}))
    desk.hear(JM, build_info(report), NOW)
    assert desk.presence.silent(0, NOW + SILENT_S - 1) == {}
    assert desk.presence.silent(0, NOW + SILENT_S) == {"jm.a": NOW}
    desk.hear(JM, build_info(e.ReportEvent("jm.a", "job.start")), NOW + SILENT_S)
    assert desk.presence.silent(0, NOW + SILENT_S) == {}


def test_only_those_that_tell_every_minute_can_be_missed() -> None:
    presence = Presence()
    presence.hear("storage", {}, NOW)
    presence.hear("agent", {"system.load.1min": 1}, NOW)
    assert presence.silent(0, NOW + SILENT_S) == {}


def test_a_monitor_that_could_not_be_reached_blames_nobody() -> None:
    presence = Presence()
    presence.hear("jm.a", WAITING, NOW)
    assert presence.silent(NOW + 1000, NOW + 1000 + SILENT_S - 1) == {}
    assert presence.silent(NOW + 1000, NOW + 1000 + SILENT_S) == {"jm.a": NOW}


def test_what_is_gone_for_a_day_is_forgotten_and_names_are_few() -> None:
    presence = Presence()
    for number in range(MAX_HEARD + 5):
        presence.hear(f"jm.{number}", WAITING, NOW)
    assert len(presence.silent(0, NOW + SILENT_S)) == MAX_HEARD
    assert presence.silent(0, NOW + GONE_S) == {}
