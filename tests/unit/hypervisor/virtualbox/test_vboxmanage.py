"""VBoxManage played by a program that hangs, lies, breaks off and never stops talking."""

import asyncio
import time
from pathlib import Path

import pytest

from client.errors import ToolMissing
from client.hypervisor.virtualbox import vboxmanage
from client.hypervisor.virtualbox.problems import (
    ObjectNotFound,
    ServiceDead,
    SessionLocked,
    VirtualBoxBroken,
    VirtualBoxFailed,
    VirtualBoxSilent,
)
from client.hypervisor.virtualbox.vboxmanage import VBoxManage
from tests.unit.hypervisor.virtualbox.stand_in import StandIn

LOCKED = {
    "exit": 1,
    "stderr": "VBoxManage: error: The machine 'one' is already locked for a session (or being unlocked)\n"
    "VBoxManage: error: Details: code VBOX_E_INVALID_OBJECT_STATE (0x80bb0007), component MachineWrap\n",
}
WARNING = (
    "WARNING: The character device /dev/vboxdrv does not exist.\n"
    "\t Please install the virtualbox-dkms package and the appropriate\n"
    "\t headers, most likely linux-headers-cloud-amd64.\n\n"
    "\t You will not be able to start VMs until this problem is fixed.\n"
)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vboxmanage, "RETRY_PAUSES_S", (0.0, 0.0, 0.0))


async def test_what_it_says_comes_back_with_folded_lines(tmp_path: Path) -> None:
    there = StandIn(tmp_path, {"stdout": "one\r\ntwo\r\n", "stderr": WARNING})
    manage = VBoxManage(there.program)
    assert await manage.read("list", "vms") == "one\ntwo\n"
    assert (there.calls, manage.calls) == ([["list", "vms"]], 1)
    assert manage.busy_s > 0


async def test_queries_are_asked_again_while_it_is_locked(tmp_path: Path) -> None:
    there = StandIn(tmp_path, LOCKED, LOCKED, {"stdout": "free"})
    assert await VBoxManage(there.program).read("showvminfo", "one") == "free"
    assert len(there.calls) == 3


async def test_a_query_that_comes_while_a_vm_ends_is_asked_again(tmp_path: Path) -> None:
    # VirtualBox 7.2.22, `showvminfo` at the end of `savestate`.
    ending = (
        "VBoxManage: error: The machine 'one' was unlocked unexpectedly while attempting to share its session\n"
        "VBoxManage: error: Details: code VBOX_E_INVALID_SESSION_STATE (0x80bb000b), component MachineWrap\n"
    )
    there = StandIn(tmp_path, {"exit": 1, "stderr": ending}, {"stdout": "saved"})
    assert await VBoxManage(there.program).read("showvminfo", "one") == "saved"


async def test_but_not_for_ever(tmp_path: Path) -> None:
    there = StandIn(tmp_path, LOCKED)
    with pytest.raises(SessionLocked) as caught:
        await VBoxManage(there.program).read("showvminfo", "one")
    assert (caught.value.vm, len(there.calls)) == ("one", 4)


async def test_a_failure_that_does_not_pass_is_not_asked_again(tmp_path: Path) -> None:
    there = StandIn(tmp_path, {"exit": 1, "stderr": "VBoxManage: error: Could not find a registered machine named 'x'"})
    with pytest.raises(ObjectNotFound) as caught:
        await VBoxManage(there.program).read("showvminfo", "x")
    assert (caught.value.what, len(there.calls)) == ("x", 1)


async def test_verbs_are_done_once(tmp_path: Path) -> None:
    there = StandIn(tmp_path, LOCKED, {})
    with pytest.raises(SessionLocked):
        await VBoxManage(there.program).change("modifyvm", "one", "--cpus", "2")
    assert len(there.calls) == 1


async def test_success_with_an_error_text_is_an_error(tmp_path: Path) -> None:
    there = StandIn(tmp_path, {"stderr": "VBoxManage: error: Something entirely new\n"})
    with pytest.raises(VirtualBoxFailed) as caught:
        await VBoxManage(there.program).change("startvm", "one")
    assert (caught.value.said, caught.value.exit_code) == ("Something entirely new", 0)


