"""Jobs run for real: shells, limits, signals, archives. As root they are confined, as anybody else not."""

import asyncio
import json
import os
import signal
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from client.copilot import execute
from client.copilot.checkpoint import JobRecord
from client.copilot.child import processes_of
from client.copilot.errors import JobFailed
from client.copilot.execute import LocalRunner, RunnerSettings
from client.copilot.memory import kernel_kills
from client.copilot.messages import JobDescription
from client.copilot.report import Progress

pytestmark = pytest.mark.integration
AS_ROOT = os.geteuid() == 0
#: Nobody else's: all of its processes are killed.
UID = 0x60000000 + os.getpid()


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vc-jobs-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


#: of what a test says, what belongs to the runner; the rest describes the job
_SETTINGS = ("time_limit_s", "output_limit_bytes", "network", "cvmfs_proxy", "memory_limit_mib", "share")


class Bench:
    def __init__(self, root: Path, script: str, **more: Any) -> None:
        limits = {name: more.pop(name) for name in _SETTINGS if name in more}
        self.runner = LocalRunner(RunnerSettings(root, UID if AS_ROOT else None, software_dir=Path("/usr"), **limits))
        self.record = JobRecord(JobDescription("job-1", command="run.sh", **more), "jm@x/1")
        self.script = script
        self.progress: list[Progress] = []
        self.printed: list[str] = []
        self.folder = self.runner.work_dir("job-1")

    async def execute(self) -> int:
        folder = await self.runner.prepare("job-1")
        (folder / "run.sh").write_text(self.script)
        return await self.again()

    async def again(self) -> int:
        outcome = await self.runner.execute(
            self.record, self.progress.append, lambda lines, _left_out: self.printed.extend(lines)
        )
        self.outcome = outcome
        return outcome.status

    def out(self, name: str = "stdout") -> str:
        return (self.folder / name).read_text()


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("#!/bin/sh\nexit 0\n", 0),
        ("#!/bin/sh\nexit 3\n", 768),
        ("#!/bin/sh\nkill -9 $$\n", 35072),
        ("#!/bin/none\n", 32512),
    ],
)
async def test_raw_wait_status(root: Path, script: str, status: int) -> None:
    assert await Bench(root, script).execute() == status


async def test_arguments_and_environment_are_shell_text(root: Path) -> None:
    bench = Bench(
        root, '#!/bin/sh\necho "$1|$2|$A|$SOFTWARE_DIR|$HOME"\n', arguments="'a b' $A", environment="export A=7"
    )
    await bench.execute()
    assert bench.out() == f"a b|7|7|/usr|{bench.folder}\n"


