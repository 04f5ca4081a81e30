"""Where the proxy connects to, and how fast it takes."""

import asyncio
import socket
from typing import Any

import pytest

from client.appliance.cvmfs.rules import AllowList
from client.appliance.cvmfs.upstream import Allowance, Away, CheckedResolver, Upstream
from tests.helpers.fastloop import FastLoop

LIST = AllowList(["http://s1.example.org", "http://localhost:81"], ["r.example.org"])


def resolve(host: str, *addresses: str) -> list[str]:
    """What the resolver lets through of a name server's answer."""

    async def looked_up(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in addresses]

    async def ask() -> list[str]:
        asyncio.get_running_loop().getaddrinfo = looked_up  # type: ignore[method-assign]
        return [found["host"] for found in await CheckedResolver(LIST).resolve(host, 80)]

    return asyncio.run(ask())


def test_public_addresses_of_a_name_are_used() -> None:
    assert resolve("s1.example.org", "8.8.8.8", "9.9.9.9") == ["8.8.8.8", "9.9.9.9"]


def test_of_a_mixed_answer_only_the_public_ones_are_used() -> None:
    assert resolve("s1.example.org", "192.168.1.1", "8.8.8.8", "127.0.0.1") == ["8.8.8.8"]


@pytest.mark.parametrize("address", ["127.0.0.1", "192.168.1.1", "169.254.169.254"])
def test_a_name_that_leads_home_is_refused(address: str) -> None:
    with pytest.raises(OSError, match="private"):
        resolve("s1.example.org", address)


def test_this_computer_is_used_if_the_list_names_it() -> None:
    assert resolve("localhost", "127.0.0.1") == ["127.0.0.1"]


def spend(limit: int | None, sizes: list[int], *, then: int | None = None) -> float:
    """Seconds that it takes to take so much; `then` is the limit from the second second on."""

    async def take() -> float:
        loop = asyncio.get_running_loop()
        allowance = Allowance(loop.time)
        allowance.limit = limit
        if then is not None:
            loop.call_later(2, lambda: setattr(allowance, "limit", then or None))
        began = loop.time()
        for size in sizes:
            await allowance.take(size)
        return loop.time() - began

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        return runner.run(take())


def test_without_a_limit_nothing_waits() -> None:
    assert spend(None, [10**9]) == pytest.approx(0, abs=0.1)


def test_a_limit_is_kept() -> None:
    assert spend(1000, [500] * 20) == pytest.approx(10, abs=0.5)


def test_a_limit_is_lifted_while_somebody_waits() -> None:
    assert spend(10, [100_000], then=0) == pytest.approx(2, abs=0.5)


def test_a_limit_that_changes_holds_at_once() -> None:
    assert spend(100, [10_000], then=9800) == pytest.approx(3, abs=0.5)


class Trickle:
    """A body that sends so many bytes every two seconds."""

    def __init__(self, size: int) -> None:
        self.content = self
        self._size = size
        self._left = 60

    async def read(self, _: int) -> bytes:
        await asyncio.sleep(2)
        self._left -= 1
        return bytes(self._size) if self._left else b""


def take_all(size: int) -> tuple[int, float]:
    """What comes of such a body, and the seconds that it was waited for."""

    async def take() -> tuple[int, float]:
        loop = asyncio.get_running_loop()
        upstream = Upstream(LIST, Allowance(loop.time))
        began, came = loop.time(), 0
        try:
            async for piece in upstream.body(Trickle(size)):  # type: ignore[arg-type]
                came += len(piece)
        except Away:
            pass
        finally:
            await upstream.close()
        return came, loop.time() - began

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        return runner.run(take())


def test_a_server_that_trickles_is_given_up() -> None:
    came, waited_s = take_all(100)
    assert came < 59 * 100
    assert 30 < waited_s < 34


def test_a_slow_server_is_not() -> None:
    assert take_all(3000)[0] == 59 * 3000
