"""HTTP without redirects and without surprises, against servers of a few lines in this very process."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from client import web

Serve = Callable[[bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that gives one answer, as bytes, to whoever asks first."""
    listening: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(answer: bytes) -> str:
        place = socket.create_server(("127.0.0.1", 0))
        place.settimeout(5)
        listening.append(place)

        def one() -> None:
            peer, _ = place.accept()
            with peer:
                asked.append(peer.recv(65536))
                peer.sendall(answer)

        threads.append(threading.Thread(target=one, daemon=True))
        threads[-1].start()
        return f"http://127.0.0.1:{place.getsockname()[1]}/a"

    asked: list[bytes] = []
    start.asked = asked  # type: ignore[attr-defined]
    yield start
    for thread in threads:
        thread.join(5)
    for place in listening:
        place.close()


def test_a_body_is_read_in_pieces(serve: Serve) -> None:
    with web.request(serve(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde"), timeout_s=5) as reply:
        assert reply.status == 200
        assert [reply.read(3), reply.read(3), reply.read(3)] == [b"abc", b"de", b""]


def test_no_more_is_read_than_allowed(serve: Serve) -> None:
    with web.request(serve(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde"), timeout_s=5) as reply:
        assert reply.read_at_most(4) == b"abcd"


def test_a_body_is_posted(serve: Serve) -> None:
    url = serve(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
    with web.request(url, timeout_s=5, body=b"{}", headers={"Content-Type": "application/json"}) as reply:
        assert (reply.status, reply.read_at_most(9)) == (403, b"no")
    (asked,) = serve.asked  # type: ignore[attr-defined]
    assert asked.startswith(b"POST /a HTTP/1.1\r\n")
    assert b"Content-Type: application/json\r\n" in asked.replace(b"Content-type", b"Content-Type")


def test_redirects_are_not_followed(serve: Serve) -> None:
    url = serve(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n")
    with web.request(url, timeout_s=5) as reply:
        assert (reply.status, reply.read_at_most(9)) == (302, b"")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"no HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
    ],
)
def test_broken_answers_are_errors_of_the_connection(serve: Serve, answer: bytes) -> None:
    with pytest.raises(OSError), web.request(serve(answer), timeout_s=5) as reply:
        reply.read_at_most(100)


def test_nobody_there_is_the_systems_own_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    with pytest.raises(ConnectionRefusedError), web.request(f"http://127.0.0.1:{port}/", timeout_s=5):
        pass


def test_silence_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as place:
        url = f"http://127.0.0.1:{place.getsockname()[1]}/"
        with pytest.raises(TimeoutError), web.request(url, timeout_s=0.05):
            pass


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/", "data:,a", "/etc/passwd"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="neither http nor https"), web.request(url, timeout_s=1):
        pass
