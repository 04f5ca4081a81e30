"""What is told, added up; names made harmless; no more of them than there is room for."""

import re

from hypothesis import given
from hypothesis import strategies as st

from client.copilot.events import Spread, Tally, one
from client.copilot.managers.monitor.ledger import MAX_CHOSEN, MAX_SERIES, Kind, Ledger, Series, Slots, clean_name


def test_numbers_add_up_and_are_taken_once() -> None:
    ledger = Ledger()
    for seconds in (3.0, 9.0):
        ledger.add("jm.alpha", Tally({"job.start": 2}, {"job.succeeded": one(seconds)}, {"queuedJobs": seconds}))
    expected = {
        Series("jm.alpha", "job.start", Kind.COUNT): Spread(4, 4, 1, 1),
        Series("jm.alpha", "job.succeeded", Kind.DURATION): Spread(2, 12, 3, 9),
        Series("jm.alpha", "queuedJobs", Kind.VALUE): Spread(2, 12, 3, 9),
    }
    assert ledger.take() == ledger.totals == expected
    assert ledger.take() == {}
    assert ledger.last == {Series("jm.alpha", "queuedJobs", Kind.VALUE): 9}


@given(st.text())
def test_names_mean_nothing_to_anybody(name: str) -> None:
    found = clean_name(name)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9][A-Za-z0-9_-]*)*", found)
    assert len(found) <= 330
    assert clean_name(found) == found


def test_names_stay_readable() -> None:
    assert clean_name("jobmanager.generic.jobs-1") == "jobmanager.generic.jobs-1"
    assert clean_name("../../etc/passwd 5 6\n") == "etc_passwd_5_6"
    assert clean_name("<img src=x>") == "img_src_x"
    assert clean_name("") == clean_name("..") == "unnamed"


def test_names_beyond_the_limit_are_counted_only() -> None:
    ledger = Ledger()
    for number in range(MAX_SERIES + 7):
        ledger.add("c", Tally({f"e{number}": 1}))
    ledger.add("c", Tally({"e0": 1}))
    assert len(ledger.totals) == len(ledger.take()) == MAX_SERIES
    assert ledger.refused == 7
    assert ledger.totals[Series("c", "e0", Kind.COUNT)].number == 2


def test_names_that_agents_choose_leave_room_for_the_others() -> None:
    ledger = Ledger()
    for number in range(MAX_SERIES):
        ledger.add("c", Tally(values={f"agent.seen.{number}": 1}))
    ledger.add("c", Tally({"job.start": 1}, values={"agent.seen.0": 2}))
    assert len(ledger.totals) == MAX_CHOSEN + 1
    assert ledger.last[Series("c", "agent.seen.0", Kind.VALUE)] == 2


def test_values_beyond_the_limit_are_not_remembered_either() -> None:
    ledger = Ledger()
    for number in range(2 * MAX_SERIES):
        ledger.add("c", Tally(values={f"e{number}": 1}))
    assert len(ledger.last) == MAX_SERIES


def test_slots_are_joined() -> None:
    slots, series = Slots(), Series("c", "e", Kind.VALUE)
    slots.put({series: one(1)})
    slots.put({series: one(5)})
    assert slots.take() == {series: Spread(2, 6, 1, 5)}
    assert slots.take() == {}
