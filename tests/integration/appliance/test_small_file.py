"""A small file of unknown length, from servers that would keep its reader for ever."""

import io

import pytest

from client.appliance.errors import DownloadFailed
from client.appliance.trust_web import Limits, fetch_small
from client.appliance.worker_child import Face
from tests.helpers import hostile_http as http
from tests.helpers.hostile_http import serving

pytestmark = pytest.mark.integration

CONTENT = b"{}" * 500


def fetch(url: str, limits: Limits | None = None) -> bytes:
    return fetch_small(url, 5000, Face(io.StringIO()), limits)


def test_it_comes_whole() -> None:
    with serving(CONTENT) as server:
        assert fetch(server.url) == CONTENT


def test_a_server_that_sends_a_byte_now_and_then_is_left() -> None:
    with serving(CONTENT, always=http.drips(0.1)) as server:
        with pytest.raises(DownloadFailed) as caught:
            fetch(server.url, Limits(stall_s=5.0, whole_s=0.3))
        server.over.set()
    assert caught.value.said == "it is too slow"


@pytest.mark.parametrize(
    ("play", "said"),
    [(http.cut(10), "the connection broke"), (http.answers("404 Not Found"), "the server says 404")],
)
def test_what_breaks_is_refused(play: http.Play, said: str) -> None:
    with serving(CONTENT, always=play) as server, pytest.raises(DownloadFailed) as caught:
        fetch(server.url)
    assert caught.value.said == said


def test_more_than_it_may_be_is_not_read() -> None:
    with serving(CONTENT * 1000) as server, pytest.raises(DownloadFailed) as caught:
        fetch(server.url)
    assert caught.value.said == "a file is longer than it may be"
