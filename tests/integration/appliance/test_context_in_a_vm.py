"""A context medium of CernVM's kind in a real VM: a kernel mounts it, and what its readers do is done there as root.

The guest is our own thin appliance; a probe does with busybox what the sources of CernVM's programs have.
"""

import io
import zipfile
from pathlib import Path

import pytest

from client.appliance.context import build_context_medium
from client.appliance.contextual.seed import build_seed
from client.appliance.contextual.template import parse_template
from client.appliance.manifest import Appliance
from tests.helpers.context_values import KEY
from tests.integration.test_appliance import BUILT, appliance, boot, virtio

__all__ = ["appliance"]
pytestmark = pytest.mark.integration
TOP = Path(__file__).resolve().parents[3]
WICKED = "it's; $(touch /broken-out) `touch /broken-out` \\ \" é \U0001f600"
TEMPLATE = """
[template]
name = "in a VM"
system = "cernvm"
[field.a]
label = "a"
[field.key]
kind = "ssh key"
label = "key"
[guest]
host_name = "one"
ssh_keys = ["${key}"]
proxy = "http://10.0.2.2:3128;DIRECT"
[[file]]
path = "/etc/from context/a"
mode = "0640"
values = "plain"
content = "<${a}>"
[script]
text = '''
cat >> /result <<STOP

exit 0 is text
[cernvm]
STOP
printf '<%s>' "$a" >> /result
'''
[ucernvm]
cvmfs_branch = "cernvm-prod.cern.ch"
resize_rootfs = false
"""

#: As the first program of the guest.
PROBE = r"""
import ctypes, json, os, subprocess
import readers

BUSYBOX = "/bin/busybox"
# CernVM has such a name of its shell; busybox would look for an applet of that name.
open("/bin/sh.after", "w").write("#!/bin/sh\nexec /bin/sh \"$@\"\n")
os.chmod("/bin/sh.after", 0o755)

os.mkdir("/applets")
for applet in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True).stdout.split():
    os.symlink(BUSYBOX, "/applets/" + applet)
os.environ["PATH"] = "/usr/bin:/bin:/applets"

def mounted():
    os.mkdir("/medium")
    names = [line.split()[3] for line in open("/proc/partitions").read().splitlines()[2:]]
    for name in sorted(names):
        command = [BUSYBOX, "mount", "-t", "iso9660", "-o", "ro", "/dev/" + name, "/medium"]
        if subprocess.run(command, capture_output=True).returncode == 0:
            if os.path.exists("/medium/openstack/latest/user_data"):
                return name
            subprocess.run([BUSYBOX, "umount", "/medium"])
    return ""

def amiconfig(path):
    steps = "grep -v -e '^ *$' %s > /work && awk '/#!.*sh/,/^$/ {print}' /work > /work.sh && chmod +x /work.sh"
    subprocess.run(["/bin/sh", "-c", steps % path], check=True)
    return subprocess.run(["/work.sh"], capture_output=True, text=True)

found = {"device": mounted()}
found["files"] = sorted(os.path.join(top, name) for top, _, names in os.walk("/medium") for name in names)
found["is_hepix"] = os.path.exists("/medium/context.sh") or os.path.exists("/medium/prolog.sh")
loaded = open("/medium/openstack/latest/user_data", "rb").read()
found["loaded"] = readers.loader_variables(loaded, (BUSYBOX, "sh"))
first = amiconfig("/medium/ec2/latest/user-data")
second = amiconfig("/medium/ec2/latest/user-data")
found["script"] = [first.returncode, first.stderr, second.returncode, second.stderr]
found["sections"] = readers.amiconfig_sections(open("/medium/ec2/latest/user-data", "rb").read())
found["key"] = json.load(open("/medium/ec2/latest/meta-data.json"))["public-keys"]["0"]["openssh-key"]
found["result"] = open("/result").read() if os.path.exists("/result") else ""
laid = "/etc/from context/a"
found["laid"] = [open(laid).read(), oct(os.stat(laid).st_mode & 0o7777)] if os.path.exists(laid) else []
found["broken_out"] = os.path.exists("/broken-out")
print("FOUND " + json.dumps(found), flush=True)
ctypes.CDLL(None).reboot(0x4321FEDC)
"""


def test_a_kernel_mounts_it_and_each_reader_gets_its_part(appliance: Appliance, tmp_path: Path) -> None:
    seed = build_seed(tmp_path / "seed.iso", parse_template(TEMPLATE.encode(), "t"), {"a": WICKED, "key": KEY}, "vm-1")
    agent = io.BytesIO()
    with zipfile.ZipFile(agent, "w") as archive:
        archive.writestr("__main__.py", PROBE)
        archive.write(TOP / "tests/helpers/context_readers.py", "readers.py")
    build_context_medium(tmp_path / "context.iso", {}, agent.getvalue())
    direct = appliance.direct
    assert direct is not None
    found, _ = boot(
        [
            *("-machine", direct.machine["type"], "-kernel", BUILT / direct.kernel, "-initrd", BUILT / direct.initrd),
            *("-append", f"{direct.command_line} console=ttyS0"),
            *virtio("context", tmp_path / "context.iso"),
            *virtio("system", BUILT / direct.system),
            *virtio("seed", seed.path),
        ]
    )
    assert found["files"] == [
        "/medium/ec2/latest/meta-data.json",
        "/medium/ec2/latest/user-data",
        "/medium/meta-data",
        "/medium/openstack/latest/meta_data.json",
        "/medium/openstack/latest/user_data",
        "/medium/user-data",
    ]
    assert not found["is_hepix"]
    assert found["loaded"] == {
        "_UCONTEXT_CVMFS_BRANCH": "cernvm-prod.cern.ch",
        "_UCONTEXT_RESIZE_ROOTFS": "0",
        "_UCONTEXT_CVMFS_HTTP_PROXY": "http://10.0.2.2:3128;DIRECT",
    }
    assert found["script"] == [0, "", 0, ""]
    assert found["result"] == f"\nexit 0 is text\n[cernvm]\n<{WICKED}>"
    assert found["laid"] == [f"<{WICKED}>", "0o640"]
    assert not found["broken_out"]
    assert found["key"] == f"{KEY}\n"
    sections = found["sections"]
    assert isinstance(sections, dict)
    assert sections["hostname"] == {"hostname": "one"}
    assert sections["amiconfig"] == {"plugins": "cernvm hostname"}
