"""What Prometheus gets: the totals of the ledger, and what the queue holds now."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from client.copilot.managers.monitor.ledger import Kind, Ledger
from client.copilot.managers.monitor.reading import Reading
from client.copilot.managers.monitor.state import MonitorState

_LABELS = ("component", "event")


class MonitorMetrics(Collector):
    """Collects anew at each scrape. reading, state: give what is known now."""

    def __init__(self, ledger: Ledger, reading: Callable[[], Reading], state: Callable[[], MonitorState]) -> None:
        self._ledger = ledger
        self._reading = reading
        self._state = state
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """The page that Prometheus reads."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """All of it."""
        yield from self._events()
        yield from self._queue()
        yield from self._own()

    def _events(self) -> Iterable[Metric]:
        counts = CounterMetricFamily("copilot_events", "What managers told, since the monitor's start.", labels=_LABELS)
        lasted = SummaryMetricFamily("copilot_event_duration_seconds", "How long it took.", labels=_LABELS)
        values = GaugeMetricFamily("copilot_event_value", "The last value that was told.", labels=_LABELS)
        for series, total in sorted(self._ledger.totals.items()):
            names = [series.component, series.event]
            if series.kind is Kind.COUNT:
                counts.add_metric(names, total.number)
            elif series.kind is Kind.DURATION:
                lasted.add_metric(names, count_value=total.number, sum_value=total.total)
            else:
                values.add_metric(names, self._ledger.last[series])
        return [counts, lasted, values]

    def _queue(self) -> Iterable[Metric]:
        reading = self._reading()
        readable = GaugeMetricFamily("copilot_queue_readable", "1 while the queue can be read.")
        readable.add_metric([], float(reading.is_good))
        if not reading.is_good:
            return [readable]
        jobs = GaugeMetricFamily("copilot_jobs", "Jobs in each state.", labels=("state",))
        for name, number in reading.jobs.items():
            jobs.add_metric([name], number)
        agents = GaugeMetricFamily(
            "copilot_agents", "Owners whose agents were seen in 10 minutes.", labels=("version",)
        )
        for version, number in reading.by_version:
            agents.add_metric([version], number)
        working = GaugeMetricFamily("copilot_agents_working", "Owners that have a job now.")
        working.add_metric([], reading.working)
        return [readable, jobs, agents, working]

    def _own(self) -> Iterable[Metric]:
        state = self._state()
        session = GaugeMetricFamily("copilot_monitor_session", "1 while managers can reach the monitor.")
        session.add_metric([], float(state.connected))
        refused = CounterMetricFamily("copilot_monitor_refused", "Stanzas and numbers that were not taken.")
        refused.add_metric([], state.refused)
        store = GaugeMetricFamily("copilot_monitor_store_good", "1 while the monitor can write its file.")
        store.add_metric([], float(not state.store_fault))
        found: list[Metric] = [session, refused, store]
        if state.graphite is not None:
            feed = GaugeMetricFamily("copilot_graphite_connected", "1 while there is a connection to Graphite.")
            feed.add_metric([], float(state.graphite.connected))
            dropped = CounterMetricFamily("copilot_graphite_dropped_lines", "Lines that Graphite will not get.")
            dropped.add_metric([], state.graphite.dropped)
            found += [feed, dropped]
        return found
