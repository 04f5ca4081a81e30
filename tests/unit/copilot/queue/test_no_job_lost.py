import tempfile
from pathlib import Path

from client.copilot.queue.queue import Terms
from client.copilot.queue.sqlite import SqliteQueue
from tests.unit.copilot.queue.machine import SETTINGS, QueueMachine


class SqliteMachine(QueueMachine):
    _path: Path | None = None

    def open_queue(self, terms: Terms) -> SqliteQueue:
        if self._path is None:
            folder = self.store.enter_context(tempfile.TemporaryDirectory(prefix="vc-queue-"))
            self._path = Path(folder) / "queue.sqlite"
        return SqliteQueue(self._path, terms)


TestNoJobIsLost = SqliteMachine.TestCase
TestNoJobIsLost.settings = SETTINGS
