"""What the computer is doing, as far as its system tells. One frozen value; None means: not known."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """One look at the computer.

    Attributes:
        idle_s: seconds since the last input of whoever sits before it, at the moment of the look. Over all sessions
            that are shown on it; 0 as soon as there is input.
        locked: the session is locked: nobody sits before it, whatever `idle_s` says.
        on_battery: it has no mains.
        battery_percent: of the fullest charge.
        power_saver: the system saves power on purpose.
        temperature_c: of the hottest processor sensor.
        fan_rpm: of the fastest fan.
        metered: the network in use is paid by the byte.
        networks: names of the networks in use (of wireless ones their SSID).
        full_screen: another program fills a screen.
        foreground: name of the program in front; empty when not known.
        programs: names of programs that run, lower case, without `.exe`; None when not looked for.
        awake: a program keeps the screen awake (a call, a film, a presentation).
        others_percent: use of all processors together by programs that are not ours nor our guests', 0..100.
        free_memory_mib: that programs could still get without anything being pushed out.
        memory_pressure_percent: share of the last 10 s in which some program waited for memory.
        free_disk_mib: on the volume of the program's files.
        sleeping: the computer is about to sleep.
        leaving: the session or the computer is about to end.
        granted_s: for which the system lets a sleep or a shutdown be held up.
    """

    idle_s: float | None = None
    locked: bool | None = None
    on_battery: bool | None = None
    battery_percent: float | None = None
    power_saver: bool | None = None
    temperature_c: float | None = None
    fan_rpm: int | None = None
    metered: bool | None = None
    networks: tuple[str, ...] | None = None
    full_screen: bool | None = None
    foreground: str = ""
    programs: frozenset[str] | None = None
    awake: bool | None = None
    others_percent: float | None = None
    free_memory_mib: int | None = None
    memory_pressure_percent: float | None = None
    free_disk_mib: int | None = None
    sleeping: bool = False
    leaving: bool = False
    granted_s: float | None = None
