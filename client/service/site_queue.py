"""The queue of a site, for those who run beside its managers."""

from client.copilot.managers.config import Config
from client.copilot.queue.open import open_queue
from client.copilot.queue.queue import JobQueue
from client.copilot.queue.sqlite import SqliteQueue
from client.service.site_errors import SiteNotRunning
from client.service.site_folder import SiteFolder
from client.service.site_status import is_locked


def open_site_queue(folder: SiteFolder) -> JobQueue:
    """The queue that the site's job managers use; the usual one before the site was up for the first time.

    Raises:
        BadInput: the managers' configuration is damaged.
        SiteNotRunning: the site has a Redis of its own, which runs only with it.
        QueueUnusable: the queue cannot be opened.
    """
    path = folder.config("job-manager")
    if not path.exists():
        return SqliteQueue(folder.queue)
    config = Config(path)
    if config.text("queue", "url", "") and folder.redis.is_dir() and not is_locked(folder):
        raise SiteNotRunning(str(folder.base))
    if config.text("queue", "path", "") and not config.text("queue", "url", ""):
        # Of a folder that was copied or moved the configuration still names the place of before: another site's jobs.
        return SqliteQueue(folder.queue, config.terms())
    return open_queue(config)
