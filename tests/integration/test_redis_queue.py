"""The queue over a real redis-server: all that every queue keeps to."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.copilot.queue.queue import Terms
from client.copilot.queue.redis import RedisQueue
from tests.integration.redis_server import RedisServer, running_server
from tests.unit.copilot.queue import machine, machine_copies
from tests.unit.copilot.queue.contract import MakeQueue, QueueContract
from tests.unit.copilot.queue.contract_copies import CopiesContract
from tests.unit.copilot.queue.contract_shares import SharesContract

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_server() as server:
        yield server


@pytest.fixture
def make_queue(server: RedisServer) -> MakeQueue:
    server.command("FLUSHALL")
    return lambda terms: RedisQueue(server.place, terms)


class TestRedisQueue(QueueContract):
    pass


class TestShares(SharesContract):
    pass


class TestCopies(CopiesContract):
    pass


class RedisMachine(machine.QueueMachine):
    server: RedisServer
    _made = False

    def open_queue(self, terms: Terms) -> RedisQueue:
        if not self._made:
            self.server.command("FLUSHALL")
            self._made = True
        return RedisQueue(self.server.place, terms)


class RedisCopiesMachine(machine_copies.CopiesMachine):
    server: RedisServer
    _made = False
    open_queue = RedisMachine.open_queue


@pytest.mark.parametrize(
    ("kind", "steps"), [(RedisMachine, machine.SETTINGS), (RedisCopiesMachine, machine_copies.SETTINGS)]
)
def test_no_job_is_lost(kind: type[RedisMachine], steps: settings, server: RedisServer) -> None:
    kind.server = server
    test = kind.TestCase()
    # Each step is several round trips; the same steps are run more often without a server.
    test.settings = settings(steps, max_examples=6)
    test.runTest()


@settings(deadline=None, max_examples=15, derandomize=True, database=None)
@given(st.dictionaries(st.sampled_from("abc"), st.tuples(st.sampled_from([0.5, 1.0, 2.5]), st.integers(1, 12))))
def test_shares_are_fair_at_every_hand_out(server: RedisServer, asked: dict[str, tuple[float, int]]) -> None:
    server.command("FLUSHALL")
    weights = {name: weight for name, (weight, _) in asked.items()}
    with closing(RedisQueue(server.place, Terms(shares=weights))) as queue:
        machine_copies.check_fair_shares(queue, weights, {name: number for name, (_, number) in asked.items()})
