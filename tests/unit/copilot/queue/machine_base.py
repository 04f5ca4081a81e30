"""What the machines that try queues have in common: time goes on, operators step in, processes are killed."""

import abc
from collections import Counter
from contextlib import ExitStack

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from client.copilot.queue.queue import JobQueue, Terms


class BaseMachine(RuleBasedStateMachine):
    """What it has submitted, and what has become of it. terms: of its queue, set by each machine."""

    terms: Terms

    def __init__(self) -> None:
        super().__init__()
        self.store = ExitStack()
        self.queue = self.open_queue(self.terms)
        self.now = 1000.0
        self.submitted: list[str] = []
        self.accepted: Counter[str] = Counter()
        self.cancelled: set[str] = set()

    @abc.abstractmethod
    def open_queue(self, terms: Terms) -> JobQueue:
        """Open this machine's queue, empty at first; `store` puts away what it is kept in."""

    def begin_again(self, job_id: str) -> None:
        """A dead job waits again."""
        self.cancelled.discard(job_id)

    @rule(data=st.data(), cancel=st.booleans())
    def operate(self, data: st.DataObject, cancel: bool) -> None:
        job_id = data.draw(st.sampled_from([*self.submitted, "unknown"]))
        if cancel and self.queue.cancel(job_id, self.now):
            self.cancelled.add(job_id)
        if not cancel and self.queue.retry(job_id, self.now):
            self.begin_again(job_id)

    @rule(seconds=st.floats(0, 60))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.queue.expire(self.now)

    @rule()
    def kill_and_restart(self) -> None:
        # Never closed: what a killed process leaves behind.
        self.left = self.queue
        self.queue = self.open_queue(self.terms)
        self.left.close()
