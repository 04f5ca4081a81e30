"""Queue and storage manager on a small file system of their own that fills up and is emptied again."""

import asyncio
import logging
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from client.copilot.managers import storage
from client.copilot.managers.config import Config
from client.copilot.managers.shelf import Claim
from client.copilot.managers.storage import StorageService
from client.copilot.queue.errors import QueueUnusable
from client.copilot.queue.queue import JobQueue, JobState
from client.copilot.queue.sqlite import SqliteQueue
from tests.unit.copilot.managers.archives import pack
from tests.unit.copilot.managers.test_storage_service import CONFIG
from tests.unit.copilot.queue.jobs import new_job

pytestmark = pytest.mark.integration

AGENT = "a@x/1"
WITHIN_S = 20.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a file system")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> Path:
    """A file that takes all that is left."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast


def test_a_queue_on_a_full_disk_says_so_and_loses_nothing(disk: Path) -> None:
    with closing(SqliteQueue(disk / "queue.sqlite")) as queue:
        queue.submit([new_job(f"job-{n}") for n in range(20)], 0)
        ballast = fill(disk)
        taken = []
        with pytest.raises(QueueUnusable, match=r"full|I/O"):
            for number in range(1000):
                queue.submit([new_job(f"more-{number}")], 1)
                taken.append(f"more-{number}")
        ballast.unlink()
        queue.submit([new_job("last")], 2)
        assert queue.counts()[JobState.WAITING] == 21 + len(taken)
    with closing(SqliteQueue(disk / "queue.sqlite")) as queue:
        assert [job.id for job in queue.jobs()][20:] == [*taken, "last"]


@asynccontextmanager
async def judging(service: StorageService) -> AsyncIterator[None]:
    task = asyncio.create_task(service._judge_all())
    yield
    assert not task.done(), task.exception()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(seen: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not seen():
            await asyncio.sleep(0.01)


def states(queue: JobQueue) -> list[JobState]:
    return [job.state for job in queue.jobs()]


async def test_a_storage_manager_keeps_what_it_cannot_judge_and_goes_on_when_there_is_room(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(storage, "AGAIN_S", 0.1)
    caplog.set_level(logging.INFO, "volunteer.site")
    (disk / "chirp").mkdir()
    # The queue is elsewhere, so that it is the outputs that meet the full disk.
    (disk / "config.toml").write_text(CONFIG.replace('"queue.sqlite"', f'"{tmp_path}/queue.sqlite"'))
    queue = SqliteQueue(tmp_path / "queue.sqlite")
    ids = [f"job-{n}" for n in range(3)]
    queue.submit([new_job(job_id) for job_id in ids], 0)
    service = StorageService(Config(disk / "config.toml"))
    for job_id in ids:
        assert queue.hand_out(f"{job_id}@x/1", 0, extends=True)
        service._shelf.open_folder(job_id, f"{job_id}@x/1")
        (disk / "chirp" / job_id / f"{job_id}.tgz").write_bytes(pack({"stdout": os.urandom(20_000)}))
    ballast = fill(disk)
    async with judging(service):
        for job_id in ids:
            service._note(Claim(job_id, f"{job_id}@x/1", 0, None))
        await until(lambda: "no space left on the disk" in caplog.text)
        await until(lambda: service._claims.empty())
        assert states(queue) == [JobState.LEASED] * 3, "nobody is blamed, and nothing is lost"
        ballast.unlink()
        await until(lambda: states(queue) == [JobState.DONE] * 3)
        await until(lambda: "judged again" in caplog.text)
    assert all((disk / "storage" / "results" / job_id / "output" / "stdout").stat().st_size == 20_000 for job_id in ids)
    assert service._shelf.is_clear()
    assert not any(
        "fault" in event.what or "refused" in event.what for job_id in ids for event in queue.history(job_id)
    )
    queue.close()
    service.close()
