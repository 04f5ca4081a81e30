"""A server between a Redis client and its server that can lose answers."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from client.copilot.queue.redis_place import RedisPlace


class CuttingProxy:
    """Passes everything on; after `lose_next`, the next answer is lost with its connection."""

    def __init__(self, place: RedisPlace, path: Path) -> None:
        self.place = RedisPlace(socket=str(path))
        self._server = place.socket
        self._losing = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(16)

    def lose_next(self) -> None:
        self._losing.set()

    @property
    def is_losing(self) -> bool:
        return self._losing.is_set()

    def serve(self) -> None:
        """Serve one connection after the other, until `close`."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, socket.socket(socket.AF_UNIX) as server:
                    server.connect(self._server)
                    self._pass_on(client, server)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        to_server = threading.Thread(target=_copy, args=(client, server))
        to_server.start()
        while data := server.recv(65536):
            if self._losing.is_set():
                self._losing.clear()
                break
            client.sendall(data)
        client.shutdown(socket.SHUT_RDWR)
        to_server.join()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def cutting_proxy(place: RedisPlace, path: Path) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(place, path)
    thread = threading.Thread(target=proxy.serve)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join(10)
        assert not thread.is_alive()


@contextlib.contextmanager
def always_says(answer: bytes, path: Path) -> Iterator[RedisPlace]:
    """A server that gives one answer to everything."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(16)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, contextlib.suppress(OSError):
                    while client.recv(65536):
                        client.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield RedisPlace(socket=str(path))
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)
        assert not thread.is_alive()
