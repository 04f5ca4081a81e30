"""The page of the volunteer's own virtual machines: what there is, and what can be done with each."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCloseEvent, QFontDatabase, QTextCursor
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QHBoxLayout,
    QMessageBox,
    QPlainTextEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from client.commands import CreateVm, DismissProblem, OrderVm
from client.snapshot import ClientSnapshot
from ui.icons import Emblem
from ui.own_view import EMPTY, INTRODUCTION, OwnRow, console_text, name_in, own_problems, own_rows
from ui.pages.own_vm_form import OwnVmForm
from ui.widgets.button import Button
from ui.widgets.card import Card
from ui.widgets.flow_layout import FlowLayout
from ui.widgets.label import Text
from ui.widgets.metrics import UNIT
from ui.widgets.problem_list import ProblemList
from ui.widgets.scroll_bar import BAR_ROOM, give_scroll_bar

_SIZE = (720, 600)


class OwnVmCard(Card):
    """One of them.

    Signals:
        asked: an `OrderVm`.
    """

    asked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("", parent)
        self._row: OwnRow | None = None
        self.name = Text(factor=1.2, strong=True)
        self.state = Text(strong=True)
        self.about = Text(quiet=True)
        self.reason = Text()
        self.start = Button("&Start", Emblem.PLAY)
        self.stop = Button("S&top", Emblem.STOP)
        self.remove = Button("&Remove", Emblem.CROSS)
        self.console = Button("&Console", Emblem.INFO)
        self.console.setCheckable(True)
        self.text = _console_view()
        for widget in (self.name, self.state, self.about, self.reason):
            self.body.addWidget(widget)
        flow = FlowLayout(UNIT)
        for button in (self.start, self.stop, self.console, self.remove):
            button.setAutoDefault(False)
            flow.addWidget(button)
        self.body.addLayout(flow)
        self.body.addWidget(self.text)
        self.start.clicked.connect(lambda: self._ask(self._row and self._row.start))
        self.stop.clicked.connect(lambda: self._ask(self._row and self._row.stop))
        self.remove.clicked.connect(self._ask_whether)
        self.console.toggled.connect(self._show_console)

    def show_row(self, row: OwnRow) -> None:
        """Draw this one."""
        if row == self._row:
            return
        self._row = row
        self.setAccessibleName(row.name)
        self.name.show_text(row.name)
        self.state.show_text(row.state)
        self.about.show_text(row.about)
        self.reason.show_text(row.reason)
        for button, order in ((self.start, row.start), (self.stop, row.stop), (self.remove, row.remove)):
            button.setEnabled(order is not None)
            button.setAccessibleName(f"{button.text().replace('&', '')} {row.name}")
        said = console_text(row.console)
        if said != self.text.toPlainText():
            bar = self.text.verticalScrollBar()
            # Who has scrolled up reads something.
            place = bar.value() if bar.value() < bar.maximum() else None
            self.text.setPlainText(said)
            bar.setValue(bar.maximum() if place is None else place)

    def _show_console(self, is_shown: bool) -> None:
        self.text.setVisible(is_shown)
        if is_shown:
            self.text.moveCursor(QTextCursor.MoveOperation.End)
            self.text.ensureCursorVisible()

    def _ask(self, order: OrderVm | None) -> None:
        if order is not None:
            self.asked.emit(order)

    def _ask_whether(self) -> None:
        if self._row is None or self._row.remove is None:
            return
        order = self._row.remove
        box = QMessageBox(self)
        box.setObjectName("really-remove")
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setWindowTitle("Remove it?")
        box.setText(f"Remove {self._row.name}, and all that it has written, for good?")
        sure = box.addButton("Remove", QMessageBox.ButtonRole.DestructiveRole)
        keep = box.addButton("Keep it", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(keep)
        sure.clicked.connect(lambda: self.asked.emit(order))
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.open()


class OwnVmsPage(QDialog):
    """All of them, in a window of their own.

    Signals:
        asked: a `Command`.
    """

    asked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("My virtual machines")
        self.setObjectName("own-vms")
        self.resize(*_SIZE)
        self._snapshot: ClientSnapshot | None = None
        self.cards: dict[str, OwnVmCard] = {}
        #: name -> what was filled in for one that is not there yet
        self._wanted: dict[str, CreateVm] = {}
        outer = QVBoxLayout(self)
        # The bar's room is a part of the margin.
        outer.setContentsMargins(2 * UNIT, 2 * UNIT, 2 * UNIT - BAR_ROOM, 2 * UNIT)
        head = QHBoxLayout()
        head.setContentsMargins(0, 0, BAR_ROOM, 0)
        words = QVBoxLayout()
        words.addWidget(Text("My virtual machines", factor=1.4, strong=True))
        words.addWidget(Text(INTRODUCTION, quiet=True))
        head.addLayout(words, 1)
        self.add = Button("&Add …")
        self.add.set_primary(True)
        self.add.setAutoDefault(False)
        self.add.clicked.connect(lambda: self.open_form())
        head.addWidget(self.add, 0, Qt.AlignmentFlag.AlignTop)
        outer.addLayout(head)
        self.problems = ProblemList()
        self.problems.tab_after = self.add
        self.problems.asked.connect(self.asked)
        self.problems.help_asked.connect(lambda code, about: self.open_form(self._wanted.get(name_in(about))))
        self.problems.hide()
        self.empty = Text(EMPTY)
        outer.addSpacing(UNIT)
        outer.addWidget(self.problems)
        outer.addWidget(self.empty)
        content = QWidget()
        self._column = QVBoxLayout(content)
        self._column.setContentsMargins(0, UNIT, 0, 0)
        self._column.setSpacing(UNIT + 4)
        self._column.addStretch()
        area = QScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        give_scroll_bar(area)
        area.setWidget(content)
        outer.addWidget(area, 1)

    def show_snapshot(self, snapshot: ClientSnapshot) -> None:
        """Draw what there is now."""
        self._snapshot = snapshot
        rows = own_rows(snapshot)
        self.empty.setVisible(not rows)
        for vm in snapshot.own_vms:
            if vm.wish != "making":
                self._wanted.pop(vm.name, None)
        self.problems.show_problems(own_problems(snapshot, frozenset(self._wanted)))
        for vm_id in self.cards.keys() - {row.vm_id for row in rows}:
            card = self.cards.pop(vm_id)
            self._column.removeWidget(card)
            card.deleteLater()
        for place, row in enumerate(rows):
            if row.vm_id not in self.cards:
                self.cards[row.vm_id] = OwnVmCard()
                self.cards[row.vm_id].asked.connect(self.asked)
                self._column.insertWidget(place, self.cards[row.vm_id])
            self.cards[row.vm_id].show_row(row)

    def open_form(self, wanted: CreateVm | None = None) -> OwnVmForm:
        """Ask what a new one is to be. wanted: what is filled in at first."""
        names = frozenset(vm.name for vm in self._snapshot.own_vms) if self._snapshot else frozenset()
        form = OwnVmForm(names, self)
        if wanted is not None:
            form.fill_in(wanted)
        form.asked.connect(lambda new: self._on_wanted(new, wanted))
        form.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        form.open()
        return form

    def _on_wanted(self, wanted: CreateVm, before: CreateVm | None) -> None:
        if before is not None and before.name != wanted.name:
            self._wanted.pop(before.name, None)
            for code, about in tuple(self.problems.cards):
                if name_in(about) == before.name:
                    self.asked.emit(DismissProblem(code, about))
        self._wanted[wanted.name] = wanted
        self.asked.emit(wanted)

    def closeEvent(self, event: QCloseEvent) -> None:
        """It hides; the window keeps it."""
        event.accept()


def _console_view() -> QPlainTextEdit:
    text = QPlainTextEdit()
    text.setReadOnly(True)
    text.setAccessibleName("Console")
    text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
    text.setPlaceholderText("It has printed nothing yet.")
    text.setTabChangesFocus(True)
    give_scroll_bar(text)
    text.setMinimumHeight(text.fontMetrics().lineSpacing() * 10)
    text.hide()
    return text
