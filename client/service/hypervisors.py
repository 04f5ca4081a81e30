"""`main.py hypervisors`: what can run virtual machines on this computer, how fast, and what to do about what cannot.

virtualbox  ready  7.2.22  hardware                    <- used
qemu        slow   7.2.22  tcg
            Virtual machines run about 17 times slower here than ... To make it faster: ...
"""

import argparse
import asyncio
import json
import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from client import filenames
from client.clock import SystemClock
from client.command_line import Parser
from client.errors import BadInput, ClientError
from client.hypervisor import registry
from client.hypervisor.driver import DriverReport
from client.hypervisor.install import Advice, advise, distribution
from client.hypervisor.verdicts import Verdicts
from client.messages import sentence
from client.paths import Paths, default_base
from client.preferences.store import load
from client.service.control import InstanceLock
from client.service.relay_command import relay_command

#: percent of the computer's own speed below which a hypervisor is called slow
SLOW: Final = 50
_NOT_THIS: Final = "The preferences say that {name} is to be used: mend it, or set hypervisor.driver to auto."
_LEFT: Final = (
    "Its virtual machines take {mib:,.0f} MiB and are not used now. To remove them, with the work that they hold:"
)
_FORGET: Final = "main.py hypervisors --forget {name}"
_OS_RELEASE: Final = Path("/etc/os-release")


@dataclass(frozen=True)
class Finding:
    """One driver as it is shown.

    Attributes:
        advice: what helps, for each of its problems.
        left_bytes: what its VMs take on the disk though it is not used.
    """

    report: DriverReport
    is_used: bool
    advice: tuple[tuple[ClientError, Advice], ...]
    left_bytes: int = 0

    @property
    def word(self) -> str:
        """One word for all of it."""
        if not self.report.available:
            return "no"
        if self.report.speed < SLOW:
            return "slow"
        return "ready" if self.report.is_proven else "untried"

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        told = [{"code": error.code, "text": sentence(error).text, **asdict(advice)} for error, advice in self.advice]
        return {
            "name": self.report.name,
            "state": self.word,
            "used": self.is_used,
            "version": self.report.version,
            "accelerators": self.report.accelerators,
            "percent_of_native_speed": self.report.speed,
            "left_bytes": self.left_bytes,
            "problems": told,
        }

    def lines(self) -> list[str]:
        """For people."""
        report, mark = self.report, "   <- used" if self.is_used else ""
        yields = [f"{report.name:12}{self.word:9}{report.version}  {', '.join(report.accelerators)}".rstrip() + mark]
        for error, advice in self.advice:
            yields.append(f"{'':12}{sentence(error).text} {advice.sentence}")
            if advice.command:
                yields.append(f"{'':12}    {shlex.join(advice.command)}")
            if advice.page:
                yields.append(f"{'':12}    {advice.page}")
        if self.left_bytes:
            yields.append(f"{'':12}{_LEFT.format(mib=self.left_bytes / 2**20)}")
            yields.append(f"{'':12}    {_FORGET.format(name=report.name)}")
        return yields


async def look(paths: Paths, preferred: str, *, again: bool = False) -> list[Finding]:
    """Ask every driver about itself.

    Args:
        preferred: the driver of the preferences, or `auto`.
        again: forget what was seen to fail before.
    """
    if again:
        for ledger in paths.vms.rglob(filenames.ACCELERATORS):
            Verdicts(ledger, SystemClock()).forget()
    reports = []
    for name in registry.FACTORIES:
        if name in registry.NEVER_BY_ITSELF:
            continue
        driver = registry.make(name, paths.vms, relay_command())
        reports.append(await driver.probe())
        await driver.close()
    usable = [report for report in reports if report.available and preferred in {registry.AUTO, "", report.name}]
    best = max(usable, key=lambda report: report.speed, default=None)
    left = registry.left_with_others({best.name} if best else (), paths.vms)
    return [Finding(report, report is best, _advice(report), left.get(report.name, 0)) for report in reports]


def forget(paths: Paths, name: str) -> None:
    """Remove all VMs of a driver.

    Raises:
        AlreadyRunning: an instance may be using them.
        ClientError: one cannot be removed now.
    """
    with InstanceLock(paths):
        removed = asyncio.run(registry.forget(name, paths.vms, relay_command(), registry.FACTORIES))
    print(f"Removed what was left with {name}: {', '.join(removed) or 'nothing'}.")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(prog="main.py hypervisors", description="Shows what can run virtual machines on this computer.")
    parser.add_argument("--basedir", type=Path, default=default_base(), help="base folder of the program")
    parser.add_argument(
        "--test-again", action="store_true", help="forget what did not work before: the next start tries it again"
    )
    parser.add_argument(
        "--forget",
        metavar="NAME",
        choices=[name for name in registry.FACTORIES if name not in registry.NEVER_BY_ITSELF],
        help="remove all virtual machines of one of them, installed or not, with the work that they hold",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def main(argv: list[str]) -> int:
    """Print them; 0 if one works here, 1 if none does."""
    given = build_parser().parse_args(argv)
    paths = Paths(given.basedir)
    if paths.base.exists() and not paths.base.is_dir():
        raise BadInput(str(paths.base), "it is no folder", "choose another one with --basedir")
    if given.forget:
        forget(paths, given.forget)
        return 0
    preferred = load(paths.preferences, ()).text("hypervisor.driver")
    found = asyncio.run(look(paths, preferred, again=given.test_again))
    if given.json:
        print(json.dumps([one.to_json() for one in found]))
    else:
        print("\n".join(line for one in found for line in one.lines()))
        if not any(one.is_used for one in found):
            print("None of them can be used." if preferred == registry.AUTO else _NOT_THIS.format(name=preferred))
    return 0 if any(one.is_used for one in found) else 1


def _advice(report: DriverReport) -> tuple[tuple[ClientError, Advice], ...]:
    system = distribution(_OS_RELEASE.read_text(encoding="utf-8")) if _OS_RELEASE.exists() else ""
    return tuple((error, _step_out_of(report.name, system, error)) for error in report.reasons)


def _step_out_of(driver: str, system: str, error: ClientError) -> Advice:
    return advise(sys.platform, system, error) if driver == "virtualbox" else Advice(sentence(error).doing)
