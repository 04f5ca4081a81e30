"""Guests for the drivers' tests: one line in, one line out, the same on every hypervisor.

The guest says `boot <id>` once, then answers each line `N TEXT` with `N <id> VALUE`: under QEMU VALUE is what TEXT
evaluates to as Python inside the guest, the fake guest gives TEXT back.
"""

import asyncio
import io
import json
import os
import textwrap
import zipfile
from asyncio import StreamReader, StreamWriter
from pathlib import Path
from typing import Any

from client.appliance.context import build_context_medium
from client.hypervisor.driver import DirectBoot, Driver, Medium, MediumRole, VmSpec
from client.hypervisor.errors import LinkUnavailable
from client.snapshot import VmState

TOP = Path(__file__).resolve().parents[3]
APPLIANCE = TOP / "build" / "appliance"
RELAY = TOP / "client" / "guest" / "relay.py"

AGENT = textwrap.dedent("""
    import glob, os, socket, sys, time, tty

    def device():
        for name in glob.glob("/sys/class/virtio-ports/*/name"):
            if open(name).read().strip() == "org.volunteercloud.link":
                return "/dev/" + name.split("/")[-2]
        return "/dev/ttyS1"

    def attempt(deed):
        try:
            return repr(deed())
        except OSError as error:
            return f"{type(error).__name__}"

    def tcp(host, port, data=b"", timeout=4, most=1 << 30):
        with socket.create_connection((host, port), timeout) as to:
            to.settimeout(timeout)
            if data:
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)
            got = b""
            while len(got) < most and (more := to.recv(65536)):
                got += more
            return got

    def udp(host, port, data, timeout=3):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to:
            to.settimeout(timeout)
            to.sendto(data, (host, port))
            return to.recv(65536)

    me = os.urandom(4).hex()
    link = os.open(device(), os.O_RDWR | os.O_NOCTTY)
    if os.isatty(link):
        tty.setraw(link)
    os.write(link, b"boot " + me.encode() + b"\\n")
    held = {}
    buffer = b""
    while True:
        try:
            data = os.read(link, 4096)
        except OSError:
            data = b""
        if not data:
            time.sleep(0.05)
            continue
        buffer += data
        *lines, buffer = buffer.split(b"\\n")
        for line in lines:
            number, _, text = line.decode().partition(" ")
            try:
                value = eval(text)
            except Exception as error:
                value = repr(error)
            os.write(link, f"{number} {me} {value}\\n".encode())
""")
COMMAND_LINE = (
    "mitigations=off nokaslr cryptomgr.notests random.trust_cpu=on no_timer_check panic=5 quiet "
    "vc.net=10.0.2.15/24,10.0.2.2,10.0.2.3"
)


async def play_fake(reader: StreamReader, writer: StreamWriter) -> None:
    """The same guest as a coroutine."""
    me = os.urandom(4).hex()
    writer.write(f"boot {me}\n".encode())
    while line := await reader.readline():
        number, _, text = line.decode().strip().partition(" ")
        writer.write(f"{number} {me} {text}\n".encode())


def build_context(path: Path, agent: str = AGENT) -> Path:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("__main__.py", agent)
    build_context_medium(path, {"version": 1}, packed.getvalue())
    return path


def appliance_spec(vm_id: str, context: Path, **changes: Any) -> VmSpec:
    manifest = json.loads((APPLIANCE / "manifest.json").read_text())
    media = (
        Medium(MediumRole.SYSTEM, APPLIANCE / manifest["direct"]["system"]),
        Medium(MediumRole.CONTEXT, context),
        Medium(MediumRole.SCRATCH, APPLIANCE / manifest["scratch"]),
    )
    boot = DirectBoot(APPLIANCE / "vmlinux", APPLIANCE / "initrd.img", COMMAND_LINE)
    plain: dict[str, Any] = {"cpus": 1, "memory_mib": 256, "media": media, "direct_boot": boot}
    return VmSpec(vm_id, f"Test {vm_id}", **{**plain, **changes})


class Line:
    """The host's end of the link to such a guest."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._asked = 0
        self.booted = ""

    @classmethod
    async def open(cls, driver: Driver, vm_id: str, limit_s: float = 30) -> "Line":
        async with asyncio.timeout(limit_s):
            while True:
                try:
                    return cls(*await driver.open_link(vm_id))
                except LinkUnavailable:
                    await asyncio.sleep(0.05)

    async def ask(self, text: str, limit_s: float = 30) -> tuple[str, str]:
        """(id of the guest's boot, answer)."""
        self._asked += 1
        async with asyncio.timeout(limit_s):
            self._writer.write(f"\n{self._asked} {text}\n".encode())
            while True:
                line = (await self._reader.readline()).decode().strip()
                assert line or not self._reader.at_eof(), "the link ended"
                number, _, rest = line.partition(" ")
                if number == str(self._asked):
                    who, _, value = rest.partition(" ")
                    return who, value

    async def value(self, text: str, limit_s: float = 30) -> str:
        return (await self.ask(text, limit_s))[1]

    async def wait_boot(self, limit_s: float = 40) -> str:
        """The id that the guest says when it boots."""
        async with asyncio.timeout(limit_s):
            while line := (await self._reader.readline()).decode(errors="replace").strip("\x00\r\n "):
                if line.startswith("boot "):
                    return line.split()[1]
        raise AssertionError("the link ended")

    async def is_silent(self, for_s: float) -> bool:
        try:
            async with asyncio.timeout(for_s):
                await self.ask("1", for_s)
        except TimeoutError:
            return True
        return False

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return


async def wait_state(driver: Driver, vm_id: str, *states: VmState, limit_s: float = 20) -> VmState:
    async with asyncio.timeout(limit_s):
        while (state := (await driver.info(vm_id)).state) not in states:
            await asyncio.sleep(0.05)
    return state
