"""Two storage managers with one job, and results that turn out not to be the job's."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from client.copilot.managers.judge import Judge, Verdict
from client.copilot.managers.shelf import Claim, Shelf
from client.copilot.managers.unpack import Limits
from client.copilot.queue.queue import JobState, Terms
from client.copilot.queue.sqlite import SqliteQueue
from tests.unit.copilot.managers.archives import pack
from tests.unit.copilot.queue.jobs import new_job

AGENTS = ("a@x/1", "b@y/1")
WITHIN_S = 10.0
NOT_NEEDED = "the result is not needed any more"


class Site:
    """A queue with one job that both agents had, and storage managers over it."""

    def __init__(self, base: Path, queue: SqliteQueue) -> None:
        self.base, self.queue = base, queue
        queue.submit([new_job("one")], 0)
        for at, agent in enumerate(AGENTS):
            assert queue.hand_out(agent, 200 * at, extends=True)

    def manager(self, number: int, folder: str = "storage") -> Judge:
        """A storage manager that another agent hands its output in to."""
        chirp = self.base / f"chirp-{number}"
        chirp.mkdir(exist_ok=True)
        shelf = Shelf(chirp, self.base / folder, f"storage-{number}")
        shelf.open_folder("one", AGENTS[number])
        (chirp / "one" / "one.tgz").write_bytes(pack({"stdout": AGENTS[number].encode()}))
        queue = SqliteQueue(self.base / "queue.sqlite", Terms(lease_s=100))
        return Judge(queue, shelf, Limits())

    def winner(self) -> str:
        job = self.queue.get("one")
        assert job is not None
        assert job.state is JobState.DONE
        return job.agent


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with closing(SqliteQueue(tmp_path / "queue.sqlite", Terms(lease_s=100))) as queue:
        yield Site(tmp_path, queue)


def judge(manager: Judge, number: int) -> Verdict:
    with closing(manager.queue):
        return manager.judge(Claim("one", AGENTS[number], 0, None))


def stdout(manager: Judge) -> str:
    return (manager.shelf.result("one") / "output" / "stdout").read_text()


def test_of_two_that_judge_a_job_at_the_same_moment_one_keeps_its_result(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)
    check = Judge._check

    def check_together(self: Judge, *given: Any) -> Any:
        # Both have seen that the job has no result, and both outputs are valid.
        found = check(self, *given)
        both.wait(WITHIN_S)
        return found

    monkeypatch.setattr(Judge, "_check", check_together)
    managers = [site.manager(number) for number in range(2)]
    with ThreadPoolExecutor(2) as pool:
        verdicts = list(pool.map(judge, managers, range(2)))
    accepted = [number for number in range(2) if verdicts[number].accepted]
    assert [site.winner()] == [AGENTS[number] for number in accepted] == [stdout(managers[0])]
    assert verdicts[1 - accepted[0]] == Verdict("one", False, NOT_NEEDED)
    assert [list(manager.shelf.left()) for manager in managers] == [[], []]


def test_what_was_accepted_is_not_replaced_by_one_who_looked_before(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = site.manager(0), site.manager(1)
    check = Judge._check

    def judged_meanwhile(self: Judge, *given: Any) -> Any:
        monkeypatch.setattr(Judge, "_check", check)
        assert judge(first, 0).accepted
        return check(self, *given)

    monkeypatch.setattr(Judge, "_check", judged_meanwhile)
    assert judge(second, 1) == Verdict("one", False, NOT_NEEDED)
    assert (site.winner(), stdout(second)) == (AGENTS[0], AGENTS[0])


def test_without_a_common_folder_the_second_result_is_withdrawn(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = site.manager(0, "here"), site.manager(1, "there")
    keep = second.shelf.results.keep

    def kept_meanwhile(*given: Any, **how: Any) -> None:
        assert judge(first, 0).accepted
        keep(*given, **how)

    monkeypatch.setattr(second.shelf.results, "keep", kept_meanwhile)
    assert judge(second, 1) == Verdict("one", False, NOT_NEEDED)
    assert (site.winner(), stdout(first)) == (AGENTS[0], AGENTS[0])
    assert not second.shelf.result("one").exists()
    assert (site.base / "there" / "refused" / "one" / "result.json").exists()
    assert second.shelf.results.kept() == []


def test_a_result_of_a_killed_manager_is_taken_up_as_the_result_of_its_sender(site: Site) -> None:
    manager = site.manager(0)
    parcel = manager.shelf.fetch(Claim("one", AGENTS[0], 0, None))
    manager.shelf.results.keep(parcel.folder, "one", {"sender": AGENTS[0]}, accepted=True)
    for _ in range(2):
        manager.take_up_results()
        assert (site.winner(), manager.shelf.results.kept()) == (AGENTS[0], [])
        (site.base / "storage" / "intake" / "storage-0" / "kept-one").touch()
    assert manager.shelf.result("one").is_dir(), "it was only told once more"
    manager.queue.close()


def test_a_kept_result_of_a_cancelled_job_is_withdrawn(site: Site) -> None:
    manager = site.manager(0)
    parcel = manager.shelf.fetch(Claim("one", AGENTS[0], 0, None))
    manager.shelf.results.keep(parcel.folder, "one", {"sender": AGENTS[0]}, accepted=True)
    site.queue.cancel("one", 300)
    manager.take_up_results()
    assert (manager.shelf.result("one").exists(), manager.shelf.results.kept()) == (False, [])
    manager.queue.close()


def test_a_result_that_cannot_be_moved_is_judged_again_and_leaves_no_note(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = site.manager(0)
    rename = Path.rename

    def full(path: Path, target: Path) -> Path:
        if target == manager.shelf.result("one"):
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="No space"):
        manager.judge(Claim("one", AGENTS[0], 0, None))
    assert not (site.base / "storage" / "intake" / "storage-0" / "kept-one").exists()
    monkeypatch.undo()
    assert manager.judge_left() == [(Claim("one", AGENTS[0], 0, None), Verdict("one", True, ""))]
    assert (site.winner(), stdout(manager), manager.shelf.is_clear()) == (AGENTS[0], AGENTS[0], True)
    manager.queue.close()


def test_the_note_of_a_result_that_was_never_kept_goes_away(site: Site) -> None:
    manager = site.manager(0)
    with closing(manager.queue):
        (site.base / "storage" / "intake" / "storage-0" / "kept-one").touch()
        manager.take_up_results()
        assert manager.shelf.is_clear(), "else it would be looked for work for ever"
