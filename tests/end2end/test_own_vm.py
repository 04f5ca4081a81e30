"""A virtual machine of the volunteer's own, from the command line, under real QEMU without hardware acceleration."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.client_core import write_project
from tests.helpers.program import APPLIANCE, Client, open_client, qemus_of, run_main
from tests.helpers.screen import wait_for

pytestmark = [pytest.mark.end2end, pytest.mark.timeout(200)]
QEMU = ("--set", "hypervisor.driver=qemu", "--set", "hypervisor.accelerator=tcg")
ROOM = ("--set", "guest.cpus=2", "--set", "guest.memory_mib=2048")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFpvPsKqZ3cEo4hLKTzVHtWDdsGxHwvWhTLXPDvd7B8s me@home"


def vm(base: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run_main("vm", *words, "--basedir", str(base))


def box(client: Client) -> dict[str, Any]:
    return next((one for one in client.snapshot()["vms"] if one["vm_id"] == "own-box"), {})


def wait_state(client: Client, state: str) -> None:
    wait_for(f"the VM being {state}", lambda: box(client).get("state") == state, 120)


def test_made_paused_with_all_kept_over_a_restart_and_removed(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    # The project's server does not answer, so nothing of its comes in the way.
    write_project(base / "project.toml", "0" * 64)
    with open_client(base, "headless", *QEMU, *ROOM, "--start") as client:
        wait_for("the client", lambda: client.snapshot()["allowed"]["pause"], 90)
        iso = str(APPLIANCE / "volunteer-cloud.iso")
        made = vm(base, "create", "Box", "--image", iso, "--template", "linux", "--set", f"key={KEY}", "--disk", "4")
        assert made.returncode == 0, made.stdout + made.stderr
        assert "volunteer-cloud, 1 processor, 512 MiB, disk of 4 GiB, no network" in made.stdout
        assert vm(base, "start", "box").stdout == "Starting.\n"
        wait_state(client, "running")
        wait_for("a word of the guest", lambda: vm(base, "console", "own-box").stdout.strip(), 120)
        client.ctl("pause")
        wait_state(client, "paused")
        client.ctl("resume")
        wait_state(client, "running")
        client.kill()
    assert qemus_of(base), "its process outlives a killed client"
    with open_client(base, "headless", *QEMU, *ROOM) as client:
        wait_state(client, "running")
        assert vm(base, "exec", "own-box", "--", "ls").returncode == 125
        client.quit()
    assert qemus_of(base) == []
    with open_client(base, "headless", *QEMU, *ROOM) as client:
        wait_state(client, "running")
        assert json.loads(vm(base, "list", "--json").stdout)[-1]["wish"] == "run"
        assert "add --yes" in vm(base, "remove", "Box").stderr
        assert vm(base, "remove", "Box", "--yes").returncode == 0
        wait_for("its end", lambda: not box(client), 90)
        wait_for("its files' end", lambda: not list((base / "vms").glob("own-box*")), 60)
        assert [path for path in base.rglob("*") if "own-box" in str(path)] == []
        assert qemus_of(base) == []
        removed = run_main("image", "remove", "volunteer-cloud", "--basedir", str(base))
        assert removed.returncode == 0, removed.stderr
        client.quit()
