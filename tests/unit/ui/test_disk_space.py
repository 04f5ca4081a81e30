"""The page of what is kept on this computer."""

from dataclasses import replace
from datetime import UTC, timedelta

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot

from client.appliance.transfers import BY_USER, METERED, REASONS
from client.appliance.upkeep import LOOKING
from client.appliances import REMOVING
from client.clock import SystemClock
from client.commands import DismissProblem, HoldFetching, RemoveImage, TendStore
from client.snapshot import ClientSnapshot, GuestFilesView, Problem, Reason, Severity, StoreView, VmKind, VmState
from tests.unit.ui import samples
from tests.unit.ui.conftest import OFFSCREEN_LACKS, asked_by
from ui.main_window import MainWindow
from ui.pages.disk_space import DiskSpacePage
from ui.store_view import CHECK_ASKED, EMPTY, LOOK_ASKED, NO_PROJECT_YET, NOT_KNOWN, store_page
from ui.trace import Trace

pytestmark = pytest.mark.qt_log_ignore(*OFFSCREEN_LACKS, "propagateSizeHints")
STORED = samples.STORED
NEEDED, OLD, PART = (one.image_id for one in STORED.store)
REFUSED = Problem("image-needed", REMOVING, "It is needed.", "It stays.", Severity.WARNING, samples.NOW)


@pytest.fixture
def page(qtbot: QtBot) -> DiskSpacePage:
    page = DiskSpacePage()
    qtbot.addWidget(page)
    page.show_snapshot(STORED)
    with qtbot.waitExposed(page):
        page.show()
    return page


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_each_appliance_says_what_it_takes_and_who_needs_it() -> None:
    view = store_page(STORED, UTC)
    first, second, third = view.rows
    assert first.name == "Test4Theory thin 1.4.2"
    assert plain(first.size) == "79.3 MB, all of it is here"
    assert first.needed == "Needed by the project Test4Theory and the project's virtual machine."
    assert first.times == "Last used: today 12:30 · Last checked: yesterday 14:30"
    assert (first.removal, first.remove) == ("It cannot be removed while it is needed.", None)
    assert second.needed == "Nobody needs it now."
    assert second.times == "Last used: 3 Nov 2026 · Last checked: today 14:30"
    freed = "Removing it frees 31.2 MB; others share the rest. If it is wanted again, it is fetched again."
    assert (plain(second.removal), second.remove) == (freed, RemoveImage(OLD))
    assert plain(third.size) == "12.0 MB, not all of it is here yet"
    assert third.times == "Last used: never · Last checked: never"
    assert plain(third.removal).startswith("Removing it frees 12.0 MB. ")


def test_virtual_machines_have_the_names_that_their_owner_knows() -> None:
    own = replace(samples.VM, vm_id="own-1", name="Debian", kind=VmKind.OWN, state=VmState.SAVED, job=None)
    needed_by = ("the project P", "the virtual machine own-1", "the virtual machine gone-9")
    one = replace(STORED.store[0], needed_by=needed_by)
    (row,) = store_page(replace(STORED, vms=(own,), store=(one,)), UTC).rows
    assert row.needed == (
        "Needed by the project P, your virtual machine Debian (saved) and the virtual machine gone-9."
    )


def test_the_space_is_told_with_bars() -> None:
    appliances, software = store_page(STORED).space
    assert plain(appliances.label) == "Appliances and images of your own: 1.2 GB of at most 10.7 GB"
    assert appliances.fraction == pytest.approx(1.24e9 / (10 << 30))
    assert plain(software.label).endswith("over the network: 412 MB of at most 4.3 GB")
    full = replace(STORED, store_bytes=99 << 30, guest_files=GuestFilesView(0, 0))
    assert [bar.fraction for bar in store_page(full).space] == [1.0]


def test_all_are_drawn_and_those_that_go_go(page: DiskSpacePage) -> None:
    assert list(page.cards) == [NEEDED, OLD, PART]
    assert [card.remove.isEnabled() for card in page.cards.values()] == [False, True, True]
    assert page.empty.isHidden()
    page.show_snapshot(replace(STORED, store=()))
    assert page.cards == {}
    assert (page.empty.isVisible(), page.empty.text()) == (True, EMPTY)


