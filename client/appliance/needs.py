"""Does what an appliance needs fit what this computer gives? Pure; asked before anything is fetched."""

from dataclasses import dataclass

from client.appliance.catalog_facts import ApplianceNeeds, Facts
from client.appliance.errors import NeedsNotMet


@dataclass(frozen=True)
class Offer:
    """What a VM could have here.

    Attributes:
        memory_mib, cpus: what the preferences let one VM have.
        total_memory_mib, total_cpus: of this computer; 0: not known.
        free_disk_mib: where VMs lie.
        bits: of the guests that its processor can run.
        internet: whether the preferences let guests reach the internet.
    """

    memory_mib: int
    cpus: int
    total_memory_mib: int = 0
    total_cpus: int = 0
    free_disk_mib: int | None = None
    bits: int = 64
    internet: bool = False


def unmet(needs: ApplianceNeeds, offer: Offer) -> tuple[str, ...]:
    """What is missing, as parts of a sentence that say what to change; empty: nothing."""
    missing = []
    if needs.bits > offer.bits:
        missing.append(f"it needs a {needs.bits}-bit processor, and this is a {offer.bits}-bit one")
    if offer.total_memory_mib and needs.memory_mib > offer.total_memory_mib:
        missing.append(f"it needs {needs.memory_mib} MiB of memory, and this computer has {offer.total_memory_mib} MiB")
    elif needs.memory_mib > offer.memory_mib:
        missing.append(f"it needs {needs.memory_mib} MiB of memory, and guest.memory_mib is {offer.memory_mib}")
    if offer.total_cpus and needs.cpus > offer.total_cpus:
        missing.append(f"it needs {needs.cpus} processors, and this computer has {offer.total_cpus}")
    elif needs.cpus > offer.cpus:
        missing.append(f"it needs {needs.cpus} processors, and guest.cpus is {offer.cpus}")
    if offer.free_disk_mib is not None and needs.disk_mib > offer.free_disk_mib:
        missing.append(f"its disk may grow to {needs.disk_mib} MiB, and {offer.free_disk_mib} MiB are free")
    if needs.network == "open" and not offer.internet:
        missing.append("it needs the internet, and network.internet is off")
    return tuple(missing)


def check_needs(facts: Facts, offer: Offer) -> None:
    """See that an appliance can run here.

    Raises:
        NeedsNotMet: with all that is missing.
    """
    if missing := unmet(facts.needs, offer):
        raise NeedsNotMet(facts.name, "; ".join(missing))
