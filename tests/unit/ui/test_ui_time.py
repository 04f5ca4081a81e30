"""The meter of the UI thread."""

from pytestqt.qtbot import QtBot

from ui.ui_time import UiTime


def test_the_longest_stretch_is_kept(qtbot: QtBot) -> None:
    moments = iter([1.0, 1.002, 1.050, 1.051])
    meter = UiTime(thread_time=lambda: next(moments))
    meter.start()
    for _ in range(3):
        meter.note()
    assert meter.longest_call_ms == 48.0
    assert meter.stretches == 3


def test_it_hears_of_the_event_loop(qtbot: QtBot) -> None:
    meter = UiTime()
    meter.start()
    qtbot.waitUntil(lambda: meter.stretches > 0)
    assert meter.longest_call_ms >= 0
