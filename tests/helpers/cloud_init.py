"""Debian's own cloud-init, unpacked and not installed, in a file system of its own that it may change as it likes."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
LIMIT_S = 180
_DETECTION = ("/lane/usr/lib/cloud-init/ds-identify", "--force")
_CONFIG = """
datasource_list: [ConfigDrive, NoCloud, None]
network: {config: disabled}
cloud_init_modules: [write-files, set_hostname, update_hostname, users-groups, ssh]
cloud_config_modules: [runcmd]
cloud_final_modules: [write-files-deferred, scripts-user, final-message]
ssh_deletekeys: false
ssh_genkeytypes: [ed25519]
"""
_READER = """
import base64, json, sys
from cloudinit import helpers, user_data, util
processor = user_data.UserDataProcessor(helpers.Paths({"cloud_dir": "/tmp", "run_dir": "/tmp"}))
for line in sys.stdin:
    message = processor.process(base64.b64decode(line))
    whole = [one for one in message.walk() if not one.is_multipart()]
    parts = [(one.get_content_type(), util.fully_decoded_payload(one)) for one in whole]
    told = [(kind, util.load_yaml(said) if kind == "text/cloud-config" else repr(said)) for kind, said in parts]
    print(json.dumps(told), flush=True)
"""


def unpacked() -> Path:
    """The folder with the unpacked packages; skips the test where they cannot be had."""
    done = subprocess.run(
        [TOP / "packaging/linux/unpack.sh"], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    if done.returncode == 75:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def reader(packages: Path) -> subprocess.Popen[str]:
    """cloud-init's own reading of user-data as a process: base64 on a line in, its parts as JSON on a line out."""
    modules = packages / "usr/lib/python3/dist-packages"
    return subprocess.Popen(
        ["/usr/bin/python3", "-c", _READER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(modules), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
    )


class Machine:
    """A file system that cloud-init takes for its computer's.

    Attributes:
        root: its top, as seen from outside.
    """

    def __init__(self, root: Path, packages: Path) -> None:
        self.root = root
        self._packages = packages
        for name in (
            "etc/default",
            "etc/skel",
            "etc/sudoers.d",
            "var/log",
            "var/lib/cloud/seed",
            "run",
            "root",
            "home",
        ):
            (root / name).mkdir(parents=True)
        shutil.copytree(packages / "etc/cloud", root / "etc/cloud")
        # Accounts need more user ids than somebody has who is not root.
        config = _CONFIG if os.geteuid() == 0 else _CONFIG.replace(", users-groups, ssh]", "]")
        (root / "etc/cloud/cloud.cfg.d/99-test.cfg").write_text(config, encoding="utf-8")
        for name in ("bin", "sbin", "lib", "lib64"):
            (root / name).symlink_to(f"usr/{name}")
        for name in ("login.defs", "nsswitch.conf", "os-release", "pam.d"):
            source = Path("/etc") / name
            if source.is_dir():
                shutil.copytree(source, root / "etc" / name)
            elif source.exists():
                shutil.copy(source, root / "etc" / name)
        accounts = {
            "passwd": "root:x:0:0:root:/root:/bin/sh",
            "group": "root:x:0:",
            "shadow": "root:*:19000:0:99999:7:::",
        }
        for name, line in {**accounts, "gshadow": "root:*::", "sudoers": ""}.items():
            (root / "etc" / name).write_text(f"{line}\n" if line else "", encoding="utf-8")

    def insert(self, medium: Path, kind: str) -> None:
        """Lay the files of an ISO where cloud-init looks before it looks at devices. kind: config_drive or nocloud."""
        seed = self.root / "var/lib/cloud/seed" / kind
        if seed.exists():
            shutil.rmtree(seed)
        extract(medium, seed)

    def boot(self) -> str:
        """All stages of one boot; gives cloud-init's log of it."""
        log = self.root / "var/log/cloud-init.log"
        log.unlink(missing_ok=True)
        shutil.rmtree(self.root / "run")
        (self.root / "run").mkdir()
        for stage in (["init", "--local"], ["init"], ["modules", "--mode", "config"], ["modules", "--mode", "final"]):
            self.cloud_init(*stage)
        return log.read_text(encoding="utf-8")

    def cloud_init(self, *words: str) -> str:
        """One call; gives what it printed."""
        done = self.run("/usr/bin/python3", "/lane/usr/bin/cloud-init", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command inside."""
        rootless = [] if os.geteuid() == 0 else ["--unshare-user", "--uid", "0", "--gid", "0", "--cap-add", "ALL"]
        shared = ["--unshare-pid", "--unshare-uts", "--unshare-ipc", "--unshare-net", "--die-with-parent", "--clearenv"]
        laid = ["--bind", str(self.root), "/", "--ro-bind", "/usr", "/usr", "--ro-bind", str(self._packages), "/lane"]
        made = ["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--chdir", "/"]
        told = {"PYTHONPATH": "/lane/usr/lib/python3/dist-packages", "PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C.UTF-8"}
        environment = [word for name, value in told.items() for word in ("--setenv", name, value)]
        command = ["bwrap", *rootless, *shared, *laid, *made, *environment, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)

    def sources(self, medium: Path) -> str:
        """The sources that cloud-init would look at in a VM whose CD drive holds the medium: its own detection."""
        tools = self.root / "tools"
        tools.mkdir(exist_ok=True)
        told = {"DEVNAME": "/dev/sr0", **blkid(medium)}
        answers = {
            "blkid": "".join(f"{name}={said}\\n" for name, said in told.items()),
            "systemd-detect-virt": "kvm\\n",
        }
        for name, answer in answers.items():
            (tools / name).write_text(f"#!/bin/sh\nprintf '{answer}'\n", encoding="utf-8")
            (tools / name).chmod(0o755)
        shutil.rmtree(self.root / "var/lib/cloud")
        (self.root / "var/lib/cloud/seed").mkdir(parents=True)
        (self.root / "etc/cloud/cloud.cfg.d/99-test.cfg").unlink(missing_ok=True)
        done = self.run("/usr/bin/env", "PATH=/tools:/usr/sbin:/usr/bin", "/bin/sh", *_DETECTION)
        assert done.returncode == 0, done.stdout + done.stderr
        return self.text("/run/cloud-init/cloud.cfg")

    def text(self, path: str) -> str:
        """A file's text."""
        return (self.root / path.lstrip("/")).read_text(encoding="utf-8")

    @property
    def instance_id(self) -> str:
        """As cloud-init keeps it."""
        return self.text("/var/lib/cloud/data/instance-id").strip()


def extract(medium: Path, folder: Path) -> None:
    """Take the files out of an ISO with a program that is not ours."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = ["xorriso", "-osirrox", "on", "-indev", str(medium), "-extract", "/", str(folder)]
    subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=True)
    for one in [folder, *folder.rglob("*")]:
        one.chmod(0o700 if one.is_dir() else 0o600)


def blkid(medium: Path) -> dict[str, str]:
    """What Linux takes a medium for: all readers in guests ask this program."""
    command = ["/usr/sbin/blkid", "--probe", "--output", "export", str(medium)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True).stdout
    return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)


def parts_of(process: subprocess.Popen[str], encoded: str) -> list[tuple[str, object]]:
    """Ask the process of `reader`."""
    assert process.stdin and process.stdout
    process.stdin.write(f"{encoded}\n")
    process.stdin.flush()
    return [(kind, said) for kind, said in json.loads(process.stdout.readline())]
