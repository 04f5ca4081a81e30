"""The form for a new virtual machine: what it boots from, what it may take, and the fields of a template."""

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from client.appliance.contextual.language import Field, Kind, Template, Value
from client.appliance.contextual.template import load_template
from client.appliance.errors import BadTemplate
from client.commands import CreateVm
from client.messages import sentence
from client.own_make import TEMPLATES, template_path
from client.own_vm import MOST_CPUS, MOST_DISK_GIB, MOST_MEMORY_MIB, USUAL_CPUS, USUAL_MEMORY_MIB, Network
from ui.own_view import faults_of
from ui.theme import Role, Tone, outline_clearly, tone
from ui.widgets.button import Button
from ui.widgets.label import Text
from ui.widgets.metrics import UNIT
from ui.widgets.scroll_bar import give_scroll_bar

#: in the list of templates, where one is looked for
_OTHER = "?"
_SIZE = (560, 680)


class FormRow(QWidget):
    """A caption, something to fill in, help, and what is wrong with it."""

    def __init__(self, caption: str, editor: QWidget, help: str = "") -> None:
        super().__init__()
        self.editor = editor
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, UNIT)
        column.setSpacing(UNIT // 2)
        label = Text(caption, strong=True)
        label.setBuddy(editor)
        editor.setAccessibleName(caption)
        outline_clearly(editor)
        self.fault = Text()
        for widget in (label, editor, Text(help, factor=0.92, quiet=True), self.fault):
            column.addWidget(widget)
            if isinstance(widget, Text) and not widget.text():
                widget.hide()

    def show_fault(self, text: str) -> None:
        """Say what is wrong; empty: nothing is."""
        palette = self.fault.palette()
        palette.setColor(Role.WindowText, tone(palette, Tone.BAD))
        self.fault.setPalette(palette)
        self.fault.setText(text)
        self.fault.setVisible(bool(text))
        self.editor.setAccessibleDescription(text)


class OwnVmForm(QDialog):
    """Asks what a new one is to be.

    Signals:
        asked: a `CreateVm`.
    """

    asked = Signal(object)

    def __init__(self, taken: frozenset[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("New virtual machine")
        self.resize(*_SIZE)
        self._taken = taken
        self._template: Template | None = None
        self.rows: dict[str, FormRow] = {}
        self._fields: dict[str, FormRow] = {}
        outer = QVBoxLayout(self)
        content = QWidget()
        self._column = QVBoxLayout(content)
        area = QScrollArea()
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setWidgetResizable(True)
        give_scroll_bar(area)
        area.setWidget(content)
        outer.addWidget(area, 1)
        self._build_machine()
        self._build_template()
        self._column.addStretch()
        outer.addLayout(self._buttons())
        self.name.setFocus()

    def fill_in(self, wanted: CreateVm) -> None:
        """Fill in what was wanted before."""
        self.name.setText(wanted.name)
        self.image.setText(wanted.image)
        self.cpus.setValue(wanted.cpus)
        self.memory.setValue(wanted.memory_mib)
        self.disk.setValue(wanted.disk_gib)
        self.network.setChecked(wanted.network == Network.NAT)
        if Path(wanted.template).is_absolute():
            self.take_template(wanted.template)
        else:
            self.template.setCurrentIndex(max(0, self.template.findData(wanted.template)))
        for name, row in self._fields.items():
            _set_value(row.editor, wanted.values.get(name))

    def _add(self, place: str, row: FormRow) -> None:
        self.rows[place] = row
        self._column.addWidget(row)

    def _build_machine(self) -> None:
        self.name = QLineEdit()
        self._add("name", FormRow("Name", self.name))
        self.image = QLineEdit()
        choose = Button("&Choose …")
        choose.setAutoDefault(False)
        choose.clicked.connect(self._choose)
        pair = QWidget()
        line = QHBoxLayout(pair)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.image, 1)
        line.addWidget(choose)
        row = FormRow(
            "Image", pair, "A CD or a disk: iso, img, qcow2, vdi, vmdk, vhd, ova; or the name of one you added."
        )
        self.image.setAccessibleName("Image")
        self._add("image", row)
        self.cpus, self.memory, self.disk = _number(MOST_CPUS), _number(MOST_MEMORY_MIB), _number(MOST_DISK_GIB)
        self.cpus.setSpecialValueText(f"As its package asks, or {USUAL_CPUS}")
        self.memory.setSpecialValueText(f"As its package asks, or {USUAL_MEMORY_MIB}")
        self.disk.setSpecialValueText("None")
        self._add("cpus", FormRow("Processors", self.cpus, "An ova says how many its virtual machine needs."))
        self._add("memory", FormRow("Memory (MiB)", self.memory))
        self._add("disk", FormRow("Disk (GiB)", self.disk, "Only for one that boots from a CD."))
        self.network = QCheckBox("It may use the network")
        help = "Its programs then reach the internet and your own network, as any program on this computer does."
        self._add("network", FormRow("Network", self.network, help))

    def _build_template(self) -> None:
        self.template = QComboBox()
        self.template.addItem("Nothing", "")
        for path in sorted(TEMPLATES.glob("*.toml")):
            self.template.addItem(load_template(path).name, path.stem)
        self.template.addItem("A template of yours …", _OTHER)
        self._add("template", FormRow("Set it up with", self.template))
        self.template.currentIndexChanged.connect(self._show_fields)
        self.template.activated.connect(self._choose_template)
        self._asked = QVBoxLayout()
        self._column.addLayout(self._asked)

    def _buttons(self) -> QHBoxLayout:
        line = QHBoxLayout()
        line.addStretch()
        cancel, self.make = Button("Cancel"), Button("&Make and start it")
        self.make.set_primary(True)
        cancel.setAutoDefault(False)
        cancel.clicked.connect(self.reject)
        self.make.clicked.connect(self._on_make)
        line.addWidget(cancel)
        line.addWidget(self.make)
        return line

    def _choose(self) -> None:
        dialog = QFileDialog(self, "What it boots from")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(self.image.setText)
        dialog.open()

    def _choose_template(self) -> None:
        if self.template.currentData() != _OTHER:
            return
        self.template.setCurrentIndex(0)
        dialog = QFileDialog(self, "What it is set up with", "", "Templates (*.toml)")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(self.take_template)
        dialog.open()

    def take_template(self, place: str) -> None:
        """Offer a template of the user's, and choose it; what is wrong with it is said. place: of its file."""
        known = self.template.findData(place)
        try:
            name = load_template(Path(place)).name
        except BadTemplate as error:
            self.rows["template"].show_fault(sentence(error).text)
            return
        self.rows["template"].show_fault("")
        if known < 0:
            known = self.template.count() - 1
            self.template.insertItem(known, name, place)
        self.template.setCurrentIndex(known)

    def _show_fields(self) -> None:
        for row in self._fields.values():
            self._asked.removeWidget(row)
            row.hide()
            row.deleteLater()
        words = str(self.template.currentData())
        self._template = load_template(template_path(words)) if words not in {"", _OTHER} else None
        fields = self._template.fields if self._template else ()
        self._fields = {field.name: FormRow(field.label, _editor(field), field.help) for field in fields}
        for row in self._fields.values():
            self._asked.addWidget(row)

    def _on_make(self) -> None:
        image = self.image.text().strip()
        wanted = CreateVm(
            name=self.name.text().strip(),
            image=str(Path(image).expanduser()) if image else "",
            template=str(self.template.currentData()),
            values={name: value for name, row in self._fields.items() if (value := _value(row.editor)) is not None},
            cpus=self.cpus.value(),
            memory_mib=self.memory.value(),
            disk_gib=self.disk.value(),
            network=Network.NAT if self.network.isChecked() else Network.NONE,
            starts=True,
        )
        faults = faults_of(wanted, self._template, self._taken)
        rows = self.rows | self._fields
        for place, row in rows.items():
            row.show_fault(faults.get(place, ""))
        if faults:
            rows[next(iter(faults))].editor.setFocus()
            return
        self.asked.emit(wanted)
        self.accept()


class Number(QSpinBox):
    """A number that the wheel changes only after it was chosen: scrolling past must not."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


def _number(most: int) -> QSpinBox:
    box = Number()
    box.setRange(0, most)
    return box


def _editor(field: Field) -> QWidget:
    if field.kind is Kind.SWITCH:
        box = QCheckBox("Yes")
        box.setChecked(field.default is True)
        return box
    if field.kind is Kind.CHOICE:
        choice = QComboBox()
        choice.addItems(list(field.choices))
        if field.default is not None:
            choice.setCurrentText(str(field.default))
        return choice
    if field.kind is Kind.SCRIPT:
        return QPlainTextEdit(str(field.default or ""))
    line = QLineEdit("" if field.default is None else str(field.default))
    if field.kind is Kind.SECRET:
        line.setEchoMode(QLineEdit.EchoMode.Password)
    return line


def _value(editor: QWidget) -> Value | None:
    """What was filled in; None: nothing, so that the default counts."""
    match editor:
        case QCheckBox():
            return editor.isChecked()
        case QComboBox():
            return editor.currentText()
        case QPlainTextEdit():
            return editor.toPlainText() or None
        case QLineEdit():
            return editor.text() or None
    return None


def _set_value(editor: QWidget, value: Value | None) -> None:
    match editor:
        case QCheckBox():
            editor.setChecked(value is True)
        case QComboBox():
            editor.setCurrentText(str(value or ""))
        case QPlainTextEdit():
            editor.setPlainText(str(value or ""))
        case QLineEdit():
            editor.setText(str(value or ""))
