"""Problems, inline: what happened, what is being done, dismiss. Never a dialog."""

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from client.commands import DismissProblem
from client.snapshot import Severity
from ui.icons import Emblem
from ui.theme import Role, Tone, mix, tone
from ui.view_models import ProblemRow
from ui.widgets.button import Button
from ui.widgets.label import Text
from ui.widgets.metrics import CARD_RADIUS, UNIT
from ui.widgets.sign import Sign

_TONES = {Severity.ERROR: Tone.BAD, Severity.WARNING: Tone.CAUTION, Severity.NOTICE: Tone.ACCENT}


class ProblemCard(QWidget):
    """One problem.

    Signals:
        dismissed: its dismiss button was pressed.
        help_asked: the button that helps was pressed.
    """

    dismissed = Signal()
    help_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._severity = Severity.NOTICE
        row = QHBoxLayout(self)
        row.setContentsMargins(2 * UNIT, UNIT + 4, 2 * UNIT, UNIT + 4)
        row.setSpacing(UNIT + 4)
        self.sign = Sign(Emblem.INFO, disc=True)
        row.addWidget(self.sign, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout()
        column.setSpacing(4)
        self.text = Text(strong=True, selectable=True)
        self.doing = Text(selectable=True)
        self.since = Text(factor=0.88, quiet=True)
        for label in (self.text, self.doing, self.since):
            column.addWidget(label)
        self.help = Button()
        self.help.set_primary(True)
        self.help.clicked.connect(self.help_asked)
        self.help.hide()
        column.addWidget(self.help, 0, Qt.AlignmentFlag.AlignLeft)
        row.addLayout(column, 1)
        self.dismiss = Button(emblem=Emblem.CROSS)
        self.dismiss.quiet = True
        self.dismiss.setAccessibleName("Dismiss this problem")
        self.dismiss.setToolTip("Dismiss")
        self.dismiss.clicked.connect(self.dismissed)
        row.addWidget(self.dismiss, 0, Qt.AlignmentFlag.AlignTop)

    def show_problem(self, problem: ProblemRow) -> None:
        """Show this problem."""
        self._severity = problem.severity
        emblem = Emblem.INFO if problem.severity is Severity.NOTICE else Emblem.ALERT
        self.sign.show_sign(emblem, _TONES[problem.severity])
        self.setAccessibleName(f"Problem ({problem.severity}): {problem.text}")
        self.setAccessibleDescription(problem.doing)
        self.text.show_text(problem.text)
        self.doing.show_text(problem.doing)
        self.since.show_text(problem.since)
        self.help.setText(problem.help)
        self.help.setVisible(bool(problem.help))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        color, base = tone(self.palette(), _TONES[self._severity]), self.palette().color(Role.Base)
        painter.setPen(QPen(mix(color, base, 0.5), 1))
        painter.setBrush(mix(color, base, 0.08))
        box = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.drawRoundedRect(box, CARD_RADIUS, CARD_RADIUS)


class ProblemList(QWidget):
    """All problems that stand.

    Signals:
        asked: a `DismissProblem`.
        help_asked: code and subject of the problem whose button was pressed.
    """

    asked = Signal(object)
    help_asked = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.cards: dict[tuple[str, str], ProblemCard] = {}
        #: the widget after which the tab key comes to the first card
        self.tab_after: QWidget | None = None
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(UNIT)

    def show_problems(self, problems: tuple[ProblemRow, ...]) -> None:
        """Show these problems in this order."""
        keys = [(problem.code, problem.about) for problem in problems]
        for gone in [key for key in self.cards if key not in keys]:
            card = self.cards.pop(gone)
            card.hide()
            card.deleteLater()
        for place, problem in enumerate(problems):
            key = (problem.code, problem.about)
            known = self.cards.get(key) or self._make(key)
            known.show_problem(problem)
            if self._column.indexOf(known) != place:
                self._column.insertWidget(place, known)
        self._order_tabs(keys)
        if self.isHidden() == bool(problems):
            self.setVisible(bool(problems))

    def _order_tabs(self, keys: list[tuple[str, str]]) -> None:
        """The tab key goes as the eye does, though cards are made later than what stands below them."""
        before = self.tab_after
        for key in keys:
            for button in (self.cards[key].help, self.cards[key].dismiss):
                if before is not None:
                    QWidget.setTabOrder(before, button)
                before = button

    def _make(self, key: tuple[str, str]) -> ProblemCard:
        card = ProblemCard(self)
        card.dismissed.connect(lambda: self.asked.emit(DismissProblem(*key)))
        card.help_asked.connect(lambda: self.help_asked.emit(*key))
        self.cards[key] = card
        return card
