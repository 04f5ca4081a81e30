"""Preferences, declared once: from this table come the file, `--set KEY=VALUE`, the dialog, the docs and the checks.

The defaults are the preset Balanced: nobody who uses the computer is to notice anything, and its idle time is used.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

Value = bool | int | str | tuple[str, ...]


class Kind(StrEnum):
    """What a value is, and how it is written: in the file, and as a word of the command line."""

    #: true or false
    FLAG = "yes or no"
    #: within the bounds
    NUMBER = "whole number"
    #: one of the choices
    WORD = "word"
    #: any
    TEXT = "text"
    #: a list of texts in the file, with commas between them on the command line
    NAMES = "names"
    #: hours of the week as text: `mon-fri 18:00-08:00, sat-sun`, `always`, `never`
    WEEK = "hours of the week"


class Group(StrEnum):
    """Where a person looks for a preference."""

    WHEN = "When to work"
    HOURS = "Hours"
    POWER = "Power and heat"
    PROCESSOR = "Processor"
    MEMORY = "Memory"
    DISK = "Disk"
    NETWORK = "Network"
    VMS = "Virtual machines"


class Stricter(StrEnum):
    """Which of two values of a preference allows less."""

    #: the lower
    LESS = "less"
    #: the lower, and 0 is no limit
    LESS_BUT_0 = "less, but 0"
    #: the higher
    MORE = "more"
    #: "no"
    NO = "no"
    #: hours of both
    BOTH = "both"
    #: names and hours of either
    EITHER = "either"
    #: names of both, and none means all
    COMMON = "common"


@dataclass(frozen=True)
class Boinc:
    """What BOINC has for it. tag: in its preferences; default: where ours differs, with the reason."""

    tag: str
    default: str = ""
    reason: str = ""


@dataclass(frozen=True)
class PreferenceSpec:
    """One preference.

    Attributes:
        key: dotted, `group.name`.
        default: of the kind; hours of the week are a text.
        help: one sentence.
        unit: as shown after the value; empty for none.
        minimum, maximum: for numbers.
        zero: what 0 means where it is no number like the others.
        choices: for words.
        field: of `Limits`, `part.name`, that it sets; empty for none.
        scale: what it is multiplied with to have the unit of that field.
        stricter: which of two allows less; None where there is no such order.
        per_project: may be said of one project, too; it then holds beside that for all.
    """

    key: str
    kind: Kind
    default: Value
    group: Group
    label: str
    help: str
    unit: str = ""
    minimum: int = 0
    maximum: int = 0
    zero: str = ""
    choices: tuple[str, ...] = ()
    field: str = ""
    scale: int = 1
    stricter: Stricter | None = None
    per_project: bool = False
    boinc: Boinc | None = None


_KIB: Final = 1024
_MIB: Final = 1024 * 1024
#: 64 TiB in MiB, and 10 GiB/s in KiB/s: more than any computer has, and no overflow anywhere
_MOST_MIB: Final = 67108864
_MOST_KIB_S: Final = 10485760
_NO_LIMIT: Final = "no limit"
_NOT_MINDED: Final = "not minded"

_WHEN: Final = (
    PreferenceSpec(
        "when.in_use",
        Kind.FLAG,
        True,
        Group.WHEN,
        "Also while in use",
        "Work also while somebody uses the computer, within the lower limits that hold then.",
        field="when.in_use",
        stricter=Stricter.NO,
        per_project=True,
        boinc=Boinc("run_if_user_active"),
    ),
    PreferenceSpec(
        "when.idle_after_min",
        Kind.NUMBER,
        3,
        Group.WHEN,
        "Idle after",
        "Without a key or a movement of the mouse for so long, nobody uses the computer.",
        "min",
        1,
        1440,
        field="when.idle_after_s",
        scale=60,
        stricter=Stricter.MORE,
        per_project=True,
        boinc=Boinc("idle_time_to_run"),
    ),
    PreferenceSpec(
        "when.stop_after_idle_min",
        Kind.NUMBER,
        0,
        Group.WHEN,
        "Let it sleep after",
        "After so long without input nothing runs any more, so that the computer can go to sleep.",
        "min",
        0,
        10080,
        "never",
        field="when.stop_after_idle_s",
        scale=60,
        stricter=Stricter.LESS_BUT_0,
        per_project=True,
        boinc=Boinc("suspend_if_no_recent_input"),
    ),
    PreferenceSpec(
        "when.most_others_percent",
        Kind.NUMBER,
        50,
        Group.WHEN,
        "Others' use, in use",
        "While other programs need more of all processors than this, nothing runs.",
        "%",
        0,
        100,
        _NOT_MINDED,
        field="when.most_others_percent",
        stricter=Stricter.LESS_BUT_0,
        per_project=True,
        boinc=Boinc("suspend_cpu_usage", "25", "guests come after all others anyway, and a film alone takes 25 %"),
    ),
    PreferenceSpec(
        "when.most_others_percent_idle",
        Kind.NUMBER,
        50,
        Group.WHEN,
        "Others' use, idle",
        "The same while nobody uses the computer.",
        "%",
        0,
        100,
        _NOT_MINDED,
        field="when.most_others_percent_idle",
        stricter=Stricter.LESS_BUT_0,
        per_project=True,
        boinc=Boinc("niu_suspend_cpu_usage"),
    ),
    PreferenceSpec(
        "when.programs",
        Kind.NAMES,
        (),
        Group.WHEN,
        "Not while these run",
        "While one of these programs runs, nothing else does; names as the system shows them.",
        field="when.programs",
        stricter=Stricter.EITHER,
        per_project=True,
        boinc=Boinc("exclusive_app (of cc_config.xml)"),
    ),
    PreferenceSpec(
        "when.in_full_screen",
        Kind.FLAG,
        False,
        Group.WHEN,
        "Also behind full screens",
        "Work also while a program fills the screen, as games and films do.",
        field="when.in_full_screen",
        stricter=Stricter.NO,
        per_project=True,
    ),
    PreferenceSpec(
        "when.in_calls",
        Kind.FLAG,
        False,
        Group.WHEN,
        "Also during calls",
        "Work also while a program keeps the screen awake, as calls, films and presentations do.",
        field="when.in_calls",
        stricter=Stricter.NO,
        per_project=True,
    ),
    PreferenceSpec(
        "when.week",
        Kind.WEEK,
        "always",
        Group.HOURS,
        "Hours of work",
        "When in the week anything may run.",
        field="when.week",
        stricter=Stricter.BOTH,
        per_project=True,
        boinc=Boinc("start_hour, end_hour, day_prefs"),
    ),
    PreferenceSpec(
        "when.quiet",
        Kind.WEEK,
        "never",
        Group.HOURS,
        "Quiet hours",
        "When in the week the computer is to be silent, for example the nights in which somebody sleeps beside it.",
        field="when.quiet",
        stricter=Stricter.EITHER,
        per_project=True,
    ),
    PreferenceSpec(
        "processor.quiet_percent",
        Kind.NUMBER,
        0,
        Group.HOURS,
        "Processors in quiet hours",
        "So much of each processor may be used in quiet hours.",
        "%",
        0,
        100,
        "nothing runs",
        field="processor.quiet_percent",
        stricter=Stricter.LESS,
        per_project=True,
    ),
    PreferenceSpec(
        "when.on_battery",
        Kind.FLAG,
        False,
        Group.POWER,
        "Also on battery",
        "Work also without mains.",
        field="when.on_battery",
        stricter=Stricter.NO,
        per_project=True,
        boinc=Boinc("run_on_batteries"),
    ),
    PreferenceSpec(
        "when.least_battery_percent",
        Kind.NUMBER,
        40,
        Group.POWER,
        "Battery left",
        "On battery, work only while it is at least so full.",
        "%",
        0,
        100,
        field="when.least_battery_percent",
        stricter=Stricter.MORE,
        per_project=True,
        boinc=Boinc(
            "battery_charge_min_pct",
            "90",
            "BOINC asks for it on Android only; here it counts only for those who allow work on battery, and 90 would"
            " as good as forbid it again",
        ),
    ),
    PreferenceSpec(
        "when.in_power_saver",
        Kind.FLAG,
        False,
        Group.POWER,
        "Also while saving power",
        "Work also while the system is set to save power.",
        field="when.in_power_saver",
        stricter=Stricter.NO,
        per_project=True,
    ),
    PreferenceSpec(
        "when.most_temperature_c",
        Kind.NUMBER,
        85,
        Group.POWER,
        "Processor temperature",
        "Nothing runs while the processor is hotter than this, where the system tells.",
        "°C",
        0,
        120,
        _NOT_MINDED,
        field="when.most_temperature_c",
        stricter=Stricter.LESS_BUT_0,
        per_project=True,
    ),
    PreferenceSpec(
        "when.most_fan_rpm",
        Kind.NUMBER,
        0,
        Group.POWER,
        "Fan speed",
        "Nothing runs while the fastest fan turns faster than this, where the system tells.",
        "rpm",
        0,
        20000,
        _NOT_MINDED,
        field="when.most_fan_rpm",
        stricter=Stricter.LESS_BUT_0,
        per_project=True,
    ),
)
_PROCESSOR: Final = (
    PreferenceSpec(
        "processor.percent",
        Kind.NUMBER,
        50,
        Group.PROCESSOR,
        "Of each, in use",
        "So much of each processor that is lent, while somebody uses the computer.",
        "%",
        1,
        100,
        field="processor.percent",
        stricter=Stricter.LESS,
        per_project=True,
        boinc=Boinc("cpu_usage_limit", "100", "a program that one notices is one that one removes"),
    ),
    PreferenceSpec(
        "processor.percent_idle",
        Kind.NUMBER,
        100,
        Group.PROCESSOR,
        "Of each, idle",
        "So much of each processor that is lent, while nobody uses the computer.",
        "%",
        1,
        100,
        field="processor.percent_idle",
        stricter=Stricter.LESS,
        per_project=True,
        boinc=Boinc("niu_cpu_usage_limit"),
    ),
    PreferenceSpec(
        "processor.share_percent",
        Kind.NUMBER,
        50,
        Group.PROCESSOR,
        "How many, in use",
        "So many of all processors are lent while somebody uses the computer; one at least.",
        "%",
        1,
        100,
        field="processor.share_percent",
        stricter=Stricter.LESS,
        per_project=True,
        boinc=Boinc("max_ncpus_pct", "100", "half of them stay untouched for whoever uses the computer"),
    ),
    PreferenceSpec(
        "processor.share_percent_idle",
        Kind.NUMBER,
        75,
        Group.PROCESSOR,
        "How many, idle",
        "So many of all processors are lent while nobody uses the computer; one at least.",
        "%",
        1,
        100,
        field="processor.share_percent_idle",
        stricter=Stricter.LESS,
        per_project=True,
        boinc=Boinc("niu_max_ncpus_pct", "100", "the last quarter costs the most heat and noise"),
    ),
    PreferenceSpec(
        "processor.low_priority",
        Kind.FLAG,
        True,
        Group.PROCESSOR,
        "After all others",
        "Virtual machines get the processor and the disk only when no other program wants them; holds from their next"
        " start on.",
        field="processor.low_priority",
    ),
    PreferenceSpec(
        "guest.cpus",
        Kind.NUMBER,
        1,
        Group.PROCESSOR,
        "Processors",
        "Most processors that virtual machines may have, all together.",
        "",
        1,
        64,
        boinc=Boinc("max_cpus", "all", "jobs use one processor each; own virtual machines get more when you say so"),
    ),
)
_MEMORY: Final = (
    PreferenceSpec(
        "guest.memory_mib",
        Kind.NUMBER,
        1024,
        Group.MEMORY,
        "Memory",
        "Most memory that virtual machines may have, all together.",
        "MiB",
        128,
        1048576,
    ),
    PreferenceSpec(
        "memory.percent",
        Kind.NUMBER,
        40,
        Group.MEMORY,
        "Memory, in use",
        "Most of the computer's memory for virtual machines while somebody uses it.",
        "%",
        1,
        100,
        field="memory.percent",
        stricter=Stricter.LESS,
        per_project=True,
        boinc=Boinc("ram_max_used_busy_pct", "50", "a browser and an office program want more than half today"),
    ),
    PreferenceSpec(
        "memory.percent_idle",
        Kind.NUMBER,
        75,
        Group.MEMORY,
        "Memory, idle",
        "Most of the computer's memory for virtual machines while nobody uses it.",
        "%",
        1,
        100,
        field="memory.percent_idle",
        stricter=Stricter.LESS,
        per_project=True,
        boinc=Boinc("ram_max_used_idle_pct", "90", "what is pushed out for it is missing when you come back"),
    ),
    PreferenceSpec(
        "memory.save_after_min",
        Kind.NUMBER,
        10,
        Group.MEMORY,
        "Free it after",
        "A virtual machine that waits for so long is saved to disk, which frees its memory.",
        "min",
        0,
        10080,
        "at once",
        field="memory.save_after_s",
        scale=60,
        stricter=Stricter.LESS,
        per_project=True,
    ),
    PreferenceSpec(
        "memory.keep",
        Kind.FLAG,
        False,
        Group.MEMORY,
        "Keep while waiting",
        "Virtual machines that wait stay in memory as long as nobody else needs it.",
        field="memory.keep",
        stricter=Stricter.NO,
        per_project=True,
        boinc=Boinc("leave_apps_in_memory"),
    ),
    PreferenceSpec(
        "when.most_memory_pressure_percent",
        Kind.NUMBER,
        10,
        Group.MEMORY,
        "Others wait for memory",
        "Nothing runs while other programs wait for memory more than this share of the time.",
        "%",
        0,
        100,
        _NOT_MINDED,
        field="when.most_memory_pressure_percent",
        stricter=Stricter.LESS_BUT_0,
        per_project=True,
    ),
)
_DISK: Final = (
    PreferenceSpec(
        "disk.most_mib",
        Kind.NUMBER,
        0,
        Group.DISK,
        "Disk space",
        "Most disk space for everything that the program has.",
        "MiB",
        0,
        _MOST_MIB,
        _NO_LIMIT,
        field="disk.most_mib",
        stricter=Stricter.LESS_BUT_0,
        boinc=Boinc("disk_max_used_gb"),
    ),
    PreferenceSpec(
        "disk.most_percent",
        Kind.NUMBER,
        25,
        Group.DISK,
        "Share of the disk",
        "Most of the whole disk for everything that the program has.",
        "%",
        0,
        100,
        _NO_LIMIT,
        field="disk.most_percent",
        stricter=Stricter.LESS_BUT_0,
        boinc=Boinc("disk_max_used_pct", "90", "a guest does not take nine tenths of a house"),
    ),
    PreferenceSpec(
        "disk.least_free_mib",
        Kind.NUMBER,
        2048,
        Group.DISK,
        "Stays free",
        "So much of the disk stays free for others.",
        "MiB",
        0,
        _MOST_MIB,
        field="disk.least_free_mib",
        stricter=Stricter.MORE,
        boinc=Boinc("disk_min_free_gb", "0.1 GB", "systems complain, and stop updating themselves, with so little"),
    ),
    PreferenceSpec(
        "disk.rate_kib_per_s",
        Kind.NUMBER,
        20480,
        Group.DISK,
        "Disk traffic, in use",
        "Most reading and writing of all virtual machines together while somebody uses the computer. Under VirtualBox"
        " this does not hold.",
        "KiB/s",
        0,
        _MOST_KIB_S,
        _NO_LIMIT,
        field="disk.rate_kib_s",
        stricter=Stricter.LESS_BUT_0,
        per_project=True,
    ),
    PreferenceSpec(
        "disk.rate_kib_per_s_idle",
        Kind.NUMBER,
        0,
        Group.DISK,
        "Disk traffic, idle",
        "The same while nobody uses the computer.",
        "KiB/s",
        0,
        _MOST_KIB_S,
        _NO_LIMIT,
        field="disk.rate_kib_s_idle",
        stricter=Stricter.LESS_BUT_0,
        per_project=True,
    ),
    PreferenceSpec(
        "cvmfs.cache_mib",
        Kind.NUMBER,
        4096,
        Group.DISK,
        "Software cache",
        "Most disk space for the software that virtual machines read over the network; kept when they are made anew.",
        "MiB",
        64,
        1048576,
    ),
    PreferenceSpec(
        "appliances.cache_mib",
        Kind.NUMBER,
        10240,
        Group.DISK,
        "Room for appliances",
        "How much all appliances together may take; those used longest ago give way, never one that is needed.",
        "MiB",
        64,
        _MOST_MIB,
    ),
)
_NETWORK: Final = (
    PreferenceSpec(
        "network.down_kib_per_s",
        Kind.NUMBER,
        0,
        Group.NETWORK,
        "Download rate",
        "Most that comes in, for virtual machines and downloads together.",
        "KiB/s",
        0,
        _MOST_KIB_S,
        _NO_LIMIT,
        field="network.down_bytes_s",
        scale=_KIB,
        stricter=Stricter.LESS_BUT_0,
        per_project=True,
        boinc=Boinc("max_bytes_sec_down"),
    ),
    PreferenceSpec(
        "network.up_kib_per_s",
        Kind.NUMBER,
        0,
        Group.NETWORK,
        "Upload rate",
        "Most that goes out, for virtual machines and the program together.",
        "KiB/s",
        0,
        _MOST_KIB_S,
        _NO_LIMIT,
        field="network.up_bytes_s",
        scale=_KIB,
        stricter=Stricter.LESS_BUT_0,
        per_project=True,
        boinc=Boinc("max_bytes_sec_up"),
    ),
    PreferenceSpec(
        "network.week",
        Kind.WEEK,
        "always",
        Group.NETWORK,
        "Hours of transfers",
        "When in the week anything may go over the network.",
        field="network.week",
        stricter=Stricter.BOTH,
        per_project=True,
        boinc=Boinc("net_start_hour, net_end_hour, day_prefs"),
    ),
    PreferenceSpec(
        "network.on_metered",
        Kind.FLAG,
        False,
        Group.NETWORK,
        "Also over metered networks",
        "Use also networks that are paid by the byte.",
        field="network.on_metered",
        stricter=Stricter.NO,
        per_project=True,
    ),
    PreferenceSpec(
        "network.only",
        Kind.NAMES,
        (),
        Group.NETWORK,
        "Only these networks",
        "Use no other networks than these, by their names; without any, all are used.",
        field="network.only",
        stricter=Stricter.COMMON,
        per_project=True,
    ),
    PreferenceSpec(
        "network.never",
        Kind.NAMES,
        (),
        Group.NETWORK,
        "Never these networks",
        "Do not use these networks, by their names.",
        field="network.never",
        stricter=Stricter.EITHER,
        per_project=True,
    ),
    PreferenceSpec(
        "network.month_mib",
        Kind.NUMBER,
        0,
        Group.NETWORK,
        "Each month",
        "Most that goes over the network in a month, both ways together.",
        "MiB",
        0,
        _MOST_MIB,
        _NO_LIMIT,
        field="network.month_bytes",
        scale=_MIB,
        stricter=Stricter.LESS_BUT_0,
        boinc=Boinc("daily_xfer_limit_mb, daily_xfer_period_days"),
    ),
    PreferenceSpec(
        "network.month_day",
        Kind.NUMBER,
        1,
        Group.NETWORK,
        "Month begins on",
        "Day of the month on which that is counted anew.",
        "",
        1,
        28,
        field="network.month_day",
    ),
    PreferenceSpec(
        "network.limit_kib_per_s",
        Kind.NUMBER,
        0,
        Group.NETWORK,
        "Each connection",
        "Most traffic of each of the virtual machine's connections, each way.",
        "KiB/s",
        0,
        _MOST_KIB_S,
        _NO_LIMIT,
    ),
    PreferenceSpec(
        "appliances.limit_kib_per_s",
        Kind.NUMBER,
        0,
        Group.NETWORK,
        "Appliances' rate",
        "At most so much is fetched of appliances.",
        "KiB/s",
        0,
        _MOST_KIB_S,
        _NO_LIMIT,
    ),
    PreferenceSpec(
        "appliances.on_metered",
        Kind.WORD,
        "wait",
        Group.NETWORK,
        "Appliances when metered",
        "Whether appliances are fetched over a network that is paid by the byte, or wait for another.",
        choices=("wait", "fetch"),
    ),
    PreferenceSpec(
        "network.internet",
        Kind.FLAG,
        False,
        Group.NETWORK,
        "Internet for jobs",
        "Let jobs of a project that asks for it reach the internet; under QEMU they then also reach your own network.",
    ),
    PreferenceSpec(
        "network.unconfined",
        Kind.WORD,
        "confining",
        Group.NETWORK,
        "Open networks",
        "Which virtual machines may be online where the hypervisor cannot keep them from your own network: none, those"
        " whose appliance keeps its jobs without network, or all.",
        choices=("none", "confining", "all"),
    ),
)
_VMS: Final = (
    PreferenceSpec(
        "guest.most_vms",
        Kind.NUMBER,
        4,
        Group.VMS,
        "How many at once",
        "Most virtual machines that run at once, your own included.",
        "",
        1,
        64,
        field="most_vms",
        stricter=Stricter.LESS,
    ),
    PreferenceSpec(
        "guest.own_obey",
        Kind.FLAG,
        False,
        Group.VMS,
        "Rules for your own, too",
        "Have virtual machines that you made yourself wait, and be limited, like those that work for a project.",
    ),
    PreferenceSpec(
        "hypervisor.driver",
        Kind.WORD,
        "auto",
        Group.VMS,
        "Hypervisor",
        "Which program runs the virtual machine; auto takes the fastest that proves itself.",
        choices=("auto", "qemu", "virtualbox", "fake"),
    ),
    PreferenceSpec(
        "hypervisor.accelerator",
        Kind.WORD,
        "auto",
        Group.VMS,
        "Accelerator",
        "How the processor is shared with the virtual machine; auto takes the fastest that proves itself.",
        choices=("auto", "kvm", "hvf", "whpx", "tcg"),
    ),
    PreferenceSpec(
        "guest.host_silence_limit_s",
        Kind.NUMBER,
        60,
        Group.VMS,
        "Alone at most",
        "Running time without a word of this program after which the virtual machine saves its job and turns off.",
        "s",
        15,
        3600,
    ),
)
TABLE: Final = (*_WHEN, *_PROCESSOR, *_MEMORY, *_DISK, *_NETWORK, *_VMS)
BY_KEY: Final = {spec.key: spec for spec in TABLE}
