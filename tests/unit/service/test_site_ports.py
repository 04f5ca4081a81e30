import socket
import sys
from collections.abc import Iterator

import pytest

from client.service.site_plan import Ports
from client.service.site_ports import HeldPorts


@pytest.fixture
def held() -> Iterator[HeldPorts]:
    held = HeldPorts()
    yield held
    held.close()


@pytest.fixture
def other() -> Iterator[HeldPorts]:
    """Of another site: marks and sockets know nothing of processes, so one process may play both."""
    other = HeldPorts()
    yield other
    other.close()


def server(port: int) -> socket.socket:
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind(("127.0.0.1", port))
    found.listen()
    return found


def test_free_ports_are_kept_and_taken_ones_replaced_with_a_sentence(held: HeldPorts, other: HeldPorts) -> None:
    first, said = held.choose(Ports())
    assert len(set(vars(first).values())) == len(vars(first))
    assert said == []
    held.close()
    with server(first.key):
        second, said = other.choose(first)
    assert (second.xmpp, second.chirp) == (first.xmpp, first.chirp)
    assert second.key not in vars(first).values()
    assert said == [f"Port {first.key} (key) is taken by another program; a new one is chosen."]


def test_the_site_s_own_servers_may_listen_on_a_port_that_is_held(held: HeldPorts) -> None:
    port = held.take_any()
    assert held.take(port)
    for _ in "first", "started again":
        with server(port), socket.create_connection(("127.0.0.1", port)):
            pass


@pytest.mark.skipif(sys.platform != "linux", reason="only there ports can be held")
def test_another_site_does_not_get_it_whether_somebody_listens_or_not(held: HeldPorts, other: HeldPorts) -> None:
    first, _ = held.choose(Ports())
    assert not other.take(first.xmpp)
    with server(first.key):
        second, said = other.choose(first)
    assert not set(vars(second).values()) & set(vars(first).values())
    assert len(said) == len(vars(first))


@pytest.mark.skipif(sys.platform != "linux", reason="only there ports can be held")
def test_nobody_else_gets_a_port_that_is_held(held: HeldPorts) -> None:
    port = held.take_any()
    with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
        stranger.bind(("127.0.0.1", port))


@pytest.mark.skipif(sys.platform != "linux", reason="only there ports can be held")
def test_what_was_let_go_is_free_for_the_next(held: HeldPorts, other: HeldPorts) -> None:
    first, _ = held.choose(Ports())
    assert not other.take_all([first.xmpp, first.chirp])
    held.close()
    assert other.take_all([0, first.xmpp, first.chirp])


def test_two_parts_of_a_site_never_share_a_port(held: HeldPorts) -> None:
    port = held.take_any()
    found, _ = held.choose(Ports(xmpp=port, chirp=port))
    assert found.xmpp == port
    assert len(set(vars(found).values())) == len(vars(found))
