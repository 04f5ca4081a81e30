"""The parts that the core is made of, built once and handed to those who use them."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

from client.appliance.blank import BlankMedium
from client.appliance.cache import ApplianceCache
from client.appliances import Appliances
from client.board import Board
from client.clock import Clock
from client.cvmfs import GuestFiles
from client.history import History
from client.hypervisor.driver import Driver, Feature
from client.journal import Journal
from client.paths import Paths
from client.preferences.store import Preferences
from client.project.definition import Project
from client.project.enrolment import GuestToken

#: vm_id -> what holds meanwhile
Unhindered = Callable[[str], AbstractAsyncContextManager[None]]


def as_it_is(_: str) -> AbstractAsyncContextManager[None]:
    """Where nothing is hindered."""
    return nullcontext()


@dataclass(frozen=True)
class Parts:
    """Collaborators of the core.

    Attributes:
        cache: what the project wants of `appliances`.
        blank: what the media of all boots have in common.
        fetch_token: asks the project for a guest token.
        guest_files: the proxy for what guests read by CVMFS; None: the project asks for none.
        speed: of guests under the driver, in percent of the computer's own.
        unhindered: lets a VM be as fast as any other program while its hypervisor carries a verb out.
    """

    paths: Paths
    clock: Clock
    preferences: Preferences
    board: Board
    journal: Journal
    history: History
    appliances: Appliances
    cache: ApplianceCache
    driver: Driver
    features: frozenset[Feature]
    project: Project
    blank: BlankMedium
    fetch_token: Callable[[Project, str], Awaitable[GuestToken]]
    speed: int = 100
    guest_files: GuestFiles | None = None
    unhindered: Unhindered = as_it_is
