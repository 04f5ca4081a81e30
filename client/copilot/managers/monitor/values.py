"""Values that change slowly: how many jobs wait, and how the manager's computer does."""

import asyncio
import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

from client.copilot.errors import TransportDown
from client.copilot.events import ReportEventValue
from client.copilot.jdl import read_meminfo
from client.copilot.managers.config import Config
from client.copilot.managers.monitor.reporter import VALUES_S, Reporter, plain
from client.copilot.messages import build_info
from client.copilot.queue.errors import QueueError
from client.copilot.queue.open import open_queue
from client.copilot.queue.queue import JobState
from client.copilot.transport import XmppTransport
from client.log import logger

log = logger("site")

_NET: Final = Path("/proc/net/dev")
_AGENT: Final = "agent"
_MAX_INTERFACES: Final = 8
#: of containers and virtual machines: they come and go, each with a name of its own, and would use up all series
_PASSING: Final = ("lo", "veth", "vnet", "tap", "br-", "docker", "virbr", "cali", "cni", "flannel", "lxc")
_MIB: Final = 1024 * 1024


async def report_values(config: Config, reporter: Reporter) -> None:
    """Measure once a minute, for ever; at once when nobody listens it only waits."""
    before: dict[str, float] = {}
    while reporter.settings.address:
        try:
            reporter.measured("queuedJobs", await asyncio.to_thread(_queued, config))
        except (QueueError, OSError) as failed:
            log.error("the jobs that wait were not counted: %s", failed)
        if reporter.settings.system:
            traffic = await asyncio.to_thread(read_traffic, _NET)
            for name, value in (system_values() | traffic_values(before, traffic)).items():
                reporter.measured(name, value)
            before = traffic
        await asyncio.sleep(VALUES_S)
    await asyncio.get_running_loop().create_future()


async def tell_system(address: str, transport: XmppTransport) -> None:
    """Tell a monitor once a minute, for ever, how the computer of an agent does; without a session it waits."""
    while True:
        await transport.connect()
        for name, value in system_values().items():
            with contextlib.suppress(TransportDown):
                await transport.send(address, build_info(ReportEventValue(_AGENT, name, value)), noack=True)
        await asyncio.sleep(VALUES_S)


def _queued(config: Config) -> int:
    # A thread of its own has a queue of its own.
    with contextlib.closing(open_queue(config)) as queue:
        return queue.counts()[JobState.WAITING]


def system_values() -> dict[str, float]:
    """Load, memory and disk in the original's names; MB are MiB."""
    load = os.getloadavg()
    found = {f"system.load.{name}": value for name, value in zip(("1min", "5min", "15min"), load, strict=True)}
    kib = read_meminfo()
    for name, total, free in (("mem", "MemTotal", "MemAvailable"), ("swap", "SwapTotal", "SwapFree")):
        if kib.get(total):
            found[f"system.ram.available.{name}"] = kib.get(free, 0) // 1024
            found[f"system.ram.used.{name}"] = (kib[total] - kib.get(free, 0)) // 1024
    with contextlib.suppress(OSError):
        disk = shutil.disk_usage("/")
        found["system.disk.used.root"] = disk.used // _MIB
        found["system.disk.available.root"] = disk.free // _MIB
    return found


def read_traffic(path: Path) -> dict[str, float]:
    """Bytes by `in.<interface>` and `out.<interface>` since the computer's start; empty where nobody counts.

    The loopback interface and those of containers and virtual machines are left out.

    Source: proc(5), /proc/net/dev: after the colon received bytes are the first number, sent bytes the ninth.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()[2:]
    except (OSError, UnicodeDecodeError):
        return {}
    found: dict[str, float] = {}
    named = [(name.strip(), rest.split()) for name, _, rest in (line.partition(":") for line in lines)]
    lasting = [(name, numbers) for name, numbers in named if len(numbers) >= 9 and not name.startswith(_PASSING)]
    for name, numbers in lasting[:_MAX_INTERFACES]:
        found[f"in.{plain(name)}"] = float(numbers[0])
        found[f"out.{plain(name)}"] = float(numbers[8])
    return found


def traffic_values(before: dict[str, float], now: dict[str, float]) -> dict[str, float]:
    """MiB since the measurement before; 0 at the first, and when an interface began anew."""
    return {f"system.net.{name}": max(0.0, value - before.get(name, value)) / _MIB for name, value in now.items()}
