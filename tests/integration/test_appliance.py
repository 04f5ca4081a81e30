"""The appliance as it was built, under real QEMU with emulation: both ways to boot, and the job in the guest."""

import io
import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from client.appliance.context import build_context_medium
from client.appliance.manifest import Appliance, read_manifest

pytestmark = pytest.mark.integration

TOP = Path(__file__).resolve().parents[2]
BUILT = TOP / "build" / "appliance"
JOB = TOP / "resources" / "jobs" / "pythia8"
EVENTS, SEED = "20", "7"

#: What the guest runs as its first program here: it says what it finds, does the job, and powers off.
PROBE = """
import ctypes, json, os, pwd, shutil, subprocess, time, zipfile
import slixmpp, ssl, tarfile

def address():
    said = subprocess.run(["ip", "address", "show", "eth0"], capture_output=True, text=True).stdout
    return said.split("inet ")[1].split()[0] if "inet " in said else ""

def become_job():
    os.setgroups([])
    os.setresgid(1000, 1000, 1000)
    os.setresuid(1000, 1000, 1000)

end = time.monotonic() + 60
while not address() and time.monotonic() < end:
    time.sleep(0.2)
try:
    os.chmod("/context/context.json", 0o644)
    writable = True
except OSError:
    writable = False
as_job = {"preexec_fn": become_job, "capture_output": True, "text": True}
secret = subprocess.run(["cat", "/context/context.json"], **as_job)
found = {
    "pid": os.getpid(),
    "arguments": __import__("sys").argv,
    "mounts": {line.split()[1]: [line.split()[2], line.split()[3]] for line in open("/proc/mounts")},
    "address": address(),
    "job": list(pwd.getpwnam("job")[2:4]),
    "context": json.load(open("/context/context.json")),
    "job_reads_context": secret.returncode == 0,
    "context_writable": writable,
    "resolver": open("/etc/resolv.conf").read() if os.path.exists("/etc/resolv.conf") else "",
    "certificates": len(ssl.create_default_context().get_ca_certs()),
    "slixmpp": slixmpp.__version__,
    "guarded": [open("/proc/sys/fs/protected_" + name).read().strip() for name in ("hardlinks", "symlinks", "fifos")],
}
if found["context"]["run_job"]:
    os.mkdir("/scratch/work")
    zipfile.ZipFile("/context/agent.pyz").extractall("/scratch/work")
    os.chmod("/scratch/work/run.sh", 0o755)
    os.chown("/scratch/work", 1000, 1000)
    environment = {"PATH": "/usr/bin", "SOFTWARE_DIR": "/software"}
    command = ["./run.sh", "steering.cmnd", *found["context"]["run_job"]]
    ran = subprocess.run(command, cwd="/scratch/work", env=environment, **as_job)
    summary = json.load(open("/scratch/work/summary.json")) if ran.returncode == 0 else {}
    found |= {"job_exit": ran.returncode, "job_said": ran.stderr, "sha256": summary.get("histograms_sha256")}
print("FOUND " + json.dumps(found), flush=True)
os.sync()
ctypes.CDLL(None).reboot(0x4321FEDC)
"""


@pytest.fixture(scope="module")
def appliance() -> Appliance:
    if not (BUILT / "manifest.json").exists():
        pytest.skip("the appliance is not built: make appliance")
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("QEMU is not installed")
    return read_manifest(BUILT)


def context_medium(path: Path, run_job: list[str]) -> Path:
    agent = io.BytesIO()
    with zipfile.ZipFile(agent, "w") as archive:
        archive.writestr("__main__.py", PROBE)
        for name in ("run.sh", "simulate.py", "steering.cmnd"):
            archive.write(JOB / name, name)
    build_context_medium(path, {"run_job": run_job}, agent.getvalue())
    return path


def boot(arguments: list[str | Path]) -> tuple[dict[str, Any], str]:
    """Run a guest to its end; what the probe found, and the whole console."""
    common = ["-accel", "tcg", "-m", "256", "-smp", "1", "-nodefaults", "-no-user-config", "-display", "none"]
    common += ["-no-reboot", "-serial", "stdio", "-netdev", "user,id=net,restrict=on"]
    common += ["-device", "virtio-net-pci,netdev=net,romfile=", "-device", "virtio-rng-pci"]
    command = ["qemu-system-x86_64", *common, *map(str, arguments)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=240, check=False)
    console = done.stdout.decode(errors="replace")
    said = re.search(r"FOUND (\{.*\})", console)
    assert said, console[-3000:] + done.stderr.decode(errors="replace")
    return json.loads(said[1]), console


