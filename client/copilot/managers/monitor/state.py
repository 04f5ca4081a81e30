"""How the monitor itself does."""

from collections.abc import Mapping
from dataclasses import dataclass, field


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
        silent: job managers that tell nothing any more -> epoch seconds of when they last did.
    """

    connected: bool
    changed_at: float
    refused: int = 0
    store_fault: str = ""
    graphite: GraphiteState | None = None
    silent: Mapping[str, float] = field(default_factory=dict)
