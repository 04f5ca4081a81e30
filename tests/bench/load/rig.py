"""The servers under load: a real prosody and real managers, each a process of its own, in one folder."""

import contextlib
import json
import os
import resource
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from client.copilot.managers.prosody import ProsodySettings, build_config
from client.copilot.messages import JobDescription
from client.copilot.queue.queue import NewJob
from client.copilot.queue.sqlite import SqliteQueue
from tests.helpers.servers import free_port, make_certificate, wait_port

TOP = Path(__file__).resolve().parents[3]
MANAGER_PASSWORD = "load"
_MANAGER = """
[xmpp]
jid = "jm@localhost"
password = "load"
host = "127.0.0.1"
port = {port}
resource = "{name}"
ca_file = "{folder}/cert.pem"
[queue]
path = "{folder}/queue.sqlite"
[job]
chirp = "127.0.0.1:9094"
[storage]
chirp = "127.0.0.1:9094"
chirp_root = "{folder}/chirp"
folder = "{folder}/storage"
[process]
log = "{folder}/{name}.jsonl"
ready_file = "{folder}/{name}.ready"
"""


@dataclass
class Rig:
    """Running servers. children: name -> process."""

    folder: Path
    port: int
    secret: str
    tls: bool
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    submitted: int = 0

    def queue(self) -> SqliteQueue:
        return SqliteQueue(self.folder / "queue.sqlite")

    def submit(self, queue: SqliteQueue, number: int) -> None:
        """Put jobs without input and output into the queue."""
        jobs = []
        for _ in range(number):
            self.submitted += 1
            jobs.append(NewJob(JobDescription(f"load-{self.submitted}", command="run.sh"), output=False))
        queue.submit(jobs, time.time())

    def busy(self, since: dict[str, float] | None = None) -> dict[str, float]:
        """Processor time of each child so far; with an earlier answer, the cores that each has used since."""
        now = {"": time.monotonic()}
        for name, child in self.children.items():
            times = psutil.Process(child.pid).cpu_times()
            now[name] = times.user + times.system
        if since is None:
            return now
        return {name: (now[name] - since[name]) / (now[""] - since[""]) for name in self.children}

    def rss_bytes(self, name: str) -> int:
        return psutil.Process(self.children[name].pid).memory_info().rss

    def start(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as out:
            self.children[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=TOP, preexec_fn=_many_files
            )

    def start_manager(self, name: str, role: str) -> None:
        config = self.folder / f"{name}.toml"
        config.write_text(_MANAGER.format(folder=self.folder, port=self.port, name=name))
        self.start(name, sys.executable, str(TOP / "main.py"), role, "--config", str(config))
        ends = time.monotonic() + 60
        while not (self.folder / f"{name}.ready").exists():
            assert self.children[name].poll() is None, (self.folder / f"{name}.out").read_text()
            assert time.monotonic() < ends, f"{name} has no session"
            time.sleep(0.05)

    @contextlib.contextmanager
    def swarm(self, **settings: Any) -> Iterator[subprocess.Popen[str]]:
        """A load generator; its standard output has the lines of `tests.bench.load.swarm`."""
        usual = {
            "login_per_s": 400,
            "ask_every_s": 0,
            "ping_every_s": 0,
            "jobs": 0,
            "warm_s": 2,
            "limit_s": 30,
            "first": 1,
        }
        usual |= {"port": self.port, "secret": self.secret, "tls": self.tls, "expires_at": int(time.time()) + 86400}
        usual |= {"extensions": "claim lease verdict"}
        path = self.folder / "swarm.json"
        path.write_text(json.dumps(usual | settings))
        command = [sys.executable, "-m", "tests.bench.load.swarm", str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=TOP, preexec_fn=_many_files)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def open_rig(folder: Path, managers: dict[str, str], *, tls: bool) -> Iterator[Rig]:
    """Start prosody and managers (name -> role); down at the end.

    Args:
        tls: as a site has it; else agents log in by plain words over loopback, for what 10 000 logins would cost.
    """
    rig = Rig(folder, free_port(), secrets.token_hex(32), tls)
    for name in ("data", "chirp", "storage", "modules"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for module in (TOP / "resources" / "prosody").glob("*.lua"):
        shutil.copy(module, folder / "modules")
    make_certificate(folder)
    _write_prosody(rig)
    try:
        rig.start("prosody", "prosody", "--config", str(folder / "prosody.cfg.lua"), "-F")
        wait_port(rig.port, rig.children["prosody"])
        for name, role in managers.items():
            rig.start_manager(name, role)
        yield rig
    finally:
        for child in reversed(rig.children.values()):
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _write_prosody(rig: Rig) -> None:
    folder = rig.folder
    text = build_config(
        ProsodySettings(
            folder=folder,
            modules=folder / "modules",
            domain="localhost",
            host="127.0.0.1",
            port=rig.port,
            certificate=folder / "cert.pem",
            key=folder / "key.pem",
            log=folder / "prosody.log",
            site_secret=rig.secret,
            accounts={"jm": MANAGER_PASSWORD},
            as_root=os.geteuid() == 0,
        )
    )
    if not rig.tls:
        needed = "c2s_require_encryption = true"
        assert needed in text
        text = text.replace(needed, "c2s_require_encryption = false\nallow_unencrypted_plain_auth = true")
    path = folder / "prosody.cfg.lua"
    path.write_text(text)


def _many_files() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
