"""pyvbox against a real VirtualBox: its idea of the states is wrong there, and the helper finds that out by itself."""

import json
import statistics
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from client.hypervisor.virtualbox.driver import VirtualBoxDriver
from client.hypervisor.virtualbox.folder import VmFolder
from client.snapshot import VmState
from tests.integration.hypervisor.conftest import bare_spec
from tests.integration.hypervisor.guests import wait_state
from tests.virtualbox.lane import Lane

pytestmark = pytest.mark.integration

TOP = Path(__file__).resolve().parents[2]
PYTHON = ("inside", "/usr/bin/python3")
VM_ID = "hand"
TRIAL_LIMIT_S = 120


class Trial:
    """A VM that runs firmware and nothing else, and the trials on it."""

    def __init__(self, driver: VirtualBoxDriver, lane: Lane, uuid: str) -> None:
        self.driver, self._lane, self._uuid = driver, lane, uuid

    def run(self, way: str) -> dict[str, Any]:
        command = [*PYTHON, "-m", "tests.virtualbox.pyvbox_trial", self._uuid, way]
        done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=TRIAL_LIMIT_S, check=False)
        assert done.returncode == 0, done.stderr
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return said

    def word(self) -> str:
        """The state in VirtualBox's own words."""
        said = self._lane.manage("showvminfo", self._uuid, "--machinereadable")
        return next(line for line in said.splitlines() if line.startswith("VMState=")).partition("=")[2].strip('"')


@pytest.fixture
async def trial(lane: Lane, tmp_path: Path) -> AsyncIterator[Trial]:
    if subprocess.run([*PYTHON, "-c", "import virtualbox, vboxapi"], capture_output=True, check=False).returncode:
        pytest.skip("pyvbox is not in the set-up of the real VirtualBox")
    template = tmp_path / "template.raw"
    template.write_bytes(bytes(1 << 20))
    driver = VirtualBoxDriver(tmp_path / "vms", needs_driver=False)
    await driver.define(bare_spec(VM_ID, template))
    await driver.start(VM_ID)
    yield Trial(driver, lane, VmFolder(tmp_path / "vms" / VM_ID).record().uuid)
    await driver.destroy(VM_ID)
    await driver.close()


async def test_the_helper_finds_the_trap_and_stays_out(trial: Trial) -> None:
    said = trial.run("as-it-is")
    assert said["reads"] == "Paused"
    assert {"AbortedSaved", "Running", "Paused", "Stuck"} <= set(said["wrong"])
    assert (said["serves"], said["paused"]) == (False, False)
    assert "AbortedSaved" in said["why_off"]
    assert trial.word() == "running"
    await trial.driver.pause(VM_ID)
    assert trial.run("as-it-is")["reads"] == "Stuck"
    assert (await trial.driver.info(VM_ID)).state is VmState.PAUSED


async def test_with_the_right_numbers_it_takes_milliseconds(trial: Trial) -> None:
    said = trial.run("corrected")
    pause_ms, resume_ms = statistics.median(said["pause_ms"]), statistics.median(said["resume_ms"])
    print(f"\npyvbox: pause {pause_ms:.1f} ms, resume {resume_ms:.1f} ms, save {said['save_ms']:.0f} ms")
    assert max(pause_ms, resume_ms) < 50
    assert (said["resumed_twice"], said["off_by_that"]) == (False, "")
    assert said["percents"][-1] == 100
    assert trial.word() == "saved"
    await wait_state(trial.driver, VM_ID, VmState.SAVED)
    await trial.driver.start(VM_ID)
    assert trial.word() == "running"
