"""Our context media, read by Debian's cloud-init, by its PyYAML, and by busybox's shell, which the boot loader has."""

import base64
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from client.appliance.contextual.cloud_init import cloud_config, user_data
from client.appliance.contextual.seed import build_seed
from client.appliance.contextual.template import load_template, parse_template
from client.appliance.contextual.tree import Medium
from client.appliance.contextual.ucernvm import ucernvm_block
from client.appliance.errors import BadContextValues
from tests.helpers.cloud_init import Machine, blkid, extract, parts_of, reader, unpacked
from tests.helpers.context_readers import loader_variables
from tests.helpers.context_values import KEY, guest_of, hostile

pytestmark = pytest.mark.integration
TOP = Path(__file__).resolve().parents[3]
GIVEN = {"key": KEY, "password": "geheim-1"}
WICKED = "it's; $(touch /broken-out) `touch /broken-out` \\ \" é \U0001f600 #{% x %}"
MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FULL = """
[template]
name = "all of it"
system = "cloud-init"
[field.a]
label = "a"
[field.s]
kind = "secret"
label = "s"
[guest]
host_name = "one"
[[file]]
path = "/etc/from context/a"
mode = "0640"
values = "plain"
content = "<${a}>"
[script]
text = '''
printf '<%s>' "$a" >> /result
printf '%s' "$(cat /etc/hostname)" >> /result
'''
[cloud-init]
runcmd = [["sh", "-c", 'printf "%s" "$1" > /listed', "sh", "${a}"]]
"""
USER = '[[user]]\nname = "me"\ngroups = ["video"]\npassword = "${s}"\nadministrator = true\nssh_keys = ["%s"]\n'


@pytest.fixture(scope="module")
def packages() -> Path:
    return unpacked()


@pytest.fixture(scope="module")
def cloud_init_reader(packages: Path) -> Iterator[subprocess.Popen[str]]:
    with reader(packages) as process:
        yield process
        assert process.stdin
        process.stdin.close()


@pytest.fixture
def machine(tmp_path: Path, packages: Path) -> Machine:
    return Machine(tmp_path / "root", packages)


@pytest.mark.parametrize(("kind", "medium"), [("config_drive", Medium.CONFIG_DRIVE), ("nocloud", Medium.NOCLOUD)])
def test_cloud_init_does_what_the_template_says_once(
    tmp_path: Path, machine: Machine, kind: str, medium: Medium
) -> None:
    is_root = os.geteuid() == 0  # Making accounts needs more than one user id.
    body = FULL + (USER % KEY if is_root else '[[file]]\npath = "/s"\ncontent = "${s}"\n')
    template = parse_template(body.encode(), "test")
    given = {"a": WICKED, "s": WICKED}
    path = tmp_path / "seed.iso"
    seed = build_seed(path, template, given, "vm-1", medium)
    assert blkid(path)["LABEL"] == medium
    machine.insert(path, kind)
    log = machine.boot()
    assert "WARNING" not in log and "Traceback" not in log, [line for line in log.splitlines() if "WARN" in line]
    assert machine.instance_id == seed.instance_id
    assert machine.text("/etc/hostname").strip() == "one"
    assert machine.text("/etc/from context/a") == f"<{WICKED}>"
    assert machine.text("/result") == f"<{WICKED}>one"
    assert machine.text("/listed") == WICKED
    assert not (machine.root / "broken-out").exists()
    if is_root:
        shadow = next(line for line in machine.text("/etc/shadow").splitlines() if line.startswith("me:"))
        salt = shadow.split("$")[2]
        asked = machine.run("/usr/bin/python3", "-W", "ignore", "-c", _CRYPT, WICKED, f"$6${salt}")
        assert asked.stdout.strip() == shadow.split(":")[1]
        assert machine.text("/home/me/.ssh/authorized_keys") == f"{KEY}\n"
        assert "me ALL=(ALL) NOPASSWD:ALL" in machine.text("/etc/sudoers.d/90-cloud-init-users")
    # The same medium again, made anew: nothing is done a second time.
    machine.insert(build_seed(path, template, given, "vm-1", medium).path, kind)
    machine.boot()
    assert machine.text("/result") == f"<{WICKED}>one"
    # Another content: it is done again.
    machine.insert(build_seed(path, template, {**given, "a": "b"}, "vm-1", medium).path, kind)
    machine.boot()
    assert machine.text("/result") == f"<{WICKED}>one<b>one"


_CRYPT = "import crypt, sys; print(crypt.crypt(sys.argv[1], sys.argv[2]))"


