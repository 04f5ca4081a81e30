"""Opens the queue that a configuration names."""

from client.copilot.managers.config import Config
from client.copilot.queue.queue import JobQueue
from client.copilot.queue.sqlite import SqliteQueue


def open_queue(config: Config) -> JobQueue:
    """The queue of section [queue]; of one thread at a time, so each thread opens its own.

    Raises:
        BadInput: the section cannot be used.
        QueueUnusable: the queue cannot be opened.
    """
    return SqliteQueue(config.file("queue", "path"), config.terms())
