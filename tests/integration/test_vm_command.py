"""`main.py vm` as a program of its own, with a core on the fake driver whose guest runs commands for real."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from client.commands import Start
from client.core import Core
from client.errors import BadInput
from client.service.control import ControlServer
from client.service.vm_desk import VmDesk
from client.snapshot import Activity, VmState
from tests.helpers.client_core import Rig
from tests.helpers.errand_play import play_errands

pytestmark = pytest.mark.integration
TOP = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def instance(folder: Path) -> AsyncIterator[tuple[Rig, Core]]:
    rig = Rig(folder, guest=play_errands)
    rig.prepare()
    async with rig.running(200) as core:
        control = ControlServer(rig.paths, core.board, core.handle, lambda: False, VmDesk(core.board, core.machine))
        await control.open()
        try:
            yield rig, core
        finally:
            await control.close()


async def begin(rig: Rig, *words: str, stdin: int | None = asyncio.subprocess.DEVNULL) -> Process:
    place = words.index("--") if "--" in words else len(words)
    line = (*words[:place], "--basedir", str(rig.folder), *words[place:])
    program = (sys.executable, str(TOP / "main.py"), "vm", *line)
    return await asyncio.create_subprocess_exec(*program, stdin=stdin, stdout=PIPE, stderr=PIPE, cwd=TOP)


async def vm(rig: Rig, *words: str, given: bytes | None = None) -> tuple[int, bytes, str]:
    """Exit code, output, error output."""
    process = await begin(rig, *words, stdin=PIPE if given is not None else asyncio.subprocess.DEVNULL)
    out, err = await process.communicate(given)
    assert process.returncode is not None
    return process.returncode, out, err.decode()


def wait_for(path: Path) -> str:
    """Shell text that waits for a file, and not for ever."""
    return f"for try in $(seq 1200); do [ -e {path} ] && break; sleep 0.1; done"


async def up(rig: Rig, core: Core) -> None:
    await core.handle(Start())
    await rig.until(lambda _: rig.vm is not None and rig.vm.state is VmState.RUNNING)
    while (keeper := core.machine("work-1")) is None or not keeper.errands.boot:
        await asyncio.sleep(0.01)


async def test_the_states_of_the_machine(tmp_path: Path) -> None:
    async with instance(tmp_path) as (rig, _):
        assert b"no virtual machine yet" in (await vm(rig, "list"))[1] or rig.vm is not None
        for word, state in (
            ("start", VmState.RUNNING),
            ("pause", VmState.PAUSED),
            ("resume", VmState.RUNNING),
            ("save", VmState.SAVED),
            ("start", VmState.RUNNING),
            ("poweroff", VmState.DEFINED),
        ):
            code, out, _ = await vm(rig, word)
            assert (code, bool(out)) == (0, True)
            await rig.until(lambda _, state=state: rig.vm is not None and rig.vm.state is state)
        ((listed),) = json.loads((await vm(rig, "list", "--json"))[1])
        assert (listed["vm_id"], listed["state"]) == ("work-1", "defined")
        code, out, _ = await vm(rig, "reset")
        assert (code, b"nothing to reset" in out) == (125, True)
        assert (await vm(rig, "start", "other"))[0] == 125


async def test_reset(tmp_path: Path) -> None:
    async with instance(tmp_path) as (rig, core):
        await up(rig, core)
        running = await begin(rig, "exec", "--", "/bin/sh", "-c", "echo on; sleep 60")
        assert running.stdout is not None
        assert await running.stdout.readline() == b"on\n"
        assert (await vm(rig, "reset"))[0] == 0
        _, err = await running.communicate()
        assert (running.returncode, b"started afresh" in err) == (125, True)
        steps = [entry.step for entry in core._journal.entries()]
        assert steps[-1] == "reset"


async def test_a_command_with_input_output_and_exit_code(tmp_path: Path) -> None:
    async with instance(tmp_path) as (rig, core):
        await up(rig, core)
        data = os.urandom(300_000)
        code, out, err = await vm(rig, "exec", "--", "/bin/sh", "-c", "cat; echo err >&2; exit 7", given=data)
        assert (code, out == data, err) == (7, True, "err\n")
        assert (await vm(rig, "exec", "--", "/bin/sh", "-c", "kill -9 $$"))[0] == 128 + signal.SIGKILL
        code, _, err = await vm(rig, "exec", "--timeout", "0.5", "--", "sleep", "60")
        assert (code, "time limit" in err) == (124, True)
        code, _, err = await vm(rig, "exec", "--", "/no/such")
        assert (code, "/no/such" in err) == (127, True), err
        assert (await vm(rig, "exec"))[0] == 125


async def test_input_from_a_file_and_nobody_who_reads(tmp_path: Path) -> None:
    async with instance(tmp_path / "base") as (rig, core):
        await up(rig, core)
        (tmp_path / "given").write_bytes(b"x" * 100_000)
        with (tmp_path / "given").open("rb") as given:
            process = await begin(rig, "exec", "--", "wc", "-c", stdin=given.fileno())
            assert (await process.communicate())[0].strip() == b"100000"
        process = await begin(rig, "exec", "--", "yes")
        assert process.stdout is not None
        await process.stdout.readline()
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
        assert await process.wait() == 141


async def test_ctrl_c_ends_it_in_the_guest_even_while_it_reads_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    async with instance(tmp_path / "base") as (rig, core):
        await up(rig, core)
        text = f"trap 'touch {mark}; exit 1' TERM; echo on; sleep 60 & wait"
        process = await begin(rig, "exec", "--", "/bin/sh", "-c", text, stdin=PIPE)
        assert process.stdout is not None and process.stdin is not None
        assert await process.stdout.readline() == b"on\n"
        process.stdin.write(bytes(1_000_000))
        await asyncio.sleep(0.3)
        process.send_signal(signal.SIGINT)
        await process.stdout.read()
        assert await process.wait() == 130
    assert mark.exists()


async def test_an_asker_that_is_killed_finds_the_result_later(tmp_path: Path) -> None:
    async with instance(tmp_path) as (rig, core):
        await up(rig, core)
        text = f"echo before; {wait_for(tmp_path / 'go')}; echo after; exit 3"
        process = await begin(rig, "exec", "--", "/bin/sh", "-c", text)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"before\n"
        process.kill()
        await process.communicate()
        (tmp_path / "go").touch()
        keeper = core.machine("work-1")
        assert keeper is not None
        (name,) = keeper.errands.ledger._entries
        while True:
            code, out, _ = await vm(rig, "result", name)
            if code != 125:
                break
            await asyncio.sleep(0.1)
        assert (code, out) == (3, b"after\n")
        assert (await vm(rig, "result", "nonsense"))[0] == 125


async def test_files_both_ways(tmp_path: Path) -> None:
    data = os.urandom(100_000)
    (tmp_path / "local").write_bytes(data)
    (tmp_path / "guest").mkdir()
    async with instance(tmp_path / "base") as (rig, core):
        await up(rig, core)
        assert (await vm(rig, "put", str(tmp_path / "local"), f"{tmp_path}/guest/"))[0] == 0
        assert (tmp_path / "guest" / "local").read_bytes() == data
        assert (await vm(rig, "get", f"{tmp_path}/guest/local", str(tmp_path / "back")))[0] == 0
        assert (tmp_path / "back").read_bytes() == data
        code, _, err = await vm(rig, "put", str(tmp_path / "missing"), "/tmp/x")
        assert (code, "no such file" in err) == (125, True)
        code, _, err = await vm(rig, "get", "/no/such/file", str(tmp_path / "x"))
        assert (code, "No such file" in err) == (125, True)
        assert not (tmp_path / "x").exists()


async def test_what_nothing_would_do_is_refused_and_what_waits_says_so(tmp_path: Path) -> None:
    async with instance(tmp_path) as (rig, core):
        code, _, err = await vm(rig, "exec", "--", "true")
        assert (code, "Start it first" in err) == (125, True)
        await up(rig, core)
        await vm(rig, "exec", "--", "true")
        await vm(rig, "pause")
        await rig.until(lambda _: rig.vm is not None and rig.vm.state is VmState.PAUSED)
        process = await begin(rig, "exec", "--", "echo", "late")
        assert process.stderr is not None
        assert b"is paused" in await process.stderr.readline()
        await vm(rig, "resume")
        assert (await process.communicate())[0] == b"late\n"


async def test_console_and_messages(tmp_path: Path) -> None:
    async with instance(tmp_path) as (rig, core):
        await up(rig, core)
        assert (await vm(rig, "console"))[0] == 0
        assert (await vm(rig, "send", "topic", "words"))[0] == 0
        assert (await vm(rig, "messages"))[:2] == (0, b"")


@pytest.mark.parametrize("words", [["console", "--follow"], ["messages", "--follow"]], ids=" ".join)
async def test_ctrl_c_is_no_accident(tmp_path: Path, words: list[str]) -> None:
    async with instance(tmp_path) as (rig, core):
        await up(rig, core)
        process = await begin(rig, *words)
        # Until then it is Python that starts.
        async with asyncio.timeout(60):
            while not psutil.Process(process.pid).net_connections("tcp"):
                await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        assert (process.returncode, err) == (130, b"")
        assert b"Traceback" not in out


async def test_a_second_ctrl_c_leaves_what_does_not_want_to_end(tmp_path: Path) -> None:
    async with instance(tmp_path) as (rig, core):
        await up(rig, core)
        process = await begin(rig, "exec", "--", "/bin/sh", "-c", "trap '' TERM; echo on; while :; do sleep 1; done")
        assert process.stdout is not None and process.stderr is not None
        assert await process.stdout.readline() == b"on\n"
        process.send_signal(signal.SIGINT)
        assert b"Ending it in the guest" in await process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
        assert (process.returncode, b"Traceback" in err) == (130, False)
        assert b"is being ended; what becomes of it: main.py vm result " in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
async def test_who_is_sent_away_hears_the_name(tmp_path: Path, number: int, code: int) -> None:
    async with instance(tmp_path) as (rig, core):
        await up(rig, core)
        text = f"echo on; {wait_for(tmp_path / 'go')}; echo later"
        process = await begin(rig, "exec", "--", "/bin/sh", "-c", text)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"on\n"
        process.send_signal(number)
        _, err = await process.communicate()
        (tmp_path / "go").touch()
        assert process.returncode == code
        name = err.decode().split()[-1]
        code, out, _ = await vm(rig, "results")
        assert (code, out.decode().startswith(name), b"echo on; " in out) == (0, True, True)
        # It ends meanwhile, or has ended.
        async with asyncio.timeout(60):
            while (await vm(rig, "result"))[1] != (await vm(rig, "results"))[1]:
                await asyncio.sleep(0.1)


async def test_what_cannot_be_written_or_read(tmp_path: Path) -> None:
    async with instance(tmp_path) as (rig, core):
        await up(rig, core)
        for tail, wanted, text in (
            ("> /dev/full", 125, "cannot be written: No space left on device."),
            ("<&-", 0, ""),
        ):
            line = f'"{sys.executable}" "{TOP}/main.py" vm exec --basedir "{tmp_path}" -- echo hi {tail}'
            process = await asyncio.create_subprocess_exec("/bin/sh", "-c", line, stdout=PIPE, stderr=PIPE, cwd=TOP)
            _, err = await process.communicate()
            assert (process.returncode, text in err.decode(), b"Traceback" in err) == (wanted, True, False)
            assert b"Exception ignored" not in err


async def test_what_is_there_is_not_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "guest").write_bytes(b"new")
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    async with instance(tmp_path / "base") as (rig, core):
        await up(rig, core)
        for force, name, text in (
            ((), "file", "add --force"),
            ((), "link", "add --force"),
            (("--force",), "pipe", "never replaced"),
        ):
            code, _, err = await vm(rig, "get", *force, f"{tmp_path}/guest", str(tmp_path / name))
            assert (code, text in err) == (125, True)
        assert (tmp_path / "pipe").is_fifo()
        assert (tmp_path / "file").read_bytes() == b"old"
        assert (await vm(rig, "get", "--force", f"{tmp_path}/guest", str(tmp_path / "link")))[0] == 0
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "file").read_bytes() == b"new"
        # What the instance is asked by another client is held to the same.
        keeper = core.machine("work-1")
        assert keeper is not None
        with pytest.raises(BadInput):
            await keeper.errands.files.get(f"{tmp_path}/guest", tmp_path / "pipe", replace=True)


async def test_power_off_throws_a_saved_state_away(tmp_path: Path) -> None:
    async with instance(tmp_path) as (rig, core):
        await up(rig, core)
        await vm(rig, "save")
        await rig.until(
            lambda s: s.activity is Activity.STOPPED and rig.vm is not None and rig.vm.state is VmState.SAVED
        )
        assert b"is kept until it does" in (b"".join((await vm(rig, "send", "a", "b"))[2].encode().splitlines()))
        assert b"saved state away" in (await vm(rig, "poweroff"))[1]
        await rig.until(lambda _: rig.vm is not None and rig.vm.state is VmState.DEFINED)
        code, out, _ = await vm(rig, "poweroff")
        assert (code, out) == (0, b"It is off already.\n")


async def test_what_is_asked_after_a_reset_is_done_by_the_new_guest(tmp_path: Path) -> None:
    async with instance(tmp_path) as (rig, core):
        await up(rig, core)
        assert (await vm(rig, "reset"))[0] == 0
        while not any(entry.step == "reset" and entry.ended_at for entry in core._journal.entries()):
            await asyncio.sleep(0.01)
        assert (await vm(rig, "exec", "--", "echo", "x"))[:2] == (0, b"x\n")
