"""Child processes: limits, errors, identities."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from client import process
from client.errors import CommandFailed, ToolMissing
from client.process import Identity

PYTHON = sys.executable


async def gone(who: Identity) -> bool:
    return await process.wait_gone(who, 5)


async def test_run_gives_what_it_wrote(tmp_path: Path) -> None:
    code = "import sys, os; print(sys.stdin.read(), os.environ['EXTRA'], os.environ['LC_ALL'], os.getcwd())"
    done = await process.run(
        (PYTHON, "-c", code), timeout_s=10, input=b"in", env={"EXTRA": "more"}, cwd=tmp_path.resolve()
    )
    assert done.text == f"in more C {tmp_path.resolve()}\n"
    assert done.exit_code == 0


async def test_run_reports_failure_with_what_was_said() -> None:
    command = (PYTHON, "-c", "import sys; sys.exit('it broke')")
    with pytest.raises(CommandFailed) as caught:
        await process.run(command, timeout_s=10)
    assert caught.value.details() == {"command": command, "exit_code": 1, "stderr": "it broke"}
    assert (await process.run(command, timeout_s=10, check=False)).exit_code == 1


async def test_run_without_the_program() -> None:
    with pytest.raises(ToolMissing) as caught:
        await process.run(("no-such-program",), timeout_s=1)
    assert caught.value.tool == "no-such-program"
    with pytest.raises(ToolMissing):
        await process.start(("no-such-program",))


async def test_the_limit_of_what_it_may_write() -> None:
    code = "import sys; sys.stderr.write('e' * 10); sys.stdout.write(sys.stdin.read() * 1000)"
    done = await process.run((PYTHON, "-c", code), timeout_s=10, input=b"ab", most_bytes=2000)
    assert (done.stdout, done.stderr) == (b"ab" * 1000, b"e" * 10)
    with pytest.raises(CommandFailed) as caught:
        await process.run((PYTHON, "-c", code), timeout_s=10, input=b"abc", most_bytes=2000)
    assert caught.value.stderr == "wrote more than 2000 bytes"
    endless = "import sys, itertools; [sys.stderr.write('x' * 1000) for _ in itertools.count()]"
    with pytest.raises(CommandFailed):
        await process.run((PYTHON, "-c", endless), timeout_s=60, most_bytes=100_000)


async def test_the_limit_ends_the_whole_family(tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    code = f"""
import pathlib, subprocess, time
pathlib.Path({str(pidfile)!r}).write_text(str(subprocess.Popen(["sleep", "60"]).pid))
time.sleep(60)
"""
    with pytest.raises(CommandFailed) as caught:
        await process.run((PYTHON, "-c", code), timeout_s=1)
    assert caught.value.exit_code is None
    who = process.identity(int(pidfile.read_text()))
    assert who is None or await gone(who)


async def test_cancelling_a_run_ends_it(tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    code = f"import os, time; open({str(pidfile)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    task = asyncio.create_task(process.run((PYTHON, "-c", code), timeout_s=30))
    async with asyncio.timeout(5):
        while not (pidfile.exists() and pidfile.read_text()):
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert process.identity(int(pidfile.read_text())) is None


async def test_start_stop_and_output(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = await process.start((PYTHON, "-uc", "print('up'); import time; time.sleep(60)"), output=log)
    assert child.exit_code is None
    assert process.alive(child.identity.pid, child.identity.started_at)
    async with asyncio.timeout(5):
        while log.read_text() != "up\n":
            await asyncio.sleep(0.02)
    assert process.usage([child.identity.pid]).rss_bytes > 1 << 20
    assert await child.stop() == -signal.SIGTERM
    assert not process.alive(child.identity.pid, child.identity.started_at)


async def test_stop_kills_what_does_not_listen(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(60)"
    child = await process.start((PYTHON, "-uc", code), output=log)
    async with asyncio.timeout(5):
        while log.read_text() != "deaf\n":
            await asyncio.sleep(0.02)
    assert await child.stop(0.3) == -signal.SIGKILL


async def test_identity_tells_two_bearers_of_one_pid_apart() -> None:
    child = await process.start(("sleep", "60"))
    stale = Identity(child.identity.pid, "another start")
    assert not process.alive(stale.pid, stale.started_at)
    assert await process.terminate(stale, 0.2)
    assert child.exit_code is None, "somebody else's process was signalled"
    assert await process.terminate(child.identity) and child.exit_code is not None
    assert process.identity(child.identity.pid) is None
    assert process.command_line(child.identity.pid) == ()


async def test_a_stopped_process_can_be_ended() -> None:
    child = await process.start(("sleep", "60"))
    os.kill(child.identity.pid, signal.SIGSTOP)
    assert await process.terminate(child.identity, 2)
    assert child.exit_code == -signal.SIGTERM


def test_usage_of_the_gone_is_nothing() -> None:
    ended = subprocess.run((PYTHON, "-c", "import os; print(os.getpid())"), capture_output=True, check=True)
    assert process.usage([int(ended.stdout)]) == process.Usage()
    assert process.usage([os.getpid()]).cpu_s > 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent's end")
@pytest.mark.parametrize("dies", [True, False])
async def test_outliving_a_killed_parent(tmp_path: Path, dies: bool) -> None:
    code = textwrap.dedent(f"""
        import asyncio
        from client import process
        async def main():
            child = await process.start(("sleep", "60"), dies_with_us={dies})
            print(child.identity.pid, flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
    """)
    top = Path(__file__).resolve().parents[2]
    parent = await asyncio.create_subprocess_exec(PYTHON, "-c", code, cwd=top, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    who = process.identity(int(await parent.stdout.readline()))
    assert who is not None
    parent.kill()
    await parent.communicate()
    if dies:
        assert await gone(who)
    else:
        assert not await process.wait_gone(who, 0.5)
        assert await process.terminate(who)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
async def test_an_end_is_told_and_no_handle_stays() -> None:
    handles = len(tuple(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        child = await process.start((PYTHON, "-c", "import time; time.sleep(60)"))
        waiting = asyncio.create_task(process.wait_gone(child.identity, 30))
        await asyncio.sleep(0)
        os.kill(child.identity.pid, signal.SIGKILL)
        assert await waiting
        assert await child.wait(5) == -signal.SIGKILL
    assert len(tuple(Path("/proc/self/fd").iterdir())) == handles


async def test_a_grandchild_that_keeps_the_pipe_of_one_that_has_gone_costs_no_open_file() -> None:
    code = "import subprocess; subprocess.Popen(['sleep', '2'], start_new_session=True)"
    with pytest.raises(CommandFailed):
        await process.run([PYTHON, "-c", code], timeout_s=0.5)
    # What is open still warns when it is collected, which fails a test.
    gc.collect()
