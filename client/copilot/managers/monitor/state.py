"""How the monitor itself does."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GraphiteState:
    """The feed of Graphite. waiting, dropped: lines."""

    connected: bool
    waiting: int
    dropped: int


@dataclass(frozen=True)
class MonitorState:
    """How the monitor does.

    Attributes:
        connected: whether it has its XMPP session.
        changed_at: epoch seconds since when.
        refused: stanzas and numbers that it did not take.
        store_fault: what its file's trouble is; empty for none.
        graphite: None when it feeds none.
    """

    connected: bool
    changed_at: float
    refused: int = 0
    store_fault: str = ""
    graphite: GraphiteState | None = None
