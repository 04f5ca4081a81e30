"""What the benches of downloads share: a server, one worker run in a process that tells what it used, and zsync."""

import contextlib
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.appliance.publish.store import hash_file
from client.appliance.target import PIECE_BYTES, Target
from client.appliance.worker import worker_command
from tests.bench.harness import TOP

_SERVER = Path(__file__).with_name("file_server.py")
#: memory of the largest process below this one, in bytes; a fresh process asks, so that nothing before it counts
_WORK = """
import asyncio, json, resource, sys
from client.appliance.worker import run_worker
result = asyncio.run(run_worker(sys.argv[1], json.loads(sys.stdin.readline())))
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps({**result, "peak_bytes": peak}))
"""


@dataclass
class Served:
    """A server's base address; `sent` is known when it has ended."""

    url: str
    sent: list[int] = field(default_factory=list)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Served]:
    command = [sys.executable, str(_SERVER), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin and server.stdout
        served = Served(f"http://127.0.0.1:{int(server.stdout.readline())}")
        yield served
        server.stdin.close()
        served.sent.append(int(server.stdout.readline()))


def target_of(path: Path, url: str) -> Target:
    found = hash_file(path)
    return Target(path.name, found.size_bytes, found.sha256, PIECE_BYTES, found.pieces, (url,), prefixes=found.prefixes)


def work(kind: str, order: Mapping[str, Any]) -> dict[str, Any]:
    """One worker's result, and peak_bytes: the memory of its largest process."""
    said = subprocess.run(
        [sys.executable, "-c", _WORK, kind], input=json.dumps(order) + "\n", capture_output=True, text=True, cwd=TOP
    )
    assert said.returncode == 0, said.stderr[-2000:]
    return dict(json.loads(said.stdout))


def timed(command: Sequence[str | Path]) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    return _timed(lambda: subprocess.run(command, capture_output=True, check=True))


def worked(kind: str, order: Mapping[str, Any]) -> tuple[float, float]:
    """The same of a worker, from the start of its process to its end."""

    def run() -> None:
        command = [*worker_command(), kind]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=TOP) as worker:
            assert worker.stdin and worker.stdout
            worker.stdin.write(json.dumps(order) + "\n")
            worker.stdin.flush()
            last = worker.stdout.readlines()[-1]
        assert "result" in json.loads(last), last

    return _timed(run)


def _timed(run: Callable[[], object]) -> tuple[float, float]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    run()
    taken = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return taken, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def zsync_bytes(old: Path, new: Path, folder: Path) -> int:
    """What zsync fetches to make the new file out of the old one: its index, and what it asks for by range."""
    out = folder / "zsync.out"
    index = folder / f"{new.name}.zsync"
    subprocess.run(["zsyncmake", "-u", new.name, "-o", index, new], check=True, capture_output=True)
    with serving(new.parent) as served:
        index.rename(new.parent / index.name)
        try:
            command = ["zsync", "-q", "-i", old, "-o", out, f"{served.url}/{index.name}"]
            ended = subprocess.run(command, capture_output=True, text=True, cwd=folder)
            assert ended.returncode == 0, ended.stderr[-500:]
            assert target_of(out, "").sha256 == target_of(new, "").sha256
        finally:
            (new.parent / index.name).unlink()
            out.unlink(missing_ok=True)
    return served.sent[0]


def version_of(tool: str) -> str:
    said = subprocess.run([tool, "-V"], capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+[.\d]*", said.stdout + said.stderr)
    return f"{tool} {found[0] if found else ''}".strip()
