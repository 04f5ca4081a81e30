"""What a manager counts, and when it tells whom."""

import itertools
from pathlib import Path

import pytest

from client.copilot.events import ReportEvent, ReportEventDuration, ReportEvents, ReportEventValue, Spread, Tally, one
from client.copilot.managers.judge import NOT_NEEDED, WAITS
from client.copilot.managers.monitor.reporter import (
    AWAY_S,
    KEPT_S,
    MAX_STANZAS,
    MAX_VERSIONS,
    REPORT_S,
    VALUES_S,
    Reporter,
    ReportSettings,
    plain,
    single,
)
from client.copilot.managers.monitor.values import read_traffic, system_values, traffic_values
from client.copilot.managers.monitor.witness import refusal_class, return_class, verdict_event

TOLD = ReportSettings("monitor@localhost", "jobmanager.generic.jobs-1", batched=True)


def tally_of(reporter: Reporter, now: float) -> Tally:
    reports = reporter.due(now)
    assert len(reports) == 1
    assert isinstance(reports[0], ReportEvents)
    return reports[0].tally


def test_without_a_monitor_nothing_is_counted_or_told() -> None:
    reporter = Reporter(ReportSettings())
    reporter.happened("job.start")
    reporter.asked("a@localhost/x", 'Version="1";')
    reporter.handed_in("j", "1", 5)
    reporter.judged("j", 0, accepted=True, reason="")
    assert reporter.due(100) == []
    assert reporter.due(200) == []


def test_events_are_told_once_and_together() -> None:
    reporter = Reporter(TOLD)
    for job, exit_code, reason in (("a", 0, ""), ("b", 0, "the archive is cut off"), ("c", 256, "ended by signal 9")):
        reporter.handed_in(job, "1000", 1010 if job == "a" else 1030)
        reporter.judged(job, exit_code, accepted=not reason, reason=reason)
    tally = tally_of(reporter, 2000)
    assert tally.counts == {
        "job.succeeded": 2,
        "job.failed": 1,
        "job.accepted": 1,
        "job.refused.archive": 1,
        "job.refused.exit-code": 1,
    }
    assert tally.durations == {"job.succeeded": Spread(2, 40, 10, 30), "job.failed": one(30)}
    reporter.happened("job.start")
    assert reporter.due(2000 + REPORT_S / 2) == []
    assert tally_of(reporter, 2000 + REPORT_S).counts == {"job.start": 1}
    assert reporter.due(2000 + 2 * REPORT_S) == []


@pytest.mark.parametrize("said", ["", "-5", "1e3", "9" * 13, "x", "\u0661"])
def test_a_start_that_is_none_gives_no_duration(said: str) -> None:
    reporter = Reporter(TOLD)
    reporter.handed_in("j", said, 1e9)
    reporter.judged("j", 0, accepted=True, reason="")
    assert tally_of(reporter, 1).durations == {}


def test_agents_are_counted_by_version_once_a_minute_and_once_each() -> None:
    reporter = Reporter(TOLD)
    reporter.due(0)
    for number in range(30):
        reporter.asked(f"a{number % 3}@localhost/{number}", '[ Version="0.1.0"; ]')
    reporter.asked("b@localhost/x", '[\nVersion="<script>";\n]')
    reporter.asked("c@localhost/x", "nothing")
    assert reporter.due(VALUES_S / 2) == []
    found = tally_of(reporter, VALUES_S).values
    assert found == {"agent.seen.0_1_0": 3, "agent.seen.script": 1, "agent.seen.unknown": 1}


def test_versions_that_hostile_agents_make_up_are_bounded() -> None:
    reporter = Reporter(TOLD)
    reporter.due(0)
    for number in range(1000):
        reporter.asked(f"a{number}@localhost", f'Version="{number}";')
    found = tally_of(reporter, VALUES_S).values
    assert len(found) == MAX_VERSIONS + 1
    assert found["agent.seen.other"] == 1000 - MAX_VERSIONS
    reporter.asked("x@localhost", 'Version="new";')
    reporter.asked("y@localhost", 'Version="0";')
    assert tally_of(reporter, 2 * VALUES_S).values == {"agent.seen.other": 1, "agent.seen.0": 1}


def test_what_bounced_is_told_again_with_what_happened_since() -> None:
    reporter = Reporter(TOLD)
    reporter.happened("job.start")
    reporter.handed_in("j", "10", 15)
    reporter.judged("j", 0, accepted=True, reason="")
    reporter.measured("queuedJobs", 5)
    [report] = reporter.due(0)
    reporter.bounced(report, 0.1)
    reporter.happened("job.start")
    reporter.measured("queuedJobs", 7)
    assert reporter.due(REPORT_S) == []
    assert tally_of(reporter, 2 * REPORT_S) == Tally(
        {"job.start": 2, "job.succeeded": 1, "job.accepted": 1}, {"job.succeeded": one(5)}, {"queuedJobs": 7}
    )
    assert reporter.due(3 * REPORT_S) == []


