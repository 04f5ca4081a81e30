"""The queue of a site, for those who run beside its managers."""

from client.copilot.managers.config import Config
from client.copilot.queue.open import open_queue
from client.copilot.queue.queue import JobQueue
from client.copilot.queue.sqlite import SqliteQueue
from client.service.site_folder import SiteFolder


def open_site_queue(folder: SiteFolder) -> JobQueue:
    """The queue that the site's job managers use; the usual one before the site was up for the first time.

    Raises:
        BadInput: the managers' configuration is damaged.
        QueueUnusable: the queue cannot be opened.
    """
    config = folder.config("job-manager")
    return open_queue(Config(config)) if config.exists() else SqliteQueue(folder.queue)
