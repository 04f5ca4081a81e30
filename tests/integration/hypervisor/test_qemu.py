"""The QEMU driver's own troubles: kills, damage, full disks, deep folders, loud guests."""

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from client import filenames, process
from client.errors import DiskFull
from client.hypervisor.driver import Medium, MediumRole
from client.hypervisor.errors import InvalidVmState, StartFailed
from client.hypervisor.qemu.driver import QemuDriver
from client.hypervisor.qemu.folder import RESTORING, SAVING, VmFolder
from client.process import Identity
from client.snapshot import VmState
from tests.integration.hypervisor.conftest import bare_spec, need_appliance, need_qemu, qemu_driver
from tests.integration.hypervisor.guests import AGENT, APPLIANCE, Line, appliance_spec, build_context, wait_state

pytestmark = pytest.mark.integration
ON = (VmState.STARTING, VmState.RUNNING)


@pytest.fixture
async def driver(tmp_path: Path):
    need_qemu()
    driver = qemu_driver(tmp_path / "vms")
    yield driver
    await driver.close()
    last = qemu_driver(tmp_path / "vms")
    for info in await last.list_vms():
        await last.destroy(info.vm_id)
    await last.close()


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "template.raw"
    path.write_bytes(bytes(1 << 20))
    return path


def another(driver: QemuDriver, tmp_path: Path, **options: object) -> QemuDriver:
    """As after a SIGKILL of the client: the former driver lets go of its connections only because the system does."""
    return qemu_driver(tmp_path / "vms", **options)


def who(tmp_path: Path, vm_id: str = "one") -> Identity:
    found = VmFolder(tmp_path / "vms" / vm_id).running()
    assert found is not None
    return found


async def test_it_belongs_to_nobody_and_is_confined(driver: QemuDriver, tmp_path: Path, template: Path) -> None:
    await driver.define(bare_spec("one", template))
    await driver.start("one")
    status = Path(f"/proc/{who(tmp_path).pid}/status").read_text()
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert facts["PPid"].strip() == "1"
    assert facts["NoNewPrivs"].strip() == "1"
    assert facts["Seccomp"].strip() == "2"
    assert os.getsid(who(tmp_path).pid) != os.getsid(0)


async def test_a_killed_vm_is_failed_and_starts_again(driver: QemuDriver, tmp_path: Path, template: Path) -> None:
    await driver.define(bare_spec("one", template))
    await driver.start("one")
    told = asyncio.Event()
    driver.on_change(lambda vm_id: told.set())
    os.kill(who(tmp_path).pid, signal.SIGKILL)
    async with asyncio.timeout(60):
        await told.wait()
    await wait_state(driver, "one", VmState.FAILED)
    assert (await driver.info("one")).cause
    await driver.start("one")
    assert (await driver.info("one")).state in ON


async def test_all_disks_of_one_share_a_limit(driver: QemuDriver, tmp_path: Path, template: Path) -> None:
    await driver.define(bare_spec("one", template))
    with pytest.raises(InvalidVmState):
        await driver.live.set_disk_rate("one", 1_000_000)
    await driver.start("one")
    monitor = await driver._machine("one").connect()

    async def limits() -> set[tuple[int, str]]:
        said = [drive["inserted"] for drive in await monitor.execute("query-block") if "inserted" in drive]
        return {(one["bps"], one.get("group", "")) for one in said}

    await driver.live.set_disk_rate("one", 1_000_000)
    assert await limits() == {(1_000_000, "disks")}
    await driver.live.set_disk_rate("one", 0)
    assert await limits() == {(0, "")}


async def test_a_stopped_process_is_woken(driver: QemuDriver, tmp_path: Path, template: Path) -> None:
    await driver.define(bare_spec("one", template))
    await driver.start("one")
    await driver.close()
    os.kill(who(tmp_path).pid, signal.SIGSTOP)
    second = another(driver, tmp_path)
    assert (await second.info("one")).state is VmState.RUNNING
    await second.close()


