"""A VirtualBox in memory for the driver's tests."""

from pathlib import Path

import pytest

from client.hypervisor.driver import Medium, MediumRole, VmSpec
from tests.unit.hypervisor.virtualbox.fake_virtualbox import FakeVirtualBox


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> FakeVirtualBox:
    fake = FakeVirtualBox()
    fake.install(monkeypatch)
    return fake


@pytest.fixture
def spec(tmp_path: Path) -> VmSpec:
    template = tmp_path / "template.raw"
    template.write_bytes(bytes(1 << 20))
    system = tmp_path / "system.iso"
    system.write_bytes(bytes(32769) + b"CD001" + bytes(40960 - 32774))
    media = (Medium(MediumRole.SYSTEM, system), Medium(MediumRole.SCRATCH, template))
    return VmSpec("one", "One", cpus=1, memory_mib=64, media=media)
