"""`main.py manager`: a job manager and a storage manager in one process, with one XMPP session.

A role of its own, since the sections of both may stand in one file that is read by two processes.
"""

import argparse
import asyncio
from typing import Final

from client.copilot.managers.config import Config, read_process_settings
from client.copilot.managers.job import read_job_settings
from client.copilot.managers.job_desk import JobDesk
from client.copilot.managers.monitor.values import report_values
from client.copilot.managers.process import read_arguments, role_parser, run_until_signal
from client.copilot.managers.storage import StorageService
from client.copilot.queue.open import open_queue

#: word and purpose
_ROLE: Final = ("manager", "Hands out jobs, and takes and checks their output.")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    return role_parser(*_ROLE)


def main(argv: list[str]) -> int:
    """Serve until a signal ends it."""
    config = read_arguments(*_ROLE, argv)
    return run_until_signal(lambda stop: serve(config, stop), read_process_settings(config))


async def serve(config: Config, stop: asyncio.Event) -> None:
    """Serve until `stop` is set.

    Raises:
        BadInput: the configuration cannot be used.
        InstanceRunning: there is one of that name already.
        QueueUnusable: the queue cannot be opened.
    """
    service = StorageService(config)
    try:
        queue = open_queue(config)
        try:
            reporter = service.process.reporter
            service.process.add(JobDesk(queue, read_job_settings(config), reporter))
            service.process.duty(report_values(config, reporter))
            await service.run(stop)
        finally:
            queue.close()
    finally:
        service.close()