def drive(name: str, file: Path, device: str, form: str = "raw,readonly=on") -> list[str]:
    return ["-drive", f"if=none,id={name},format={form},file={file}", "-device", f"{device},drive={name}"]


def virtio(role: str, file: Path, form: str = "raw,readonly=on") -> list[str]:
    return drive(role, file, f"virtio-blk-pci,serial={role}", form)


def native_sha256(folder: Path) -> str:
    """The job's histograms as this computer makes them."""
    folder.mkdir()
    python = {"PATH": "/usr/bin:/bin", "PYTHON": str(TOP / ".venv/bin/python"), "SOFTWARE_DIR": str(folder / "absent")}
    command = [JOB / "run.sh", JOB / "steering.cmnd", EVENTS, SEED]
    subprocess.run(command, cwd=folder, env=python, check=True, capture_output=True, timeout=60)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["events"] == int(EVENTS)
    return str(summary["histograms_sha256"])


def check_guest(found: dict[str, Any]) -> None:
    assert found["pid"] == 1
    assert found["arguments"] == ["/context/agent.pyz", "/context"]
    assert found["address"] == "10.0.2.15/24"
    assert found["job"] == [1000, 1000]
    assert found["guarded"] == ["1", "1", "1"], "links and pipes of a job lead root's programs astray"
    assert not found["job_reads_context"]
    assert not found["context_writable"]
    assert int(str(found["certificates"])) > 100
    mounts = found["mounts"]
    assert isinstance(mounts, dict)
    assert mounts["/"][0] == "overlay"
    assert mounts["/context"][0] == "iso9660"
    assert mounts["/software"][0] == "squashfs"


def test_direct_boot_and_the_job(appliance: Appliance, tmp_path: Path) -> None:
    assert appliance.direct is not None
    scratch = tmp_path / "scratch.qcow2"
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", BUILT / str(appliance.scratch), scratch]
    subprocess.run(create, check=True, timeout=20)
    direct = appliance.direct
    found, _ = boot(
        [
            *("-machine", direct.machine["type"], "-kernel", BUILT / direct.kernel, "-initrd", BUILT / direct.initrd),
            *("-append", f"{direct.command_line} console=ttyS0"),
            *virtio("software", BUILT / appliance.software["pythia8"].file),
            *virtio("scratch", scratch, "qcow2"),
            *virtio("context", context_medium(tmp_path / "context.iso", [EVENTS, SEED])),
            *virtio("system", BUILT / direct.system),
        ]
    )
    check_guest(found)
    assert found["resolver"] == "nameserver 10.0.2.3\n"
    assert found["mounts"]["/scratch"][0] == "ext4"
    assert (found["job_exit"], found["job_said"]) == (0, "")
    assert found["sha256"] == native_sha256(tmp_path / "native")


def test_firmware_boot_finds_its_disks_by_content(appliance: Appliance, tmp_path: Path) -> None:
    """As under VirtualBox: IDE disks without serials. The scratch disk is damaged: the guest does without."""
    damaged = tmp_path / "scratch.raw"
    with damaged.open("wb") as disk:
        disk.truncate(8 * 1024 * 1024)
        disk.seek(1024 + 120)
        disk.write(b"SCRATCH")
    software = tmp_path / "software.raw"
    shutil.copyfile(BUILT / appliance.software["pythia8"].file, software)
    found, console = boot(
        [
            *("-machine", "pc", "-boot", "order=d"),
            *drive("system", BUILT / str(appliance.iso), "ide-cd,bus=ide.0,unit=0"),
            *drive("context", context_medium(tmp_path / "context.iso", []), "ide-cd,bus=ide.0,unit=1"),
            *drive("software", software, "ide-hd,bus=ide.1,unit=0", "raw"),
            *drive("scratch", damaged, "ide-hd,bus=ide.1,unit=1", "raw"),
        ]
    )
    check_guest(found)
    assert found["mounts"]["/scratch"][0] == "tmpfs"
    assert "no usable scratch disk" in console