def test_what_the_originals_monitor_did_not_get_is_told_again_too() -> None:
    reporter = Reporter(ReportSettings("monitor@localhost"))
    reporter.happened("job.start")
    reporter.happened("job.start")
    reporter.handed_in("j", "10", 15)
    reporter.judged("j", 256, accepted=False, reason="the archive is cut off")
    reporter.measured("queuedJobs", 5)
    reports = reporter.due(0)
    for report in reports:
        reporter.bounced(report, 1)
    assert sorted(map(str, reporter.due(10))) == sorted(map(str, reports))


def test_a_monitor_that_stays_away_costs_a_stanza_a_minute() -> None:
    reporter = Reporter(TOLD)
    told = []
    for now in range(1, 3600):
        reporter.happened("job.start")
        for report in reporter.due(now):
            told.append(now)
            reporter.bounced(report, now)
    assert told[1] - told[0] <= 2 * REPORT_S
    gaps = [later - earlier for earlier, later in itertools.pairwise(told)]
    assert gaps[:5] == [2, 4, 8, 16, 32]
    assert all(AWAY_S <= gap <= AWAY_S + REPORT_S for gap in gaps[5:])


def test_a_monitor_that_is_back_is_tried_at_once_the_next_time() -> None:
    reporter = Reporter(TOLD)
    now = 0.0
    for away in (True, True, True, False, False, True):
        reporter.happened("job.start")
        while not (reports := reporter.due(now)):
            now += 0.5
        if away:
            reporter.bounced(reports[0], now)
    began = now
    while not reporter.due(now):
        now += 0.5
    assert now - began <= 2 * REPORT_S


def test_what_nobody_could_be_told_for_ten_minutes_is_told_no_more() -> None:
    reporter = Reporter(TOLD)
    now, told = 0, 0
    while now < 2 * KEPT_S:
        now += 1
        reporter.happened("job.start")
        for report in reporter.due(now):
            assert isinstance(report, ReportEvents)
            told = report.tally.counts["job.start"]
            reporter.bounced(report, now)
    assert told <= KEPT_S + 2 * AWAY_S


def test_the_originals_monitor_gets_a_stanza_for_each() -> None:
    told = single("c", Tally({"job.start": 2, "job.succeeded": 2}, {"job.succeeded": Spread(2, 8, 3, 5)}, {"q": 7}))
    assert told == [
        ReportEventValue("c", "q", 7),
        ReportEventDuration("c", "job.succeeded", 4),
        ReportEventDuration("c", "job.succeeded", 4),
        ReportEvent("c", "job.start"),
        ReportEvent("c", "job.start"),
    ]
    assert len(single("c", Tally({"a": 10**9, "b": 10**9}, {"c": one(1)}))) == MAX_STANZAS


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("the archive is cut off", "archive"),
        ("the job ended with exit code 3", "exit-code"),
        ("the job was ended by signal 9", "exit-code"),
        ("the output is larger than 5 bytes unpacked", "too-large"),
        ("no output was uploaded", "no-output"),
        ("the job's own validation failed", "own-validation"),
        ("the cross-section is 3, not within 40 and 75", "content"),
    ],
)
def test_reasons_have_few_classes(reason: str, name: str) -> None:
    assert refusal_class(reason) == name


@pytest.mark.parametrize(
    ("accepted", "reason", "event"),
    [
        (True, "", "job.accepted"),
        (True, WAITS, "job.kept"),
        (False, NOT_NEEDED, "job.late"),
        (False, "the archive is cut off", "job.refused.archive"),
    ],
)
def test_a_result_is_accepted_once_enough_agree(accepted: bool, reason: str, event: str) -> None:
    assert verdict_event(reason, accepted=accepted) == event


def test_causes_of_agents_are_ours_or_other() -> None:
    assert return_class("time-limit: still running after 5 s") == "time-limit"
    assert return_class("<b>evil</b>") == return_class("") == "other"
    assert plain("../<x>\n") == "x"
    assert plain("é") == "unknown"


def test_traffic_is_told_as_a_difference(tmp_path: Path) -> None:
    net = tmp_path / "dev"
    line = "  eth0: {} 1 0 0 0 0 0 0 {} 1 0 0 0 0 0 0\n"
    net.write_text("Inter-| Receive\n face |bytes\n" + line.format(1048576, 5) + "damaged\n")
    first = read_traffic(net)
    assert traffic_values({}, first) == {"system.net.in.eth0": 0, "system.net.out.eth0": 0}
    net.write_text("Inter-| Receive\n face |bytes\n" + line.format(3 * 1048576, 1))
    assert traffic_values(first, read_traffic(net)) == {"system.net.in.eth0": 2, "system.net.out.eth0": 0}
    assert read_traffic(tmp_path / "none") == {}
    assert system_values()["system.disk.available.root"] > 0


def test_interfaces_that_come_and_go_are_not_told(tmp_path: Path) -> None:
    names = ["lo", *(f"veth{number:x}" for number in range(20)), "docker0", "br-1a2b", "enp3s0", "wlan0"]
    lines = [f"{name}: 1 2 3 4 5 6 7 8 9 10" for name in names]
    (tmp_path / "dev").write_text("\n".join(["head", "head", *lines]))
    assert read_traffic(tmp_path / "dev") == {"in.enp3s0": 1, "out.enp3s0": 9, "in.wlan0": 1, "out.wlan0": 9}
