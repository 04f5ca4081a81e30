"""The page of own VMs and the form for a new one."""

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QAbstractScrollArea, QApplication, QFileDialog, QLineEdit, QMessageBox, QPushButton
from pytestqt.qtbot import QtBot

from client.clock import SystemClock
from client.commands import Command, CreateVm, DismissProblem, OrderVm, VmVerb
from client.own_make import TEMPLATES
from client.own_view import making_view
from client.snapshot import ClientSnapshot, Problem, Reason, Severity, VmKind, VmState, VmView
from tests.unit.ui import samples
from tests.unit.ui.conftest import OFFSCREEN_LACKS, asked_by
from ui.main_window import MainWindow
from ui.own_view import console_text, own_rows
from ui.pages.own_vm_form import OwnVmForm
from ui.pages.own_vms import OwnVmsPage
from ui.trace import Trace
from ui.widgets.scroll_bar import ScrollBar

pytestmark = pytest.mark.qt_log_ignore(*OFFSCREEN_LACKS, "propagateSizeHints")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFpvPsKqZ3cEo4hLKTzVHtWDdsGxHwvWhTLXPDvd7B8s me@home"
ABOUT = "debian-12, 1 processor, 512 MiB, with network, set up by \u201cLinux with your ssh key\u201d"
NO_ROOM = "It waits for room: it needs 2 processors and 1,024 MiB, and of the 2 processors 1 is free."


def one(name: str, state: VmState, wish: str, **more: object) -> VmView:
    view = VmView(f"own-{name.lower()}", name, state, "qemu", kind=VmKind.OWN, wish=wish, about=ABOUT)
    return replace(view, **more)


OWN = replace(
    samples.WORKING,
    vms=(
        *samples.WORKING.vms,
        one("Debian", VmState.RUNNING, "run", accelerator="tcg", console="\x1b[32mdebian login:\x1b[0m \r\n"),
        one("Installer", VmState.ABSENT, "run", reason=Reason("own-no-room", NO_ROOM)),
        one("Old", VmState.SAVED, "rest", reason=Reason("own-at-rest", "It does not run; start it when you want to.")),
    ),
)


@pytest.fixture
def page(qtbot: QtBot) -> OwnVmsPage:
    page = OwnVmsPage()
    qtbot.addWidget(page)
    page.show_snapshot(OWN)
    page.show()
    return page


def test_all_are_drawn_and_those_that_go_go(page: OwnVmsPage) -> None:
    assert list(page.cards) == ["own-debian", "own-installer", "own-old"]
    waiting = page.cards["own-installer"]
    assert waiting.reason.text() == NO_ROOM
    assert (waiting.start.isEnabled(), waiting.stop.isEnabled()) == (False, True)
    old = page.cards["own-old"]
    assert (old.start.isEnabled(), old.stop.isEnabled()) == (True, False)
    assert page.empty.isHidden()
    page.show_snapshot(samples.WORKING)
    assert page.cards == {}
    assert page.empty.isVisible()


