"""Removes the upload folders of jobs that ended long ago."""

import time
from typing import Final

from client.copilot.managers.shelf import Shelf
from client.copilot.queue.queue import JobQueue

#: A second agent may still be busy with the job, and the original's dies when its upload fails.
KEPT_S: Final = 86400.0


def sweep(queue: JobQueue, shelf: Shelf, kept_s: float = KEPT_S) -> int:
    """Remove upload folders of jobs that are done or dead for `kept_s` seconds; returns how many.

    Folders that are not of a job (input) stay. Notes of who may upload go, too. Candidates go likewise: those of a job
    without quorum can be looked at until then.
    """
    for job_id in shelf.candidates.job_ids():
        whole = queue.get(job_id)
        if whole is None or 0 < whole.finished_at < time.time() - kept_s:
            shelf.candidates.clear(job_id)
    for job_id in shelf.grants.job_ids():
        job = queue.get(job_id)
        if job is None or 0 < job.finished_at < time.time() - kept_s:
            shelf.grants.clear(job_id)
    removed = 0
    for name in shelf.open_folders():
        job = queue.get(name)
        if job is not None and 0 < job.finished_at < time.time() - kept_s:
            removed += shelf.close_folder(name)
    return removed
