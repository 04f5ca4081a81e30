"""Site folders that were never up, and their queue."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from client.copilot.queue.queue import JobQueue
from client.service.site_folder import SiteFolder
from client.service.site_plan import load_plan, save_plan
from client.service.site_queue import open_site_queue


def make_site(base: Path) -> SiteFolder:
    folder = SiteFolder(base)
    folder.make()
    save_plan(folder.plan, load_plan(folder.plan))
    return folder


@contextmanager
def queue_of(folder: SiteFolder) -> Iterator[JobQueue]:
    with closing(open_site_queue(folder)) as queue:
        yield queue


def finish(folder: SiteFolder, job_id: str, *, agent: str = "a@x/1", stdout: str = "", now: float = 1e9) -> None:
    """Have an agent do a job; its result is kept as storage managers do."""
    with queue_of(folder) as queue:
        queue.accept(job_id, agent, "1 file", now)
    write_output(folder.results / job_id, stdout)


def write_output(place: Path, stdout: str, stderr: str = "") -> None:
    output = place / "output"
    output.mkdir(parents=True)
    (output / "stdout").write_text(stdout)
    (output / "stderr").write_text(stderr)