async def test_little_of_the_agents_environment_is_passed_on(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s")
    bench = Bench(root, "#!/bin/sh\nenv\n")
    await bench.execute()
    names = {line.partition("=")[0] for line in bench.out().splitlines()}
    ours = {"SOFTWARE_DIR", "VC_PROGRESS_FD", "VC_PROGRESS_FILE"}
    assert names - {"_", "SHLVL", "OLDPWD"} == {"PATH", "HOME", "LANG", "PWD"} | ours


@pytest.mark.parametrize("network", [True, False])
async def test_a_job_with_network_is_told_of_the_proxy(root: Path, network: bool) -> None:
    bench = Bench(
        root, "#!/bin/sh\necho ${CVMFS_HTTP_PROXY-none}\n", network=network, cvmfs_proxy="http://10.0.2.102:3128"
    )
    await bench.execute()
    assert bench.out().split() == ["http://10.0.2.102:3128" if network else "none"]


@pytest.mark.skipif(not AS_ROOT, reason="only root can become another user")
async def test_root_runs_jobs_as_another_user_without_network(root: Path) -> None:
    bench = Bench(
        root, "#!/bin/sh\nid -u; id -G; ls /sys/class/net 2>/dev/null; cat /proc/net/dev | wc -l; touch /root/x\n"
    )
    await bench.execute()
    assert bench.out().split()[:2] == [str(UID), str(UID)]
    assert bench.out().split()[-1] == "3", "two lines of heading and lo"
    assert "ermission denied" in bench.out("stderr")


async def test_progress(root: Path) -> None:
    script = '#!/bin/sh\necho "{\\"done\\": 1, \\"total\\": 9, \\"unit\\": \\"events\\"}" >&$VC_PROGRESS_FD\n'
    script += "until [ -e told ]; do sleep 0.1; done\necho rubbish >&$VC_PROGRESS_FD\n"
    bench = Bench(root, script + 'echo "{\\"done\\": 9}" >&$VC_PROGRESS_FD\n')
    async with asyncio.timeout(60), asyncio.TaskGroup() as both:
        both.create_task(bench.execute())
        while not bench.progress:
            await asyncio.sleep(0.02)
        (bench.folder / "told").touch()
    assert bench.progress == [Progress(1, 9, "events"), Progress(9)]


async def test_a_flood_of_progress_neither_stops_the_job_nor_floods_us(root: Path) -> None:
    bench = Bench(root, "#!/bin/sh\ntimeout 1 yes '{\"done\": 1}' >&$VC_PROGRESS_FD\nexit 5\n")
    assert await bench.execute() == 5 * 256
    assert len(bench.progress) == 1


async def test_time_limit(root: Path) -> None:
    bench = Bench(root, "#!/bin/sh\nsleep 60 & sleep 60\n", time_limit_s=1)
    with pytest.raises(JobFailed) as failed:
        await bench.execute()
    assert failed.value.cause == "time-limit"
    assert_nothing_runs(bench.folder)


async def test_time_counts_by_the_share_that_the_computer_gets(root: Path) -> None:
    shares = iter([0.1, 0.1])
    script = "#!/bin/sh\nsleep 60\n"
    bench = Bench(root, script, time_limit_s=1, share=lambda: next(shares, 1.0))
    began = asyncio.get_running_loop().time()
    with pytest.raises(JobFailed, match="time-limit"):
        await bench.execute()
    assert asyncio.get_running_loop().time() - began > 2.5


async def test_the_jobs_own_time_limit_counts_if_it_is_shorter(root: Path) -> None:
    bench = Bench(root, "#!/bin/sh\nsleep 60\n", time_limit_s=1)
    with pytest.raises(JobFailed, match="time-limit"):
        await bench.execute()


@pytest.mark.parametrize(
    "script",
    [
        "#!/bin/sh\ndd if=/dev/zero of=big bs=1M count=1024 2>/dev/null\n",
        "#!/bin/sh\nn=0; while :; do n=$((n+1)); dd if=/dev/zero of=f$n bs=1M count=1 2>/dev/null; done\n",
        "#!/bin/sh\nyes\n",
    ],
)
async def test_too_big_an_output_is_stopped(root: Path, script: str) -> None:
    bench = Bench(root, script, output_limit_bytes=8_000_000)
    with pytest.raises(JobFailed) as failed:
        await bench.execute()
    assert failed.value.cause == "output-limit"
    assert_nothing_runs(bench.folder)


async def test_whatever_a_job_leaves_running_is_killed(root: Path) -> None:
    bench = Bench(root, "#!/bin/sh\nsleep 77 &\nexit 0\n")
    assert await bench.execute() == 0
    assert_nothing_runs(bench.folder)


@pytest.mark.parametrize("own_user", [True, False])
async def test_even_if_it_hides_in_a_session_of_its_own(root: Path, own_user: bool) -> None:
    bench = Bench(root, "#!/bin/sh\nsetsid sleep 78 >/dev/null 2>&1 &\nsleep 0.2\nexit 0\n")
    if not own_user:
        bench.runner = LocalRunner(RunnerSettings(root, None, software_dir=Path("/usr")))
    assert await bench.execute() == 0
    assert_nothing_runs(bench.folder)


async def test_cancelling_kills(root: Path) -> None:
    bench = Bench(root, "#!/bin/sh\n: > ready\nsleep 60\n")
    task = await begun(bench)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert_nothing_runs(bench.folder)


async def test_terminate_lets_a_job_save_itself_and_a_second_run_goes_on(root: Path) -> None:
    script = """#!/bin/sh
trap 'echo 5 > checkpoint; exit 0' TERM
[ -e checkpoint ] && { echo "goes on at $(cat checkpoint)"; exit 0; }
: > ready
sleep 60 & wait
"""
    bench = Bench(root, script)
    task = await begun(bench)
    await bench.runner.terminate(30)
    await task
    assert await bench.again() == 0
    assert bench.out() == "goes on at 5\n"


async def test_terminate_kills_a_job_that_will_not_end(root: Path) -> None:
    bench = Bench(root, "#!/bin/sh\ntrap '' TERM\n: > ready\nwhile :; do sleep 1; done\n")
    task = await begun(bench)
    await bench.runner.terminate(0.3)
    assert os.WIFSIGNALED(await task)
    assert os.WTERMSIG(bench.outcome.status) == signal.SIGKILL


async def test_cpu_time_is_measured(root: Path) -> None:
    bench = Bench(root, "#!/bin/sh\ni=0; while [ $i -lt 200000 ]; do i=$((i+1)); done\n")
    await bench.execute()
    assert 0.01 < bench.outcome.cpu_s <= bench.outcome.elapsed_s + 1


async def test_validation(root: Path) -> None:
    bench = Bench(root, "#!/bin/sh\necho x > result\n", validation_script="check.sh")
    await bench.execute()
    (bench.folder / "check.sh").write_text("#!/bin/sh\ncat result; exit 2\n")
    if AS_ROOT:
        os.chown(bench.folder / "check.sh", UID, UID)
    assert await bench.runner.validate(bench.record) == 512
    assert bench.out("validate_stdout") == "x\n"


async def test_a_cancelled_archive_is_over_when_its_caller_is(root: Path) -> None:
    bench = Bench(root, "#!/bin/sh\nhead -c 60000000 /dev/urandom >big\n")
    await bench.execute()
    packing = asyncio.create_task(bench.runner.pack(bench.record))
    async with asyncio.timeout(60):
        while not list(root.glob("*.tgz.new")):
            await asyncio.sleep(0.01)
    packing.cancel()
    await asyncio.wait([packing])
    assert packing.cancelled()
    assert list(root.glob("*.tgz*")) == []


async def test_archive(root: Path) -> None:
    bench = Bench(root, "#!/bin/sh\nmkdir d; echo y > d/e; ln -s d/e link; mkfifo pipe; echo out\n")
    await bench.execute()
    archive = await bench.runner.pack(bench.record)
    with tarfile.open(archive) as packed:
        names = packed.getnames()
        content = packed.extractfile("./d/e")
        assert content is not None and content.read() == b"y\n"
        assert {member.uid for member in packed} == {0}
    expected = ["./_wrapper_.sh", "./d", "./d/e", "./link", "./resources", "./run.sh", "./stderr", "./stdout"]
    assert names[0] in {".", "./"}
    assert sorted(names[1:]) == expected


async def test_a_link_in_place_of_stdout_is_not_followed(root: Path) -> None:
    victim = root / "victim"
    victim.write_text("whole")
    bench = Bench(root, "#!/bin/sh\nrm stdout; ln -s ../../victim stdout\n")
    await bench.execute()
    with pytest.raises(JobFailed, match="start"):
        await bench.again()
    assert victim.read_text() == "whole"


@pytest.mark.parametrize("made", ["mkfifo", "ln -s ../../secret", "ln ../../secret"])
async def test_what_is_put_in_place_of_an_output_stops_nothing_and_tells_nothing(root: Path, made: str) -> None:
    secret = root / "secret"
    secret.write_text("the password")
    secret.chmod(0o666)
    bench = Bench(root, f"#!/bin/sh\nrm -f stderr resources; {made} stderr && {made} resources; touch made\n")
    await bench.execute()
    assert (bench.folder / "stderr").exists() and (bench.folder / "made").exists()
    with pytest.raises(JobFailed, match="start") as failed:
        async with asyncio.timeout(30):
            await bench.again()
    assert "password" not in failed.value.said
    assert secret.read_text() == "the password"
    assert secret.stat().st_uid == os.geteuid()


async def test_a_link_in_place_of_an_empty_file_makes_nothing_elsewhere(root: Path) -> None:
    bench = Bench(root, "#!/bin/sh\nrm -f resources; ln -s ../../new resources\n")
    await bench.execute()
    await bench.again()
    assert not (root / "new").exists()


async def test_clean_removes_everything(root: Path) -> None:
    bench = Bench(root, "#!/bin/sh\nmkdir -p a/b; chmod 0 a\n")
    await bench.execute()
    await bench.runner.clean()
    assert list(root.iterdir()) == []


@pytest.mark.skipif(not AS_ROOT, reason="only files of a user of its own are known to be a job's")
async def test_what_a_job_leaves_where_all_may_write_is_removed(root: Path) -> None:
    name = f"vc-left-{UID}"
    bench = Bench(root, f"#!/bin/sh\nmkdir -p /tmp/{name}/d; echo x > /var/tmp/{name}; ln -s {root} /tmp/{name}-link\n")
    await bench.execute()
    places = [Path("/tmp", name), Path("/var/tmp", name), Path("/tmp", f"{name}-link")]
    assert all(map(os.path.lexists, places))
    await bench.runner.clean()
    assert not any(map(os.path.lexists, places))
    assert root.is_dir()


async def begun(bench: Bench) -> "asyncio.Task[int]":
    """The job runs and has written a file `ready`: it is as far as the test wants it."""
    task = asyncio.create_task(bench.execute())
    async with asyncio.timeout(60):
        while not (bench.folder / "ready").exists():
            await asyncio.sleep(0.02)
    return task


def assert_nothing_runs(folder: Path) -> None:
    """No process is left whose working directory is the job's."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                where = (entry / "cwd").readlink()
            except OSError:
                continue
            assert where != folder, json.dumps((entry / "cmdline").read_text())


async def test_progress_may_stand_in_a_file(root: Path) -> None:
    script = """#!/bin/sh
        echo '{"done": 1, "to' > progress.json
        sleep 0.6
        echo '{"done": 1, "total": 2, "unit": "events"}' > progress.new
        mv progress.new $VC_PROGRESS_FILE
        sleep 0.6
        echo '{"done": 2, "total": 2, "unit": "events"}' > $VC_PROGRESS_FILE
    """
    bench = Bench(root, script)
    assert await bench.execute() == 0
    assert bench.progress == [Progress(1, 2, "events"), Progress(2, 2, "events")]


async def test_a_progress_file_that_leads_elsewhere_is_not_read(root: Path) -> None:
    (root / "secret").write_text('{"done": 7}')
    bench = Bench(root, f"#!/bin/sh\nln -s {root}/secret progress.json\nsleep 0.6\n")
    await bench.execute()
    assert bench.progress == []


async def test_what_a_job_prints_is_told_while_it_runs(root: Path) -> None:
    bench = Bench(root, "#!/bin/sh\necho begun\nuntil [ -e go ]; do sleep 0.1; done\nprintf ended\n")
    run = asyncio.create_task(bench.execute())
    async with asyncio.timeout(60):
        while not bench.printed:
            await asyncio.sleep(0.05)
    assert not run.done()
    (bench.folder / "go").touch()
    await run
    assert bench.printed == ["begun", "ended"]


async def test_a_job_gives_way_to_the_agent(root: Path) -> None:
    bench = Bench(root, "#!/bin/sh\ncut -d ' ' -f 19 /proc/self/stat\ncat /proc/self/oom_score_adj\n")
    await bench.execute()
    assert bench.out() == f"{min(19, os.nice(0) + 10)}\n1000\n"


_TWO_THAT_GROW = """#!/bin/sh
for one in 1 2; do
    python3 -c 'import time; block = bytearray(60 << 20); time.sleep(60)' &
done
wait
"""


async def test_the_memory_of_all_processes_together_is_limited(root: Path) -> None:
    with pytest.raises(JobFailed) as failed:
        await Bench(root, _TWO_THAT_GROW, memory_limit_mib=100).execute()
    assert (failed.value.cause, failed.value.said) == (
        "memory-limit",
        "its processes have more than 100 MiB together",
    )


_FORKS = """#!/bin/sh
exec python3 -c '
import os, time
number = 0
try:
    while number < 2000:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        number += 1
except BlockingIOError:
    print(number)
'
"""


@pytest.mark.skipif(not AS_ROOT, reason="jobs have no user of their own")
async def test_the_number_of_a_jobs_processes_is_limited_and_all_of_them_end_with_it(root: Path) -> None:
    bench = Bench(root, _FORKS)
    assert await bench.execute() == 0
    assert 0 < int(bench.out()) < 1024
    assert_nothing_runs(bench.folder)


async def test_what_processes_share_counts_once(root: Path) -> None:
    script = """#!/bin/sh
exec python3 -c '
import os, time
block = bytearray(60 << 20)
if os.fork():
    time.sleep(2.5)
else:
    time.sleep(2.5)
'
"""
    # An address space holds the interpreter and its libraries too.
    assert await Bench(root, script, memory_limit_mib=110).execute() == 0


@pytest.mark.parametrize(
    ("script", "kills", "is_memory"),
    [
        ("kill -9 $$", (3, 4), True),
        ("sh -c 'kill -9 $$'", (3, 4), True),
        ("kill -9 $$", (3, 3), False),
        ("exit 1", (3, 4), False),
    ],
)
async def test_a_kill_by_the_kernel_for_want_of_memory_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch, script: str, kills: tuple[int, int], is_memory: bool
) -> None:
    told = iter(kills)
    monkeypatch.setattr(execute, "kernel_kills", lambda: next(told))
    bench = Bench(root, f"#!/bin/sh\n{script}\n")
    if is_memory:
        with pytest.raises(JobFailed) as failed:
            await bench.execute()
        assert failed.value.cause == "memory-limit"
    else:
        assert await bench.execute() != 0


def test_the_kernel_tells_how_many_it_killed() -> None:
    def said() -> int:
        lines = Path("/proc/vmstat").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    assert said() <= kernel_kills() <= said()


@pytest.mark.skipif(not AS_ROOT, reason="jobs have no user of their own")
async def test_a_process_that_hides_from_debuggers_ends_with_the_job_too(root: Path) -> None:
    script = """#!/bin/sh
setsid python3 -c '
import ctypes, time
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
open("hidden", "w").close()
time.sleep(60)
' &
until [ -e hidden ]; do sleep 0.05; done
"""
    bench = Bench(root, script)
    assert await bench.execute() == 0
    assert processes_of(UID) == []
