"""Looks at what the policy decided over a week, and counts where a rule was broken.

Written from the documentation, not from `client.throttle.rules`: it shares nothing with them but the plain data, and
it looks at whole histories, where they look at one moment.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from client.host.sample import Sample
from client.preferences.types import Disk, Limits, Memory, Network, Processor, When
from client.preferences.week import ALWAYS, NEVER, Week
from client.throttle.decision import Decision, Rung
from client.throttle.simulate import Step, World

#: what has to last before guests that run are stopped, and for how long
SOFT = {"hot", "loud", "others-busy", "memory-short", "disk-full"}
SOFT_S = 10.0
#: pauses that some reasons last at least; all others but those of the clock last LEAST_S
PAUSE_S = {
    **dict.fromkeys(SOFT, 60.0),
    "memory-pressure": 120.0,
    "sleeping": 30.0,
    "call": 30.0,
    **dict.fromkeys(("schedule", "quiet-hours"), 0.0),
}
LEAST_S = 10.0
#: after so long without any objection guests run
LONGEST_S = 120.0
GRAIN_S = 0.01


@dataclass(frozen=True)
class Sight:
    """What was at one moment."""

    limits: Limits
    sample: Sample
    wall: datetime
    processors: int
    memory_mib: int
    guests_mib: int
    need_mib: int
    spent_bytes: int

    @property
    def in_use(self) -> bool:
        if self.sample.locked:
            return False
        return self.sample.idle_s is None or self.sample.idle_s < self.limits.when.idle_after_s


def power_objections(sight: Sight, margin: float) -> Iterator[str]:
    """margin: 0 for what must not be, 1 for what is too near to it for going on."""
    when, sample = sight.limits.when, sight.sample
    if sample.leaving:
        yield "leaving"
    if sample.sleeping:
        yield "sleeping"
    if sample.on_battery and not when.on_battery:
        yield "on-battery"
    if sample.on_battery and sample.battery_percent is not None:
        least = when.least_battery_percent
        if sample.battery_percent < (min(100, least + 5) if margin else least):
            yield "battery-low"
    if sample.power_saver and not when.in_power_saver:
        yield "power-saver"


def clock_objections(sight: Sight) -> Iterator[str]:
    when = sight.limits.when
    if not when.week.holds(sight.wall):
        yield "schedule"
    if when.quiet.holds(sight.wall) and not sight.limits.processor.quiet_percent:
        yield "quiet-hours"


def noise_objections(sight: Sight, margin: float) -> Iterator[str]:
    most_c, most_rpm = sight.limits.when.most_temperature_c, sight.limits.when.most_fan_rpm
    if most_c and (sight.sample.temperature_c or 0) > most_c - 5 * margin:
        yield "hot"
    if most_rpm and (sight.sample.fan_rpm or 0) > most_rpm * (1 - 0.1 * margin):
        yield "loud"


def user_objections(sight: Sight, margin: float) -> Iterator[str]:
    when, sample = sight.limits.when, sight.sample
    running = {*(sample.programs or ()), sample.foreground}
    if any(name in running for name in when.programs):
        yield "program"
    if sample.full_screen and not when.in_full_screen:
        yield "full-screen"
    if sample.awake and not when.in_calls:
        yield "call"
    if sight.in_use and not when.in_use:
        yield "in-use"
    if when.stop_after_idle_s and sample.idle_s is not None and sample.idle_s >= when.stop_after_idle_s:
        yield "idle-too-long"
    most = when.most_others_percent if sight.in_use else when.most_others_percent_idle
    if most and sample.others_percent is not None and sample.others_percent > most:
        yield "others-busy"


def memory_objections(sight: Sight, margin: float) -> Iterator[str]:
    limits, sample = sight.limits, sight.sample
    most = limits.when.most_memory_pressure_percent
    if most and sample.memory_pressure_percent is not None and sample.memory_pressure_percent > most:
        yield "memory-pressure"
    share = limits.memory.percent if sight.in_use else limits.memory.percent_idle
    budget = sight.memory_mib * share // 100
    if sight.guests_mib > budget or sight.need_mib > budget:
        yield "memory-budget"
    reserve = max(256, sight.memory_mib * 3 // 100)
    least_mib = sight.need_mib + (reserve * 3 // 2 if margin else reserve)
    if sample.free_memory_mib is not None and sample.free_memory_mib < least_mib:
        yield "memory-short"
    free_mib, least_mib = sample.free_disk_mib, limits.disk.least_free_mib
    if free_mib is not None and free_mib < least_mib * (1.1 if margin else 1):
        yield "disk-full"


def is_full(decision: Decision) -> bool:
    """Whether the disk is said to be full, so that nobody is saved only for having waited."""
    return any(finding.rule == "disk-full" and finding.forbids for finding in decision.findings)


def network_objections(sight: Sight) -> Iterator[str]:
    network, sample = sight.limits.network, sight.sample
    if sample.leaving or sample.sleeping:
        yield "going away"
    if sight.in_use and not sight.limits.when.in_use:
        yield "in-use"
    if not network.week.holds(sight.wall):
        yield "network-schedule"
    if set(sample.networks or ()) & set(network.never):
        yield "network-barred"
    if network.only and (sample.networks is None or set(sample.networks) - set(network.only)):
        yield "network-strange"
    if sample.metered and not network.on_metered:
        yield "metered"
    if network.month_bytes and sight.spent_bytes >= network.month_bytes:
        yield "month-spent"


def objections(sight: Sight, margin: float = 0.0) -> set[str]:
    return {
        *power_objections(sight, margin),
        *clock_objections(sight),
        *noise_objections(sight, margin),
        *user_objections(sight, margin),
        *memory_objections(sight, margin),
    }


def most_cpu_percent(sight: Sight) -> int:
    most = sight.limits.processor
    share, percent = (
        (most.share_percent, most.percent) if sight.in_use else (most.share_percent_idle, most.percent_idle)
    )
    if sight.limits.when.quiet.holds(sight.wall):
        percent = min(percent, most.quiet_percent)
    return max(1, int(sight.processors * share / 100)) * percent


@dataclass
class Checker:
    """Goes along a history; `broken` holds what was wrong."""

    world: World
    broken: list[str] = field(default_factory=list)
    since: dict[str, float] = field(default_factory=dict)
    clear_s: float = 0.0
    network_clear_s: float = 0.0
    asked_s: float = -1e9
    away_s: float = -1e9
    run_s: float | None = None
    held_s: float = 0.0
    held_for: str = "start"
    last: Decision | None = None

    def check(self, steps: Sequence[Step]) -> list[str]:
        """What was wrong, in words."""
        for number, step in enumerate(steps):
            end_s = steps[number + 1].now.s if number + 1 < len(steps) else self.world.span_s
            self._look(step, 0.0)
            self._turns(step)
            # What the clock alone changes until just before the next look.
            self._look(step, max(0.0, end_s - step.now.s - GRAIN_S))
            self.last = step.decision
        return self.broken

    def sight(self, step: Step, later_s: float) -> Sight:
        sample, idle_s = step.sample, step.sample.idle_s
        if idle_s is not None and later_s:
            sample = Sample(**{**sample.__dict__, "idle_s": idle_s + later_s})
        wall = step.now.at + timedelta(seconds=later_s) if later_s else step.now.at
        computer, need_mib = self.world.computer, self.world.guest_mib - step.guests_mib
        sizes = (computer.processors, computer.memory_mib, step.guests_mib, need_mib, step.spent_bytes)
        return Sight(self.world.limits, sample, wall, *sizes)

    def _look(self, step: Step, later_s: float) -> None:
        s, sight, decision = step.now.s + later_s, self.sight(step, later_s), step.decision
        now = objections(sight)
        for name in SOFT:
            if name not in now:
                self.since.pop(name, None)
            else:
                self.since.setdefault(name, s)
        if set(memory_objections(sight, 1.0)) - {"disk-full"}:
            self.asked_s = s
        if sight.sample.sleeping or sight.sample.leaving:
            self.away_s = s
        if now or objections(sight, 1.0) or (sight.sample.idle_s or 1e9) < LEAST_S:
            self.clear_s = s
        if any(network_objections(sight)):
            self.network_clear_s = s
        if decision.rung is Rung.RUN:
            self._runs(s, sight, now, decision)
        else:
            self._rests(s, decision)
        self._moves(s, sight, decision)

    def _runs(self, s: float, sight: Sight, now: set[str], decision: Decision) -> None:
        for name in now - SOFT:
            self._say(s, f"runs although {name}")
        for name in now & SOFT:
            if s - self.since[name] > SOFT_S + GRAIN_S:
                self._say(s, f"runs although {name} for {s - self.since[name]:.2f} s")
        if not 0 < decision.cpu_percent <= most_cpu_percent(sight):
            self._say(s, f"{decision.cpu_percent} % of {most_cpu_percent(sight)} %")
        if decision.reason is not None:
            self._say(s, "runs and gives a reason why not")

    def _rests(self, s: float, decision: Decision) -> None:
        if s - self.clear_s > LONGEST_S + GRAIN_S:
            self._say(s, f"rests although nothing is against it for {s - self.clear_s:.2f} s")
        if decision.reason is None or not decision.reason.text.endswith("."):
            self._say(s, "rests and does not say why")
        if decision.cpu_percent:
            self._say(s, "rests and has processor time")
        # At a look that ends a run, the pause is only about to begin.
        if self.run_s is None and decision.rung is Rung.HOLD:
            self._waits(s, s - self.held_s, is_full(decision))

    def _waits(self, s: float, held_s: float, full: bool) -> None:
        memory, was_away = self.world.limits.memory, s - self.away_s <= PAUSE_S["sleeping"] + GRAIN_S
        if not memory.keep and held_s > memory.save_after_s + GRAIN_S and not was_away and not full:
            self._say(s, f"not saved after {held_s:.2f} s")

    def _moves(self, s: float, sight: Sight, decision: Decision) -> None:
        against = set(network_objections(sight))
        if decision.transfers and against:
            self._say(s, f"transfers although {sorted(against)}")
        if not decision.transfers and s - self.network_clear_s > PAUSE_S["sleeping"] + GRAIN_S:
            self._say(s, "transfers nothing although it may")
        if decision.transfers is (decision.transfers_reason is not None):
            self._say(s, "the reason does not fit the transfers")
        share = sight.limits.memory.percent if sight.in_use else sight.limits.memory.percent_idle
        if decision.memory_mib > sight.memory_mib * share / 100:
            self._say(s, f"{decision.memory_mib} MiB of memory")

    def _turns(self, step: Step) -> None:
        """Beginnings and ends, and how far down the ladder."""
        s, decision = step.now.s, step.decision
        if decision.rung is Rung.RUN:
            if self.run_s is None:
                self._begins(s)
            return
        code = decision.reason.code if decision.reason else ""
        if self.run_s is not None:
            hard = {finding.rule for finding in decision.findings if finding.forbids} - SOFT
            if not hard and s - self.run_s < SOFT_S - GRAIN_S:
                self._say(s, f"{code} ends a run of {s - self.run_s:.2f} s")
            self.run_s, self.held_s, self.held_for = None, s, code
        self._climbs(s, decision)

    def _begins(self, s: float) -> None:
        least = PAUSE_S.get(self.held_for, LEAST_S)
        if self.held_for != "start" and s - self.held_s < least - GRAIN_S:
            self._say(s, f"a pause for {self.held_for} of {s - self.held_s:.2f} s")
        if self.since:
            self._say(s, f"begins although {sorted(self.since)}")
        self.run_s = s

    def _climbs(self, s: float, decision: Decision) -> None:
        memory, held_s = self.world.limits.memory, s - self.held_s
        was = self.last.rung if self.last else Rung.HOLD
        late = not memory.keep and held_s >= memory.save_after_s - GRAIN_S and not is_full(decision)
        if decision.rung is Rung.OFF or (was is Rung.SAVE and decision.rung is Rung.HOLD):
            self._say(s, f"from {was.name} to {decision.rung.name}")
        was_asked = s - self.asked_s <= LONGEST_S + GRAIN_S
        if decision.rung is Rung.SAVE and was is not Rung.SAVE and not late and not was_asked:
            self._say(s, f"saved after {held_s:.2f} s")

    def _say(self, s: float, what: str) -> None:
        self.broken.append(f"{s:.2f} s: {what}")


def random_limits(chance: random.Random) -> Limits:
    """Limits that somebody could have set."""
    some = chance.choice
    when = When(
        on_battery=some((True, False)),
        least_battery_percent=some((0, 20, 60, 98)),
        in_power_saver=some((True, False)),
        in_use=some((True, False)),
        idle_after_s=some((60, 180, 900)),
        stop_after_idle_s=some((0, 0, 3600, 10_800)),
        most_others_percent=some((0, 10, 25, 60)),
        most_others_percent_idle=some((0, 25, 50)),
        week=some((ALWAYS, ALWAYS, random_hours(chance))),
        quiet=some((NEVER, random_hours(chance))),
        programs=some(((), ("steam", "blender"))),
        in_full_screen=some((True, False)),
        in_calls=some((True, False)),
        most_temperature_c=some((0, 60, 85)),
        most_fan_rpm=some((0, 1500)),
        most_memory_pressure_percent=some((0, 10, 30)),
    )
    network = Network(
        week=some((ALWAYS, random_hours(chance))),
        on_metered=some((True, False)),
        only=some(((), (), ("home", "office"))),
        never=some(((), ("phone",))),
        month_bytes=some((0, 2**31)),
        month_day=some((1, 7, 28)),
    )
    processor = Processor(some((10, 25, 100)), 100, some((1, 50, 100)), 100, some((0, 10)))
    memory = Memory(some((5, 40, 75)), some((40, 75)), some((0, 60, 600, 7200)), some((True, False)))
    return Limits(when, processor, memory, Disk(least_free_mib=some((0, 1000, 2048))), network)


def random_hours(chance: random.Random) -> Week:
    cuts = sorted(chance.sample(range(0, 7 * 1440, 30), 2 * chance.randrange(1, 8)))
    return Week(tuple(zip(cuts[::2], cuts[1::2], strict=True)))
