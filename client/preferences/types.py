"""What the volunteer allows, as values that the policy, the governor and the transfers read. Plain data.

The defaults are those of the table in `client.preferences.spec`; a test holds them together.
"""

from dataclasses import dataclass, field

from client.preferences.week import ALWAYS, NEVER, Week


@dataclass(frozen=True)
class When:
    """When guests may run.

    Attributes:
        on_battery: also without mains.
        least_battery_percent: on battery, at least so full.
        in_power_saver: also while the system saves power.
        in_use: also while somebody uses the computer.
        idle_after_s: without input for so long, nobody uses it.
        stop_after_idle_s: without input for so long, nothing runs, so that the computer can sleep; 0: never.
        most_others_percent, most_others_percent_idle: use of all processors by other programs beyond which nothing
            runs, while in use and else; 0: never minded.
        week: when computing is allowed.
        quiet: hours in which no more than `Processor.quiet_percent` is used.
        programs: while one of these runs, nothing does; names as the system shows them, without case or `.exe`.
        in_full_screen: also while a program fills the screen.
        in_calls: also while a program keeps the screen awake, as calls, films and presentations do.
        most_temperature_c: of the processor; 0: never minded.
        most_fan_rpm: of the fastest fan; 0: never minded.
        most_memory_pressure_percent: share of time in which programs waited for memory; 0: never minded.
    """

    on_battery: bool = False
    least_battery_percent: int = 40
    in_power_saver: bool = False
    in_use: bool = True
    idle_after_s: int = 180
    stop_after_idle_s: int = 0
    most_others_percent: int = 50
    most_others_percent_idle: int = 50
    week: Week = ALWAYS
    quiet: Week = NEVER
    programs: tuple[str, ...] = ()
    in_full_screen: bool = False
    in_calls: bool = False
    most_temperature_c: int = 85
    most_fan_rpm: int = 0
    most_memory_pressure_percent: int = 10


@dataclass(frozen=True)
class Processor:
    """How much of the processors all guests together get.

    Attributes:
        percent, percent_idle: of each processor in use for guests, while somebody uses the computer and else.
        share_percent, share_percent_idle: of all processors, how many are in use for guests; at least one.
        quiet_percent: in place of `percent` in quiet hours; 0: nothing runs then.
        low_priority: they get processors and disk only when no other program wants them.
    """

    percent: int = 50
    percent_idle: int = 100
    share_percent: int = 50
    share_percent_idle: int = 75
    quiet_percent: int = 0
    low_priority: bool = True


@dataclass(frozen=True)
class Memory:
    """How much memory all guests together get.

    Attributes:
        percent, percent_idle: of this computer's, while in use and else.
        save_after_s: a guest that has been held so long is saved to disk, which frees its memory; 0: at once.
        keep: held guests stay in memory as long as nobody else needs it.
    """

    percent: int = 40
    percent_idle: int = 75
    save_after_s: int = 600
    keep: bool = False


@dataclass(frozen=True)
class Disk:
    """How much of the disk all of the program's files together get: the strictest of the three. 0: no limit.

    Attributes:
        most_mib: absolute.
        most_percent: of the volume.
        least_free_mib: what stays free on it.
        rate_kib_s, rate_kib_s_idle: of guests' reading and writing together, while in use and else.
    """

    most_mib: int = 0
    most_percent: int = 25
    least_free_mib: int = 2048
    rate_kib_s: int = 20480
    rate_kib_s_idle: int = 0


@dataclass(frozen=True)
class Network:
    """What may go over the network, guests' traffic and downloads together.

    Attributes:
        down_bytes_s, up_bytes_s: 0: no limit.
        week: when anything is transferred at all.
        on_metered: also over networks paid by the byte.
        only: over no other networks than these, by their names; empty: over all.
        never: not over these.
        month_bytes: both ways together, since `month_day`; 0: no limit.
        month_day: day of the month on which counting begins anew, 1..28.
    """

    down_bytes_s: int = 0
    up_bytes_s: int = 0
    week: Week = ALWAYS
    on_metered: bool = False
    only: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    month_bytes: int = 0
    month_day: int = 1


@dataclass(frozen=True)
class Limits:
    """All of it.

    Attributes:
        most_vms: that may run at once, the volunteer's own included.
    """

    when: When = field(default_factory=When)
    processor: Processor = field(default_factory=Processor)
    memory: Memory = field(default_factory=Memory)
    disk: Disk = field(default_factory=Disk)
    network: Network = field(default_factory=Network)
    most_vms: int = 4
