"""Writing and loading states, with a control connection that only listens."""

import errno
from pathlib import Path
from typing import Any

import pytest

from client.errors import DiskFull
from client.hypervisor.errors import SaveFailed
from client.hypervisor.qemu import saved
from client.hypervisor.qemu.find import Qemu
from client.hypervisor.qemu.folder import VmFolder
from client.hypervisor.qemu.qmp import MonitorRefused

OLD, NEW = Qemu("q", "i", (7, 2, 22)), Qemu("q", "i", (9, 1, 0))


class FakeMonitor:
    """Takes commands down; writes `data` where a state is asked for."""

    vm_id = "one"

    def __init__(self, folder: VmFolder, status: dict[str, Any], data: bytes = b"state") -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.status, self.data, self.folder = status, data, folder

    async def execute(self, command: str, timeout_s: float = 5.0, **arguments: Any) -> Any:
        self.said.append((command, arguments))
        if command == "migrate":
            self.folder.partial_state.write_bytes(self.data)
        return self.status if command == "query-migrate" else {}

    async def send_file(self, name: str, descriptor: int) -> None:
        self.said.append(("getfd", {"fdname": name}))


def monitor(tmp_path: Path, status: dict[str, Any]) -> Any:
    return FakeMonitor(VmFolder(tmp_path), status)


@pytest.mark.parametrize(("qemu", "uri"), [(OLD, "fd:state"), (NEW, "file:{folder}/saved.state.part")])
async def test_each_version_gets_the_file_its_way(tmp_path: Path, qemu: Qemu, uri: str) -> None:
    connection = monitor(tmp_path, {"status": "completed"})
    await saved.write_state(connection, VmFolder(tmp_path), "tcg", qemu)
    assert ("migrate", {"uri": uri.format(folder=tmp_path)}) in connection.said
    facts = await saved.check_state(VmFolder(tmp_path))
    assert facts is not None and (facts.size_bytes, facts.accelerator) == (5, "tcg")
    await saved.load_state(connection, VmFolder(tmp_path), qemu)
    loaded = {"uri": uri.format(folder=tmp_path).removesuffix(".part")}
    assert ("migrate-incoming", loaded) in connection.said


@pytest.mark.parametrize(
    ("said", "error"),
    [("Unable to write to file: No space left on device", DiskFull), ("Migration is disabled", SaveFailed)],
)
async def test_a_failed_save_leaves_nothing(tmp_path: Path, said: str, error: type[Exception]) -> None:
    connection = monitor(tmp_path, {"status": "failed", "error-desc": said})
    with pytest.raises(error):
        await saved.write_state(connection, VmFolder(tmp_path), "tcg", OLD)
    assert list(tmp_path.iterdir()) == []


async def test_no_space_for_the_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(saved, "write_whole", full)
    with pytest.raises(DiskFull):
        await saved.write_state(monitor(tmp_path, {"status": "completed"}), VmFolder(tmp_path), "tcg", OLD)
    assert list(tmp_path.iterdir()) == []


async def test_a_state_that_does_not_load(tmp_path: Path) -> None:
    (tmp_path / "saved.state").write_bytes(b"x")
    with pytest.raises(MonitorRefused):
        await saved.load_state(monitor(tmp_path, {"status": "failed"}), VmFolder(tmp_path), OLD)


async def test_a_save_that_does_not_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved, "SAVE_LIMIT_S", 0.03)
    connection = monitor(tmp_path, {"status": "active"})
    with pytest.raises(SaveFailed) as caught:
        await saved.write_state(connection, VmFolder(tmp_path), "tcg", OLD)
    assert "not done within" in caught.value.said
    assert ("migrate_cancel", {}) in connection.said


async def test_a_save_that_makes_progress_may_take_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved, "SAVE_LIMIT_S", 0.5)
    monkeypatch.setattr(saved, "_POLL_S", 0.1)
    connection = monitor(tmp_path, {"status": "active"})
    execute, polls = connection.execute, []

    async def growing(command: str, timeout_s: float = 5.0, **arguments: Any) -> Any:
        if command == "query-migrate":
            polls.append(command)
            with VmFolder(tmp_path).partial_state.open("ab") as state:
                state.write(b"more")
            connection.status = {"status": "completed" if len(polls) > 12 else "active"}
        return await execute(command, timeout_s, **arguments)

    monkeypatch.setattr(connection, "execute", growing)
    await saved.write_state(connection, VmFolder(tmp_path), "tcg", OLD)
    assert VmFolder(tmp_path).has_saved_state()
