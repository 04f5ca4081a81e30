"""The last lines of the log, coloured by level, to be selected and copied."""

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QFontDatabase, QGuiApplication, QPalette, QResizeEvent, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QWidget

from client.snapshot import LogLine
from ui.theme import Tone, tone
from ui.view_models import count_known, log_text
from ui.widgets.metrics import UNIT
from ui.widgets.scroll_bar import give_scroll_bar

MOST_LINES = 200
_TONES = {"DEBUG": Tone.QUIET, "WARNING": Tone.CAUTION, "ERROR": Tone.BAD, "CRITICAL": Tone.BAD}


class LogView(QPlainTextEdit):
    """Shows `LogLine`s; only new ones are added, and the view follows the end unless the reader scrolled up."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown: tuple[LogLine, ...] = ()
        self.setReadOnly(True)
        self.setUndoRedoEnabled(False)
        self.setMaximumBlockCount(MOST_LINES)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setAccessibleName("Log")
        give_scroll_bar(self)
        self.setTabChangesFocus(True)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPointSizeF(max(1.0, self.font().pointSizeF() * 0.92))
        self.setFont(font)
        self.document().setDocumentMargin(0)
        self.setMinimumHeight(self.fontMetrics().lineSpacing() * 6 + 2 * UNIT)
        self.setPlaceholderText("Nothing has happened yet.")

    def sizeHint(self) -> QSize:
        return QSize(super().sizeHint().width(), self.minimumHeight())

    def show_lines(self, lines: tuple[LogLine, ...]) -> None:
        """Bring the view up to date with these lines, newest last."""
        if lines == self._shown:
            return
        known = count_known(self._shown, lines)
        self._shown = lines
        if not known:
            self.clear()
        follows = self._is_at_end()
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        for line in lines[known:]:
            if not self.document().isEmpty():
                cursor.insertBlock()
            cursor.insertText(log_text(line), self._format(line.level))
        if follows:
            self._go_to_end()

    def resizeEvent(self, event: QResizeEvent) -> None:
        follows = self._is_at_end()
        super().resizeEvent(event)
        if follows:
            self._go_to_end()

    def _is_at_end(self) -> bool:
        return self.verticalScrollBar().value() >= self.verticalScrollBar().maximum() - 1

    def _go_to_end(self) -> None:
        self.verticalScrollBar().setValue(self.verticalScrollBar().maximum())

    def _format(self, level: str) -> QTextCharFormat:
        style = QTextCharFormat()
        if level.upper() in _TONES:
            style.setForeground(tone(self.palette(), _TONES[level.upper()]))
        else:
            style.setForeground(self.palette().color(QPalette.ColorRole.Text))
        return style

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() is QEvent.Type.PaletteChange and self._shown:
            lines, self._shown = self._shown, ()
            self.show_lines(lines)

    def copy_all(self) -> None:
        """Put the whole log on the clipboard."""
        QGuiApplication.clipboard().setText(self.toPlainText())
