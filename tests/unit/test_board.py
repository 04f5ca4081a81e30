"""Facts in, frozen snapshots out."""

import asyncio
import json

from client.board import LOG_LINES, PROBLEMS, Board
from client.snapshot import ClientSnapshot, Severity, VmState, VmView
from tests.helpers.clock import FakeClock


def board() -> Board:
    return Board(FakeClock())


def test_snapshots_are_numbered_and_fit_into_json() -> None:
    one = board()
    one.update_vm(VmView("work-1", "work-1", VmState.RUNNING, "qemu"))
    one.raise_problem("x", "y", "It broke.", "Mending.", Severity.WARNING)
    one.log(FakeClock().now(), "info", "core", "hello")
    first, second = one.snapshot(), one.snapshot()
    assert second.seq == first.seq + 1
    said = json.loads(json.dumps(second.to_json()))
    assert said["vms"][0]["state"] == "running"
    assert said["problems"][0]["since"].startswith("2026-11-20T12:00")


def test_a_problem_keeps_its_time_and_is_there_once() -> None:
    clock = FakeClock()
    one = Board(clock)
    one.raise_problem("x", "y", "It broke.", "", Severity.WARNING)
    since = clock.now()
    clock.advance(60)
    one.raise_problem("x", "y", "It broke again.", "", Severity.WARNING)
    (problem,) = one.problems
    assert (problem.since, problem.text) == (since, "It broke again.")


def test_problems_settle_by_code_and_by_what_they_concern() -> None:
    one = board()
    for about in ("a", "b"):
        one.raise_problem("x", about, "t", "d", Severity.NOTICE)
    one.settle("x", about="a")
    assert [p.about for p in one.problems] == ["b"]
    one.settle(about="c")
    assert len(one.problems) == 1
    one.settle("x")
    assert one.problems == ()


def test_lists_are_bounded() -> None:
    one = board()
    for number in range(500):
        one.log(FakeClock().now(), "info", "job", str(number))
        one.raise_problem("x", str(number), "t", "d", Severity.NOTICE)
    snapshot = one.snapshot()
    assert (len(snapshot.log), snapshot.log[-1].text) == (LOG_LINES, "499")
    assert len(snapshot.problems) == PROBLEMS


async def test_changes_are_published_and_a_subscriber_can_leave() -> None:
    one = board()
    seen: list[ClientSnapshot] = []
    end = one.subscribe(seen.append)
    publisher = asyncio.create_task(one.publish())
    async with asyncio.timeout(5):
        while len(seen) < 2:
            one.changed()
            await asyncio.sleep(0.01)
    end()
    one.publish_now()
    assert len(seen) == 2
    publisher.cancel()


async def test_a_subscriber_that_fails_is_dropped_and_the_others_go_on() -> None:
    one = board()
    seen: list[ClientSnapshot] = []
    asked: list[int] = []

    def fail(snapshot: ClientSnapshot) -> None:
        asked.append(snapshot.seq)
        raise BrokenPipeError("nobody reads")

    end = one.subscribe(fail)
    one.subscribe(seen.append)
    publisher = asyncio.create_task(one.publish())
    async with asyncio.timeout(5):
        while len(seen) < 3:
            one.changed()
            await asyncio.sleep(0.01)
    assert not publisher.done()
    assert len(asked) == 1
    end()
    publisher.cancel()
