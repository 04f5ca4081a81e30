"""Replicated jobs at the storage manager: results wait for others, whatever is killed meanwhile."""

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from client.copilot.managers import judge as judging
from client.copilot.managers.candidates import Kept
from client.copilot.managers.judge import NOT_NEEDED, WAITS, Judge, Verdict
from client.copilot.managers.shelf import Claim, Shelf
from client.copilot.managers.sweep import sweep
from client.copilot.managers.unpack import Limits
from client.copilot.queue.queue import JobState, Replication, Taken, Terms
from client.copilot.queue.sqlite import SqliteQueue
from tests.unit.copilot.managers.archives import pack
from tests.unit.copilot.queue.jobs import new_job

TWICE = Replication(2, 2)
GOOD, BAD = {"result.json": b'{"x": 1.0}'}, {"result.json": b'{"x": 2.0}'}


class Storage:
    """A storage manager's parts in a folder; agents are a, b, c, ... in the order in which they got units."""

    def __init__(self, base: Path, instance: str = "storage-1") -> None:
        self.base = base
        (base / "chirp").mkdir(exist_ok=True)
        self.queue = SqliteQueue(base / "queue.sqlite", Terms(lease_s=10**9, max_copies=3))
        self.shelf = Shelf(base / "chirp", base / "storage", instance)
        self.judge = Judge(self.queue, self.shelf, Limits(packed_bytes=10_000, unpacked_bytes=100_000))

    def submit(self, replication: Replication = TWICE, **more: Any) -> None:
        self.queue.submit([new_job("one", replication=replication, **more)], 0)

    def lease(self, agent: str) -> Claim:
        lease = self.queue.hand_out(f"{agent}@x/1", 0, extends=True)
        assert lease is not None
        return Claim(lease.job.id, f"{agent}@x/1", 0, None)

    def upload(self, claim: Claim, files: dict[str, bytes]) -> None:
        self.shelf.open_folder(claim.job_id, claim.sender)
        (self.base / "chirp" / claim.job_id / f"{claim.job_id}.tgz").write_bytes(pack(files))

    def hand_in(self, agent: str, files: dict[str, bytes]) -> Verdict:
        claim = self.lease(agent)
        self.upload(claim, files)
        return self.judge.judge(claim)

    @property
    def state(self) -> JobState:
        job = self.queue.get("one")
        assert job is not None
        return job.state

    def result(self) -> bytes:
        return (self.base / "storage" / "results" / "one" / "output" / "result.json").read_bytes()

    def left(self) -> list[str]:
        """What lies about that nobody needs once a job is done."""
        places = [self.base / "storage" / name for name in ("candidates", "candidates.notes", "intake")]
        return [str(path) for place in places for path in place.rglob("*") if not path.name.startswith("storage-")]


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    storage = Storage(tmp_path)
    yield storage
    storage.queue.close()


@pytest.mark.parametrize("compare", ["", "files", "json"])
def test_a_result_waits_for_another_that_agrees(storage: Storage, compare: str) -> None:
    storage.submit(Replication(2, 2, compare))
    assert storage.hand_in("a", GOOD) == Verdict("one.1", True, WAITS)
    assert storage.state is JobState.WAITING
    assert storage.hand_in("b", GOOD) == Verdict("one.2", True, "")
    assert (storage.state, storage.result(), storage.left()) == (JobState.DONE, GOOD["result.json"], [])
    facts = json.loads((storage.shelf.result("one") / "result.json").read_text())
    assert (facts["job_id"], facts["sender"], facts["files"]) == ("one.2", "b@x/1", 1)


@pytest.mark.parametrize("compare", ["", "json"])
def test_a_wrong_result_is_outvoted(storage: Storage, compare: str) -> None:
    storage.submit(Replication(2, 2, compare))
    assert [storage.hand_in(agent, files).accepted for agent, files in (("a", BAD), ("b", GOOD), ("c", GOOD))] == [
        True
    ] * 3
    assert (storage.state, storage.result(), storage.left()) == (JobState.DONE, GOOD["result.json"], [])
    assert {record.owner: record.refused for record in storage.queue.agents()} == {"a@x": 1, "b@x": 0, "c@x": 0}