async def test_one_that_cannot_run(tmp_path: Path) -> None:
    there = StandIn(tmp_path, {"exit": 126, "stderr": "VBoxManage: cannot execute"})
    with pytest.raises(VirtualBoxBroken):
        await VBoxManage(there.program).change("list", "vms")
    there.path.write_text("\0not a program\n")
    with pytest.raises(VirtualBoxBroken):
        await VBoxManage(there.program).change("list", "vms")
    there.path.unlink()
    with pytest.raises(ToolMissing):
        await VBoxManage(there.program).change("list", "vms")


async def test_one_that_hangs_is_ended_and_the_next_goes_on(tmp_path: Path) -> None:
    there = StandIn(tmp_path, {"seconds": 60, "child": True}, {"stdout": "back"})
    manage = VBoxManage(there.program)
    began = time.monotonic()
    with pytest.raises(VirtualBoxSilent) as caught:
        await manage.change("startvm", "one", timeout_s=0.5)
    assert caught.value.said == "not done within 0.5 s"
    assert caught.value.command == ("startvm", "one")
    assert await manage.read("list", "vms") == "back"
    assert time.monotonic() - began < 10


async def test_one_that_never_stops_talking_is_ended(tmp_path: Path) -> None:
    there = StandIn(tmp_path, {"megabytes": 100})
    with pytest.raises(VirtualBoxSilent) as caught:
        await VBoxManage(there.program).read("list", "hdds")
    assert caught.value.said == f"wrote more than {vboxmanage.MOST_OUTPUT_BYTES} bytes"
    assert there.running == "+"


async def test_one_at_a_time(tmp_path: Path) -> None:
    there = StandIn(tmp_path, {"seconds": 0.2})
    manage = VBoxManage(there.program)
    await asyncio.gather(
        manage.read("list", "vms"), manage.change("controlvm", "a", "pause"), manage.read("list", "hdds")
    )
    assert there.running == "+-+-+-"


LONG = (
    ("startvm", "a", "--type", "headless"),
    ("controlvm", "a", "savestate"),
    ("snapshot", "a", "take", "name"),
    ("snapshot", "a", "restore", "name"),
    ("snapshot", "a", "delete", "name"),
)


@pytest.mark.parametrize("words", LONG)
async def test_long_work_goes_beside_the_queue(tmp_path: Path, words: tuple[str, ...]) -> None:
    there = StandIn(tmp_path, {"beside": True})
    manage = VBoxManage(there.program)
    await asyncio.gather(manage.change(*words), manage.change("controlvm", "b", "pause"))
    assert there.running == "++--"


async def test_a_call_that_stands_still_lets_the_others_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vboxmanage, "TURN_S", 0.05)
    there = StandIn(tmp_path, {"beside": True})
    manage = VBoxManage(there.program)
    await asyncio.gather(manage.change("controlvm", "a", "pause"), manage.change("controlvm", "b", "pause"))
    assert there.running == "++--"


@pytest.mark.parametrize("words", [("startvm", "one"), ("modifyvm", "one")])
@pytest.mark.parametrize("turn_s", [0.0, 60.0])
async def test_a_caller_that_gives_up_ends_its_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], turn_s: float
) -> None:
    monkeypatch.setattr(vboxmanage, "TURN_S", turn_s)
    there = StandIn(tmp_path, {"seconds": 60}, {"stdout": "free"})
    manage = VBoxManage(there.program)
    task = asyncio.create_task(manage.change(*words))
    while not (tmp_path / "running").exists() or there.running != "+":
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await manage.read("list", "vms") == "free"
    assert there.running == "++-", "the first was ended"


async def test_a_dead_service_is_asked_again(tmp_path: Path) -> None:
    dead = {"exit": 1, "stderr": "VBoxManage: error: Failed to create the VirtualBox object!\n"}
    there = StandIn(tmp_path, dead, {"stdout": "7.2"})
    assert await VBoxManage(there.program).read("list", "hostinfo") == "7.2"
    there = StandIn(tmp_path, dead)
    with pytest.raises(ServiceDead):
        await VBoxManage(there.program).change("startvm", "one")
