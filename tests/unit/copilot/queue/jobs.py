"""Jobs for tests of queues and managers."""

from typing import Any

from client.copilot.messages import JobDescription
from client.copilot.queue.queue import NewJob


def new_job(job_id: str, **more: Any) -> NewJob:
    limit = more.pop("time_limit_s", None)
    description = JobDescription(id=job_id, command="run.sh", input_dir="in-1", time_limit_s=limit)
    return NewJob(description, **more)
