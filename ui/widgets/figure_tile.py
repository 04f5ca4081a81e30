"""A number with its caption, and a row of such."""

from PySide6.QtWidgets import QVBoxLayout, QWidget

from ui.job_view import Figure
from ui.widgets.flow_layout import FlowLayout
from ui.widgets.label import Text
from ui.widgets.metrics import UNIT


class FigureTile(QWidget):
    """One number, large, with its caption below."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        self.value = Text(factor=1.35, strong=True, tabular=True, wrap=False)
        self.caption = Text(factor=0.92, quiet=True, wrap=False)
        column.addWidget(self.value)
        column.addWidget(self.caption)

    def show_figure(self, figure: Figure) -> None:
        """Show a number."""
        self.value.show_text(figure.value)
        self.caption.show_text(figure.caption)
        self.setAccessibleName(f"{figure.caption}: {figure.value}")


class FigureRow(QWidget):
    """Numbers side by side; more rows when the width ends."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._flow = FlowLayout(4 * UNIT, self)
        self._tiles: list[FigureTile] = []
        policy = self.sizePolicy()
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def show_figures(self, figures: tuple[Figure, ...]) -> None:
        """Show these numbers, in this order."""
        while len(self._tiles) < len(figures):
            tile = FigureTile(self)
            self._tiles.append(tile)
            self._flow.addWidget(tile)
        for index, tile in enumerate(self._tiles):
            tile.setVisible(index < len(figures))
            if index < len(figures):
                tile.show_figure(figures[index])
        if self.isHidden() == bool(figures):
            self.setVisible(bool(figures))