@pytest.mark.parametrize(
    ("medium", "source"), [(Medium.CONFIG_DRIVE, "[ ConfigDrive,"), (Medium.NOCLOUD, "[ NoCloud,")]
)
def test_cloud_inits_detection_knows_the_medium(tmp_path: Path, machine: Machine, medium: Medium, source: str) -> None:
    template = load_template(TOP / "resources/templates/linux.toml")
    seed = build_seed(tmp_path / "seed.iso", template, {"key": KEY}, "vm-1", medium)
    assert f"datasource_list: {source}" in machine.sources(seed.path)


def test_cloud_init_finds_nothing_wrong_with_the_shipped_templates(tmp_path: Path, machine: Machine) -> None:
    values = {
        "linux": {"key": KEY, "password": "geheim"},
        "cernvm4": {**GIVEN, "script": "true"},
        "batch-worker": {"key": KEY, "password": "x", "manager": "queue.example.org"},
    }
    for name, filled in values.items():
        template = load_template(TOP / f"resources/templates/{name}.toml")
        seed = build_seed(tmp_path / f"{name}.iso", template, filled, name)
        extract(seed.path, machine.root / name)
        said = machine.text(f"/{name}/user-data")
        document = said[said.index("#cloud-config") :].partition("\n--")[0]
        (machine.root / "config").write_text(document, encoding="utf-8")
        assert "Valid cloud-config" in machine.cloud_init("schema", "--config-file", "/config")


def test_cloud_init_takes_the_medium_of_cernvm_without_a_word(tmp_path: Path, machine: Machine) -> None:
    template = load_template(TOP / "resources/templates/cernvm4.toml")
    seed = build_seed(tmp_path / "seed.iso", template, {**GIVEN, "script": "touch /ran"}, "vm-1")
    assert blkid(seed.path) == {**blkid(seed.path), "TYPE": "iso9660", "LABEL": "config-2"}
    machine.insert(seed.path, "config_drive")
    log = machine.boot()
    assert "WARNING" not in log and "Traceback" not in log, [line for line in log.splitlines() if "WARN" in line]
    assert machine.instance_id == seed.instance_id
    if os.geteuid() == 0:
        assert machine.text("/root/.ssh/authorized_keys") == f"{KEY}\n", "a forced command would shut root out"
    assert not (machine.root / "ran").exists(), "amiconfig runs the script, and it must not run twice"
    loaded = loader_variables(
        (machine.root / "var/lib/cloud/seed/config_drive/openstack/latest/user_data").read_bytes()
    )
    assert loaded == {"_UCONTEXT_CVMFS_BRANCH": "cernvm-prod.cern.ch", "_UCONTEXT_RESIZE_ROOTFS": "1"}


@MANY
@given(hostile)
def test_cloud_init_reads_what_was_meant(cloud_init_reader: subprocess.Popen[str], value: str) -> None:
    body = '[cloud-init]\nruncmd = [["echo", "${t}"]]\nfinal_message = "plain"\n[[file]]\npath = "/a"\ncontent = "${t}"'
    try:
        guest = guest_of(body, {"t": f"x{value}"})
    except BadContextValues:
        return
    parts = parts_of(cloud_init_reader, base64.b64encode(cloud_config(guest)).decode())
    text = f"x{value}".replace("\r\n", "\n")
    content = base64.b64encode(text.encode()).decode()
    file = {"path": "/a", "permissions": "0644", "encoding": "b64", "content": content}
    held = {"runcmd": [["echo", text]], "final_message": "plain", "write_files": [file]}
    assert parts == [("text/cloud-config", held)]


@MANY
@given(hostile)
def test_cloud_init_and_busybox_both_read_the_drive_of_cernvm(
    packages: Path, cloud_init_reader: subprocess.Popen[str], value: str
) -> None:
    body = '[ucernvm]\ncvmfs_tag = "x${a}"\n[cloud-init]\nruncmd = [["echo", "${t}"]]'
    try:
        guest = guest_of(body, {"a": value or "x", "t": f"x{value}"}, "cernvm")
    except BadContextValues:
        return
    data = user_data(guest)
    shell = (str(packages / "bin/busybox"), "sh")
    assert loader_variables(data, shell) == {"_UCONTEXT_CVMFS_TAG": f"x{value or 'x'}"}
    held = {"disable_root": False, "runcmd": [["echo", f"x{value}".replace("\r\n", "\n")]]}
    assert parts_of(cloud_init_reader, base64.b64encode(data).decode()) == [("text/cloud-config", held)]


@MANY
@given(hostile)
def test_busyboxs_shell_gets_a_block_value_whole_or_it_is_refused(packages: Path, value: str) -> None:
    try:
        block = ucernvm_block(guest_of('[ucernvm]\ncvmfs_http_proxy = "${a}"', {"a": value or "x"}, "cernvm"))
    except BadContextValues as error:
        assert error.faults
        return
    shell = (str(packages / "bin/busybox"), "sh")
    assert loader_variables(block, shell) == {"_UCONTEXT_CVMFS_HTTP_PROXY": value or "x"}