async def test_a_dead_control_socket_is_ended_by_identity(driver: QemuDriver, tmp_path: Path, template: Path) -> None:
    await driver.define(bare_spec("one", template))
    await driver.start("one")
    first = who(tmp_path)
    await driver.close()
    (tmp_path / "vms" / "one" / filenames.VM_CONTROL_SOCKET).unlink()
    second = another(driver, tmp_path)
    info = await second.info("one")
    assert info.state is VmState.FAILED
    assert info.pids == (first.pid,)
    await second.start("one")
    assert not process.alive(first.pid, first.started_at)
    assert (await second.info("one")).state in ON
    await second.close()


async def test_a_pid_of_somebody_else_is_never_touched(driver: QemuDriver, tmp_path: Path, template: Path) -> None:
    await driver.define(bare_spec("one", template))
    other = await process.start(("sleep", "60"))
    folder = VmFolder(tmp_path / "vms" / "one")
    folder.pidfile.write_text(f"{other.identity.pid}\n")
    folder.write_record(phase="running", pid=other.identity.pid, started_at="another time")
    assert (await driver.info("one")).state is VmState.FAILED
    await driver.destroy("one")
    assert other.exit_code is None
    await other.stop()


async def test_found_without_a_written_pid(driver: QemuDriver, tmp_path: Path, template: Path) -> None:
    await driver.define(bare_spec("one", template))
    await driver.start("one")
    VmFolder(tmp_path / "vms" / "one").write_record(phase="starting", pid=0, started_at="")
    await driver.close()
    second = another(driver, tmp_path)
    assert (await second.info("one")).state is VmState.RUNNING
    await second.start("one")
    assert VmFolder(tmp_path / "vms" / "one").record().pid == who(tmp_path).pid
    await second.close()


