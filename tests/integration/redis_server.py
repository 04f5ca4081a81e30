"""A real redis-server for tests: its own folder and Unix socket, no port."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import redis

from client.copilot.queue.redis_link import connect
from client.copilot.queue.redis_place import RedisPlace

_READY_S: Final = 10.0


class RedisServer:
    """One server in one folder; can be killed and started again on the same data."""

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        # Paths of sockets have little room.
        self.place = RedisPlace(socket=str(folder / "r.sock"))
        self._folder = folder
        self._options = options
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["redis-server", "--port", "0", "--unixsocket", self.place.socket, "--dir", str(self._folder)]
        command += ["--save", "", "--appendonly", "yes", "--daemonize", "no", *self._options]
        self._child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.until_ready()

    def until_ready(self) -> None:
        end = time.monotonic() + _READY_S
        client = connect(self.place)
        try:
            while True:
                try:
                    client.ping()
                except redis.RedisError:
                    assert time.monotonic() < end, "redis-server does not answer"
                else:
                    return
        finally:
            client.close()

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def pause(self) -> None:
        assert self._child is not None
        os.kill(self._child.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self._child is not None
        os.kill(self._child.pid, signal.SIGCONT)

    def client(self, place: RedisPlace | None = None) -> redis.Redis:
        return connect(place or self.place)

    def command(self, *words: str) -> object:
        with contextlib.closing(self.client()) as client:
            return client.execute_command(*words)


@contextlib.contextmanager
def running_server(*options: str) -> Iterator[RedisServer]:
    """A server with an empty folder, until the end."""
    with tempfile.TemporaryDirectory(prefix="vc-redis-") as folder:
        server = RedisServer(Path(folder), options)
        server.start()
        try:
            yield server
        finally:
            server.kill()
