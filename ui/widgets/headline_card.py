"""The first thing one sees: the state in words, why, for whom, and the buttons."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from ui.view_models import Action, Headline
from ui.widgets.action_row import ActionRow
from ui.widgets.card import Card
from ui.widgets.label import Text
from ui.widgets.metrics import UNIT
from ui.widgets.state_badge import StateBadge


class HeadlineCard(Card):
    """State, reason, project; the row of buttons below."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("", parent)
        self.setAccessibleName("State")
        self.badge = StateBadge()
        self.headline = Text(factor=1.75, strong=True, tabular=True)
        self.headline.setObjectName("headline")
        self.reason = Text(factor=1.05)
        self.reason.setObjectName("reason")
        self.project = Text(quiet=True)
        self.buttons = ActionRow()
        row = QHBoxLayout()
        row.setSpacing(2 * UNIT + 4)
        row.addWidget(self.badge, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout()
        column.setSpacing(4)
        column.addStretch()
        for label in (self.headline, self.reason, self.project):
            column.addWidget(label)
        column.addStretch()
        row.addLayout(column, 1)
        self.body.addLayout(row)
        self.body.addSpacing(UNIT)
        self.body.addWidget(self.buttons)

    def show_state(self, said: Headline, actions: tuple[Action, ...]) -> None:
        """Show state and buttons."""
        self.badge.show_mood(said.mood)
        self.headline.show_text(said.title)
        self.reason.show_text(said.reason)
        self.project.show_text(said.project)
        self.buttons.show_actions(actions)
