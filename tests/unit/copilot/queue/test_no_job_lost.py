import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from client.copilot.queue.queue import Terms
from client.copilot.queue.sqlite import SqliteQueue
from tests.unit.copilot.queue import machine, machine_copies


class SqliteMachine(machine.QueueMachine):
    _path: Path | None = None

    def open_queue(self, terms: Terms) -> SqliteQueue:
        if self._path is None:
            folder = self.store.enter_context(tempfile.TemporaryDirectory(prefix="vc-queue-"))
            self._path = Path(folder) / "queue.sqlite"
        return SqliteQueue(self._path, terms)


class SqliteCopiesMachine(machine_copies.CopiesMachine):
    _path: Path | None = None
    open_queue = SqliteMachine.open_queue


TestNoJobIsLost = SqliteMachine.TestCase
TestNoJobIsLost.settings = machine.SETTINGS
TestNoCopyIsLost = SqliteCopiesMachine.TestCase
TestNoCopyIsLost.settings = machine_copies.SETTINGS


@settings(deadline=None, max_examples=15, derandomize=True, database=None)  # It writes to the disk.
@given(st.dictionaries(st.sampled_from("abc"), st.tuples(st.sampled_from([0.5, 1.0, 2.5]), st.integers(1, 12))))
def test_shares_are_fair_at_every_hand_out(asked: dict[str, tuple[float, int]]) -> None:
    weights = {name: weight for name, (weight, _) in asked.items()}
    numbers = {name: number for name, (_, number) in asked.items()}
    with (
        tempfile.TemporaryDirectory(prefix="vc-queue-") as folder,
        closing(SqliteQueue(Path(folder) / "queue.sqlite", Terms(shares=weights))) as queue,
    ):
        machine_copies.check_fair_shares(queue, weights, numbers)
