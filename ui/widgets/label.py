"""Text: headings, sentences, secondary lines, numbers. They wrap; nothing is cut off."""

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from ui.widgets.metrics import scaled_font


class Text(QLabel):
    """A plain-text label: what a guest or server says is never taken for markup.

    Args:
        factor: size as a factor of the system's.
        strong: semi-bold.
        quiet: secondary colour.
        trailing: stands at the end of the reading direction.
        selectable: can be selected and copied by mouse and keyboard.
    """

    #: As a class attribute, too: Qt may tell the direction while its constructor still runs.
    _trailing = False

    def __init__(
        self,
        text: str = "",
        *,
        factor: float = 1.0,
        strong: bool = False,
        quiet: bool = False,
        tabular: bool = False,
        wrap: bool = True,
        selectable: bool = False,
        trailing: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(text, parent)
        self._trailing = trailing
        self._align()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setFont(scaled_font(factor, strong=strong, tabular=tabular))
        self.setWordWrap(wrap)
        if wrap:
            policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
            policy.setHeightForWidth(True)
            self.setSizePolicy(policy)
        if quiet:
            self.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        if selectable:
            self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def _align(self) -> None:
        """By the direction of the window, not of the text: an English word in an Arabic window stands at the right."""
        mirrored = self.layoutDirection() is Qt.LayoutDirection.RightToLeft
        side = Qt.AlignmentFlag.AlignRight if mirrored != self._trailing else Qt.AlignmentFlag.AlignLeft
        self.setAlignment(side | Qt.AlignmentFlag.AlignAbsolute | Qt.AlignmentFlag.AlignVCenter)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() is QEvent.Type.LayoutDirectionChange:
            self._align()

    def show_text(self, text: str) -> None:
        """Set the text; an empty one takes no room. Cheap when nothing changed."""
        if text != self.text():
            self.setText(text)
        if self.isHidden() == bool(text):
            self.setVisible(bool(text))
