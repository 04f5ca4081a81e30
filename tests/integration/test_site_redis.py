"""A site that keeps its jobs in a Redis of its own."""

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from client.copilot.queue.errors import QueueError
from client.copilot.queue.queue import JobState
from client.service.operator import JobOrder, job_counts, submit
from client.service.site import Site
from client.service.site_errors import SiteNotRunning
from client.service.site_plan import load_plan

pytestmark = pytest.mark.integration
WITHIN_S = 30.0


@pytest.fixture
def folder() -> Iterator[Path]:
    # Paths of sockets have little room.
    with tempfile.TemporaryDirectory(prefix="vc-site-", dir="/tmp") as name:
        yield Path(name) / "site"


@contextlib.asynccontextmanager
async def up(site: Site) -> AsyncIterator[None]:
    await site.up()
    watch = asyncio.create_task(site.watch())
    try:
        yield
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
        await site.down()


def waiting(site: Site) -> int | None:
    try:
        return job_counts(site.folder.base)[JobState.WAITING]
    except QueueError:
        return None


async def test_jobs_outlive_a_killed_redis_and_the_site(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "run.sh"
    script.write_text("true")
    site = Site(folder, None, wishes={"queue": "redis"})
    async with up(site):
        submit(folder, JobOrder("run.sh", [script], number=3))
        pid = site.children["redis"].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(WITHIN_S):
            while site.children["redis"].restarts == 0 or waiting(site) is None:
                await asyncio.sleep(0.05)
        assert waiting(site) == 3
        assert not site.folder.queue.exists()
        assert site.folder.redis_socket.stat().st_mode & 0o077 == 0
    with pytest.raises(SiteNotRunning):
        submit(folder, JobOrder("run.sh", [script]))
    again = Site(folder, None)
    async with up(again):
        assert load_plan(again.folder.plan).shape.queue == "redis", "what was chosen stays"
        assert waiting(again) == 3
