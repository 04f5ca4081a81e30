"""Looking for a tray: without one the look is repeated, but never often."""

from pytestqt.qtbot import QtBot

from ui.tray_host import TrayHost


def test_without_a_tray_it_keeps_looking_without_haste(qtbot: QtBot) -> None:
    host = TrayHost(watch_bus=False)
    with qtbot.assertNotEmitted(host.changed):
        host.start()
    assert not host.is_present
    assert host._timer.isActive()
    assert host._timer.interval() >= 1000
