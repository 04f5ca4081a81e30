"""The page of what is kept on this computer: how much, of which appliances, and what can be done with each."""

from itertools import pairwise

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QCloseEvent, QShowEvent
from PySide6.QtWidgets import QDialog, QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from client.commands import TendStore
from client.snapshot import ClientSnapshot, Problem
from ui.icons import Emblem
from ui.job_view import Progress
from ui.placement import cut
from ui.store_view import (
    CHECK_ASKED,
    INTRODUCTION,
    LOOK_ASKED,
    OWN_IMAGES,
    TITLE,
    StorePage,
    StoreRow,
    removal_problem,
    store_page,
)
from ui.widgets.button import Button
from ui.widgets.card import Card
from ui.widgets.flow_layout import FlowLayout
from ui.widgets.label import Text
from ui.widgets.metrics import UNIT
from ui.widgets.problem_list import ProblemList
from ui.widgets.progress_row import ProgressRow
from ui.widgets.scroll_bar import BAR_ROOM, give_scroll_bar

_SIZE = (720, 640)
_GAP = UNIT + 4


class ApplianceCard(Card):
    """One appliance.

    Signals:
        asked: a `RemoveImage`.
    """

    asked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("", parent)
        self._row: StoreRow | None = None
        self._goes = False
        self.name = Text(factor=1.2, strong=True, selectable=True)
        self.size_text = Text(strong=True, tabular=True)
        self.needed = Text()
        self.times = Text(quiet=True, tabular=True)
        self.removal = Text(quiet=True, tabular=True)
        self.remove = Button("Remove", Emblem.CROSS)
        self.remove.setAutoDefault(False)
        self.remove.clicked.connect(self._ask)
        words = QVBoxLayout()
        words.setSpacing(4)
        words.addWidget(self.name)
        words.addWidget(self.size_text)
        head = QHBoxLayout()
        head.setSpacing(2 * UNIT)
        head.addLayout(words, 1)
        head.addWidget(self.remove, 0, Qt.AlignmentFlag.AlignTop)
        self.body.setSpacing(4)
        self.body.addLayout(head)
        for widget in (self.needed, self.times, self.removal):
            self.body.addWidget(widget)

    def show_row(self, row: StoreRow, *, goes: bool = False) -> None:
        """Draw this one. goes: its removal has been asked for."""
        if (row, goes) == (self._row, self._goes):
            return
        self._row, self._goes = row, goes
        self.setAccessibleName(row.name)
        self.setAccessibleDescription(" ".join((row.size, row.needed, row.times)))
        self.name.show_text(row.name)
        self.size_text.show_text(row.size)
        self.needed.show_text(row.needed)
        self.times.show_text(row.times)
        self.removal.show_text("It is being removed …" if goes else row.removal)
        if row.remove is None and self.remove.hasFocus():
            # Else the focus would go to the next button of that kind, and the next key press would remove another one.
            self.setFocus()
        self.remove.setEnabled(row.remove is not None)
        self.remove.setAccessibleName(f"Remove {row.name}")
        self.remove.setAccessibleDescription(row.removal)

    def _ask(self) -> None:
        if self._row is not None and self._row.remove is not None and not self._goes:
            self.asked.emit(self._row.remove)


