"""Counts what happens in a manager and tells the monitor, if there is one: the original's events, and ours beside.

Nothing waits for the monitor. One that is away is tried again after 2, 4, ... s, at most once a minute, so it costs a
stanza a minute; what happened meanwhile is told when it is back, if that was less than ten minutes ago.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from client.copilot.account import owner_of
from client.copilot.events import (
    MAX_DURATION_S,
    Report,
    ReportEvent,
    ReportEventDuration,
    ReportEvents,
    ReportEventValue,
    Tally,
    one,
)
from client.copilot.managers.monitor.sums import Sums
from client.copilot.managers.monitor.witness import Witness, verdict_event

#: between two tellings, in seconds
REPORT_S: Final = 2.0
#: between two values of what changes slowly
VALUES_S: Final = 60.0
#: how long a monitor that is away is left alone at most
AWAY_S: Final = 60.0
#: what was not told for longer than this is told no more: it would be counted at the wrong time
KEPT_S: Final = 600.0
#: versions of agents told apart by one process, and agents counted in a minute
MAX_VERSIONS: Final = 20
MAX_AGENTS: Final = 20_000
#: stanzas in one telling in the original's manner; what is beyond is not told
MAX_STANZAS: Final = 500
_VERSION: Final = re.compile(r'\bVersion\s*=\s*"([^"]{1,32})"')
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True)
class ReportSettings:
    """Whom to tell, and how.

    Attributes:
        address: JID of the monitor; empty: nobody.
        component: what the manager calls itself.
        batched: one stanza of ours instead of one for each event; the original's monitor does not know it.
        system: tell of the computer's load, memory, disk and network as well.
    """

    address: str = ""
    component: str = "jobmanager.generic"
    batched: bool = False
    system: bool = False


#: nobody is told
SILENT: Final = ReportSettings()


class Reporter(Witness):
    """The witness of a manager that has a monitor."""

    def __init__(self, settings: ReportSettings) -> None:
        self.settings = settings
        self._sums = Sums()
        self._has_bounced = False
        self._since = 0.0
        self._took_s: OrderedDict[str, float] = OrderedDict()
        self._agents: dict[str, set[str]] = {}
        self._versions: set[str] = set()
        self._due_at = 0.0
        self._agents_due_at = 0.0
        self._away_until = 0.0
        self._pause_s = REPORT_S

    def happened(self, event: str) -> None:
        """Count an event."""
        if self.settings.address:
            self._sums.count(event)

    def asked(self, agent: str, jdl: str) -> None:
        """Remember the agent until it was told how many there are."""
        if not self.settings.address:
            return
        found = _VERSION.search(jdl)
        version = plain(found[1]) if found else "unknown"
        # Agents may name a new one each time: those that came first are told apart for as long as this process runs.
        if len(self._versions) < MAX_VERSIONS:
            self._versions.add(version)
        if version not in self._versions:
            version = "other"
        seen = self._agents.setdefault(version, set())
        if len(seen) < MAX_AGENTS:
            seen.add(owner_of(agent))

    def handed_in(self, job_id: str, started_at: str, now: float) -> None:
        """Remember how long the job took until it is judged."""
        if not self.settings.address or not re.fullmatch(r"[0-9]{1,12}", started_at, re.ASCII):
            return
        self._took_s[job_id] = min(max(now - int(started_at), 0.0), MAX_DURATION_S)
        if len(self._took_s) > MAX_AGENTS:
            self._took_s.popitem(last=False)

    def judged(self, job_id: str, exit_code: int, *, accepted: bool, reason: str) -> None:
        """Count an output: the original's event by the exit code, ours by the verdict."""
        ended = "job.failed" if exit_code else "job.succeeded"
        self.happened(ended)
        took_s = self._took_s.pop(job_id, None)
        if took_s is not None:
            self._sums.lasted(ended, one(took_s))
        self.happened(verdict_event(reason, accepted=accepted))

    def measured(self, name: str, value: float) -> None:
        """Keep a value until it is told."""
        if self.settings.address:
            self._sums.measured(name, value)

    def bounced(self, report: Report, now: float) -> None:
        """The monitor did not get this: keep it, and leave the monitor alone for a while."""
        self._sums.put_back(_tally_of(report))
        self._has_bounced = True
        if now >= self._away_until:
            self._away_until = now + self._pause_s
            self._pause_s = min(AWAY_S, self._pause_s * 2)

    def due(self, now: float) -> list[Report]:
        """What is to be told now, mostly nothing; it is forgotten here, unless it bounces."""
        if not self.settings.address or now < self._due_at:
            return []
        self._due_at = now + REPORT_S
        self._count_agents(now)
        if now - self._since > KEPT_S and self._away_until:
            self._sums.clear()
            self._since = now
        if now < self._away_until:
            return []
        if not self._has_bounced:
            # What was told last did not come back, so the monitor is there.
            self._pause_s, self._away_until, self._since = REPORT_S, 0.0, now
        tally = self._sums.take()
        self._has_bounced = self._has_bounced and tally == Tally()
        tell = batch if self.settings.batched else single
        return tell(self.settings.component, tally)

    def _count_agents(self, now: float) -> None:
        if now < self._agents_due_at:
            return
        if self._agents_due_at:
            for version, agents in self._agents.items():
                self.measured(f"agent.seen.{version}", len(agents))
        self._agents.clear()
        self._agents_due_at = now + VALUES_S


def batch(component: str, tally: Tally) -> list[Report]:
    """All in one stanza of ours; none when nothing happened."""
    return [ReportEvents(component, tally)] if tally != Tally() else []


def single(component: str, tally: Tally) -> list[Report]:
    """As the original tells it, a stanza each; of several durations, their mean as often as there were."""
    told: list[Report] = [ReportEventValue(component, name, value) for name, value in tally.values.items()]
    for name, spread in tally.durations.items():
        each = ReportEventDuration(component, name, spread.total / spread.number)
        told += [each] * min(spread.number, MAX_STANZAS)
    for name, number in tally.counts.items():
        if name not in tally.durations:
            told += [ReportEvent(component, name)] * min(number, MAX_STANZAS)
    return told[:MAX_STANZAS]


def plain(text: str) -> str:
    """Text as a part of a name: letters, digits, underscores and hyphens."""
    return _NOT_IN_NAMES.sub("_", text).strip("_")[:40] or "unknown"


def _tally_of(report: Report) -> Tally:
    match report:
        case ReportEvents():
            return report.tally
        case ReportEvent():
            return Tally({report.event: 1})
        case ReportEventDuration():
            return Tally({report.event: 1}, {report.event: one(report.duration_s)})
        case ReportEventValue():
            return Tally(values={report.event: report.value})
    return Tally()
