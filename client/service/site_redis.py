"""A site's own Redis, for a site that keeps its jobs there: one more child, on a Unix socket in the site's folder.

It is nobody's but the site's: no port, and a socket that only its user may open.
"""

import shutil
import socket
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from client.errors import BadInput, ToolMissing
from client.paths import write_atomic
from client.service.site_child import ChildSpec
from client.service.site_folder import SiteFolder
from client.service.site_plan import SitePlan

_SERVER: Final = "redis-server"
#: What the system takes as the path of a socket, with a margin. Source: unix(7).
_LONGEST_SOCKET: Final = 100
_ANSWER_S: Final = 0.2


def queue_place(folder: SiteFolder, plan: SitePlan) -> dict[str, Any]:
    """Where the managers find the jobs: keys of their section [queue]."""
    if plan.shape.queue == "redis":
        return {"url": f"unix://{quote(str(folder.redis_socket))}?db=0"}
    return {"path": folder.queue}


def prepare(folder: SiteFolder, plan: SitePlan) -> None:
    """Write the server's configuration, if the site has one.

    Raises:
        ToolMissing: redis-server is not installed.
        BadInput: the folder's path is too long for a socket.
        OSError: the disk fails.
    """
    if plan.shape.queue != "redis":
        return
    if shutil.which(_SERVER) is None:
        raise ToolMissing(_SERVER, _SERVER)
    if len(bytes(folder.redis_socket)) > _LONGEST_SOCKET:
        most = _LONGEST_SOCKET - len(bytes(folder.redis_socket.relative_to(folder.base))) - 1
        raise BadInput(str(folder.base), "its path is too long for Redis", f"use one of at most {most} characters")
    folder.redis.mkdir(exist_ok=True, mode=0o700)
    write_atomic(folder.redis_config, build_config(folder).encode())


def build_config(folder: SiteFolder) -> str:
    """The server's configuration.

    Each change is on the disk before it is answered, as a job that was accepted must survive a power cut; and what
    does not fit into memory is refused rather than dropped. Source: redis.conf of Redis 7.
    """
    lines = {
        "port": "0",
        "unixsocket": _quoted(str(folder.redis_socket)),
        "unixsocketperm": "600",
        "dir": _quoted(str(folder.redis)),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": '""',
        "maxmemory-policy": "noeviction",
        # A third less memory for each job: 1.3 KB instead of 2.0.
        "hash-max-listpack-value": "4096",
        "databases": "1",
        "daemonize": "no",
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def specs(folder: SiteFolder, plan: SitePlan) -> Iterator[ChildSpec]:
    """The child, if the site has one."""
    if plan.shape.queue == "redis":
        command = [_SERVER, str(folder.redis_config)]
        yield ChildSpec("redis", command, folder.log("redis.out"), lambda: answers(folder), is_server=True)


def answers(folder: SiteFolder) -> bool:
    """Whether the site's Redis serves; not while it still reads its data."""
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(_ANSWER_S)
            link.connect(str(folder.redis_socket))
            link.sendall(b"PING\r\n")
            return link.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def other_queue(folder: SiteFolder, plan: SitePlan) -> Iterator[str]:
    """A sentence for an operator whose site has jobs in a queue that it does not use now."""
    is_redis = plan.shape.queue == "redis"
    left, other = (folder.queue, "sqlite") if is_redis else (folder.redis, "redis")
    if left.exists():
        yield (
            f"The jobs are kept in {plan.shape.queue}. Those in {left} stay there and nobody works on them; to go back"
            f" to them: main.py site up --queue {other}"
        )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
