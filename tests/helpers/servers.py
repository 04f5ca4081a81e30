"""Real servers for tests, on free loopback ports, each with a folder of its own, ended with the context."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

NOBODY = 65534
#: modules of ours for prosody
PLUGINS = Path(__file__).resolve().parents[2] / "resources" / "prosody"
#: below those that Linux gives to whoever asks for any, so that none is taken between being chosen and being used
PORTS = range(20000, 32000)
_PROSODY = """
run_as_root = true
pidfile = "{folder}/pid"
data_path = "{folder}/data"
certificates = "{folder}"
interfaces = {{ "127.0.0.1" }}
plugin_paths = {{ "{plugins}" }}
c2s_ports = {{ {port} }}
s2s_ports = {{ }}
modules_enabled = {{ "saslauth", "tls", "ping"{modules} }}
modules_disabled = {{ "s2s", "offline" }}
network_settings = {{ nagle = {nagle} }}
authentication = "internal_hashed"
c2s_require_encryption = true
log = {{ info = "{folder}/log" }}
VirtualHost "localhost"
  ssl = {{ key = "{folder}/key.pem", certificate = "{folder}/cert.pem" }}
"""


def free_port() -> int:
    """A port that is free now, and that the system gives to nobody by itself before it is bound."""
    for port in random.sample(PORTS, 50):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


def wait_port(port: int, process: "subprocess.Popen[bytes]", limit_s: float = 60) -> None:
    ends = time.monotonic() + limit_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, f"{process.args} ended with {process.returncode}"
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)
        else:
            return


class Process:
    """A server that can be stopped and started again on the same port."""

    def __init__(self, command: list[str], port: int, folder: Path) -> None:
        self.command = command
        self.port = port
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "out").open("ab") as out:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        wait_port(self.port, self._process)

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@dataclass
class Xmpp:
    """A prosody with the accounts that were asked for; their password is `pw`."""

    port: int
    ca_pem: str
    server: Process


@contextlib.contextmanager
def xmpp_server(*users: str, nagle: bool = False, modules: tuple[str, ...] = (), host: str = "") -> Iterator[Xmpp]:
    """A prosody until the end. host: more lines for its one host."""
    with tempfile.TemporaryDirectory(prefix="vc-xmpp-", dir="/tmp") as name:
        folder, port = Path(name), free_port()
        (folder / "data").mkdir()
        config = folder / "prosody.cfg.lua"
        more = "".join(f', "{module}"' for module in modules)
        config.write_text(
            _PROSODY.format(folder=folder, port=port, nagle=str(nagle).lower(), modules=more, plugins=PLUGINS) + host
        )
        make_certificate(folder)
        for user in users:
            command = ["prosodyctl", "--config", str(config), "register", user, "localhost", "pw"]
            subprocess.run(command, check=True, capture_output=True)
        if os.geteuid() == 0:
            shutil.chown(folder, "prosody")
            for path in folder.rglob("*"):
                shutil.chown(path, "prosody")
        server = Process(["prosody", "--config", str(config), "-F"], port, folder)
        server.start()
        try:
            yield Xmpp(port, (folder / "cert.pem").read_text(), server)
        finally:
            server.stop()


def make_certificate(folder: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"), "-days", "30"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, check=True, capture_output=True)


@dataclass
class Chirp:
    """A chirp_server; `root` is its storage."""

    port: int
    root: Path
    server: Process

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextlib.contextmanager
def chirp_server(acl: str = "address:127.0.0.1 rwlda\n") -> Iterator[Chirp]:
    with tempfile.TemporaryDirectory(prefix="vc-chirp-", dir="/tmp") as name:
        folder, port = Path(name), free_port()
        root, scrap = folder / "root", folder / "scrap"
        root.mkdir()
        scrap.mkdir()
        (root / ".__acl").write_text(acl)
        command = ["chirp_server", "-I", "127.0.0.1", "-p", str(port), "-r", str(root), "-y", str(scrap)]
        command += ["-a", "address", "-u", "-"]
        if os.geteuid() == 0:
            command += ["-i", "nobody"]
            for path in (folder, root, scrap):
                os.chown(path, NOBODY, NOBODY)
        server = Process(command, port, folder)
        server.start()
        try:
            yield Chirp(port, root, server)
        finally:
            server.stop()


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(handle: Handler) -> AsyncIterator[int]:
    """A server of our own on a free port; at its end nothing of its connections is left."""
    ends: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(writer)
        await handle(reader, writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in ends:
        writer.transport.abort()
    await asyncio.sleep(0.05)
