"""Opens the queue that a configuration names.

[queue]
path = "queue.sqlite"                   a SQLite file, or else
url = "redis://:password@host:6379/0"   a Redis server; rediss:// over TLS; unix:///path?db=0
prefix = "vc:"                          of its keys, when several sites share one Redis
original = true                         jobs are also taken from the original Co-Pilot's list in that Redis
original_list = "waiting_jobs"          its name
"""

from client.copilot.managers.config import Config
from client.copilot.queue.queue import JobQueue
from client.copilot.queue.sqlite import SqliteQueue
from client.errors import BadInput

_REMEDY = "correct the configuration file"


def open_queue(config: Config) -> JobQueue:
    """The queue of section [queue]; of one thread at a time, so each thread opens its own.

    A Redis server is asked for the first time by the first verb, so that managers may start before it.

    Raises:
        BadInput: the section cannot be used.
        QueueUnusable: the queue cannot be opened.
    """
    url, original = config.text("queue", "url", ""), config.flag("queue", "original", False)
    if url:
        return _open_redis(config, url, original)
    if original:
        raise _wrong(config, "original needs url: the original Co-Pilot keeps its jobs in Redis")
    return SqliteQueue(config.file("queue", "path"), config.terms())


def _open_redis(config: Config, url: str, original: bool) -> JobQueue:
    # Importing redis takes longer than opening a file, and most sites do not need it.
    from client.copilot.queue.original import WAITING_LIST
    from client.copilot.queue.redis import RedisQueue
    from client.copilot.queue.redis_original import FedRedisQueue
    from client.copilot.queue.redis_place import parse_place

    if config.text("queue", "path", ""):
        raise _wrong(config, "has both path and url; remove the one that is not used")
    try:
        place = parse_place(url)
    except ValueError as wrong:
        raise _wrong(config, f"url {wrong}") from wrong
    prefix = config.text("queue", "prefix", "vc:")
    if not original:
        return RedisQueue(place, config.terms(), prefix=prefix)
    waiting = config.text("queue", "original_list", WAITING_LIST)
    return FedRedisQueue(place, config.terms(), waiting=waiting, prefix=prefix)


def _wrong(config: Config, what: str) -> BadInput:
    return BadInput(str(config.path), f"[queue] {what}", _REMEDY)