def test_results_that_never_agree_are_kept_for_a_day_to_be_looked_at(storage: Storage) -> None:
    storage.submit()
    for number, agent in enumerate("abc"):
        storage.hand_in(agent, {"result.json": b"%d" % number})
    job = storage.queue.get("one")
    assert job is not None
    assert (job.state, job.reason) == (JobState.DEAD, "no quorum: 2 of 3 needed, classes 1+1+1")
    candidates = storage.base / "storage" / "candidates" / "one"
    assert len(list(candidates.iterdir())) == 3
    sweep(storage.queue, storage.shelf)
    assert candidates.exists()
    sweep(storage.queue, storage.shelf, -1.0)
    assert not candidates.exists()


def test_an_invalid_output_is_no_candidate(storage: Storage) -> None:
    storage.submit(Replication(2, 2, "json"))
    assert storage.hand_in("a", {"result.json": b"["}) == Verdict("one.1", False, "result.json is not JSON")
    assert (storage.queue.candidates("one"), storage.left()) == ([], [])


def test_a_result_that_comes_while_the_quorum_is_reached_is_not_needed(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.submit(Replication(3, 2))
    claims = [storage.lease(agent) for agent in "abc"]
    for claim in claims:
        storage.upload(claim, GOOD)
    keep = storage.shelf.candidates.keep

    def late(*given: Any) -> Kept:
        other = Storage(storage.base, "storage-2")
        assert [other.judge.judge(claim).reason for claim in claims[:2]] == [WAITS, ""]
        other.queue.close()
        return keep(*given)

    monkeypatch.setattr(storage.shelf.candidates, "keep", late)
    assert storage.judge.judge(claims[2]) == Verdict("one.3", False, NOT_NEEDED)
    sweep(storage.queue, storage.shelf, -1.0)
    assert (storage.state, storage.left()) == (JobState.DONE, [])


def test_a_result_that_is_removed_while_it_is_compared_is_not_needed(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.submit(Replication(3, 2, "json"))
    claims = [storage.lease(agent) for agent in "abc"]
    for claim in claims:
        storage.upload(claim, GOOD)
    find = judging.find_agreement
    others: list[str] = []

    def late(compare: str, expected: Any, output: Path, earlier: Any, own: str) -> str:
        if earlier and not others:
            others.append("begun")
            other = Storage(storage.base, "storage-2")
            others.append(other.judge.judge(claims[2]).reason)
            other.queue.close()
        return find(compare, expected, output, earlier, own)

    monkeypatch.setattr(judging, "find_agreement", late)
    assert storage.judge.judge(claims[0]).reason == WAITS
    assert storage.judge.judge(claims[1]) == Verdict("one.2", False, NOT_NEEDED)
    assert others == ["begun", ""]
    assert (storage.state, storage.left()) == (JobState.DONE, [])


def test_a_candidate_is_compared_again_when_another_came_meanwhile(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.submit(Replication(2, 2, "json"))
    first, second = (storage.lease(agent) for agent in "ab")
    storage.upload(first, GOOD)
    storage.upload(second, GOOD)
    accept = storage.queue.accept
    said: list[Taken] = []

    def late(*given: Any, **more: Any) -> Taken:
        if not said:
            said.append(Taken.KEPT)
            other = Storage(storage.base, "storage-2")
            assert other.judge.judge(second).reason == WAITS
            other.queue.close()
        said.append(accept(*given, **more))
        return said[-1]

    monkeypatch.setattr(storage.queue, "accept", late)
    assert storage.judge.judge(first) == Verdict("one.1", True, "")
    assert said[1:] == [Taken.STALE, Taken.ACCEPTED]


@pytest.mark.parametrize(("compare", "agree"), [("", True), ("json", False)])
def test_an_earlier_result_that_is_elsewhere_is_missed_where_it_is_needed(
    storage: Storage, caplog: pytest.LogCaptureFixture, compare: str, agree: bool
) -> None:
    storage.submit(Replication(2, 2, compare))
    storage.hand_in("a", GOOD)
    storage.shelf.candidates.clear("one")
    assert storage.hand_in("b", GOOD).reason == ("" if agree else WAITS)
    assert ("share a folder" in caplog.text) is not agree


def test_a_job_without_output_is_judged_by_its_exit_code(storage: Storage) -> None:
    storage.submit(Replication(), output=False)
    claim = storage.lease("a")
    bad = Claim(claim.job_id, claim.sender, 256, None)
    assert storage.judge.judge(bad) == Verdict("one", False, "the job ended with exit code 1")
    claim = storage.lease("a")
    assert storage.judge.judge(claim) == Verdict("one", True, "")
    assert (storage.state, storage.left(), storage.shelf.result("one").exists()) == (JobState.DONE, [], False)


def test_so_is_one_of_which_several_must_agree(storage: Storage) -> None:
    storage.submit(output=False)
    assert [storage.judge.judge(storage.lease(agent)).reason for agent in "ab"] == [WAITS, ""]
    assert storage.state is JobState.DONE


class Killed(BaseException):
    """What ends everything at once."""


class Killer:
    """Kills at the n-th step that changes a disk or the queue, before it or after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        self._left = number
        for owner, name in (
            (Path, "rename"),
            (Path, "write_text"),
            (Path, "unlink"),
            (Path, "mkdir"),
            (shutil, "rmtree"),
            (SqliteQueue, "accept"),
            (judging, "unpack"),
        ):
            monkeypatch.setattr(owner, name, self.before_and_after(getattr(owner, name)))

    def before_and_after(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def tried(*given: Any, **more: Any) -> Any:
            self.count()
            done = step(*given, **more)
            self.count()
            return done

        return tried

    def count(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise Killed


@pytest.mark.parametrize("compare", ["", "json"])
def test_whenever_it_is_killed_the_next_start_takes_it_up(tmp_path: Path, compare: str) -> None:
    for number in itertools.count(1):
        storage = Storage(_folder(tmp_path / str(number)))
        storage.submit(Replication(2, 2, compare))
        storage.hand_in("a", GOOD)
        claim = storage.lease("b")
        storage.upload(claim, GOOD)
        survived = False
        with pytest.MonkeyPatch.context() as patch:
            Killer(patch, number)
            try:
                storage.judge.judge(claim)
                survived = True
            except Killed:
                storage.queue.close()
        if survived:
            storage.queue.close()
            break
        _take_up(Storage(storage.base), claim)
    assert number > 20


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _take_up(storage: Storage, claim: Claim) -> None:
    storage.judge.take_up_results()
    storage.judge.judge_left()
    sweep(storage.queue, storage.shelf, -1.0)
    if storage.state is not JobState.DONE:
        # It was killed so early that the agent's word was lost; the upload is repeated when the lease has ended.
        assert not storage.shelf.result("one").exists()
        storage.upload(claim, GOOD)
        assert storage.judge.judge(claim) == Verdict("one.2", True, "")
        sweep(storage.queue, storage.shelf, -1.0)
    assert (storage.state, storage.result(), storage.left()) == (JobState.DONE, GOOD["result.json"], [])
    storage.queue.close()


@pytest.mark.parametrize("compare", ["", "json"])
@pytest.mark.parametrize("second", [GOOD, BAD])
def test_who_hands_in_twice_at_once_cannot_have_another_output_made_the_result(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compare: str, second: dict[str, bytes]
) -> None:
    other = Storage(tmp_path, "storage-2")
    storage.submit(Replication(2, 2, compare))
    storage.hand_in("a", GOOD)
    claim = storage.lease("b")
    check, promote = Judge._check, storage.shelf.candidates.promote
    later: list[tuple[Any, ...]] = []

    def first_is_counted_meanwhile(self: Judge, *given: Any) -> Any:
        # The other has looked at the queue before; the first is held up between the queue and the result.
        monkeypatch.setattr(Judge, "_check", check)
        monkeypatch.setattr(storage.shelf.candidates, "promote", lambda *what: later.append(what))
        storage.upload(claim, GOOD)
        assert storage.judge.judge(claim) == Verdict("one.2", True, "")
        return check(self, *given)

    other.upload(claim, second)
    monkeypatch.setattr(Judge, "_check", first_is_counted_meanwhile)
    verdict = other.judge.judge(claim)
    assert verdict.accepted is (second is GOOD)
    promote(*later[0])
    assert storage.result() == GOOD["result.json"]
    assert storage.left() == []
    other.queue.close()
