"""The virtual machine: state, CPU and memory with small charts, traffic."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from ui.machine_view import Gauge, MachineCard
from ui.trace import Trace
from ui.widgets.card import Card
from ui.widgets.label import Text
from ui.widgets.metrics import UNIT
from ui.widgets.sparkline import Sparkline


class GaugeRow(QWidget):
    """Caption and number over a chart."""

    def __init__(self, caption: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(UNIT // 2)
        self.caption = Text(caption, factor=0.92, quiet=True)
        self.value = Text(strong=True, tabular=True, wrap=False)
        self.chart = Sparkline(caption)
        head = QHBoxLayout()
        head.setSpacing(UNIT)
        head.addWidget(self.caption, 1)
        head.addWidget(self.value)
        column.addLayout(head)
        column.addWidget(self.chart)

    def show_gauge(self, gauge: Gauge, values: tuple[float, ...]) -> None:
        """Show the number and its last minutes."""
        self.caption.show_text(gauge.caption)
        self.value.show_text(gauge.value)
        self.chart.show_values(values, gauge.ceiling, gauge.value)


class MachinePanel(Card):
    """Draws a `MachineCard`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Virtual machine", parent)
        self.state = Text(factor=1.2, strong=True)
        self.state.setObjectName("vm-state")
        self.note = Text(quiet=True)
        self.cpu = GaugeRow("Processor")
        self.memory = GaugeRow("Memory")
        charts = QHBoxLayout()
        charts.setSpacing(3 * UNIT)
        charts.addWidget(self.cpu, 1)
        charts.addWidget(self.memory, 1)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(2 * UNIT)
        self._grid.setVerticalSpacing(UNIT // 2)
        self._grid.setColumnStretch(1, 1)
        self._rows: list[tuple[Text, Text]] = []
        self.body.addWidget(self.state)
        self.body.addWidget(self.note)
        self.body.addSpacing(UNIT)
        self.body.addLayout(charts)
        self.body.addSpacing(UNIT)
        self.body.addLayout(self._grid)
        self.body.addStretch()

    def show_machine(self, machine: MachineCard, trace: Trace) -> None:
        """Draw this machine."""
        self.state.show_text(machine.state)
        self.note.show_text(machine.note)
        self.cpu.show_gauge(machine.cpu, trace.cpu_percent)
        self.memory.show_gauge(machine.memory, trace.memory_mib)
        while len(self._rows) < len(machine.rows):
            self._add_row()
        for index, (caption, value) in enumerate(self._rows):
            shown = machine.rows[index] if index < len(machine.rows) else ("", "")
            caption.show_text(shown[0])
            value.show_text(shown[1])

    def _add_row(self) -> None:
        caption, value = Text(quiet=True, wrap=False), Text(tabular=True, trailing=True)
        place = len(self._rows)
        self._grid.addWidget(caption, place, 0, Qt.AlignmentFlag.AlignTop)
        self._grid.addWidget(value, place, 1)
        self._rows.append((caption, value))