def test_nothing_is_called_empty_before_it_is_known(page: DiskSpacePage) -> None:
    page.show_snapshot(samples.STOPPED)
    assert page.empty.isHidden()
    assert page.space.rows[0].label.text() == NOT_KNOWN
    assert not page.space.rows[1].isVisible()


def test_buttons_ask_and_say_what_was_asked(qtbot: QtBot, page: DiskSpacePage) -> None:
    asked = asked_by(page)
    qtbot.mouseClick(page.check, Qt.MouseButton.LeftButton)
    assert page.said.text() == CHECK_ASKED
    qtbot.mouseClick(page.look, Qt.MouseButton.LeftButton)
    assert page.said.text() == LOOK_ASKED
    qtbot.mouseClick(page.hold, Qt.MouseButton.LeftButton)
    assert asked == [TendStore(check=True), TendStore(look=True), HoldFetching()]


def test_what_was_asked_is_said_until_it_has_come(page: DiskSpacePage) -> None:
    page.check.click()
    page.show_snapshot(replace(STORED, seq=8))
    assert page.said.isVisible()
    page.show_snapshot(replace(STORED, store=(replace(STORED.store[0], checked_at=samples.NOW), *STORED.store[1:])))
    assert page.said.isHidden()


def test_opening_it_asks_for_a_fresh_look(page: DiskSpacePage) -> None:
    page.check.click()
    page.close()
    asked = asked_by(page)
    page.show()
    assert asked == [TendStore()]
    assert page.said.isHidden()


def test_fetching_that_was_paused_can_go_on(qtbot: QtBot, page: DiskSpacePage) -> None:
    asked = asked_by(page)
    page.show_snapshot(replace(STORED, fetching_held=Reason(BY_USER, REASONS[BY_USER])))
    assert page.hold.text() == "&Resume fetching"
    assert page.held.text() == REASONS[BY_USER]
    qtbot.mouseClick(page.hold, Qt.MouseButton.LeftButton)
    page.show_snapshot(replace(STORED, fetching_held=Reason(METERED, REASONS[METERED])))
    assert page.held.text() == REASONS[METERED]
    qtbot.mouseClick(page.hold, Qt.MouseButton.LeftButton)
    assert asked == [HoldFetching(undo=True), HoldFetching()]
    page.show_snapshot(STORED)
    assert page.held.isHidden()


def test_without_a_project_no_newer_version_can_be_looked_for(page: DiskSpacePage) -> None:
    lacking = Problem("no-project", "project", "There is none.", "Choose one.", Severity.NOTICE, samples.NOW)
    page.show_snapshot(replace(STORED, problems=(lacking,)))
    assert not page.look.isEnabled()
    assert page.no_look.text() == NO_PROJECT_YET
    assert page.problems.cards == {}


