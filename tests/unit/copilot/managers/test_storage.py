import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from client.copilot.managers.errors import OutputRefused
from client.copilot.managers.judge import Judge, Verdict
from client.copilot.managers.shelf import Claim, Shelf
from client.copilot.managers.slot import Slot
from client.copilot.managers.storage_desk import MAX_PLACES, StorageDesk, Wish
from client.copilot.managers.sweep import sweep
from client.copilot.managers.unpack import Limits
from client.copilot.managers.upload import UploadStore
from client.copilot.messages import (
    GetJobOutputDir,
    HaveGetJobOutputDir,
    JobDone,
    JobVerdict,
    LeaseLost,
    StoreJobOutputDir,
    WantGetJobOutputDir,
)
from client.copilot.queue.errors import QueueUnusable
from client.copilot.queue.queue import JobState, Taken, Terms
from client.copilot.queue.sqlite import SqliteQueue
from tests.unit.copilot.managers.archives import pack, summary
from tests.unit.copilot.queue.jobs import new_job

AGENT = "a@x/1"
CLAIM = Claim("one", AGENT, 0, None)


class Storage:
    """A storage manager's parts in a folder, one job handed out to AGENT."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.chirp = base / "chirp"
        self.chirp.mkdir(exist_ok=True)
        self.queue = SqliteQueue(base / "queue.sqlite", Terms(lease_s=100, max_attempts=2))
        self.uploads = base / "uploads"
        self.shelf = Shelf(self.chirp, base / "storage", "storage-1", UploadStore(self.uploads))
        self.judge = Judge(self.queue, self.shelf, Limits(packed_bytes=10_000, unpacked_bytes=100_000))
        self.claims: list[Claim] = []
        self.desk = StorageDesk(self.queue, self.shelf, "127.0.0.1:9094", self.claims.append)

    def lease(self, *, extends: bool = True, **more: Any) -> None:
        self.queue.submit([new_job("one", **more)], 0)
        assert self.queue.hand_out(AGENT, 0, extends=extends)

    def upload(self, content: bytes) -> Path:
        self.shelf.open_folder("one", AGENT)
        path = self.chirp / "one" / "one.tgz"
        path.write_bytes(content)
        return path

    @property
    def state(self) -> JobState:
        job = self.queue.get("one")
        assert job is not None
        return job.state

    def results(self) -> list[str]:
        return sorted(path.name for path in (self.base / "storage" / "results").iterdir())

    def left_in_intake(self) -> int:
        return len(list((self.base / "storage" / "intake" / "storage-1").iterdir()))


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    storage = Storage(tmp_path)
    yield storage
    storage.queue.close()


def test_an_agent_gets_a_folder_of_its_own_and_its_place(storage: Storage) -> None:
    storage.lease()
    [(to, have)] = storage.desk.handle(AGENT, WantGetJobOutputDir("one"), 1)
    assert (to, have) == (AGENT, HaveGetJobOutputDir())
    [(_, place)] = storage.desk.handle(AGENT, GetJobOutputDir("one"), 1)
    assert place == StoreJobOutputDir("one", "one", "127.0.0.1:9094")
    assert (storage.chirp / "one" / ".__acl").read_text() == "address:* rwld\n"
    storage.desk.handle(AGENT, JobDone("one", exit_code=256, validate_exit_code=1), 1)
    assert storage.claims == [Claim("one", AGENT, 256, 1)]


def test_what_is_handed_in_while_the_queue_fails_is_taken_when_it_works_again(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.lease()

    def fail(*_: Any) -> None:
        raise QueueUnusable("queue.sqlite", "disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(storage.queue, "confirm", fail)
        with pytest.raises(QueueUnusable):
            storage.desk.handle(AGENT, JobDone("one", exit_code=256, job_data={"startedAt": "1", "x": "y" * 900}), 1)
        with pytest.raises(QueueUnusable):
            storage.desk.tick(2)
    assert storage.claims == []
    storage.desk.handle("evil@x/1", JobDone("one"), 3)
    storage.desk.tick(3)
    storage.desk.tick(4)
    assert storage.claims == [Claim("one", AGENT, 256, None)]


SLOT = Slot("0123abcd", "https://h:1/upload/0123abcd/output.tgz", (("Authorization", "Bearer t"),))


def with_service(storage: Storage) -> list[Wish]:
    wishes: list[Wish] = []
    storage.desk.on_wish, storage.desk.limit_bytes = wishes.append, 10_000
    return wishes


def test_an_agent_with_https_is_answered_when_the_upload_service_was(storage: Storage) -> None:
    storage.lease()
    wishes = with_service(storage)
    assert storage.desk.handle(AGENT, GetJobOutputDir("one", output_size=500), 1) == []
    assert wishes == [Wish("one", AGENT, 500)]
    [(to, place)] = storage.desk.place(wishes[0], SLOT)
    assert (to, place) == (
        AGENT,
        StoreJobOutputDir(
            "one", "one", "127.0.0.1:9094", put_url=SLOT.put_url, put_headers=SLOT.headers, put_limit=10_000
        ),
    )
    assert list(storage.chirp.iterdir()) == [], "nobody may write there"


def test_without_upload_service_the_same_answer_names_chirp(storage: Storage) -> None:
    storage.lease()
    wishes = with_service(storage)
    storage.desk.handle(AGENT, GetJobOutputDir("one", output_size=500), 1)
    [(_, place)] = storage.desk.place(wishes[0], None)
    assert place == StoreJobOutputDir("one", "one", "127.0.0.1:9094", put_limit=10_000)
    assert (storage.chirp / "one" / ".__acl").exists()
    storage.desk.on_wish = None
    assert storage.desk.handle(AGENT, GetJobOutputDir("one", output_size=500), 1) == [(AGENT, place)]


def test_an_agent_without_https_is_told_nothing_of_it(storage: Storage) -> None:
    storage.lease()
    assert with_service(storage) == []
    [(_, place)] = storage.desk.handle(AGENT, GetJobOutputDir("one"), 1)
    assert place == StoreJobOutputDir("one", "one", "127.0.0.1:9094")
    storage.desk.chirp = ""
    assert storage.desk.handle(AGENT, GetJobOutputDir("one"), 1) == []


def test_what_is_too_big_gets_no_place_and_nobody_gets_any_number(storage: Storage) -> None:
    storage.lease()
    wishes = with_service(storage)
    [(_, place)] = storage.desk.handle(AGENT, GetJobOutputDir("one", output_size=10_001), 1)
    assert (place.put_url, place.put_limit) == ("", 10_000)
    for _ in range(MAX_PLACES + 5):
        storage.desk.handle(AGENT, GetJobOutputDir("one", output_size=1), 1)
    assert len(wishes) == MAX_PLACES


def test_an_upload_by_https_is_judged_as_one_over_chirp(storage: Storage) -> None:
    storage.lease(validator="pythia8", expected={"events": 10})
    storage.desk.place(Wish("one", AGENT, 5), SLOT)
    storage.uploads.mkdir()
    (storage.uploads / f"{SLOT.id}.bin").write_bytes(pack({"./summary.json": json.dumps(summary(10)).encode()}))
    assert storage.judge.judge(CLAIM) == Verdict("one", True, "")
    assert storage.state is JobState.DONE
    assert (storage.uploads / f"{SLOT.id}.bin").stat().st_size == 0


def test_any_storage_manager_takes_an_upload_for_which_another_gave_the_place(storage: Storage) -> None:
    storage.lease()
    storage.desk.place(Wish("one", AGENT, 5), SLOT)
    storage.uploads.mkdir()
    (storage.uploads / f"{SLOT.id}.bin").write_bytes(b"output")
    other = Shelf(storage.chirp, storage.base / "storage", "storage-2", UploadStore(storage.uploads))
    with other.fetch(CLAIM).open(100) as packed:
        assert packed.read() == b"output"


def test_another_accounts_place_and_an_earlier_one_do_not_count(storage: Storage) -> None:
    storage.lease()
    storage.uploads.mkdir()
    other = Slot("9999ffff", SLOT.put_url, SLOT.headers)
    for sender, slot in (("b@x/1", other), (AGENT, SLOT), (AGENT, Slot("7777aaaa", SLOT.put_url, SLOT.headers))):
        storage.desk.place(Wish("one", sender, 5), slot)
        (storage.uploads / f"{SLOT.id}.bin").write_bytes(b"early")
        (storage.uploads / f"{other.id}.bin").write_bytes(b"of another")
    assert storage.judge.judge(CLAIM).reason == "no output was uploaded"


def test_the_folder_on_the_file_server_is_closed_when_the_last_has_handed_in(storage: Storage) -> None:
    storage.lease()
    storage.upload(b"damaged")
    storage.shelf.open_folder("one", "b@x/1")
    storage.shelf.drop(storage.shelf.fetch(CLAIM))
    assert (storage.chirp / "one" / ".__acl").exists(), "another is at it"
    with pytest.raises(OutputRefused):
        storage.shelf.fetch(Claim("one", "b@x/9", 0, None))
    assert list(storage.chirp.iterdir()) == []


def test_an_agent_that_never_had_the_job_can_neither_finish_nor_spoil_it(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    storage.lease()
    before = storage.queue.get("one")
    for stranger in ("evil@x/1", "evil@x/2", "evil@x/2"):
        assert storage.desk.handle(stranger, GetJobOutputDir("one"), 50) == []
        assert storage.desk.handle(stranger, JobDone("one"), 50) == []
    assert storage.desk.handle("evil@x/1", JobDone("none"), 50) == []
    assert storage.claims == []
    assert (storage.queue.get("one"), list(storage.chirp.iterdir())) == (before, [])
    assert [record.args for record in caplog.records] == [("evil@x", "one")]


def test_agents_that_had_the_job_may_finish_it_late_rebooted_or_with_another_resource(storage: Storage) -> None:
    storage.lease()
    storage.queue.expire(200)
    lease = storage.queue.hand_out("b@x/1", 201, extends=True)
    assert lease
    storage.queue.claim("one", lease.lease_id, "new@x/7", 202)
    for agent in (AGENT, "a@x/random", "new@x/7"):
        assert len(storage.desk.handle(agent, GetJobOutputDir("one"), 203)) == 1
        storage.desk.handle(agent, JobDone("one"), 203)
    assert [claim.sender for claim in storage.claims] == [AGENT, "a@x/random", "new@x/7"]


def test_strangers_do_not_fill_the_log(storage: Storage, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(50):
        storage.desk.handle("evil@x/1", JobDone(f"job-{number}"), 0)
        storage.desk.handle("evil@x/1", GetJobOutputDir(f"job-{number}"), 0)
    assert len(caplog.records) == 2


def test_output_of_unknown_and_finished_jobs_is_not_wanted(storage: Storage) -> None:
    assert storage.desk.handle(AGENT, WantGetJobOutputDir("none"), 1) == [
        (AGENT, LeaseLost("none", "there is no such job"))
    ]
    assert storage.desk.handle(AGENT, GetJobOutputDir("none"), 1) == [
        (AGENT, LeaseLost("none", "there is no such job"))
    ]
    storage.lease()
    storage.queue.accept("one", "b@x/1", "", 1)
    assert storage.desk.handle(AGENT, WantGetJobOutputDir("one"), 1) == [(AGENT, LeaseLost("one", "the job is done"))]
    assert list(storage.chirp.iterdir()) == []


def test_who_has_output_although_its_result_was_taken_hears_that_it_was(storage: Storage) -> None:
    storage.lease()
    storage.queue.accept("one", AGENT, "", 1)
    over = (AGENT, LeaseLost("one", "the job is done"))
    assert storage.desk.handle(AGENT, WantGetJobOutputDir("one"), 1) == [(AGENT, JobVerdict("one", True, "")), over]


def test_the_original_agent_may_upload_what_nobody_needs_or_it_would_ask_for_ever(storage: Storage) -> None:
    storage.lease(extends=False)
    storage.queue.accept("one", "b@x/1", "", 1)
    assert storage.desk.handle(AGENT, WantGetJobOutputDir("one"), 1) == [(AGENT, HaveGetJobOutputDir())]
    storage.upload(pack({"stdout": b""}))
    assert storage.judge.judge(CLAIM) == Verdict("one", False, "the result is not needed any more")


def test_verdicts_go_to_those_who_announced_that_they_want_them(storage: Storage) -> None:
    storage.lease()
    verdict = Verdict("one", True, "")
    assert storage.desk.announce("a@x/2", verdict) == [("a@x/2", JobVerdict("one", True, ""))]
    assert storage.desk.announce("perl@x/1", verdict) == []


def test_a_valid_output_is_kept_and_the_job_is_done(storage: Storage) -> None:
    storage.lease(validator="pythia8", expected={"events": 3, "seed": 7})
    storage.upload(pack({"./summary.json": json.dumps(summary()).encode(), "./stdout": b"x"}))
    assert storage.judge.judge(CLAIM) == Verdict("one", True, "")
    assert storage.state is JobState.DONE
    kept = storage.shelf.result("one")
    assert sorted(path.name for path in kept.iterdir()) == ["output", "result.json"]
    assert (kept / "output" / "stdout").read_bytes() == b"x"
    assert json.loads((kept / "result.json").read_text())["sender"] == AGENT
    assert storage.left_in_intake() == 0
    assert storage.judge.judge(CLAIM).accepted is True, "it says so again, for it did not hear the answer"
    assert storage.judge.judge(Claim("one", "b@x/1", 0, None)).accepted is False


@pytest.mark.parametrize(
    ("content", "claim"),
    [
        (pack({"stdout": b"x" * 5000})[:-20], CLAIM),
        (b"", CLAIM),
        (os.urandom(20_000), CLAIM),
        (pack({"../../evil": b"x"}), CLAIM),
        (pack({"summary.json": json.dumps(summary(seed=8)).encode()}), CLAIM),
        (pack({"summary.json": json.dumps(summary()).encode()}), Claim("one", AGENT, 768, None)),
        (pack({"summary.json": json.dumps(summary()).encode()}), Claim("one", AGENT, 0, 256)),
    ],
    ids=["cut off", "empty", "too large", "traversal", "wrong seed", "exit code", "own validation"],
)
def test_a_bad_output_returns_the_job_to_the_queue(storage: Storage, content: bytes, claim: Claim) -> None:
    storage.lease(validator="pythia8", expected={"events": 3, "seed": 7})
    storage.upload(content)
    verdict = storage.judge.judge(claim)
    assert (verdict.accepted, storage.state, storage.results()) == (False, JobState.WAITING, [])
    job = storage.queue.get("one")
    assert job is not None
    assert verdict.reason in job.reason
    assert storage.left_in_intake() == 0
    assert not (storage.base / "evil").exists()


def test_a_part_of_an_upload_or_none_is_refused(storage: Storage) -> None:
    storage.lease()
    path = storage.upload(pack({"stdout": b""}))
    path.rename(path.with_name("one.tgz.part"))
    assert storage.judge.judge(CLAIM).reason == "no output was uploaded"
    assert (storage.state, storage.left_in_intake()) == (JobState.WAITING, 0)


@pytest.mark.parametrize("kind", ["symlink to file", "fifo", "folder", "symlinked folder"])
def test_what_is_no_file_is_refused(storage: Storage, kind: str) -> None:
    storage.lease()
    secret = storage.base / "secret.tgz"
    secret.write_bytes(pack({"stdout": b"secret"}))
    path = storage.upload(b"")
    path.unlink()
    if kind == "symlink to file":
        path.symlink_to(secret)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        (storage.chirp / "other").mkdir()
        (storage.chirp / "other" / "one.tgz").write_bytes(secret.read_bytes())
        storage.shelf.close_folder("one")
        (storage.chirp / "one").symlink_to(storage.chirp / "other")
    assert storage.judge.judge(CLAIM).accepted is False
    assert (storage.state, storage.results()) == (JobState.WAITING, [])
    assert secret.exists()


def test_outputs_in_hand_when_killed_are_judged_at_the_next_start(storage: Storage) -> None:
    storage.lease()
    storage.upload(pack({"stdout": b"x"}))
    parcel = storage.shelf.fetch(CLAIM)
    parcel.begin()
    (parcel.output / "half").write_text("unpacked")
    again = Storage(storage.base)
    assert again.judge.judge_left() == [(CLAIM, Verdict("one", True, ""))]
    assert (again.state, again.left_in_intake()) == (JobState.DONE, 0)
    assert sorted(path.name for path in (storage.shelf.result("one") / "output").iterdir()) == ["stdout"]
    again.queue.close()


def test_a_result_kept_when_killed_before_the_queue_knew_is_noted_at_the_next_start(storage: Storage) -> None:
    storage.lease()
    storage.upload(pack({"stdout": b"x"}))
    storage.shelf.results.keep(storage.shelf.fetch(CLAIM).folder, "one", {"sender": AGENT}, accepted=True)
    assert storage.state is JobState.LEASED
    assert storage.left_in_intake() == 1
    storage.judge.take_up_results()
    assert (storage.state, storage.left_in_intake()) == (JobState.DONE, 0)


@pytest.mark.parametrize("broken", ["keep", "accept"])
def test_an_output_of_an_earlier_run_that_cannot_be_judged_does_not_hold_up_the_others(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    parcels = []
    for job_id in ("one", "two"):
        storage.queue.submit([new_job(job_id)], 0)
        storage.shelf.open_folder(job_id, AGENT)
        (storage.chirp / job_id / f"{job_id}.tgz").write_bytes(pack({"stdout": b"x"}))
        parcels.append(storage.shelf.fetch(Claim(job_id, AGENT, 0, None)))
    if broken == "keep":
        disk = storage.shelf.results.keep

        def keep(parcel: Path, job_id: str, facts: dict[str, Any], *, accepted: bool) -> None:
            if job_id == "one":
                raise OSError(28, "No space left on device")
            disk(parcel, job_id, facts, accepted=accepted)

        monkeypatch.setattr(storage.shelf.results, "keep", keep)
        assert storage.judge.judge_left() == [(Claim("two", AGENT, 0, None), Verdict("two", True, ""))]
        assert storage.left_in_intake() == 1
    else:
        for parcel in parcels:
            storage.shelf.results.keep(parcel.folder, parcel.claim.job_id, {}, accepted=True)
        accept = storage.queue.accept

        def refuse_one(job_id: str, *others: Any) -> Taken:
            if job_id == "one":
                raise QueueUnusable("queue.sqlite", "database is locked")
            return accept(job_id, *others)

        monkeypatch.setattr(storage.queue, "accept", refuse_one)
        storage.judge.take_up_results()
        assert storage.shelf.results.kept() == ["one"]
    assert "job one" in caplog.text


def test_rubbish_in_the_intake_is_removed(storage: Storage) -> None:
    rubbish = storage.base / "storage" / "intake" / "storage-1" / "rubbish"
    rubbish.mkdir()
    (rubbish / "claim.json").write_text("{}")
    assert storage.judge.judge_left() == []
    assert storage.left_in_intake() == 0


def test_a_late_bad_output_does_not_disturb_the_agent_that_has_the_job(storage: Storage) -> None:
    storage.lease()
    storage.queue.expire(200)
    assert storage.queue.hand_out("b@x/1", 201, extends=True)
    storage.upload(b"rubbish")
    assert storage.judge.judge(CLAIM).accepted is False
    assert storage.state is JobState.LEASED


def test_upload_folders_are_removed_long_after_the_end_and_input_stays(storage: Storage) -> None:
    storage.lease()
    storage.shelf.open_folder("one", AGENT)
    (storage.chirp / "in-1").mkdir()
    assert sweep(storage.queue, storage.shelf) == 0
    storage.queue.accept("one", AGENT, "", 10)
    assert sweep(storage.queue, storage.shelf) == 1
    assert [path.name for path in storage.chirp.iterdir()] == ["in-1"]
