"""`main.py job-manager`: hands out jobs. Any number of instances may share one queue and one bare JID."""

import argparse
import asyncio
import dataclasses
from typing import Final

from client.copilot.managers.config import Config, read_process_settings
from client.copilot.managers.context_desk import ContextDesk
from client.copilot.managers.input_door import InputDoor
from client.copilot.managers.job_desk import JobDesk, JobSettings
from client.copilot.managers.monitor.values import report_values
from client.copilot.managers.process import ManagerProcess, read_arguments, role_parser, run_until_signal
from client.copilot.queue.open import open_queue
from client.log import logger

log = logger("site")
#: word and purpose
_ROLE: Final = ("job-manager", "Hands out the jobs of a queue to Co-Pilot agents.")


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
        QueueUnusable: the queue cannot be opened.
    """
    queue = open_queue(config)
    settings = read_job_settings(config)
    process = ManagerProcess(config.account(), read_process_settings(config))
    process.add(JobDesk(queue, settings, process.reporter))
    contexts = config.maybe_file("context", "folder")
    if contexts is not None:
        process.add(ContextDesk(contexts))
    process.duty(report_values(config, process.reporter))
    try:
        await process.run(stop)
    finally:
        queue.close()


def read_job_settings(config: Config) -> JobSettings:
    """The section [job].

    Raises:
        BadInput: it cannot be used.
    """
    usual = JobSettings(
        chirp=config.text("job", "chirp"),
        require_file=config.text("job", "require_file", ""),
        cooldown_s=config.number("job", "cooldown_s", 0),
    )
    base_url = config.text("job", "https", "")
    if not base_url:
        return usual
    door = InputDoor(config.file("job", "chirp_root"), config.file("job", "inputs"), base_url)
    try:
        door.prune()
    except OSError as failed:
        log.warning("old input is still shown by HTTPS: %s", failed)
    return dataclasses.replace(usual, input_url=door.url)
