"""The border between Qt's thread and the core's: nothing lost that must not be, nothing more than the newest drawn."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from pytestqt.qtbot import QtBot

from client.commands import Command, Pause, Quit, Start, Stop
from client.snapshot import ClientSnapshot, Problem
from tests.unit.ui import samples
from ui.bridge import CORE_FAILED, CorePort, CoreThread

LIMIT_S = 5.0


def numbered(seq: int) -> ClientSnapshot:
    return replace(samples.BASE, seq=seq)


async def until_quit(port: CorePort) -> list[Command]:
    got: list[Command] = []
    while not got or not isinstance(got[-1], Quit):
        got.append(await port.next_command())
    return got


def test_commands_arrive_in_order_also_those_sent_before_the_start(qtbot: QtBot) -> None:
    got: list[Command] = []

    async def main(port: CorePort) -> None:
        got.extend(await until_quit(port))

    thread = CoreThread(main)
    thread.send(Start())
    with qtbot.waitSignal(thread.ended) as ended:
        thread.start()
        for command in (Pause(), Stop(), Quit()):
            thread.send(command)
    assert got == [Start(), Pause(), Stop(), Quit()]
    assert ended.args == [None]
    assert thread.join(LIMIT_S)


def test_the_core_runs_in_its_own_thread_and_slots_in_the_main_one(qtbot: QtBot) -> None:
    names: list[str] = []

    async def main(port: CorePort) -> None:
        names.append(threading.current_thread().name)
        port.publish(numbered(1))

    thread = CoreThread(main)
    thread.snapshot_changed.connect(lambda _: names.append(threading.current_thread().name))
    with qtbot.waitSignal(thread.ended):
        thread.start()
    assert names == ["core", threading.main_thread().name]
    assert thread.join(LIMIT_S)


def test_a_burst_is_drawn_a_few_times_and_its_last_snapshot_always(qtbot: QtBot) -> None:
    drawn: list[int] = []

    async def main(port: CorePort) -> None:
        for seq in range(1, 2001):
            port.publish(numbered(seq))
            if seq % 100 == 0:
                await asyncio.sleep(0)

    thread = CoreThread(main)
    thread.snapshot_changed.connect(lambda snapshot: drawn.append(snapshot.seq))
    with qtbot.waitSignal(thread.ended):
        thread.start()
    assert drawn[-1] == 2000
    assert drawn == sorted(drawn)
    assert len(drawn) <= 10
    assert thread.join(LIMIT_S)


def test_a_lone_snapshot_within_the_interval_comes_a_little_later(qtbot: QtBot) -> None:
    async def main(port: CorePort) -> None:
        port.publish(numbered(1))
        port.publish(numbered(2))
        await until_quit(port)

    thread = CoreThread(main)
    drawn: list[int] = []
    thread.snapshot_changed.connect(lambda snapshot: drawn.append(snapshot.seq))
    with qtbot.waitSignal(thread.snapshot_changed, check_params_cb=lambda snapshot: snapshot.seq == 2):
        thread.start()
    with qtbot.waitSignal(thread.ended):
        thread.send(Quit())
    assert thread.join(LIMIT_S)


def test_an_error_of_the_core_is_a_problem(qtbot: QtBot, caplog: pytest.LogCaptureFixture) -> None:
    async def main(port: CorePort) -> None:
        raise ValueError("the disk is gone")

    thread = CoreThread(main)
    with qtbot.waitSignal(thread.ended) as ended:
        thread.start()
    (problem,) = ended.args
    assert isinstance(problem, Problem)
    assert problem.code == CORE_FAILED
    assert "the disk is gone" in problem.text
    assert "ValueError" in caplog.text
    assert thread.join(LIMIT_S)


def test_a_core_that_does_not_end_can_be_cancelled(qtbot: QtBot) -> None:
    async def main(port: CorePort) -> None:
        port.publish(numbered(1))
        await asyncio.Event().wait()

    thread = CoreThread(main)
    with qtbot.waitSignal(thread.snapshot_changed):
        thread.start()
    with qtbot.waitSignal(thread.ended) as ended:
        thread.cancel()
    assert ended.args == [None]
    assert thread.join(LIMIT_S)
    assert not thread.is_running


def test_a_cancel_that_comes_too_early_is_kept(qtbot: QtBot) -> None:
    thread = CoreThread(until_quit)  # type: ignore[arg-type]
    thread.cancel()
    with qtbot.waitSignal(thread.ended):
        thread.start()
    assert thread.join(LIMIT_S)


@pytest.mark.parametrize("act", [lambda thread: thread.send(Stop()), lambda thread: thread.cancel()])
def test_after_its_end_nothing_reaches_the_core_and_nothing_breaks(
    qtbot: QtBot, act: Callable[[CoreThread], None]
) -> None:
    async def main(port: CorePort) -> None:
        port.publish(numbered(1))

    thread = CoreThread(main)
    with qtbot.waitSignal(thread.ended):
        thread.start()
    act(thread)
    assert thread.join(LIMIT_S)


def test_join_before_start_is_success(qtbot: QtBot) -> None:
    assert CoreThread(until_quit).join(LIMIT_S)  # type: ignore[arg-type]


def test_the_core_can_ask_for_the_window(qtbot: QtBot) -> None:
    async def main(port: CorePort) -> None:
        assert port.show_window()

    thread = CoreThread(main)
    with qtbot.waitSignals([thread.window_asked, thread.ended]):
        thread.start()
    assert thread.join(LIMIT_S)