@pytest.mark.parametrize("harm", ["cut", "changed", "facts", "gone"])
async def test_a_damaged_state_is_noticed(driver: QemuDriver, tmp_path: Path, template: Path, harm: str) -> None:
    await driver.define(bare_spec("one", template))
    await driver.start("one")
    await driver.save("one")
    folder = VmFolder(tmp_path / "vms" / "one")
    data = bytearray(folder.saved_state.read_bytes())
    match harm:
        case "cut":
            folder.saved_state.write_bytes(data[: len(data) // 2])
        case "changed":
            data[len(data) // 2] ^= 1
            folder.saved_state.write_bytes(data)
        case "facts":
            folder.saved_facts.write_text("{")
        case "gone":
            folder.saved_state.unlink()
    await driver.start("one")
    info = await driver.info("one")
    assert info.state in ON
    assert ("saved state was damaged" in info.note) is (harm != "gone")
    assert not folder.saved_state.exists()


async def test_a_state_that_qemu_refuses_is_a_fresh_boot(driver: QemuDriver, tmp_path: Path, template: Path) -> None:
    await driver.define(bare_spec("one", template))
    await driver.start("one")
    await driver.save("one")
    folder = VmFolder(tmp_path / "vms" / "one")
    # Whole and with the right checksum, but of a machine with other memory.
    folder.write_spec(replace(bare_spec("one", template), memory_mib=48))
    await driver.start("one")
    info = await driver.info("one")
    assert info.state in ON
    assert "could not be used" in info.note
    assert not folder.has_saved_state()


async def test_a_full_disk_stops_the_save_not_the_vm(driver: QemuDriver, tmp_path: Path, template: Path) -> None:
    await driver.define(bare_spec("one", template))
    await driver.start("one")
    folder = VmFolder(tmp_path / "vms" / "one")
    for before in (VmState.RUNNING, VmState.PAUSED):
        if before is VmState.PAUSED:
            await driver.pause("one")
        folder.partial_state.symlink_to("/dev/full")
        with pytest.raises(DiskFull):
            await driver.save("one")
        assert (await driver.info("one")).state is before
        assert not folder.has_saved_state()
        assert not folder.partial_state.is_symlink()
    await driver.save("one")
    assert (await driver.info("one")).state is VmState.SAVED


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("then", ["save", "resume", "start", "power_off", "destroy"])
async def test_killed_while_saving(
    driver: QemuDriver, tmp_path: Path, template: Path, then: str, written: bool
) -> None:
    await driver.define(bare_spec("one", template))
    await driver.start("one")
    folder = VmFolder(tmp_path / "vms" / "one")
    folder.write_record(phase=SAVING)
    monitor = await driver._machine("one").connect()
    await monitor.execute("stop")
    if written:
        descriptor = os.open(folder.partial_state, os.O_WRONLY | os.O_CREAT, 0o600)
        await monitor.send_file("state", descriptor)
        os.close(descriptor)
        await monitor.execute("migrate", uri="fd:state")
        while (await monitor.execute("query-migrate"))["status"] != "completed":
            await asyncio.sleep(0.01)
    await driver.close()
    second = another(driver, tmp_path)
    assert (await second.info("one")).state is VmState.PAUSED
    await getattr(second, then)("one")
    now = (await second.info("one")).state
    expected = {"save": VmState.SAVED, "power_off": VmState.DEFINED, "destroy": VmState.ABSENT}
    assert now is expected.get(then, VmState.RUNNING)
    assert not folder.partial_state.exists()
    await second.close()


async def test_killed_while_restoring(driver: QemuDriver, tmp_path: Path, template: Path) -> None:
    await driver.define(bare_spec("one", template))
    await driver.start("one")
    await driver.save("one")
    folder = VmFolder(tmp_path / "vms" / "one")
    kept = folder.saved_state.read_bytes(), folder.saved_facts.read_bytes()
    await driver.start("one")
    folder.saved_state.write_bytes(kept[0])
    folder.saved_facts.write_bytes(kept[1])
    folder.write_record(phase=RESTORING)
    first = who(tmp_path)
    await driver.close()
    second = another(driver, tmp_path)
    assert (await second.info("one")).state is VmState.STARTING
    await second.start("one")
    assert who(tmp_path) != first
    assert (await second.info("one")).state is VmState.RUNNING
    assert (await second.info("one")).note == ""
    await second.close()


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files that no other program uses; its path is short, for sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="vc-deep-", dir="/tmp") as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


async def test_deep_folders(tmp_path: Path, template: Path, temporary: Path) -> None:
    need_qemu()
    folder = tmp_path / ("deep, and 'odd' " * 8) / ("x" * 100)
    driver = qemu_driver(folder)
    await driver.define(bare_spec("one", template))
    await driver.start("one")
    reader, writer = await driver.open_link("one")
    assert (await driver.info("one")).state in ON
    await driver.save("one")
    await driver.start("one")
    await driver.destroy("one")
    writer.close()
    assert await reader.read() == b""
    await driver.close()
    assert list(temporary.iterdir()) == []


async def test_a_start_that_fails_says_why(driver: QemuDriver, template: Path) -> None:
    await driver.define(replace(bare_spec("one", template), extra_arguments=("-device", "no-such-thing")))
    with pytest.raises(StartFailed) as caught:
        await driver.start("one")
    assert "no-such-thing" in caught.value.stderr
    assert caught.value.command[0].endswith("qemu-system-x86_64")
    assert (await driver.info("one")).state is VmState.DEFINED


async def test_the_uart_carries_the_link_too(driver: QemuDriver, tmp_path: Path) -> None:
    need_appliance()
    spec = appliance_spec("one", build_context(tmp_path / "context.iso"), link_device="uart")
    await driver.define(spec)
    await driver.start("one")
    line = await Line.open(driver, "one")
    me = await line.wait_boot()
    assert await line.ask("6*7") == (me, "42")
    await line.close()


@pytest.mark.parametrize("exchange_mib", [0, 4])
async def test_the_iso_boots_where_direct_boot_is_not_wanted(
    driver: QemuDriver, tmp_path: Path, exchange_mib: int
) -> None:
    need_appliance()
    direct = appliance_spec("one", build_context(tmp_path / "context.iso"))
    iso = Medium(MediumRole.SYSTEM, APPLIANCE / "volunteer-cloud.iso")
    media = (iso, *direct.media[1:])
    await driver.define(replace(direct, direct_boot=None, media=media, exchange_mib=exchange_mib))
    await driver.start("one")
    line = await Line.open(driver, "one")
    me = await line.wait_boot()
    assert await line.ask("6*7") == (me, "42")
    await line.close()


LOUD = """
import os, sys
port = os.open("/dev/ttyS0", os.O_WRONLY)
for _ in range(200):
    os.write(port, b"noise " * 1000)
os.write(port, b"THE END")
"""


async def test_a_loud_console_costs_nothing(driver: QemuDriver, tmp_path: Path) -> None:
    need_appliance()
    agent = AGENT.replace("me = os", LOUD + "\nme = os", 1)
    await driver.define(appliance_spec("one", build_context(tmp_path / "context.iso", agent)))
    await driver.start("one")
    line = await Line.open(driver, "one")
    await line.wait_boot()
    assert "THE END" in await driver.console_tail("one", 100)
    assert len(await driver.console_tail("one", 1 << 30)) <= 65536
    assert (tmp_path / "vms" / "one" / filenames.VM_CONSOLE).stat().st_size <= 65536
    await line.close()


async def test_a_guest_that_reboots_or_powers_off_by_itself(driver: QemuDriver, tmp_path: Path) -> None:
    need_appliance()
    await driver.define(appliance_spec("one", build_context(tmp_path / "context.iso")))
    await driver.start("one")
    line = await Line.open(driver, "one")
    first = await line.wait_boot()
    with pytest.raises(TimeoutError):
        await line.ask("os.system('/bin/busybox reboot -f')", 0.5)
    second = await line.wait_boot()
    assert second != first
    assert (await driver.info("one")).guest_resets == 1
    with pytest.raises((TimeoutError, AssertionError)):
        await line.ask("os.system('/bin/busybox poweroff -f')", 5)
    assert await wait_state(driver, "one", VmState.DEFINED, VmState.FAILED) is VmState.DEFINED
    await line.close()


@pytest.mark.skipif(not os.access("/dev/kvm", os.R_OK | os.W_OK), reason="no /dev/kvm to try")
async def test_kvm_is_used_only_if_a_guest_lives_under_it(tmp_path: Path) -> None:
    """Where KVM works the guest runs under it; where it hangs guests, as on some servers, it runs without."""
    need_qemu()
    need_appliance()
    driver = qemu_driver(tmp_path / "vms", accelerators=("kvm", "tcg"), life_limit_s=4)
    await driver.define(appliance_spec("one", build_context(tmp_path / "context.iso")))
    await driver.start("one")
    info = await driver.info("one")
    assert (info.accelerator, info.state) == ("kvm", VmState.STARTING)
    await wait_state(driver, "one", VmState.RUNNING)
    info = await driver.info("one")
    line = await Line.open(driver, "one")
    await line.ask("1")
    await line.close()
    assert bool(info.note) is (info.accelerator == "tcg")
    await driver.close()
    report = await (second := qemu_driver(tmp_path / "vms", accelerators=("kvm", "tcg"))).probe()
    assert report.accelerators[0] == info.accelerator
    await second.destroy("one")
    await second.close()


async def test_a_dead_accelerator_is_put_aside(driver: QemuDriver, tmp_path: Path, template: Path) -> None:
    """The same on any computer: a bare VM never shows life, so whatever it runs under must be given up."""
    need_qemu()
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no hardware accelerator to be put aside")
    hasty = another(driver, tmp_path, accelerators=("kvm", "tcg"), life_limit_s=2)
    await hasty.define(bare_spec("one", template))
    await hasty.start("one")
    first = who(tmp_path)
    await hasty.pause("one")
    await asyncio.sleep(3)
    assert (await hasty.info("one")).accelerator == "kvm", "time in which it is held does not count"
    await hasty.resume("one")
    async with asyncio.timeout(60):
        while (info := await hasty.info("one")).accelerator != "tcg" or info.state is not VmState.RUNNING:
            await asyncio.sleep(0.05)
    assert "no sign of life" in info.note
    assert not process.alive(first.pid, first.started_at)
    await hasty.close()