def test_buttons_ask(qtbot: QtBot, page: OwnVmsPage) -> None:
    asked = asked_by(page)
    qtbot.mouseClick(page.cards["own-old"].start, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(page.cards["own-debian"].stop, Qt.MouseButton.LeftButton)
    assert asked == [OrderVm("own-old", VmVerb.START), OrderVm("own-debian", VmVerb.SAVE)]


@pytest.mark.parametrize("sure", [True, False])
def test_removal_is_asked_back(qtbot: QtBot, page: OwnVmsPage, sure: bool) -> None:
    asked = asked_by(page)
    qtbot.mouseClick(page.cards["own-old"].remove, Qt.MouseButton.LeftButton)
    box = page.findChild(QMessageBox, "really-remove")
    assert box is not None
    assert box.text() == "Remove Old, and all that it has written, for good?"
    word = "Remove" if sure else "Keep it"
    button = next(each for each in box.findChildren(QPushButton) if each.text().replace("&", "") == word)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert asked == ([OrderVm("own-old", VmVerb.REMOVE)] if sure else [])


def test_the_console_is_shown_when_it_is_wanted(qtbot: QtBot, page: OwnVmsPage) -> None:
    card = page.cards["own-debian"]
    assert not card.text.isVisible()
    qtbot.mouseClick(card.console, Qt.MouseButton.LeftButton)
    assert card.text.isVisible()
    assert "debian login:" in card.text.toPlainText()


def test_a_console_is_plain_text() -> None:
    assert console_text("a\r\n\x1b[1;32mb\x1b[0m\x1b\x07\x00<b>c\td") == "a\nb<b>c\td"


def test_one_that_is_being_removed_offers_nothing() -> None:
    (row,) = own_rows(ClientSnapshot(1, samples.NOW, vms=(one("A", VmState.RUNNING, "removed"),)))
    assert (row.state, row.start, row.stop, row.remove) == ("Being removed", None, None, None)


def test_one_that_is_being_made_says_how_far_it_is_and_can_be_given_up() -> None:
    said = {"step": "reading", "done_bytes": 43_000_000, "total_bytes": 100_000_000}
    (row,) = own_rows(ClientSnapshot(1, samples.NOW, vms=(making_view("own-a", "A", said),)))
    assert (row.state, row.start, row.stop, row.remove) == ("Being made", None, None, OrderVm("own-a", VmVerb.REMOVE))
    assert row.reason == "It is being made: reading its image, 43 % of 100 MB."


def test_bad_input_is_said_at_its_field(qtbot: QtBot) -> None:
    form = OwnVmForm(frozenset({"Box"}))
    qtbot.addWidget(form)
    form.show()
    asked = asked_by(form)
    form.template.setCurrentIndex(form.template.findData("linux"))
    form.name.setText("box")
    qtbot.mouseClick(form.make, Qt.MouseButton.LeftButton)
    assert asked == []
    assert form.rows["name"].fault.text() == "There is one of that name."
    assert form.rows["image"].fault.text() == "Choose the file that it boots from."
    assert form._fields["key"].fault.text() == "Must be filled in."
    assert not form._fields["user"].fault.isVisible()
    form.memory.setValue(63)
    qtbot.mouseClick(form.make, Qt.MouseButton.LeftButton)
    assert form.rows["memory"].fault.text() == "It needs at least 64 MiB."
    form.memory.setValue(0)
    form.name.setText("Mine")
    form.image.setText("/images/debian.qcow2")
    key = form._fields["key"].editor
    assert isinstance(key, QLineEdit)
    key.setText(KEY)
    password = form._fields["password"].editor
    assert isinstance(password, QLineEdit)
    assert password.echoMode() is QLineEdit.EchoMode.Password
    qtbot.mouseClick(form.make, Qt.MouseButton.LeftButton)
    (wanted,) = asked
    assert isinstance(wanted, CreateVm)
    assert (wanted.name, wanted.template, wanted.network, wanted.starts) == ("Mine", "linux", "none", True)
    assert (wanted.cpus, wanted.memory_mib, wanted.disk_gib) == (0, 0, 0)
    assert wanted.values == {"key": KEY, "user": "volunteer", "host": "my-linux"}
    assert KEY not in repr(wanted)


def test_a_template_of_the_users_own_is_offered_or_what_is_wrong_with_it_is_said(qtbot: QtBot, tmp_path: Path) -> None:
    form = OwnVmForm(frozenset())
    qtbot.addWidget(form)
    form.show()
    mine, bad = tmp_path / "mine.toml", tmp_path / "bad.toml"
    mine.write_bytes((TEMPLATES / "linux.toml").read_bytes().replace(b"Linux with your ssh key", b"Mine"))
    bad.write_text("[template]\nname = 3")
    form.take_template(str(bad))
    assert "cannot be used" in form.rows["template"].fault.text()
    for _ in range(2):
        form.take_template(str(mine))
    assert (form.template.currentText(), form.template.currentData()) == ("Mine", str(mine))
    assert form.rows["template"].fault.text() == ""
    assert [form.template.itemText(one) for one in range(form.template.count())].count("Mine") == 1
    assert "key" in form._fields
    other = OwnVmForm(frozenset())
    qtbot.addWidget(other)
    other.fill_in(CreateVm("Box", "/a", template=str(mine), values={"key": KEY}))
    assert other.template.currentData() == str(mine)
    assert other._fields["key"].editor.text() == KEY


def test_looking_for_a_template_asks_for_its_file(qtbot: QtBot) -> None:
    form = OwnVmForm(frozenset())
    qtbot.addWidget(form)
    form.show()
    place = form.template.count() - 1
    form.template.setCurrentIndex(place)
    form.template.activated.emit(place)
    dialog = form.findChild(QFileDialog)
    assert dialog is not None and dialog.isVisible()
    assert form.template.currentIndex() == 0
    dialog.reject()


def test_the_window_opens_it_from_its_menu_and_keeps_it_up_to_date(qtbot: QtBot) -> None:
    window = MainWindow(SystemClock(), Trace())
    qtbot.addWidget(window)
    window.build_all()
    window.show_snapshot(samples.WORKING)
    entry = next(each for each in window.build_menu().actions() if "virtual machines" in each.text())
    entry.trigger()
    page = window.findChild(OwnVmsPage)
    assert page is not None
    assert page.isVisible()
    window.show_snapshot(OWN)
    assert len(page.cards) == 3
    asked: list[Command] = []
    window.asked.connect(asked.append)
    page.cards["own-old"].start.click()
    assert asked == [OrderVm("own-old", VmVerb.START)]
    page.close()
    window.may_close = True


def test_what_could_not_be_made_is_said_on_the_page_and_can_be_changed(qtbot: QtBot) -> None:
    page = OwnVmsPage()
    qtbot.addWidget(page)
    page.show_snapshot(samples.WORKING)
    page.show()
    asked = asked_by(page)
    qtbot.mouseClick(page.add, Qt.MouseButton.LeftButton)
    (form,) = page.findChildren(OwnVmForm)
    form.name.setText("Box")
    form.image.setText("/home/me/letter.ova")
    form.memory.setValue(700)
    form.template.setCurrentIndex(form.template.findData("linux"))
    key = form._fields["key"].editor
    assert isinstance(key, QLineEdit)
    key.setText(KEY)
    qtbot.mouseClick(form.make, Qt.MouseButton.LeftButton)
    (wanted,) = asked
    making = making_view("own-box", "Box", {})
    page.show_snapshot(replace(samples.WORKING, vms=(*samples.WORKING.vms, making)))
    refused = Problem(
        "image-refused", "the virtual machine Box", "No image.", "Get one.", Severity.WARNING, samples.NOW
    )
    other = replace(refused, code="project-unreachable", about="project")
    page.show_snapshot(replace(samples.WORKING, problems=(other, refused)))
    (card,) = page.problems.cards.values()
    assert card.text.text() == "No image."
    qtbot.mouseClick(card.help, Qt.MouseButton.LeftButton)
    again = page.findChildren(OwnVmForm)[-1]
    assert again is not form
    qtbot.mouseClick(again.make, Qt.MouseButton.LeftButton)
    assert asked == [wanted, wanted]
    qtbot.mouseClick(card.help, Qt.MouseButton.LeftButton)
    third = page.findChildren(OwnVmForm)[-1]
    third.name.setText("Other")
    qtbot.mouseClick(third.make, Qt.MouseButton.LeftButton)
    assert asked[2:] == [DismissProblem("image-refused", "the virtual machine Box"), replace(wanted, name="Other")]


def test_the_wheel_changes_no_number_that_was_not_chosen(qtbot: QtBot) -> None:
    form = OwnVmForm(frozenset())
    qtbot.addWidget(form)
    form.show()
    form.name.setFocus()
    place = QPointF(form.memory.rect().center())
    wheel = QWheelEvent(
        place,
        place,
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(form.memory, wheel)
    assert form.memory.value() == 0


def test_a_console_opens_at_its_end_and_stays_where_it_is_read(qtbot: QtBot, page: OwnVmsPage) -> None:
    def show(lines: int) -> None:
        said = "".join(f"line {number}\n" for number in range(lines))
        page.show_snapshot(replace(OWN, vms=(one("Debian", VmState.RUNNING, "run", console=said),)))

    show(100)
    card = page.cards["own-debian"]
    qtbot.mouseClick(card.console, Qt.MouseButton.LeftButton)
    bar = card.text.verticalScrollBar()
    qtbot.waitUntil(lambda: 0 < bar.maximum() == bar.value())
    bar.setValue(3)
    show(120)
    assert bar.value() == 3
    bar.setValue(bar.maximum())
    show(140)
    assert 0 < bar.maximum() == bar.value()


def test_no_scroll_bar_comes_and_goes(qtbot: QtBot, page: OwnVmsPage) -> None:
    window = MainWindow(SystemClock(), Trace())
    qtbot.addWidget(window)
    window.build_all()
    form = page.open_form()
    areas = [area for one in (window, page, form) for area in one.findChildren(QAbstractScrollArea)]
    areas = [area for area in areas if isinstance(area.verticalScrollBar(), ScrollBar)]
    assert len(areas) >= 4
    assert {area.verticalScrollBarPolicy() for area in areas} == {Qt.ScrollBarPolicy.ScrollBarAlwaysOn}
    form.close()
