"""What `main.py hypervisors` says."""

import json
from pathlib import Path

import pytest

from client import filenames
from client.clock import SystemClock
from client.errors import AlreadyRunning, ToolMissing
from client.hypervisor import registry
from client.hypervisor.driver import DriverReport
from client.hypervisor.errors import SlowHypervisor
from client.hypervisor.fake import FakeDriver
from client.hypervisor.verdicts import Verdicts
from client.paths import Paths
from client.service.control import InstanceLock
from client.service.hypervisors import main


class Told(FakeDriver):
    def __init__(self, report: DriverReport) -> None:
        super().__init__(Path("nowhere"))
        self.report = report

    async def probe(self) -> DriverReport:
        return self.report


SLOW = SlowHypervisor("QEMU", "tcg", 17, "install VirtualBox")
QEMU = DriverReport("qemu", True, "7.2", ("tcg",), speed=6, reasons=(SLOW,))
MISSING = DriverReport("virtualbox", False, problem="tool-missing", reasons=(ToolMissing("VBoxManage", "virtualbox"),))
THERE = DriverReport("virtualbox", True, "7.2.4", ("hardware",), speed=100)


def use(monkeypatch: pytest.MonkeyPatch, *reports: DriverReport) -> None:
    factories = {report.name: (lambda folder, relay, report=report: Told(report)) for report in reports}
    monkeypatch.setattr(registry, "FACTORIES", factories)


def run(base: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    return main(["--basedir", str(base), *words]), capsys.readouterr().out


def test_a_slow_one_and_a_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, QEMU, MISSING)
    code, said = run(tmp_path, capsys)
    assert code == 0
    first, second, third, *rest = said.splitlines()
    assert first.split() == ["qemu", "slow", "7.2", "tcg", "<-", "used"]
    assert "17 times slower" in second and "install VirtualBox" in second
    assert third.split() == ["virtualbox", "no"]
    assert "VBoxManage is not installed" in rest[0]
    assert any("virtualbox" in line for line in rest[1:]), "a command or a page"


def test_the_faster_one_is_used_unless_another_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, QEMU, THERE)
    used = {one["name"]: one["used"] for one in json.loads(run(tmp_path, capsys, "--json")[1])}
    assert used == {"qemu": False, "virtualbox": True}
    (tmp_path / filenames.PREFERENCES).write_text('[hypervisor]\ndriver = "qemu"\n')
    used = {one["name"]: one["used"] for one in json.loads(run(tmp_path, capsys, "--json")[1])}
    assert used == {"qemu": True, "virtualbox": False}


def test_none_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    use(monkeypatch, MISSING)
    assert run(tmp_path, capsys)[0] == 1


def test_test_again_forgets_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, THERE)
    ledger = tmp_path / "vms" / "_virtualbox" / filenames.ACCELERATORS
    ledger.parent.mkdir(parents=True)
    verdicts = Verdicts(ledger, SystemClock())
    verdicts.remember("virtualbox", "here", works=False, cause="no-virtualization")
    run(tmp_path, capsys)
    assert verdicts.works("virtualbox", "here") is False
    run(tmp_path, capsys, "--test-again")
    assert verdicts.works("virtualbox", "here") is None


def test_what_is_left_of_one_that_is_not_used_is_told_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, QEMU, MISSING)
    left = tmp_path / "vms" / "_virtualbox" / "work-1"
    left.mkdir(parents=True)
    (left / "disk").write_bytes(bytes(range(256)) * 4096 * 3)
    said = run(tmp_path, capsys)[1]
    assert "take 3 MiB and are not used now" in said and "--forget virtualbox" in said
    (_, gone) = json.loads(run(tmp_path, capsys, "--json")[1])
    assert gone["left_bytes"] >= 3 << 20
    forgotten: list[str] = []

    async def forget(name: str, *rest: object) -> tuple[str, ...]:
        forgotten.append(name)
        return ("work-1",)

    monkeypatch.setattr(registry, "forget", forget)
    assert run(tmp_path, capsys, "--forget", "virtualbox") == (0, "Removed what was left with virtualbox: work-1.\n")
    with InstanceLock(Paths(tmp_path)), pytest.raises(AlreadyRunning):
        run(tmp_path, capsys, "--forget", "virtualbox")
    assert forgotten == ["virtualbox"]
