"""Who is heard by the monitor, and how much of it."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, Protocol

from client.copilot.account import bare
from client.copilot.errors import BadStanza
from client.copilot.events import (
    Report,
    ReportEvent,
    ReportEventDuration,
    ReportEvents,
    ReportEventValue,
    StoreEventDetails,
    Tally,
    UpdateEventDetails,
    one,
    parse_report,
)
from client.copilot.managers.monitor.ledger import Ledger
from client.copilot.managers.monitor.presence import Presence
from client.copilot.messages import Info
from client.log import logger

log = logger("site")

#: stanzas of one account in a minute
MANAGERS_MAY: Final = 60_000
GUESTS_MAY: Final = 60
#: accounts remembered for that
MAX_SENDERS: Final = 10_000
_WINDOW_S: Final = 60.0
_GUESTS_COMPONENT: Final = "agent"
#: what guests may tell: how their computers do
_GUESTS_EVENTS: Final = ("system.load.", "system.ram.", "system.disk.used.root", "system.disk.available.root")


class Details(Protocol):
    """Where JSON objects are kept."""

    def keep_details(self, session: str, said: dict[str, object], now: float) -> None:
        """Keep an object."""

    def update_details(self, session: str, said: dict[str, object], now: float) -> None:
        """Change values of one."""


@dataclass
class MonitorDesk:
    """Takes reports of those that are believed. It answers nobody.

    Attributes:
        senders: bare JIDs.
        guests: whether all others of the server may tell how their computers do.
        refused: how many stanzas were not taken.
        presence: which managers were heard, and when.
    """

    ledger: Ledger
    details: Details
    senders: frozenset[str]
    guests: bool = False
    refused: int = 0
    presence: Presence = field(default_factory=Presence)
    _heard: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)
    _told: set[str] = field(default_factory=set)

    def hear(self, sender: str, info: Info, now: float) -> None:
        """Take a report, or drop it. sender: full JID, as the server set it."""
        account = bare(sender)
        trusted = account in self.senders
        if not trusted and not self.guests:
            self._refuse(account, "it is none of those that are believed")
            return
        if not self._has_room(account, MANAGERS_MAY if trusted else GUESTS_MAY, now):
            self._refuse(account, "it says too much")
            return
        try:
            report = parse_report(info)
        except BadStanza as bad:
            self._refuse(account, str(bad))
            return
        if report is None:
            return
        if trusted:
            self._take(report, now)
        else:
            self._take_guests(report)

    def _take(self, report: Report, now: float) -> None:
        match report:
            case ReportEvent():
                self._add(report.component, Tally(counts={report.event: 1}), now)
            case ReportEventDuration():
                spread = one(report.duration_s)
                self._add(report.component, Tally({report.event: 1}, {report.event: spread}), now)
            case ReportEventValue():
                self._add(report.component, Tally(values={report.event: report.value}), now)
            case ReportEvents():
                self._add(report.component, report.tally, now)
            case StoreEventDetails():
                self.details.keep_details(_session(report.details), report.details, now)
            case UpdateEventDetails():
                self.details.update_details(report.session, report.updates, now)

    def _add(self, component: str, tally: Tally, now: float) -> None:
        self.presence.hear(component, tally.values, now)
        self.ledger.add(component, tally)

    def _take_guests(self, report: Report) -> None:
        """Guests are all one component, and have the names that we know."""
        if isinstance(report, ReportEventValue) and report.event.startswith(_GUESTS_EVENTS):
            event = ".".join(report.event.split(".")[:4])
            if len(event) <= 40:
                self.ledger.add(_GUESTS_COMPONENT, Tally(values={event: report.value}))
                return
        self.refused += 1

    def _has_room(self, account: str, limit: int, now: float) -> bool:
        began, number = self._heard.get(account, (now, 0))
        # A clock that was set back must not keep a window open until it has caught up.
        if not 0 <= now - began < _WINDOW_S:
            began, number = now, 0
        self._heard[account] = (began, number + 1)
        self._heard.move_to_end(account)
        if len(self._heard) > MAX_SENDERS:
            self._heard.popitem(last=False)
        return number < limit

    def _refuse(self, account: str, why: str) -> None:
        self.refused += 1
        if account not in self._told:
            if len(self._told) >= MAX_SENDERS:
                self._told.clear()
            self._told.add(account)
            log.warning("what %s reports is dropped: %s", account, why)


def _session(details: dict[str, object]) -> str:
    # JSON may name half of a character, which no file keeps.
    return str(details.get("session", "")).encode("utf-8", "replace").decode("utf-8")