def test_removing_asks_once_and_not_back(qtbot: QtBot, page: DiskSpacePage) -> None:
    asked = asked_by(page)
    card = page.cards[OLD]
    qtbot.mouseClick(card.remove, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(card.remove, Qt.MouseButton.LeftButton)
    assert asked == [RemoveImage(OLD)]
    assert page.findChildren(QMessageBox) == []
    assert card.removal.text() == "It is being removed …"
    qtbot.mouseClick(page.cards[NEEDED].remove, Qt.MouseButton.LeftButton)
    assert asked == [RemoveImage(OLD)]


def test_a_removal_that_was_refused_is_said_and_can_be_tried_again(qtbot: QtBot, page: DiskSpacePage) -> None:
    before = replace(STORED, problems=(REFUSED,))
    page.show_snapshot(before)
    asked = asked_by(page)
    page.cards[OLD].remove.click()
    page.show_snapshot(replace(before, seq=8))
    assert page.cards[OLD].removal.text() == "It is being removed …"
    again = replace(REFUSED, since=samples.NOW + timedelta(seconds=5))
    page.show_snapshot(replace(STORED, problems=(again,)))
    assert page.cards[OLD].removal.text() != "It is being removed …"
    page.cards[OLD].remove.click()
    assert asked == [RemoveImage(OLD)] * 2
    (said,) = page.problems.cards.values()
    assert said.text.text() == "It is needed."
    qtbot.mouseClick(said.dismiss, Qt.MouseButton.LeftButton)
    assert asked[2:] == [DismissProblem("image-needed", REMOVING)]


def test_only_problems_that_belong_here_are_shown() -> None:
    other = replace(REFUSED, about="vm work-1")
    looking = replace(REFUSED, code="server-unreachable", about=LOOKING)
    view = store_page(replace(STORED, problems=(other, looking)))
    assert [row.code for row in view.problems] == ["server-unreachable"]


def test_downloads_and_checks_are_shown(page: DiskSpacePage) -> None:
    assert page.under_way.isHidden()
    page.show_snapshot(replace(STORED, transfers=(samples.TRANSFER,)))
    assert page.under_way.rows[0].label.text() == "Downloading the appliance"
    page.show_snapshot(STORED)
    assert page.under_way.isHidden()


def many(page: DiskSpacePage) -> ClientSnapshot:
    """So many that they must be scrolled."""
    store = tuple(StoreView(f"{place:02}", f"Image {place:02}", "1", 10, 10, True) for place in range(20))
    return replace(STORED, store=store)


def test_place_and_focus_and_selection_outlive_new_snapshots(qtbot: QtBot, page: DiskSpacePage) -> None:
    snapshot = many(page)
    page.show_snapshot(snapshot)
    bar = page.area.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() > 400)
    page.activateWindow()
    card = page.cards["05"]
    card.remove.setFocus()
    qtbot.waitUntil(card.remove.hasFocus)
    card.name.setSelection(0, 5)
    bar.setValue(300)
    # The last becomes the first, and one that was below is gone.
    moved = (snapshot.store[-1], *snapshot.store[:10], *snapshot.store[11:-1])
    page.show_snapshot(replace(snapshot, store=moved, store_bytes=5))
    names = [page._list.itemAt(place).widget().name.text() for place in range(3)]
    assert names == ["Image 19 1", "Image 00 1", "Image 01 1"]
    assert page.cards["05"] is card
    assert card.remove.hasFocus()
    assert card.name.selectedText() == "Image"
    assert bar.value() == 300


@pytest.mark.parametrize("is_gone", [True, False])
def test_no_second_key_press_removes_another_one(qtbot: QtBot, page: DiskSpacePage, is_gone: bool) -> None:
    page.activateWindow()
    remove = page.cards[OLD].remove
    remove.setFocus()
    qtbot.waitUntil(remove.hasFocus)
    asked = asked_by(page)
    qtbot.keyClick(remove, Qt.Key.Key_Space)
    needed = replace(STORED.store[1], needed_by=("the project P",))
    now = (STORED.store[0], STORED.store[2]) if is_gone else (STORED.store[0], needed, STORED.store[2])
    page.show_snapshot(replace(STORED, store=now))
    focused = page.focusWidget()
    assert focused is not None
    qtbot.keyClick(focused, Qt.Key.Key_Space)
    assert asked == [RemoveImage(OLD)]


def test_the_tab_key_goes_as_the_eye_does(qtbot: QtBot, page: DiskSpacePage) -> None:
    new = replace(STORED.store[1], image_id="d" * 64, name="Another")
    page.show_snapshot(replace(STORED, store=(new, *STORED.store[1:])))
    # A layout shows what is new in it in the next turn of the event loop.
    qtbot.waitUntil(page.cards[new.image_id].remove.isVisible)
    page.activateWindow()
    page.hold.setFocus()
    qtbot.waitUntil(page.hold.hasFocus)
    for image_id in (new.image_id, OLD, PART):
        page.focusNextChild()
        assert page.focusWidget() is page.cards[image_id].remove


def test_the_page_keys_scroll(qtbot: QtBot, page: DiskSpacePage) -> None:
    page.show_snapshot(many(page))
    bar = page.area.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() > 400)
    qtbot.keyClick(page.check, Qt.Key.Key_PageDown)
    assert bar.value() > 0


def test_the_window_opens_it_from_its_menu_and_keeps_it_up_to_date(qtbot: QtBot) -> None:
    window = MainWindow(SystemClock(), Trace())
    qtbot.addWidget(window)
    window.build_all()
    window.show_snapshot(samples.WORKING)
    entry = next(each for each in window.build_menu().actions() if "isk space" in each.text())
    asked = asked_by(window)
    entry.trigger()
    page = window.findChild(DiskSpacePage)
    assert page is not None
    assert page.isVisible()
    window.show_snapshot(STORED)
    assert len(page.cards) == 3
    page.cards[OLD].remove.click()
    assert asked == [TendStore(), RemoveImage(OLD)]
    page.close()
    window.may_close = True
