"""The peer: boinc-client and boinc-manager of Debian, idle, on a loopback of their own without any network."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.faces import Use, use_of
from tests.helpers.screen import Screen

TOOLS = ("boinc", "boincmgr", "unshare", "ip")
START_S = 30.0
#: `$0` is the folder; both are children of one shell, whose end is theirs.
SCRIPT = """
ip link set lo up
cd "$0" || exit 1
boinc --dir "$0" --no_info_fetch --skip_cpu_benchmarks --no_gpus --allow_multiple_clients &
echo $! > client.pid
sleep 3
boincmgr --datadir="$0" --namehost=127.0.0.1 --password="$(cat gui_rpc_auth.cfg)" --multiple &
echo $! > manager.pid
wait
"""


@dataclass(frozen=True)
class Boinc:
    """Both programs; `why_not` is why one of them does not run."""

    pids: tuple[int, ...]
    why_not: str = ""

    def uses(self) -> list[Use]:
        return [use_of(pid) for pid in self.pids if Path(f"/proc/{pid}").exists()]


@contextlib.contextmanager
def open_boinc(folder: Path, screen: Screen) -> Iterator[Boinc]:
    """Start both; what cannot be started is said, not raised: the peer is not what is measured."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        yield Boinc((), f"{missing[0]} is not installed")
        return
    folder.mkdir(parents=True)
    env = screen.env | {"HOME": str(folder)}
    with (folder / "output.log").open("ab") as out:
        alone = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
        command = [*alone, "sh", "-c", SCRIPT, str(folder)]
        shell = subprocess.Popen(command, env=env, stdout=out, stderr=out, start_new_session=True)
    try:
        yield _started(folder, shell)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGTERM)
        try:
            shell.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()


def _started(folder: Path, shell: "subprocess.Popen[bytes]") -> Boinc:
    ends = time.monotonic() + START_S
    while not (folder / "manager.pid").exists() or not (folder / "manager.pid").read_text().strip():
        if shell.poll() is not None or time.monotonic() > ends:
            return Boinc((), "it did not start")
        time.sleep(0.1)
    time.sleep(3)
    pids = tuple(int((folder / f"{name}.pid").read_text()) for name in ("client", "manager"))
    gone = [name for name, pid in zip(("client", "manager"), pids, strict=True) if not _runs(pid)]
    return Boinc(tuple(pid for pid in pids if _runs(pid)), f"its {gone[0]} ended at once" if gone else "")


def _runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
