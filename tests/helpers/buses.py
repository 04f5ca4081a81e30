"""Private message buses with doubles of services on them (python-dbusmock), each a process of its own."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dbus_fast

from client.host.dbus.link import Link

MOCK = "org.freedesktop.DBus.Mock"
#: the Python that Debian's python3-dbusmock belongs to
PYTHON = "/usr/bin/python3"
LIMIT_S = 30.0


@dataclass(frozen=True)
class PrivateBus:
    """A running bus; `env` makes it both buses of a program."""

    address: str
    pid: int
    env: dict[str, str]

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


@contextlib.contextmanager
def private_bus(address: str = "") -> Iterator[PrivateBus]:
    """Start a bus; at a given address, or at a new one."""
    command = ["dbus-daemon", "--session", "--nofork", "--print-address"]
    command += [f"--address={address}"] if address else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        env = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address, "DBUS_SESSION_BUS_ADDRESS": address}
        yield PrivateBus(address, process.pid, env)
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


class Double:
    """A double of a service, and the calls that change what it says."""

    def __init__(self, link: Link, name: str, pid: int) -> None:
        self._link, self.name, self.pid = link, name, pid

    async def mock(self, path: str, member: str, signature: str, *body: object) -> Any:
        """Call a method of python-dbusmock on an object."""
        return await self._link.call(self.name, path, MOCK, member, signature, *body)

    async def call(self, path: str, interface: str, member: str, signature: str = "", *body: object) -> Any:
        return await self._link.call(self.name, path, interface, member, signature, *body)

    async def change(self, path: str, interface: str, signature: str, name: str, value: object) -> None:
        """Change a property, and say so as services do."""
        changed = {name: dbus_fast.Variant(signature, value)}
        await self.mock(path, "UpdateProperties", "sa{sv}", interface, changed)

    async def emit(self, path: str, interface: str, member: str, signature: str, *body: object) -> None:
        """Send a signal."""
        variants = [dbus_fast.Variant(kind, value) for kind, value in zip(signature, body, strict=True)]
        await self.mock(path, "EmitSignal", "sssav", interface, member, signature, variants)


@contextlib.asynccontextmanager
async def double(
    bus: PrivateBus, name: str, path: str, interface: str, template: str = "", folder: Path | None = None
) -> AsyncIterator[Double]:
    """Start a double; it is on the bus when the block begins, and off it after."""
    what = ["--template", template] if template else [name, path, interface]
    command = [PYTHON, "-m", "dbusmock", "--session", *what]
    process = subprocess.Popen(command, env=bus.env, stdout=subprocess.DEVNULL, cwd=folder, text=True)
    link = await Link.connect(bus.address)
    try:
        await _wait_for_owner(link, name)
        yield Double(link, name, process.pid)
    finally:
        await link.close()
        _end(process)


async def _wait_for_owner(link: Link, name: str) -> None:
    here = asyncio.Event()
    await link.follow(name, (), lambda said: None, lambda is_here: here.set() if is_here else None)
    async with asyncio.timeout(LIMIT_S):
        await here.wait()
