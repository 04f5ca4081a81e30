import errno
import time
from types import SimpleNamespace

import pytest

from client.copilot.managers.config import ProcessSettings
from client.copilot.managers.failure import said_of
from client.copilot.managers.process import SAID_AGAIN_S, ManagerProcess
from client.copilot.managers.reply import Reply
from client.copilot.messages import Command
from client.copilot.queue.errors import QueueUnusable
from client.copilot.transport import Account

FULL = QueueUnusable("/site/queue.sqlite", "database or disk is full")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x"), "there is no space left on the disk"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "there is no space left on the disk"),
        (FULL, "there is no space left on the disk of the queue /site/queue.sqlite"),
        (QueueUnusable("q", "database is locked"), "the queue q cannot be used: database is locked"),
        (OSError(errno.EIO, "Input/output error"), "[Errno 5] Input/output error"),
    ],
)
def test_what_is_said(error: Exception, said: str) -> None:
    assert said_of(error) == said


class Broken:
    """A desk whose queue fails."""

    def __init__(self) -> None:
        self.error: QueueUnusable | None = FULL

    def handle(self, sender: str, command: Command, now: float) -> list[Reply]:
        return self.tick(now)

    def tick(self, now: float) -> list[Reply]:
        if self.error is not None:
            raise self.error
        return []


async def test_a_manager_says_once_a_minute_that_it_cannot_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(
        "client.copilot.managers.process.time", SimpleNamespace(monotonic=lambda: clock[0], time=time.time)
    )
    process = ManagerProcess(Account("jm@x", "secret", "127.0.0.1", 1, "", "jobs-1"), ProcessSettings(None, None))
    desk = Broken()
    process.add(desk)
    for _ in range(100):
        await process._answer(lambda one: one.tick(0.0))
    assert len(caplog.records) == 1
    assert "no space left on the disk of the queue" in caplog.text
    clock[0] += SAID_AGAIN_S
    await process._answer(lambda one: one.tick(0.0))
    assert len(caplog.records) == 2
    desk.error = None
    await process._answer(lambda one: one.tick(0.0))
    assert len(caplog.records) == 2
