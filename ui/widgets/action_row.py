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
#: Who gets the keyboard's focus when a button that has it is disabled: the first that is enabled.
_HEIRS = {"start": ("pause", "start"), "pause": ("pause", "start"), "finish": ("finish", "start"), "stop": ("start",)}


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
        self._heirs: tuple[str, ...] = ()
        self.flow = FlowLayout(UNIT, self)
        for name in _EMBLEMS:
            self._make(name)
        policy = self.sizePolicy()
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def show_actions(self, actions: tuple[Action, ...]) -> None:
        """Show these actions; one for each button. The keyboard's focus goes to what can be done next."""
        self._leave_focus({action.name for action in actions if not action.enabled})
        for action in actions:
            if self._actions.get(action.name) == action:
                continue
            self._actions[action.name] = action
            self._show_action(self.buttons[action.name], action)
        self._take_focus()

    def _leave_focus(self, disabled: set[str]) -> None:
        """Before the button with the focus is disabled: Qt would hand it to whatever comes next in the tab order.

        Until the right one is enabled nobody has it, so that a second press of the key does not do another thing.
        """
        for name in disabled:
            if self.window().focusWidget() is self.buttons[name]:
                self._heirs = _HEIRS[name]
                self.window().setFocus()

    def _take_focus(self) -> None:
        """Give the focus that was left to its heir, unless the reader has moved it since."""
        if self._heirs and self.window().focusWidget() not in (None, self.window()):
            self._heirs = ()
        heir = next((name for name in self._heirs if self.buttons[name].isEnabled()), None)
        if heir is not None:
            self._heirs = ()
            self.buttons[heir].setFocus()

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
            self._heirs = self._heirs and _HEIRS[name]
            self.asked.emit(action.command)
