"""A VirtualBox of a test's own: its settings, its server, its VMs, and the end of all of them."""

import os
import subprocess
import time
from pathlib import Path

import psutil

#: No single call of the lane's own needs longer; a busy computer is reckoned with.
CALL_LIMIT_S = 120


class Lane:
    """Settings and server of one test or session; the environment of this process names them.

    Attributes:
        home: value of VBOX_USER_HOME.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        """What makes a call of VBoxManage one of this lane's."""
        return {"VBOX_USER_HOME": str(self.home), "LC_ALL": "C"}

    def manage(self, *words: str, check: bool = True) -> str:
        """Call VBoxManage as anybody would, past the program under test; gives what it printed."""
        done = subprocess.run(
            ["VBoxManage", *words],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=CALL_LIMIT_S,
            stdin=subprocess.DEVNULL,
        )
        assert not check or done.returncode == 0, f"VBoxManage {' '.join(words)}: {done.stderr}"
        return done.stdout

    def processes(self, name: str = "VBox") -> list[psutil.Process]:
        """Processes of this VirtualBox whose name begins so, and of no other."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.name().startswith(name) and process.environ().get("VBOX_USER_HOME") == str(self.home):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill(self, name: str) -> int:
        """Kill them as by SIGKILL and wait until they are gone; gives how many there were."""
        found = self.processes(name)
        for process in found:
            process.kill()
        psutil.wait_procs(found, timeout=10)
        return len(found)

    def end(self) -> None:
        """End VMs and server, the VMs first."""
        for name in ("VBoxHeadless", "VBoxSVC", "VBox"):
            found = self.processes(name)
            for process in found:
                process.terminate()
            _, left = psutil.wait_procs(found, timeout=5)
            for process in left:
                process.kill()
        assert not self.processes(), "processes of VirtualBox are left"

    def assert_nothing_left(self, folder: Path) -> None:
        """Neither VirtualBox's lists nor the driver's folder hold anything of the VMs that were there."""
        for what in ("vms", "hdds", "dvds"):
            said = self.manage("list", *(("--long",) if what == "vms" else ()), what)
            assert str(folder) not in said, f"list {what} still names {folder}:\n{said}"
        assert self.manage("list", "vms").count("<inaccessible>") == 0
        left = [path for path in folder.rglob("*") if path.is_dir() or path.suffix not in (".json", "")]
        assert [path for path in left if path.name != "_bases"] == []

    def wait_for_server_end(self, limit_s: float = 30) -> None:
        """VBoxSVC writes its settings and ends by itself when nobody uses it."""
        until = time.monotonic() + limit_s
        while self.processes("VBoxSVC") and time.monotonic() < until:
            psutil.wait_procs(self.processes("VBoxSVC"), timeout=1)
        assert not self.processes("VBoxSVC")
