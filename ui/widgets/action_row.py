"""The row of buttons that act on the work; all truth about them is in the `Action`s."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from client.commands import Resume
from ui.icons import Emblem
from ui.view_models import Action
from ui.widgets.button import Button
from ui.widgets.flow_layout import FlowLayout
from ui.widgets.metrics import UNIT

_EMBLEMS = {"start": Emblem.PLAY, "pause": Emblem.PAUSE, "finish": Emblem.FLAG, "stop": Emblem.STOP}


class ActionRow(QWidget):
    """Buttons for `Action`s.

    Signals:
        asked: the `Command` of the button that was pressed.
    """

    asked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.buttons: dict[str, Button] = {}
        self._actions: dict[str, Action] = {}
        self.flow = FlowLayout(UNIT, self)
        for name in _EMBLEMS:
            self._make(name)
        policy = self.sizePolicy()
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def show_actions(self, actions: tuple[Action, ...]) -> None:
        """Show these actions; one for each button."""
        for action in actions:
            if self._actions.get(action.name) == action:
                continue
            self._actions[action.name] = action
            self._show_action(self.buttons[action.name], action)

    def _make(self, name: str) -> None:
        button = Button(emblem=_EMBLEMS[name], parent=self)
        button.setObjectName(name)
        button.clicked.connect(lambda: self.press(name))
        self.buttons[name] = button
        self.flow.addWidget(button)

    def _show_action(self, button: Button, action: Action) -> None:
        button.setText(action.label)
        button.setAccessibleName(action.label.replace("&", ""))
        button.setAccessibleDescription(action.tip)
        button.setToolTip(action.tip)
        button.setEnabled(action.enabled)
        button.set_primary(action.primary)
        if action.name == "pause":
            button.set_emblem(Emblem.PLAY if isinstance(action.command, Resume) else Emblem.PAUSE)

    def press(self, name: str) -> None:
        """Ask for what the button says now, if it may be pressed; for shortcuts, too."""
        action = self._actions.get(name)
        if action is not None and action.enabled:
            self.asked.emit(action.command)