class DiskSpacePage(QDialog):
    """All of them, in a window of their own.

    Signals:
        asked: a `Command`.
    """

    asked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(TITLE)
        self.setObjectName("disk-space")
        self.resize(cut(QSize(*_SIZE), self.screen().availableGeometry()))
        self._snapshot: ClientSnapshot | None = None
        self._view: StorePage | None = None
        #: image -> the problem with a removal that stood when its removal was asked for
        self._going: dict[str, Problem | None] = {}
        self.cards: dict[str, ApplianceCard] = {}
        self.space = _Bars()
        self.under_way = _Bars()
        self.held = Text()
        self.no_look = Text(quiet=True)
        self.said = Text(quiet=True)
        self.problems = ProblemList()
        self.problems.asked.connect(self.asked)
        self.problems.hide()
        self.empty = Text()
        self._build()

    def _build(self) -> None:
        outer = QVBoxLayout(self)
        # The bar's room is a part of the margin at its side.
        sides = (2 * UNIT, 2 * UNIT - BAR_ROOM)
        left, right = sides[::-1] if self.isRightToLeft() else sides
        outer.setContentsMargins(left, 2 * UNIT, right, 2 * UNIT)
        content = QWidget()
        self._column = QVBoxLayout(content)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(_GAP)
        self._column.addWidget(Text(TITLE, factor=1.4, strong=True))
        self._column.addWidget(Text(INTRODUCTION, quiet=True))
        self._column.addWidget(self._build_head())
        self._column.addWidget(self.problems)
        self._column.addWidget(self.empty)
        self._list = QVBoxLayout()
        self._list.setSpacing(_GAP)
        self._column.addLayout(self._list)
        self._column.addWidget(Text(OWN_IMAGES, quiet=True))
        self._column.addStretch()
        self.area = QScrollArea()
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setWidgetResizable(True)
        give_scroll_bar(self.area)
        self.area.setWidget(content)
        outer.addWidget(self.area)

    def _build_head(self) -> Card:
        """What is used, what is under way, and what can be asked of all together."""
        head = Card()
        self.check = Button("&Check now", Emblem.CHECK)
        self.look = Button("&Look for newer versions")
        self.hold = Button("&Pause fetching", Emblem.PAUSE)
        self.check.clicked.connect(lambda: self._tend(TendStore(check=True), CHECK_ASKED))
        self.look.clicked.connect(lambda: self._tend(TendStore(look=True), LOOK_ASKED))
        self.hold.clicked.connect(self._hold_or_go_on)
        flow = FlowLayout(UNIT)
        for button in (self.check, self.look, self.hold):
            button.setAutoDefault(False)
            flow.addWidget(button)
        head.body.addWidget(self.space)
        head.body.addWidget(self.under_way)
        head.body.addWidget(self.held)
        head.body.addLayout(flow)
        head.body.addWidget(self.no_look)
        head.body.addWidget(self.said)
        self.problems.tab_after = self.hold
        return head

    def show_snapshot(self, snapshot: ClientSnapshot) -> None:
        """Draw what there is now."""
        if self._snapshot is not None and self._snapshot.store != snapshot.store:
            # What was asked for has come of it: a later check, another version.
            self.said.show_text("")
        self._snapshot = snapshot
        self._view = view = store_page(snapshot)
        self.space.show_bars(view.space)
        self.under_way.show_bars(view.under_way)
        self.held.show_text(view.held)
        self.hold.setText("&Resume fetching" if view.hold.undo else "&Pause fetching")
        self.hold.set_emblem(Emblem.PLAY if view.hold.undo else Emblem.PAUSE)
        self.look.setEnabled(not view.no_look)
        self.no_look.show_text(view.no_look)
        self.empty.show_text(view.empty)
        self.problems.show_problems(view.problems)
        self._show_rows(view.rows)

    def _show_rows(self, rows: tuple[StoreRow, ...]) -> None:
        """Each keeps its card while it is there, so that focus, selected text and the place on the page stay."""
        refused = removal_problem(self._snapshot) if self._snapshot is not None else None
        here = {row.image_id for row in rows}
        self._going = {id: was for id, was in self._going.items() if id in here and refused in (None, was)}
        for image_id in self.cards.keys() - here:
            self._drop(self.cards.pop(image_id))
        for place, row in enumerate(rows):
            card = self.cards.get(row.image_id) or self._make(row.image_id)
            card.show_row(row, goes=row.image_id in self._going)
            if self._list.indexOf(card) != place:
                self._list.insertWidget(place, card)
        # The tab key goes as the eye does, though a card may be made later than what stands below it.
        buttons = [self.cards[row.image_id].remove for row in rows]
        for before, after in pairwise(buttons):
            QWidget.setTabOrder(before, after)

    def _make(self, image_id: str) -> ApplianceCard:
        card = ApplianceCard()
        card.asked.connect(lambda command: self._remove(image_id, command))
        self.cards[image_id] = card
        return card

    def _drop(self, card: ApplianceCard) -> None:
        if card.remove.hasFocus():
            self.area.setFocus()
        self._list.removeWidget(card)
        card.hide()
        card.deleteLater()

    def _remove(self, image_id: str, command: object) -> None:
        if self._snapshot is not None and self._view is not None:
            self._going[image_id] = removal_problem(self._snapshot)
            self._show_rows(self._view.rows)
        self.asked.emit(command)

    def _tend(self, command: TendStore, said: str) -> None:
        self.said.show_text(said)
        self.asked.emit(command)

    def _hold_or_go_on(self) -> None:
        if self._view is not None:
            self.asked.emit(self._view.hold)

    def showEvent(self, event: QShowEvent) -> None:
        """Opened again, it asks for a fresh look at the store; what was asked for before is old."""
        super().showEvent(event)
        if not event.spontaneous():
            self.said.show_text("")
            self.asked.emit(TendStore())

    def closeEvent(self, event: QCloseEvent) -> None:
        """It hides; the window keeps it."""
        event.accept()


class _Bars(QWidget):
    """Labelled bars, one below the other; no room when there are none."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[ProgressRow] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, UNIT)
        self._column.setSpacing(_GAP)

    def show_bars(self, bars: tuple[Progress, ...]) -> None:
        """Show these, in this order."""
        while len(self.rows) < len(bars):
            self.rows.append(ProgressRow(self))
            self._column.addWidget(self.rows[-1])
        for place, row in enumerate(self.rows):
            row.setVisible(place < len(bars))
            if place < len(bars):
                row.show_progress(bars[place])
        self.setVisible(bool(bars))
