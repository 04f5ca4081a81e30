"""Who is believed, and how much may be said."""

import pytest

from client.copilot import events as e
from client.copilot.events import Report, Spread, Tally
from client.copilot.managers.monitor.desk import GUESTS_MAY, MonitorDesk
from client.copilot.managers.monitor.ledger import Kind, Ledger, Series
from client.copilot.messages import build_info

JM = "jm@localhost/jobs-1"
GUEST = "agent-99-0123456789abcdef@localhost/x"


class FakeDetails:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, dict[str, object], float]] = []
        self.updated: list[tuple[str, dict[str, object], float]] = []

    def keep_details(self, session: str, said: dict[str, object], now: float) -> None:
        self.kept.append((session, said, now))

    def update_details(self, session: str, said: dict[str, object], now: float) -> None:
        self.updated.append((session, said, now))


def desk(*, guests: bool = False) -> MonitorDesk:
    return MonitorDesk(Ledger(), FakeDetails(), frozenset({"jm@localhost"}), guests)


def hear(at: MonitorDesk, report: Report, sender: str = JM, now: float = 1.0) -> None:
    at.hear(sender, build_info(report), now)


def test_all_commands_of_managers_are_taken() -> None:
    one = desk()
    hear(one, e.ReportEvent("c", "job.start"))
    hear(one, e.ReportEventDuration("c", "job.failed", 7))
    hear(one, e.ReportEventValue("c", "queuedJobs", 3))
    hear(one, e.ReportEvents("c", Tally({"job.start": 4})))
    hear(one, e.StoreEventDetails({"session": "s", "a": 1}), now=5)
    hear(one, e.UpdateEventDetails("s", {"a": 2}), now=6)
    assert one.ledger.take() == {
        Series("c", "job.start", Kind.COUNT): Spread(5, 5, 1, 1),
        Series("c", "job.failed", Kind.COUNT): Spread(1, 1, 1, 1),
        Series("c", "job.failed", Kind.DURATION): Spread(1, 7, 7, 7),
        Series("c", "queuedJobs", Kind.VALUE): Spread(1, 3, 3, 3),
    }
    assert isinstance(one.details, FakeDetails)
    assert one.details.kept == [("s", {"session": "s", "a": 1}, 5)]
    assert one.details.updated == [("s", {"a": 2}, 6)]
    assert one.refused == 0


@pytest.mark.parametrize("sender", [GUEST, "jm@localhost.evil/x", "jm@evil/jobs-1", "JM@localhost/x", "", "localhost"])
def test_others_are_not_believed_and_said_so_once(sender: str, caplog: pytest.LogCaptureFixture) -> None:
    one = desk()
    for _ in range(3):
        hear(one, e.ReportEvent("c", "job.accepted"), sender)
    assert one.ledger.take() == {}
    assert one.refused == 3
    assert len([record for record in caplog.records if "dropped" in record.message]) <= 1


def test_guests_who_may_speak_tell_how_their_computer_does_and_nothing_else() -> None:
    one = desk(guests=True)
    hear(one, e.ReportEventValue("jobmanager.generic.jobs-1", "system.load.5min", 2.5), GUEST)
    for report in (
        e.ReportEventValue("c", "queuedJobs", 9),
        e.ReportEventValue("c", f"system.load.{'x' * 60}", 9),
        e.ReportEvent("c", "system.load.5min"),
        e.ReportEvents("c", Tally({"job.accepted": 10**6})),
        e.StoreEventDetails({"a": 1}),
    ):
        hear(one, report, GUEST)
    assert one.ledger.take() == {Series("agent", "system.load.5min", Kind.VALUE): Spread(1, 2.5, 2.5, 2.5)}
    assert one.refused == 5
    assert isinstance(one.details, FakeDetails)
    assert one.details.kept == []


def test_a_guest_that_says_too_much_is_heard_again_after_a_minute() -> None:
    one = desk(guests=True)
    for _ in range(GUESTS_MAY + 5):
        hear(one, e.ReportEventValue("c", "system.load.1min", 1), GUEST, now=100)
    [found] = one.ledger.take().values()
    assert found.number == GUESTS_MAY
    assert one.refused == 5
    hear(one, e.ReportEventValue("c", "system.load.1min", 1), GUEST, now=161)
    [found] = one.ledger.take().values()
    assert found.number == 1


def test_what_cannot_be_read_is_counted_and_what_is_unknown_is_ignored() -> None:
    one = desk()
    one.hear(JM, {"command": "reportEventValue", "component": "c", "event": "e", "value": "nan"}, 1)
    assert one.refused == 1
    one.hear(JM, {"command": "want_getJob"}, 1)
    one.hear(JM, {}, 1)
    assert one.refused == 1
    assert one.ledger.take() == {}


def test_a_session_is_text_that_a_file_can_hold() -> None:
    one = desk()
    one.hear(JM, {"command": "storeEventDetails", "details": '{"session": "a\\ud800b"}'}, 1)
    assert isinstance(one.details, FakeDetails)
    assert [session for session, _, _ in one.details.kept] == ["a?b"]


def test_a_clock_that_is_set_back_silences_nobody() -> None:
    one = desk(guests=True)
    for _ in range(GUESTS_MAY):
        hear(one, e.ReportEventValue("c", "system.load.1min", 1), GUEST, now=1e9)
    hear(one, e.ReportEventValue("c", "system.load.1min", 1), GUEST, now=1e9)
    assert one.refused == 1
    hear(one, e.ReportEventValue("c", "system.load.1min", 1), GUEST, now=1e9 - 3600)
    assert one.refused == 1
