"""What a guest says becomes what faces show."""

from datetime import UTC, datetime

from client.guest.tracker import MOST_ENDS, GuestTracker
from client.link import Message
from client.log import remove, to_listener
from client.snapshot import JobState

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def tell(tracker: GuestTracker, kind: str, at: float = 0.0, **fields: object) -> None:
    tracker.take(Message(kind, fields), NOW, at)


def test_boot_goes_forward_and_ends_online() -> None:
    tracker = GuestTracker()
    seen = []
    for step in ("python", "link", "python", "xmpp"):
        tell(tracker, "boot", step=step)
        seen.append(tracker.boot_fraction)
    assert seen == sorted(seen)
    assert (seen[-1], tracker.online, tracker.boot_step) == (1.0, True, "")


def test_rate_and_time_left_come_from_progress() -> None:
    tracker = GuestTracker()
    for second in range(11):
        tell(tracker, "job", second, job_id="j1", state="executing", done=second * 5, total=100, unit="events")
    job = tracker.job
    assert job is not None
    assert (job.done_units, job.rate_per_s, job.seconds_left) == (50, 5.0, 10.0)


def test_a_pause_does_not_spoil_the_rate() -> None:
    tracker = GuestTracker()
    for second in range(5):
        tell(tracker, "job", second, job_id="j1", state="executing", done=second * 5, total=100)
    tracker.held()
    for second in range(1000, 1005):
        tell(tracker, "job", second, job_id="j1", state="executing", done=20 + (second - 1000) * 5, total=100)
    assert tracker.job is not None
    assert tracker.job.rate_per_s == 5.0


def test_done_never_passes_total() -> None:
    tracker = GuestTracker()
    tell(tracker, "job", job_id="j1", state="executing", done=500, total=100)
    assert tracker.job is not None
    assert tracker.job.done_units == 100


def test_a_verdict_reaches_its_job_and_the_history_once_each() -> None:
    tracker = GuestTracker()
    tell(tracker, "job", job_id="j1", state="done", done=10, total=10, cpu_s=4.0)
    tell(tracker, "verdict", job_id="j1", accepted=True)
    ended = tracker.drain_ended()
    assert [(e.job.job_id, e.job.accepted, e.cpu_s) for e in ended] == [("j1", None, 4.0), ("j1", True, 4.0)]
    assert tracker.drain_ended() == []


def test_a_late_verdict_does_not_touch_the_next_job() -> None:
    tracker = GuestTracker()
    tell(tracker, "job", job_id="j1", state="done", done=7, total=7, cpu_s=3.0)
    tell(tracker, "job", job_id="j2", state="executing")
    tell(tracker, "verdict", job_id="j1", accepted=False, reason="histograms differ")
    assert tracker.job is not None
    assert (tracker.job.job_id, tracker.job.accepted) == ("j2", None)
    judged = tracker.drain_ended()[-1]
    assert (judged.job.cause, judged.job.done_units, judged.cpu_s) == ("histograms differ", 7, 3.0)


def test_an_unknown_state_changes_nothing() -> None:
    tracker = GuestTracker()
    tell(tracker, "job", job_id="j1", state="dancing")
    assert tracker.job is None


def test_idle_has_no_job_id() -> None:
    tracker = GuestTracker()
    tell(tracker, "job", job_id="", state="wanting")
    assert tracker.job is not None
    assert tracker.job.state is JobState.WANTING


def test_a_fresh_boot_forgets_the_last_guest() -> None:
    tracker = GuestTracker()
    tell(tracker, "heartbeat", uptime_s=5, xmpp=True)
    tell(tracker, "bye", reason="finished")
    tracker.boot()
    assert (tracker.guest, tracker.online, tracker.bye, tracker.boot_fraction) == (None, False, "", 0.0)


def test_a_flood_of_ended_jobs_is_recorded_in_part_and_warned_of_once() -> None:
    tracker = GuestTracker()
    warned: list[str] = []
    tap = to_listener(lambda at, level, area, text: warned.append(text))
    for number in range(500):
        tell(tracker, "job", number / 100, job_id=f"j{number}", state="done")
        tell(tracker, "verdict", number / 100, job_id=f"j{number}", accepted=True)
    remove(tap)
    ended = tracker.drain_ended()
    assert len({e.job.job_id for e in ended}) == MOST_ENDS
    assert len(ended) == 2 * MOST_ENDS
    assert tracker.dropped_ends == 2 * (500 - MOST_ENDS)
    assert len(warned) == 1
    tell(tracker, "job", 61.0, job_id="later", state="done")
    assert [e.job.job_id for e in tracker.drain_ended()] == ["later"]


def test_an_end_that_is_said_again_is_recorded_once() -> None:
    tracker = GuestTracker()
    for _ in range(3):
        tell(tracker, "job", job_id="j1", state="done", done=10, total=10, cpu_s=4.0)
    assert len(tracker.drain_ended()) == 1
    tell(tracker, "job", job_id="j1", state="failed", cause="disk full")
    assert [e.job.cause for e in tracker.drain_ended()] == ["disk full"]


def test_the_last_lines_of_a_job_are_kept_and_those_left_out_are_marked() -> None:
    tracker = GuestTracker()
    tell(tracker, "output", job_id="j1", lines=["too early"])
    tell(tracker, "job", job_id="j1", state="executing")
    tell(tracker, "output", job_id="j1", lines=["one", "two"])
    tell(tracker, "output", job_id="another", lines=["not ours"])
    tell(tracker, "output", job_id="j1", lines=["three"], left_out=100)
    assert tracker.job is not None
    assert tracker.job.output_tail == ("one", "two", "\N{HORIZONTAL ELLIPSIS}", "three")
    tell(tracker, "output", job_id="j1", lines=[str(number) for number in range(20)])
    assert tracker.job.output_tail == tuple(str(number) for number in range(20))
    tell(tracker, "job", job_id="j2", state="getting input")
    assert tracker.job.output_tail == ()
