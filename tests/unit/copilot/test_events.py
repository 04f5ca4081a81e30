"""What a monitor is told: to maps and back, and hostile values refused."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.copilot import events as e
from client.copilot import messages as m
from client.copilot.errors import BadStanza
from client.copilot.fields import printable

NAMES = st.text(min_size=1, max_size=30).map(printable)
SECONDS = st.floats(0, 1e6)
NUMBERS = st.floats(-1e15, 1e15)
OBJECTS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.integers() | st.booleans(), max_size=4
)
SPREADS = st.lists(SECONDS, min_size=1, max_size=5).map(lambda s: e.Spread(len(s), sum(s), min(s), max(s)))
TALLIES = st.builds(
    e.Tally,
    st.dictionaries(NAMES, st.integers(1, 10**6), max_size=4),
    st.dictionaries(NAMES, SPREADS, max_size=4),
    st.dictionaries(NAMES, NUMBERS, max_size=4),
)
REPORTS = st.one_of(
    st.builds(e.ReportEvent, NAMES, NAMES),
    st.builds(e.ReportEventDuration, NAMES, NAMES, SECONDS),
    st.builds(e.ReportEventValue, NAMES, NAMES, NUMBERS),
    st.builds(e.StoreEventDetails, OBJECTS),
    st.builds(e.UpdateEventDetails, NAMES, OBJECTS),
    st.builds(e.ReportEvents, NAMES, TALLIES),
)


@given(REPORTS)
def test_reports_come_back(report: e.Report) -> None:
    assert e.parse_report(m.build_info(report)) == report


def test_managers_and_agents_take_no_reports() -> None:
    assert m.parse_info(m.build_info(e.ReportEvent("c", "e"))) is None
    assert e.parse_report(m.build_info(m.Sleep())) is None
    assert not {kind.command for kind in get_args(e.Report)} & {kind.command for kind in get_args(m.Command)}


def test_the_words_of_the_original() -> None:
    component = "jobmanager.generic.alpha"
    assert m.build_info(e.ReportEventDuration(component, "job.succeeded", 3)) == {
        "command": "reportEventDuration",
        "component": component,
        "event": "job.succeeded",
        "duration": "3",
    }
    said = {"command": "reportEventValue", "component": component, "event": "queuedJobs", "value": " 12 "}
    assert e.parse_report(said) == e.ReportEventValue(component, "queuedJobs", 12)


def many(**tables: Any) -> dict[str, Any]:
    return {"command": "reportEvents", "component": "c", "events": json.dumps(tables)}


@pytest.mark.parametrize(
    "said",
    [
        {"command": "reportEvent", "component": "c"},
        {"command": "reportEvent", "component": "", "event": "e"},
        {"command": "reportEvent", "component": "c", "event": "e" * 201},
        {"command": "reportEvent", "component": {"c": "d"}, "event": "e"},
        {"command": "reportEventDuration", "component": "c", "event": "e", "duration": "-1"},
        {"command": "reportEventDuration", "component": "c", "event": "e", "duration": "1e99"},
        {"command": "reportEventValue", "component": "c", "event": "e", "value": "nan"},
        {"command": "reportEventValue", "component": "c", "event": "e", "value": "inf"},
        {"command": "reportEventValue", "component": "c", "event": "e", "value": "many"},
        many(counts={"e": 10**400}),
        many(counts={"e": 10**9 + 1}),
        many(values={"e": -(10**400)}),
        many(durations={"e": [10**400, 1, 1, 1]}),
        many(durations={"e": [1, 10**400, 1, 1]}),
        {"command": "storeEventDetails", "details": "[]"},
        {"command": "storeEventDetails", "details": "{"},
        {"command": "storeEventDetails", "details": '{"a": NaN}'},
        {"command": "storeEventDetails", "details": '{"a": 1e999}'},
        {"command": "storeEventDetails", "details": "[" * 10_000},
        {"command": "storeEventDetails", "details": json.dumps({"a": "b" * 20_000})},
        {"command": "updateEventDetails", "updates": "{}"},
        many(counts={"a": 0}),
        many(counts={"a": True}),
        many(counts={"a": "1"}),
        many(counts=[1]),
        many(counts={str(number): 1 for number in range(301)}),
        many(durations={"a": [1, 2, 3]}),
        many(durations={"a": [2, 1000, 1, 3]}),
        many(durations={"a": [1, 2, 3, 1]}),
        many(values={"a": 1e300}),
        many(values={"": 1}),
    ],
)
def test_hostile_reports_are_refused(said: m.Info) -> None:
    with pytest.raises(BadStanza):
        e.parse_report(said)


@given(
    st.dictionaries(st.text(max_size=12), st.text(max_size=40)),
    st.sampled_from([k.command for k in get_args(e.Report)]),
)
def test_anything_is_read_or_refused(values: dict[str, str], command: str) -> None:
    try:
        e.parse_report({**values, "command": command, "component": "c", "event": "e"})
    except BadStanza as refused:
        assert refused.field
