"""Preferences, declared once: from this table come the file, `--set KEY=VALUE`, the docs and the checks."""

from dataclasses import dataclass
from typing import Final

Value = bool | int | str


@dataclass(frozen=True)
class PreferenceSpec:
    """One preference.

    Attributes:
        key: dotted, `group.name`.
        default: its type is the preference's type.
        unit: as shown after the value; empty for none.
        minimum, maximum: for numbers.
        choices: for words; empty means any text.
        help: one sentence.
    """

    key: str
    default: Value
    label: str
    help: str
    unit: str = ""
    minimum: int = 0
    maximum: int = 0
    choices: tuple[str, ...] = ()


TABLE: Final = (
    PreferenceSpec(
        "hypervisor.driver",
        "auto",
        "Hypervisor",
        "Which program runs the virtual machine; auto takes the fastest that proves itself.",
        choices=("auto", "qemu", "virtualbox", "fake"),
    ),
    PreferenceSpec(
        "hypervisor.accelerator",
        "auto",
        "Accelerator",
        "How the processor is shared with the virtual machine; auto takes the fastest that proves itself.",
        choices=("auto", "kvm", "hvf", "whpx", "tcg"),
    ),
    PreferenceSpec("guest.cpus", 1, "Processors", "Most processors that the virtual machine may use.", "", 1, 64),
    PreferenceSpec(
        "guest.memory_mib", 1024, "Memory", "Most memory that the virtual machine may use.", "MiB", 128, 1048576
    ),
    PreferenceSpec(
        "guest.host_silence_limit_s",
        60,
        "Alone at most",
        "Running time without a word of this program after which the virtual machine saves its job and turns off.",
        "s",
        15,
        3600,
    ),
    PreferenceSpec(
        "network.internet",
        False,
        "Internet for jobs",
        "Let jobs of a project that asks for it reach the internet; under QEMU they then also reach your own network.",
    ),
    PreferenceSpec(
        "network.unconfined",
        "confining",
        "Open networks",
        "Which virtual machines may be online where the hypervisor cannot keep them from your own network: none, those"
        " whose appliance keeps its jobs without network, or all.",
        choices=("none", "confining", "all"),
    ),
    PreferenceSpec(
        "network.limit_kib_per_s",
        0,
        "Traffic limit",
        "Most traffic of each of the virtual machine's connections, each way; 0 means no limit.",
        "KiB/s",
        0,
        10485760,
    ),
    PreferenceSpec(
        "cvmfs.cache_mib",
        4096,
        "Software cache",
        "Most disk space for the software that virtual machines read over the network; kept when they are made anew.",
        "MiB",
        64,
        1048576,
    ),
    PreferenceSpec(
        "appliances.cache_mib",
        10240,
        "Room for appliances",
        "How much all appliances together may take; those used longest ago give way, never one that is needed.",
        "MiB",
        64,
        67108864,
    ),
    PreferenceSpec(
        "appliances.limit_kib_per_s",
        0,
        "Download limit",
        "At most so much is fetched of appliances; 0 means no limit.",
        "KiB/s",
        0,
        10485760,
    ),
    PreferenceSpec(
        "appliances.on_metered",
        "wait",
        "Metered networks",
        "Whether appliances are fetched over a network that is paid by the byte, or wait for another.",
        choices=("wait", "fetch"),
    ),
)
BY_KEY: Final = {spec.key: spec for spec in TABLE}
