"""Where parts note what they know, and from where the frozen snapshot is published to every face.

Lives in the event loop; no part reads another's state from here except through a snapshot.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import client
from client.clock import Clock
from client.log import logger
from client.snapshot import (
    Activity,
    Allowed,
    ClientSnapshot,
    GuestFilesView,
    LogLine,
    PolicyView,
    Problem,
    Reason,
    Severity,
    StoreView,
    Totals,
    TransferView,
    VmKind,
    VmView,
)

LOG_LINES: Final = 200
PROBLEMS: Final = 20
#: shortest time between two snapshots
INTERVAL_S: Final = 0.05

Subscriber = Callable[[ClientSnapshot], None]


@dataclass
class Facts:
    """What is known now; written by the core's parts, read when a snapshot is made."""

    activity: Activity = Activity.STOPPED
    headline: str = ""
    reason: Reason | None = None
    project_name: str = ""
    project_text: str = ""
    allowed: Allowed = field(default_factory=Allowed)
    vms: tuple[VmView, ...] = ()
    totals: Totals = field(default_factory=Totals)
    store: tuple[StoreView, ...] = ()
    store_bytes: int = 0
    store_limit_bytes: int = 0
    fetching_held: Reason | None = None
    guest_files: GuestFilesView | None = None
    policy: PolicyView | None = None


class Board:
    """Collects facts, publishes snapshots at most every INTERVAL_S."""

    def __init__(self, clock: Clock) -> None:
        self.facts = Facts()
        self._clock = clock
        self._transfers: dict[bool, TransferView] = {}
        self._problems: dict[tuple[str, str], Problem] = {}
        self._log: deque[LogLine] = deque(maxlen=LOG_LINES)
        self._subscribers: list[Subscriber] = []
        self._changed = asyncio.Event()
        self._seq = 0

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What stands, oldest first."""
        return tuple(self._problems.values())

    @property
    def transfers(self) -> tuple[TransferView, ...]:
        """What is being fetched or checked; what a VM waits for comes last."""
        return tuple(self._transfers[key] for key in sorted(self._transfers))

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Have each snapshot given to `subscriber` in the event loop; returns what ends that (idempotent).

        One that raises is logged and gets no more: a face that fails must not take the others along.
        """
        self._subscribers.append(subscriber)
        return lambda: self._drop(subscriber)

    def changed(self) -> None:
        """Say that facts have changed; a snapshot follows soon."""
        self._changed.set()

    def show_transfer(self, transfer: TransferView | None) -> None:
        """Show a transfer that a VM waits for, in place of the one before; None: it is over."""
        self._put_transfer(True, transfer)

    def show_aside(self, transfer: TransferView | None) -> None:
        """Show a transfer that nothing waits for, likewise."""
        self._put_transfer(False, transfer)

    def raise_problem(self, code: str, about: str, text: str, doing: str, severity: Severity) -> None:
        """Show a problem; one that stands already keeps its time and takes the new words."""
        key = (code, about)
        since = self._problems[key].since if key in self._problems else self._clock.now()
        self._problems.pop(key, None)
        self._problems[key] = Problem(code, about, text, doing, severity, since)
        while len(self._problems) > PROBLEMS:
            del self._problems[next(iter(self._problems))]
        self.changed()

    def settle(self, *codes: str, about: str | None = None) -> None:
        """Take problems off that are over: those of `codes` (all when none given) that concern `about` (None: any)."""
        for key in list(self._problems):
            if (not codes or key[0] in codes) and about in {None, key[1]}:
                del self._problems[key]
                self.changed()

    def log(self, at: datetime, level: str, source: str, text: str) -> None:
        """Add a line to the log that faces show."""
        self._log.append(LogLine(at, level, source, text))
        self.changed()

    def update_vm(self, view: VmView) -> None:
        """Replace the view of a VM by its id, or add it: a project's before all own ones, these by name."""
        others = tuple(vm for vm in self.facts.vms if vm.vm_id != view.vm_id)
        self.facts.vms = tuple(sorted((*others, view), key=lambda vm: (vm.kind is VmKind.OWN, vm.name.casefold())))
        self.changed()

    def drop_vm(self, vm_id: str) -> None:
        """Show a VM no more."""
        self.facts.vms = tuple(vm for vm in self.facts.vms if vm.vm_id != vm_id)
        self.changed()

    def snapshot(self) -> ClientSnapshot:
        """The state now, as a new snapshot."""
        self._seq += 1
        return ClientSnapshot(
            seq=self._seq,
            taken_at=self._clock.now(),
            transfers=self.transfers,
            problems=self.problems,
            log=tuple(self._log),
            client_version=client.__version__,
            **vars(self.facts),
        )

    async def publish(self) -> None:
        """Publish snapshots when something changed; runs until cancelled."""
        while True:
            self.publish_now()
            await asyncio.sleep(INTERVAL_S)
            await self._changed.wait()

    def publish_now(self) -> None:
        """Publish one snapshot at once."""
        self._changed.clear()
        snapshot = self.snapshot()
        for subscriber in tuple(self._subscribers):
            self._give(subscriber, snapshot)

    def _put_transfer(self, is_waited_for: bool, transfer: TransferView | None) -> None:
        if transfer is None:
            self._transfers.pop(is_waited_for, None)
        else:
            self._transfers[is_waited_for] = transfer
        self.changed()

    def _give(self, subscriber: Subscriber, snapshot: ClientSnapshot) -> None:
        try:
            subscriber(snapshot)
        except Exception:
            # As the supervisor does for tasks: no failure of one face, of whatever kind, may end it for the others.
            logger("core").exception("A face failed to take the state, and gets no more: %r", subscriber)
            self._drop(subscriber)

    def _drop(self, subscriber: Subscriber) -> None:
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)


def without_log(snapshot: ClientSnapshot) -> ClientSnapshot:
    """The same without log lines, for streams that carry them apart."""
    return replace(snapshot, log=())
