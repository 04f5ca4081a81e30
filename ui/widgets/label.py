"""Text: headings, sentences, secondary lines, numbers. They wrap; nothing is cut off."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from ui.widgets.metrics import scaled_font


class Text(QLabel):
    """A plain-text label: what a guest or server says is never taken for markup.

    Args:
        factor: size as a factor of the system's.
        strong: semi-bold.
        quiet: secondary colour.
        selectable: can be selected and copied by mouse and keyboard.
    """

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
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(text, parent)
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

    def show_text(self, text: str) -> None:
        """Set the text; an empty one takes no room. Cheap when nothing changed."""
        if text != self.text():
            self.setText(text)
        if self.isHidden() == bool(text):
            self.setVisible(bool(text))
