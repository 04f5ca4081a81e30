"""What Graphite, Prometheus and the page are told."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.copilot.events import Spread, Tally, one
from client.copilot.managers.monitor import graphite as graphite_module
from client.copilot.managers.monitor.figures import OWN, SPANS, Window, build_figures
from client.copilot.managers.monitor.graphite import GraphiteFeed, graphite_lines
from client.copilot.managers.monitor.ledger import Kind, Ledger, Series
from client.copilot.managers.monitor.metrics import MonitorMetrics
from client.copilot.managers.monitor.reading import Reading, sum_up
from client.copilot.managers.monitor.settings import GraphiteSettings
from client.copilot.managers.monitor.state import GraphiteState, MonitorState
from client.copilot.managers.monitor.store import EventStore
from client.copilot.queue.queue import AgentRecord, JobState

NOW = 1_800_000_030.0
COUNTS = dict(zip(JobState, (5, 2, 30, 1), strict=True))
GOOD = MonitorState(True, NOW - 60)
ACCEPTED = Series("jm.s", "job.accepted", Kind.COUNT)
LASTED = Series("jm.s", "job.succeeded", Kind.DURATION)


def agent(owner: str, **more: object) -> AgentRecord:
    return AgentRecord(**{"owner": owner, "agent": f"{owner}/x", "version": "1", "last_seen": NOW, **more})  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    store = EventStore(tmp_path / "s")
    yield store
    store.close()


def test_graphite_gets_the_originals_names_with_durations_in_minutes() -> None:
    value = Series("jobmanager.generic.alpha", "queuedJobs", Kind.VALUE)
    slots = {ACCEPTED: Spread(3, 3, 1, 1), LASTED: Spread(2, 180, 60, 120), value: Spread(2, 9, 4, 5)}
    assert list(graphite_lines("copilot", 17.9, slots)) == [
        "copilot.jm.s.job.accepted 3 17\n",
        "copilot.jm.s.job.succeeded.avg 1.5 17\n",
        "copilot.jm.s.job.succeeded.min 1 17\n",
        "copilot.jm.s.job.succeeded.max 2 17\n",
        "copilot.jm.s.job.succeeded.count 2 17\n",
        "copilot.jobmanager.generic.alpha.queuedJobs 4.5 17\n",
        "copilot.monitor.updates 3 17\n",
    ]


def test_graphites_oldest_lines_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphite_module, "MAX_LINES", 3)
    feed = GraphiteFeed(GraphiteSettings("127.0.0.1", 1))
    for at in range(4):
        feed.feed(at, {})
    assert (feed.waiting, feed.dropped) == (3, 1)
    assert list(vars(feed)["_lines"]) == [f"copilot.monitor.updates 0 {at}\n" for at in (1, 2, 3)]


def test_prometheus_gets_totals_and_what_the_queue_holds() -> None:
    ledger = Ledger()
    ledger.add("jm.s", Tally({"job.accepted": 3}, {"job.succeeded": Spread(2, 180, 60, 120)}, {"queuedJobs": 4}))
    reading = sum_up(COUNTS, [agent("a", version='x"\n\\<b>', job_id="j"), agent("b")], set(), NOW, 0.1)
    state = MonitorState(False, NOW, refused=2, graphite=GraphiteState(True, 0, 9))
    text = MonitorMetrics(ledger, lambda: reading, lambda: state).text().decode()
    for line in (
        'copilot_events_total{component="jm.s",event="job.accepted"} 3.0',
        'copilot_event_duration_seconds_count{component="jm.s",event="job.succeeded"} 2.0',
        'copilot_event_duration_seconds_sum{component="jm.s",event="job.succeeded"} 180.0',
        'copilot_event_value{component="jm.s",event="queuedJobs"} 4.0',
        'copilot_jobs{state="waiting"} 5.0',
        'copilot_agents{version="x\\"\\n\\\\<b>"} 1.0',
        "copilot_agents_working 1.0",
        "copilot_queue_readable 1.0",
        "copilot_monitor_session 0.0",
        "copilot_monitor_refused_total 2.0",
        "copilot_graphite_dropped_lines_total 9.0",
    ):
        assert line in text.splitlines(), text


def test_prometheus_gets_no_jobs_of_a_queue_that_cannot_be_read() -> None:
    text = MonitorMetrics(Ledger(), lambda: Reading(at=NOW, fault="gone"), lambda: GOOD).text().decode()
    assert "copilot_queue_readable 0.0" in text.splitlines()
    assert "copilot_jobs{" not in text


def test_owners_are_summed_up() -> None:
    agents = [agent(f"o{number}", accepted=number, version=str(number % 13)) for number in range(40)]
    agents += [agent("away", last_seen=NOW - 700), agent("busy", last_seen=NOW - 700, job_id="j", version="")]
    found = sum_up(COUNTS, agents, {"", "o1", "o2"}, NOW, 0)
    assert (found.active, found.working, found.known, found.drained, found.all_drained) == (41, 1, 42, 2, True)
    assert [row.owner for row in found.top[:2]] == ["o39", "o38"]
    assert len(found.top) == 10
    assert sum(number for _, number in found.by_version) == 41
    assert found.by_version[-1][0] == "others"
    assert found.jobs == {"waiting": 5, "leased": 2, "done": 30, "dead": 1}


@pytest.mark.parametrize("window", Window)
def test_charts_show_every_number_once(store: EventStore, window: Window) -> None:
    span_s, step_s = SPANS[window]
    for back in (0, step_s, 3 * step_s):
        store.write(NOW - back, {ACCEPTED: Spread(2, 2, 1, 1), LASTED: one(60 + back)})
    store.write(NOW, {Series("jm.s", "job.refused.archive", Kind.COUNT): one(1)})
    store.write(NOW, {Series(OWN, "jobs.waiting", Kind.VALUE): Spread(2, 10, 4, 6)})
    charts = build_figures(store, Reading(), GOOD, window, NOW, "x")["charts"]
    assert len(charts["accepted"]) == span_s // step_s
    assert charts["since"] % step_s == 0
    assert (charts["accepted"][-1], charts["accepted"][-2], charts["accepted"][-4]) == (2, 2, 2)
    assert sum(charts["accepted"]) == 6
    assert charts["refused"][-1] == sum(charts["refused"]) == 1
    assert charts["waiting"][-2:] == [None, 5]
    assert charts["duration_s"][-1] == charts["duration_low_s"][-1] == 60


def test_rates_are_per_minute_and_failures_by_their_number(store: EventStore) -> None:
    store.write(NOW - 5, {ACCEPTED: Spread(4, 4, 1, 1), Series("j", "lease.ended", Kind.COUNT): Spread(9, 9, 1, 1)})
    store.write(NOW - 1800, {ACCEPTED: Spread(56, 56, 1, 1)})
    store.write(NOW - 80_000, {ACCEPTED: Spread(84, 84, 1, 1), Series("j", "job.refused.x", Kind.COUNT): one(1)})
    found = build_figures(store, Reading(), GOOD, Window.HOUR, NOW, "x")
    assert found["rates"] == {"minute": 4, "hour": 1, "day": 0.1}
    assert found["failures"] == [{"event": "lease.ended", "number": 9}, {"event": "job.refused.x", "number": 1}]


def test_figures_are_json_also_when_there_is_nothing_or_hostile_names(store: EventStore) -> None:
    reading = sum_up(COUNTS, [agent("</script><img src=x>", accepted=1)], set(), NOW, 0)
    for shown in (Reading(), Reading(at=NOW, fault="gone"), reading):
        found = json.loads(json.dumps(build_figures(store, shown, GOOD, Window.DAY, NOW, "x"), allow_nan=False))
        assert found["queue"]["read"] is (shown is reading)
        assert found["queue"]["fault"] == shown.fault
