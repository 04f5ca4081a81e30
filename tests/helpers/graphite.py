"""The real carbon-cache, Graphite's server, with a folder of its own."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.servers import Process, free_port

_CONFIG = """
[cache]
STORAGE_DIR = {folder}
LOCAL_DATA_DIR = {folder}/whisper
CONF_DIR = {folder}
LOG_DIR = {folder}
PID_DIR = {folder}
USER =
LINE_RECEIVER_INTERFACE = 127.0.0.1
LINE_RECEIVER_PORT = {line}
PICKLE_RECEIVER_INTERFACE = 127.0.0.1
PICKLE_RECEIVER_PORT = {pickle}
CACHE_QUERY_INTERFACE = 127.0.0.1
CACHE_QUERY_PORT = {query}
ENABLE_UDP_LISTENER = False
ENABLE_LOGROTATION = False
MAX_CREATES_PER_MINUTE = inf
MAX_UPDATES_PER_SECOND = inf
CACHE_WRITE_STRATEGY = naive
WHISPER_AUTOFLUSH = True
"""
_SCHEMAS = "[all]\npattern = .*\nretentions = 10s:1h\n"


@dataclass
class Carbon:
    """A running carbon-cache; it can be stopped and started again."""

    port: int
    folder: Path
    server: Process

    def values(self, name: str) -> list[float]:
        """What is kept under a name, oldest first; as Graphite's own tool reads it."""
        path = self.folder / "whisper" / f"{name.replace('.', '/')}.wsp"
        if not path.exists():
            return []
        shown = subprocess.run(["whisper-fetch", str(path)], check=True, capture_output=True, text=True).stdout
        found = [line.split()[1] for line in shown.splitlines() if line.strip()]
        return [float(value) for value in found if value != "None"]


@contextlib.contextmanager
def carbon_cache() -> Iterator[Carbon]:
    with tempfile.TemporaryDirectory(prefix="vc-carbon-", dir="/tmp") as name:
        folder = Path(name)
        line, pickle, query = (free_port() for _ in range(3))
        (folder / "carbon.conf").write_text(_CONFIG.format(folder=folder, line=line, pickle=pickle, query=query))
        (folder / "storage-schemas.conf").write_text(_SCHEMAS)
        (folder / "whisper").mkdir()
        command = ["carbon-cache", f"--config={folder}/carbon.conf", "--nodaemon", f"--pidfile={folder}/{os.getpid()}"]
        server = Process([*command, "start"], line, folder)
        server.start()
        try:
            yield Carbon(line, folder, server)
        finally:
            server.stop()
