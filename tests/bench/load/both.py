"""A job manager and a storage manager in one process, over one XMPP session: what both cost together."""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

from client.copilot.managers.config import Config
from client.copilot.managers.job_desk import JobDesk, JobSettings
from client.copilot.managers.storage import StorageService
from client.copilot.queue.open import open_queue


async def serve(config: Config) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    service = StorageService(config)
    with contextlib.closing(open_queue(config)) as queue:
        service.process.add(JobDesk(queue, JobSettings(chirp=config.text("job", "chirp"))))
        try:
            await service.run(stop)
        finally:
            service.close()


if __name__ == "__main__":
    asyncio.run(serve(Config(Path(sys.argv[-1]))))
