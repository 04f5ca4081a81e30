"""Which hypervisor a run takes, and what it does with it first."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from client.errors import ToolMissing
from client.hypervisor.driver import VmInfo
from client.hypervisor.fake import FakeDriver
from client.paths import Paths
from client.preferences.store import Preferences
from client.service.session import find_driver


@pytest.mark.parametrize("fails", [False, True])
async def test_the_vms_of_the_driver_are_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    looks: list[str] = []

    async def look(self: FakeDriver) -> tuple[VmInfo, ...]:
        looks.append(self.name)
        if fails:
            raise ToolMissing("VBoxManage", "virtualbox")
        return ()

    monkeypatch.setattr(FakeDriver, "list_vms", look)
    wanted: Mapping[str, str] = {"hypervisor.driver": "fake"}
    driver, report = await find_driver(Paths(tmp_path), Preferences(wanted))
    assert looks == ["fake"] == [report.name]
    await driver.close()
