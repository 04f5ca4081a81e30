"""The peer at work: boinc-client with one task for each processor, which it finds in a state as a project leaves it.

The project is never reached: the client is on a loopback of its own. The tasks do nothing but use their processors,
under the client's own defaults, with the priority that it gives them.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.throttled import executed_s
from tests.helpers.screen import wait_for

TOOLS = ("boinc", "unshare", "ip")
START_S = 40.0
URL, APP = "http://127.0.0.1/bench/", "burn"
SCRIPT = """
ip link set lo up
cd "$0" || exit 1
exec boinc --dir "$0" --no_info_fetch --skip_cpu_benchmarks --no_gpus --allow_multiple_clients
"""
APP_INFO = f"""<app_info>
<app><name>{APP}</name></app>
<file_info><name>{APP}</name><executable/></file_info>
<app_version><app_name>{APP}</app_name><version_num>100</version_num><avg_ncpus>1</avg_ncpus>
<file_ref><file_name>{APP}</file_name><main_program/></file_ref></app_version>
</app_info>
"""
STATE = f"""<client_state>
<project><master_url>{URL}</master_url><project_name>bench</project_name><dont_request_more_work/></project>
<app><name>{APP}</name><user_friendly_name>{APP}</user_friendly_name></app>
"""
WORK = f"""<workunit><name>work_%(number)d</name><app_name>{APP}</app_name><version_num>100</version_num>
<rsc_fpops_est>1e15</rsc_fpops_est><rsc_fpops_bound>1e19</rsc_fpops_bound>
<rsc_memory_bound>1e7</rsc_memory_bound><rsc_disk_bound>1e7</rsc_disk_bound></workunit>
<result><name>work_%(number)d_0</name><wu_name>work_%(number)d</wu_name><platform>x86_64-pc-linux-gnu</platform>
<version_num>100</version_num><state>2</state><report_deadline>%(later)d</report_deadline>
<received_time>%(now)d</received_time></result>
"""


@dataclass(frozen=True)
class BoincAtWork:
    """The client's process; `why_not` is why there is none."""

    pid: int = 0
    why_not: str = ""

    def tasks(self) -> tuple[int, ...]:
        """Processes of the tasks that it has started."""
        with contextlib.suppress(OSError):
            return tuple(int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split())
        return ()

    def hold(self, held: bool) -> None:
        """Stop the tasks, and the client with them, or let both go on."""
        for pid in (self.pid, *self.tasks()):
            os.kill(pid, signal.SIGSTOP if held else signal.SIGCONT)

    def used_s(self) -> float:
        """CPU seconds of the tasks."""
        return executed_s(self.tasks())


@contextlib.contextmanager
def boinc_at_work(folder: Path, tasks: int) -> Iterator[BoincAtWork]:
    """Start it with so many tasks; what cannot be started is said, not raised: the peer is not what is measured."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        yield BoincAtWork(why_not=f"{missing[0]} is not installed")
        return
    _prepare(folder, tasks)
    alone = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    with (folder / "output.log").open("ab") as out:
        client = subprocess.Popen(
            [*alone, "sh", "-c", SCRIPT, str(folder)], stdout=out, stderr=out, start_new_session=True
        )
    boinc = BoincAtWork(client.pid)
    try:
        wait_for("BOINC's tasks", lambda: len(boinc.tasks()) == tasks or client.poll() is not None, START_S)
        yield boinc if client.poll() is None else BoincAtWork(why_not="it did not start")
    finally:
        if client.poll() is None:
            boinc.hold(held=False)
        client.terminate()
        try:
            client.wait(10)
        except subprocess.TimeoutExpired:
            client.kill()
            client.wait()
        for pid in _left_in(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _left_in(folder: Path) -> Iterator[int]:
    """Tasks that the client has not ended, also those of one that has gone by itself: they work in its folder."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink().is_relative_to(folder):
                yield int(process.name)


def _prepare(folder: Path, tasks: int) -> None:
    project = folder / "projects" / "127.0.0.1_bench"
    project.mkdir(parents=True)
    (project / APP).write_text("#!/bin/sh\nwhile :; do :; done\n")
    (project / APP).chmod(0o755)
    (project / "app_info.xml").write_text(APP_INFO)
    account = f"<account><master_url>{URL}</master_url><authenticator>none</authenticator></account>\n"
    (folder / "account_127.0.0.1_bench.xml").write_text(account)
    now = int(time.time())
    work = [WORK % {"number": number, "now": now, "later": now + 1_000_000} for number in range(tasks)]
    (folder / "client_state.xml").write_text(f"{STATE}{''.join(work)}</client_state>\n")
