"""Guests for the drivers' tests: one line in, one line out, the same on every hypervisor.

The guest says `boot <id>` once, then answers each line `N TEXT` with `N <id> VALUE`. What every guest understands:

    a number            that number
    carrier             1 if the cable of its network card is in, else 0
    keep WORD, kept     hold a word in memory; which one it holds
    store WORD, stored  write a word to the scratch disk, on the disk itself when it answers; what is there
    inbox N             the first N bytes of its inbox, in hexadecimal, read past its cache
    filled N            write N MiB to the scratch disk, on the disk itself when it answers the seconds that it took
    read                read them from the disk itself; the seconds that it took
    outbox WORD         write a word behind the header of its outbox, on the disk itself when it answers `done`

and it powers itself off when the power button is pressed. The fake guest knows numbers and `keep`, `kept`; the
appliance's evaluates all else as Python.
"""

import asyncio
import io
import json
import os
import sys
import textwrap
import zipfile
from asyncio import StreamReader, StreamWriter
from pathlib import Path
from typing import Any

from client.appliance.context import build_context_medium
from client.hypervisor.driver import DirectBoot, Driver, Medium, MediumRole, VmSpec
from client.hypervisor.errors import LinkUnavailable
from client.hypervisor.qemu.driver import QemuDriver
from client.snapshot import VmState

TOP = Path(__file__).resolve().parents[3]
APPLIANCE = TOP / "build" / "appliance"
RELAY = TOP / "client" / "guest" / "relay.py"
#: many times what a guest under QEMU's TCG needs on a quiet computer
BOOT_LIMIT_S, ANSWER_LIMIT_S = 120.0, 60.0

AGENT = textwrap.dedent("""
    import fcntl, glob, os, socket, struct, sys, threading, time, tty

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

    def carrier():
        return open("/sys/class/net/eth0/carrier").read().strip()

    def keep(word):
        held["word"] = word
        return word

    def kept():
        return held.get("word", "")

    def store(word):
        with open("/scratch/word", "w") as file:
            file.write(word)
            file.flush()
            os.fsync(file.fileno())
        os.sync()
        return word

    def stored():
        return open("/scratch/word").read()

    def filled(mib):
        block = os.urandom(1 << 20)
        with open("/scratch/filled", "wb") as file:
            begin = time.monotonic()
            for _ in range(int(mib)):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            return time.monotonic() - begin

    def read():
        with open("/scratch/filled", "rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            begin = time.monotonic()
            while file.read(1 << 20):
                pass
            return time.monotonic() - begin

    def disk(role):
        for name in os.listdir("/sys/block"):
            serial = f"/sys/block/{name}/serial"
            if os.path.exists(serial) and open(serial).read().strip() == role:
                return "/dev/" + name
        raise FileNotFoundError(role)

    def inbox(count):
        with open(disk("inbox"), "rb") as file:
            fcntl.ioctl(file.fileno(), BLKFLSBUF)
            return file.read(int(count)).hex()

    def outbox(word):
        with open(disk("outbox"), "r+b") as file:
            file.seek(HEADER)
            file.write(word.encode())
            file.flush()
            os.fsync(file.fileno())
        return "done"

    def heed_power_button():
        # struct input_event on x86-64: two longs of time, type, code, value; EV_KEY, KEY_POWER, pressed.
        for path in glob.glob("/dev/input/event*"):
            def heed(path=path):
                with open(path, "rb", buffering=0) as button:
                    while True:
                        if struct.unpack("qqHHi", button.read(24))[2:] == (1, 116, 1):
                            os.system("/bin/busybox poweroff -f")
            threading.Thread(target=heed, daemon=True).start()

    BLKFLSBUF, HEADER = 0x1261, 4096
    words = {one.__name__: one for one in (carrier, keep, kept, store, stored, filled, read, inbox, outbox)}
    me = os.urandom(4).hex()
    held = {}
    heed_power_button()
    link = os.open(device(), os.O_RDWR | os.O_NOCTTY)
    if os.isatty(link):
        tty.setraw(link)
    os.write(link, b"boot " + me.encode() + b"\\n")
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
            word, _, rest = text.partition(" ")
            try:
                value = words[word](*rest.split()) if word in words else eval(text)
            except Exception as error:
                value = repr(error)
            os.write(link, f"{number} {me} {value}\\n".encode())
""")
COMMAND_LINE = (
    "mitigations=off nokaslr cryptomgr.notests random.trust_cpu=on no_timer_check panic=5 quiet "
    "vc.net=10.0.2.15/24,10.0.2.2,10.0.2.3"
)


def tcg_driver(folder: Path, **options: Any) -> QemuDriver:
    """QEMU without hardware acceleration, which works on any computer."""
    relay = (sys.executable, "-I", "-S", str(RELAY))
    return QemuDriver(folder, relay, **{"accelerators": ("tcg",), **options})


async def play_fake(reader: StreamReader, writer: StreamWriter) -> None:
    """The same guest as a coroutine."""
    me = os.urandom(4).hex()
    writer.write(f"boot {me}\n".encode())
    kept = ""
    while line := await reader.readline():
        number, _, text = line.decode().strip().partition(" ")
        if text.startswith("keep "):
            kept = text = text.removeprefix("keep ")
        elif text == "kept":
            text = kept
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
    """The host's end of the link to such a guest; the limits that it has of itself grow by `slowness`."""

    def __init__(self, reader: StreamReader, writer: StreamWriter, slowness: float = 1.0) -> None:
        self._reader, self._writer = reader, writer
        self._slowness = slowness
        self._asked = 0
        self.booted = ""

    @classmethod
    async def open(cls, driver: Driver, vm_id: str, slowness: float = 1.0) -> "Line":
        async with asyncio.timeout(BOOT_LIMIT_S * slowness):
            while True:
                try:
                    return cls(*await driver.open_link(vm_id), slowness)
                except LinkUnavailable:
                    await asyncio.sleep(0.05)

    async def ask(self, text: str, limit_s: float | None = None) -> tuple[str, str]:
        """(id of the guest's boot, answer)."""
        self._asked += 1
        async with asyncio.timeout(limit_s or ANSWER_LIMIT_S * self._slowness):
            self._writer.write(f"\n{self._asked} {text}\n".encode())
            while True:
                line = (await self._reader.readline()).decode().strip()
                assert line or not self._reader.at_eof(), "the link ended"
                number, _, rest = line.partition(" ")
                if number == str(self._asked):
                    who, _, value = rest.partition(" ")
                    return who, value

    async def value(self, text: str, limit_s: float | None = None) -> str:
        return (await self.ask(text, limit_s))[1]

    async def wait_boot(self, limit_s: float | None = None) -> str:
        """The id that the guest says when it boots."""
        async with asyncio.timeout(limit_s or BOOT_LIMIT_S * self._slowness):
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


async def wait_state(driver: Driver, vm_id: str, *states: VmState, limit_s: float = 60) -> VmState:
    async with asyncio.timeout(limit_s):
        while (state := (await driver.info(vm_id)).state) not in states:
            await asyncio.sleep(0.05)
    return state
