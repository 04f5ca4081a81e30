"""Each form, with hostile values, read back as it is read in a guest: the values arrive, and nothing else changes."""

import base64
import email
import json
import re
import stat
import string
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.appliance.contextual.amiconfig import amiconfig_user_data, ec2_meta_data
from client.appliance.contextual.cloud_init import cloud_config, config_drive_meta_data, meta_data, user_data
from client.appliance.contextual.crypt import sha512_crypt
from client.appliance.contextual.hepix import hepix_files
from client.appliance.contextual.run_once import outer_script, start_program
from client.appliance.contextual.tree import Medium, medium_files
from client.appliance.contextual.ucernvm import ucernvm_block
from client.appliance.contextual.yaml import encode
from client.appliance.errors import BadContextValues, BadTemplate
from tests.helpers.context_readers import (
    amiconfig_script,
    amiconfig_sections,
    loader_text,
    loader_variables,
    run_program,
)
from tests.helpers.context_values import KEY, guest_of, hostile, lines

FEW = settings(max_examples=40, deadline=None)
ALL_CERNVM = """
[guest]
host_name = "worker"
ssh_keys = ["${k}"]
organisations = ["cms"]
repositories = ["sft.cern.ch", "grid"]
proxy = "http://10.0.2.2:3128;DIRECT"
services = ["httpd"]
[[user]]
name = "alice"
groups = ["cms"]
password = "${s}"
[[file]]
path = "/tmp/a b"
content = "${a}"
[script]
text = "printf '%s' \\"$a \\""
[ucernvm]
resize_rootfs = "${w}"
cvmfs_branch = "${b}"
[cernvm]
environment = "X=${b}"
[amiconfig.condor]
condor_master = "${b}"
[cloud-init]
final_message = "${b}"
"""
VALUES = {"k": KEY, "s": "geheim", "a": "x", "b": "cernvm-prod.cern.ch", "w": False}


def config_of(data: bytes) -> dict[str, object]:
    """JSON is YAML, and what is written is JSON, but for characters beyond the BMP."""
    first, _, rest = data.decode("ascii").partition("\n")
    assert first == "#cloud-config"
    paired = re.sub(r"\\U([0-9a-f]{8})", lambda found: json.dumps(chr(int(found[1], 16)))[1:-1], rest)
    held = json.loads(paired)
    assert isinstance(held, dict)
    return held


# cloud-init


@given(lines, lines)
def test_cloud_init_gets_the_values_and_nothing_else(a: str, b: str) -> None:
    body = '[[file]]\npath = "/etc/motd"\nvalues = "plain"\ncontent = "<${a}|${b}>"\n'
    body += '[cloud-init]\nruncmd = [["echo", "${a}", "-${b}"]]'
    held = config_of(cloud_config(guest_of(body, {"a": a or "x", "b": b or "y"})))
    content = base64.b64decode(held["write_files"][0]["content"]).decode()  # type: ignore[index]
    assert content == f"<{a or 'x'}|{b or 'y'}>"
    assert held["runcmd"] == [["echo", a or "x", f"-{b or 'y'}"]]
    assert held.keys() == {"write_files", "runcmd"}


@given(st.recursive(st.one_of(hostile, st.integers(), st.booleans(), st.none()), st.lists, max_leaves=9))
def test_what_is_written_as_yaml_is_ascii_and_comes_back(value: object) -> None:
    written = encode({"a": value})
    assert written.isascii() and written.replace("\n", "").isprintable()
    assert config_of(f"#cloud-config\n{written}".encode()) == {"a": json.loads(json.dumps(value))}


@pytest.mark.parametrize(("value", "said"), [(1e20, "1.0e+20"), (1.5e-9, "1.5e-09"), (0.1, "0.1"), (-2.0, "-2.0")])
def test_numbers_with_a_power_have_their_point(value: float, said: str) -> None:
    assert encode(value) == said


def test_a_text_beyond_the_bmp_is_one_character_to_yaml() -> None:
    assert encode("\U0001f600\x7f\u2028") == '"\\U0001f600\\u007f\\u2028"'


@given(hostile)
def test_a_place_without_quoting_takes_harmless_values_only(value: str) -> None:
    body = '[cloud-init]\nfinal_message = "is ${a} up"'
    try:
        held = config_of(cloud_config(guest_of(body, {"a": value or "x"})))
    except BadContextValues as error:
        assert error.faults
        return
    assert held == {"final_message": f"is {value or 'x'} up"}
    assert not set(value) & set(";'\"`$\\\n\r\0|&<>#(){}[]*?!")


def test_switches_and_numbers_keep_their_kind_where_they_stand_alone() -> None:
    body = '[cloud-init]\nssh_pwauth = "${w}"\nswap = {size = "${n}"}\nfinal_message = "${w} ${n}"'
    held = config_of(cloud_config(guest_of(body, {"w": True, "n": 5})))
    assert held == {"ssh_pwauth": True, "swap": {"size": 5}, "final_message": "on 5"}


def test_everything_that_cloud_init_can_do_is_in_its_place() -> None:
    body = f"""
[guest]
host_name = "one.example.org"
time_zone = "Europe/Zurich"
ssh_keys = ["{KEY}"]
packages = ["git"]
services = ["docker"]
repositories = ["sft.cern.ch"]
proxy = "http://10.0.2.2:3128;DIRECT"
[[user]]
name = "me"
groups = ["adm", "video"]
password = "${{s}}"
ssh_keys = ["{KEY}"]
administrator = true
[[file]]
path = "/home/me/x"
owner = "me:me"
mode = "0600"
content = "$${{HOME}}"
[script]
text = "echo \\"${{a}}\\""
[cloud-init]
runcmd = ["true"]
"""
    held = config_of(cloud_config(guest_of(body, {"s": "geheim", "a": "it's; $(id)"})))
    assert held["hostname"] == "one" and held["fqdn"] == "one.example.org" and held["timezone"] == "Europe/Zurich"
    assert held["ssh_authorized_keys"] == [KEY]
    default, user = held["users"]  # type: ignore[misc]
    assert default == "default"
    salt = user["passwd"].split("$")[2]
    assert user["passwd"] == sha512_crypt("geheim", salt)
    assert user["lock_passwd"] is False and user["groups"] == "adm,video" and user["sudo"].startswith("ALL")
    own, cvmfs, start = held["write_files"]  # type: ignore[misc]
    assert own == {
        "path": "/home/me/x",
        "permissions": "0600",
        "encoding": "b64",
        "content": base64.b64encode(b"${HOME}").decode(),
        "owner": "me:me",
        "defer": True,
    }
    written = base64.b64decode(cvmfs["content"]).decode()
    assert run_program(f'{written}printf "%s %s" "$CVMFS_REPOSITORIES" "$CVMFS_HTTP_PROXY"') == (
        "sft.cern.ch http://10.0.2.2:3128;DIRECT"
    )
    assert held["runcmd"] == [["systemctl", "enable", "--now", "docker"], ["/bin/sh", start["path"]], "true"]


@given(lines)
def test_meta_data_of_both_kinds_is_json_and_has_the_same_instance(name: str) -> None:
    host = "".join(sign for sign in name if sign in string.ascii_lowercase) or "a"
    guest = guest_of('[guest]\nhost_name = "${a}"', {"a": host[:60]})
    assert json.loads(meta_data(guest, "i-1")) == {"instance-id": "i-1", "local-hostname": host[:60]}
    assert json.loads(config_drive_meta_data(guest, "i-1"))["uuid"] == "i-1"


# The boot loader of uCernVM


@FEW
@given(hostile)
def test_the_boot_loaders_shell_gets_the_value_or_it_is_refused(value: str) -> None:
    body = '[ucernvm]\ncvmfs_tag = "${a}"\ncvmfs_server = "a.example.org"\nresize_rootfs = false'
    try:
        block = ucernvm_block(guest_of(body, {"a": value or "x"}, "cernvm"))
    except BadContextValues as error:
        assert error.faults
        return
    held = loader_variables(b"junk\r\n" + block + b"cvmfs_tag=other\n")
    assert held == {
        "_UCONTEXT_CVMFS_TAG": value or "x",
        "_UCONTEXT_CVMFS_SERVER": "a.example.org",
        "_UCONTEXT_RESIZE_ROOTFS": "0",
    }


@pytest.mark.parametrize("sign", list("$`\"'\\&<>(){}[]*?!#"))
def test_what_the_boot_loader_cannot_quote_is_refused_with_a_sentence(sign: str) -> None:
    with pytest.raises(BadContextValues, match="no safe way"):
        guest_of('[ucernvm]\ncvmfs_tag = "${a}"', {"a": f"a{sign}b"}, "cernvm")


def test_the_proxy_is_quoted_for_the_boot_loader_and_for_amiconfig() -> None:
    guest = guest_of('[guest]\nproxy = "${a}"', {"a": "http://10.0.2.2:3128;DIRECT"}, "cernvm")
    assert loader_variables(ucernvm_block(guest)) == {"_UCONTEXT_CVMFS_HTTP_PROXY": "http://10.0.2.2:3128;DIRECT"}
    said = amiconfig_sections(amiconfig_user_data(guest, "i"))["cernvm"]["proxy"]
    assert run_program(f'X={said}\nprintf %s "$X"') == "http://10.0.2.2:3128;DIRECT"


@pytest.mark.parametrize("damage", [("\n", "\r\n"), ("=", " = "), ("[ucernvm-end]\n", "")])
def test_the_reader_in_these_tests_knows_the_traps(damage: tuple[str, str]) -> None:
    good = "[ucernvm-begin]\ncvmfs_tag=x\n[ucernvm-end]\n"
    assert loader_text(good.encode()) == "_UCONTEXT_CVMFS_TAG=x\n"
    broken = good.replace(*damage)[: -1 if not damage[1] else None]
    assert loader_text(broken.encode()) != "_UCONTEXT_CVMFS_TAG=x\n"


def test_the_reader_in_these_tests_sees_an_escape() -> None:
    with pytest.raises((AssertionError, OSError, RuntimeError)):
        loader_variables(b"[ucernvm-begin]\ncvmfs_http_proxy=http://a:1;nonsense\n[ucernvm-end]\n")


def test_unset_keys_and_no_keys_leave_no_block() -> None:
    assert ucernvm_block(guest_of("", {}, "cernvm")) == b""
    with pytest.raises(BadTemplate, match="did you mean"):
        guest_of('[ucernvm]\ncvmfs_tags = "x"', {}, "cernvm")


# amiconfig


@FEW
@given(hostile)
def test_amiconfigs_reader_gets_the_value_or_it_is_refused(value: str) -> None:
    body = '[amiconfig.condor]\ncondor_master = "${a}"\nhighport = 9700\n[cernvm]\nedition = "Basic"'
    try:
        data = amiconfig_user_data(guest_of(body, {"a": value or "x"}, "cernvm"), "i")
    except BadContextValues as error:
        assert error.faults
        return
    assert amiconfig_sections(data) == {
        "amiconfig": {"plugins": "cernvm condor"},
        "cernvm": {"edition": "Basic"},
        "condor": {"condor_master": value or "x", "highport": "9700"},
    }
    # What amiconfig writes into a file that a shell reads.
    assert run_program(f'X={value or "x"}\nprintf %s "$X"') == (value or "x")


@pytest.mark.parametrize("value", ["~", "~root/x", "a:~", "a=~b"])
def test_a_value_never_becomes_a_home_folder(value: str) -> None:
    for body in ('[amiconfig.condor]\ncondor_master = "${a}"', '[[file]]\npath = "/x"\ncontent = "X=${a}\\n"'):
        with pytest.raises(BadContextValues, match="home folder"):
            guest_of(body, {"a": value}, "cernvm")
    assert guest_of('[amiconfig.condor]\ncondor_master = "${a}"', {"a": "b~c"}, "cernvm")


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ('[cernvm]\nenvironment = "NAME=${a}"', "x,LD_PRELOAD=/tmp/x"),
        ('[amiconfig.condor]\nhosts = "a,${a}"', "b,c"),
        ('[cernvm]\ndesktop_icons = "a,${a}"', "b%c"),
        ('[ucernvm]\ncvmfs_server = "${a}.cern.ch"', "x,y"),
        ('[ucernvm]\ncvmfs_http_proxy = "http://${a}:3128;DIRECT"', "a;http://evil"),
        ('[guest]\nproxy = "http://${a}:3128"', "a;http://evil"),
        ('[guest]\nproxy = "http://${a}:3128"', "a|b"),
    ],
)
def test_a_part_of_a_list_is_no_more_than_one_item(body: str, value: str) -> None:
    with pytest.raises(BadContextValues, match="something else in that place"):
        guest_of(body, {"a": value}, "cernvm")
    assert guest_of(body, {"a": "one"}, "cernvm")


@pytest.mark.parametrize("text", ["a ;b", " a", "a\\nb", "é", '\\"\\"'])
def test_what_amiconfig_would_cut_off_is_refused_in_a_template_too(text: str) -> None:
    with pytest.raises(BadTemplate):
        guest_of(f'[amiconfig.condor]\nkey = "{text}"', {}, "cernvm")


@pytest.mark.parametrize("section", ["cernvm", "amiconfig", "ucernvm-end", "A", "a b", "a]b"])
def test_sections_that_would_be_another_are_refused(section: str) -> None:
    with pytest.raises(BadTemplate):
        guest_of(f'[amiconfig."{section}"]\nkey = "x"', {}, "cernvm")


def test_keys_are_told_apart_without_their_capitals() -> None:
    with pytest.raises(BadTemplate, match="each once"):
        guest_of('[amiconfig.condor]\nkey = "x"\nKey = "y"', {}, "cernvm")


def test_everything_that_amiconfig_can_do_is_in_its_place() -> None:
    guest = guest_of(ALL_CERNVM, VALUES, "cernvm")
    sections = amiconfig_sections(amiconfig_user_data(guest, "i-1"))
    users = sections["cernvm"].pop("users").split(":")
    assert users[:2] == ["alice", "cms"]
    assert users[2] == sha512_crypt("geheim", users[2].split("$")[2])
    assert sections["amiconfig"] == {"plugins": "cernvm hostname condor"}
    assert sections["cernvm"] == {
        "organisations": "cms",
        "repositories": "sft.cern.ch,grid",
        "services": "httpd",
        "shell": "/bin/bash",
        "proxy": '"http://10.0.2.2:3128;DIRECT"',
        "environment": "X=cernvm-prod.cern.ch",
    }
    assert sections["hostname"] == {"hostname": "worker"}
    keys = json.loads(ec2_meta_data(guest, "i-1"))["public-keys"]
    assert keys == {"0": {"openssh-key": f"{KEY}\n"}}


# The script


@FEW
@given(lines, hostile)
def test_a_script_gets_the_values_as_variables(a: str, text: str) -> None:
    script = text.replace("\r", "").encode("utf-8", "ignore").decode()
    script = "".join(sign for sign in script if sign in "\n\t" or sign.isprintable())
    own = f"cat <<'STOP-HERE'\n{script}\nSTOP-HERE\nprintf '<%s>' \"$a\"\n\nexit_code=3\n"
    guest = guest_of('[script]\ntext = "${t}"\n[[file]]\npath = "/x"\ncontent = "${a}"', {"a": a or "x", "t": own})
    assert guest.script and guest.script.variables == {"a": a or "x"}
    assert guest.script.text == f"#!/bin/sh\n{own}"


@FEW
@given(lines)
def test_what_is_started_runs_with_the_values(a: str) -> None:
    guest = guest_of('[script]\ntext = "printf \'<%s>\' \\"$a \\""', {"a": a or "x"})
    with tempfile.TemporaryDirectory() as folder:
        assert run_program(start_program(guest, folder)) == f"<{a or 'x'} >"


@pytest.mark.parametrize("stops_at_exit", [False, True])
def test_amiconfig_runs_the_script_whole_and_once(tmp_path: Path, stops_at_exit: bool) -> None:
    wicked = "it's; $(id) `id` \\ \" é"
    text = 'cat <<STOP\n\n[cernvm]\nexit 0 is text\n\nSTOP\nprintf "<%s>" "$a"\nexit 0\n'
    laid = tmp_path / "a b" / "it's"
    guest = guest_of(
        f'[script]\ntext = "${{t}}"\n[[file]]\npath = "{laid}"\nmode = "0640"\ncontent = "${{a}}"',
        {"a": wicked, "t": text},
        "cernvm",
    )
    folder = f"{tmp_path}/own folder"
    whole = outer_script(start_program(guest, folder), "i-1", folder).encode() + b"[cernvm]\nservices=x\n"
    assert amiconfig_sections(whole) == {"cernvm": {"services": "x"}}
    script = amiconfig_script(whole, stops_at_exit=stops_at_exit)
    first, second = run_program(script), run_program(script)
    assert first == f"\n[cernvm]\nexit 0 is text\n\n<{wicked}>"
    assert second == ""
    assert laid.read_text(encoding="utf-8") == wicked
    assert stat.S_IMODE(laid.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("text", "has_it"),
    [
        ("echo $s", True),
        ("echo ${s:-none}", True),
        ("echo ${#s}", True),
        ("#!/usr/bin/python3\nimport os\nprint(os.environ['s'])", True),
        ("#!/usr/bin/perl\nprint $ENV{s}", True),
        ("echo --s $sad s", False),
    ],
)
def test_a_script_is_given_only_the_fields_it_speaks_of(text: str, has_it: bool) -> None:
    body = '[[user]]\nname = "me"\npassword = "${s}"\n[script]\ntext = "${t}"'
    guest = guest_of(body, {"s": "PRECIOUS", "t": text})
    assert guest.script and guest.script.variables == ({"s": "PRECIOUS"} if has_it else {})


def test_the_script_stands_before_the_sections() -> None:
    data = amiconfig_user_data(guest_of('[script]\ntext = "true"', {}, "cernvm"), "i-1")
    program = start_program(guest_of('[script]\ntext = "true"', {}, "cernvm"))
    assert data.startswith(outer_script(program, "i-1").encode())
    assert amiconfig_sections(data) == {"amiconfig": {"plugins": "cernvm"}, "cernvm": {}}


# Files with values


@given(hostile)
def test_a_file_that_says_nothing_of_values_takes_harmless_ones_or_one_alone(a: str) -> None:
    body = '[[file]]\npath = "/etc/profile.d/x.sh"\ncontent = "{}"'
    try:
        mixed = guest_of(body.format("X=${a}"), {"a": a or "x"}).files[0].content
    except BadContextValues as error:
        assert error.faults
    else:
        assert mixed == f"X={a or 'x'}"
        assert run_program(f'{mixed}\nprintf %s "$X"') == (a or "x")
    if a.isprintable() and a:
        assert guest_of(body.format("${a}\\n"), {"a": a}).files[0].content == f"{a}\n"


@pytest.mark.parametrize("words", ['["sh", "-c", "echo ${a}"]', '["su", "-lc", "${a}"]'])
def test_a_value_is_no_part_of_a_program_in_a_command(words: str) -> None:
    with pytest.raises(BadTemplate, match="behind that"):
        guest_of(f"[cloud-init]\nruncmd = [{words}]")
    guest_of('[cloud-init]\nruncmd = [["sh", "-c", \'echo "$1"\', "sh", "${a}"]]', {"a": "x"})


@given(lines)
def test_values_in_a_program_are_quoted_for_its_language(a: str) -> None:
    body = '[[file]]\npath = "/x"\nvalues = "{}"\ncontent = """#!/bin/sh\nprintf %s ${{a}}"""'
    guest = guest_of(body.format("shell"), {"a": a or "x"})
    assert guest.files[0].content.startswith("#!/bin/sh\nprintf %s ")
    held = guest_of(body.format("json"), {"a": a or "x"}).files[0].content.partition("%s ")[2]
    assert json.loads(held) == (a or "x")


@pytest.mark.parametrize("a", ["it's", "$(id)", "a;b", '"', "\\", "é \U0001f600"])
def test_a_program_with_a_value_runs(a: str) -> None:
    guest = guest_of('[[file]]\npath = "/x"\nvalues = "shell"\ncontent = """#!/bin/sh\nprintf %s ${a}"""', {"a": a})
    assert run_program(guest.files[0].content) == a


@pytest.mark.parametrize("path", ["etc/x", "/etc/../x", "/", "/a//b", "/a/", "/a/./b", "/a\u2028b", "/" + "a" * 1024])
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    with pytest.raises(BadContextValues):
        guest_of('[[file]]\npath = "${a}"\ncontent = ""', {"a": path})


# Whole media


def test_cloud_init_and_the_boot_loader_both_read_the_config_drive_of_cernvm() -> None:
    data = user_data(guest_of(ALL_CERNVM, VALUES, "cernvm"))
    parts = email.message_from_bytes(data)
    assert [part.get_content_type() for part in parts.walk()] == ["multipart/mixed", "text/cloud-config"]
    assert config_of(parts.get_payload()[0].get_payload(decode=True)) == {  # type: ignore[index, union-attr, arg-type]
        "disable_root": False,
        "final_message": "cernvm-prod.cern.ch",
    }
    assert loader_variables(data)["_UCONTEXT_CVMFS_BRANCH"] == "cernvm-prod.cern.ch"
    assert b"\r" not in data


def test_the_boot_loader_reads_the_same_from_amiconfigs_user_data() -> None:
    guest = guest_of(ALL_CERNVM, VALUES, "cernvm")
    assert loader_variables(amiconfig_user_data(guest, "i")) == loader_variables(user_data(guest))


def test_hepix_files_are_a_shells_and_hold_the_same_user_data() -> None:
    guest = guest_of(ALL_CERNVM, VALUES, "cernvm")
    files = hepix_files(guest, "i-1")
    assert set(files) == {"context.sh", "prolog.sh", "root.pub"}
    told = run_program(
        files["context.sh"].decode() + 'printf "%s %s %s" "$ROOT_PUBKEY" "$ONE_CONTEXT_PATH" "$EC2_USER_DATA"'
    )
    name, path, packed = told.split(" ")
    assert base64.b64decode(packed) == amiconfig_user_data(guest, "i-1")
    assert (files[name], path) == (f"{KEY}\n".encode(), "/var/lib/amiconfig")


def test_the_files_of_the_media() -> None:
    guest = guest_of(ALL_CERNVM, VALUES, "cernvm")
    drive = medium_files(guest, "i")
    assert set(drive) == {
        "openstack/latest/user_data",
        "openstack/latest/meta_data.json",
        "ec2/latest/user-data",
        "ec2/latest/meta-data.json",
        "user-data",
        "meta-data",
    }
    assert "context.sh" not in drive, "amiconfig would look no further"
    assert set(medium_files(guest, "i", Medium.HEPIX)) == {"context.sh", "prolog.sh", "root.pub"}
    assert not [name for name in medium_files(guest_of(""), "i") if name.startswith("ec2")]


@FEW
@given(hostile)
def test_no_secret_stands_anywhere_in_the_clear(secret: str) -> None:
    marked = "PRECIOUS" + "".join(sign for sign in secret if sign.isprintable())
    guest = guest_of('[[user]]\nname = "me"\npassword = "${s}"', {"s": marked})
    assert "PRECIOUS" not in repr(guest) + repr(guest.users)
    assert not [name for name, content in medium_files(guest, "i").items() if b"PRECIOUS" in content]


@pytest.mark.parametrize(
    ("body", "system", "word"),
    [
        ('[guest]\npackages = ["git"]', "cernvm", "cannot be had in CernVM"),
        ('[[user]]\nname = "a"\nadministrator = true', "cernvm", "cannot be had in CernVM"),
        (f'[[user]]\nname = "a"\nssh_keys = ["{KEY}"]', "cernvm", "are root's"),
        ('[ucernvm]\ncvmfs_tag = "x"', "cloud-init", "CernVM only"),
        ('[[user]]\nname = "a"\npassword = "in the clear"', "cloud-init", "crypt hash"),
        ('[[user]]\nname = "a"\npassword = "x${s}"', "cloud-init", "nothing beside it"),
        ("[script]\ntext = 5", "cloud-init", "must be text"),
    ],
)
def test_what_a_system_cannot_do_is_refused_not_left_out(body: str, system: str, word: str) -> None:
    with pytest.raises(BadTemplate, match=word):
        guest_of(body, {}, system)


def test_lists_take_several_words_from_one_field() -> None:
    guest = guest_of('[guest]\npackages = ["git", "${a}"]', {"a": " vim ,, less"})
    assert guest.packages == ("git", "vim", "less")
    with pytest.raises(BadContextValues, match="name of a package"):
        guest_of('[guest]\npackages = ["${a}"]', {"a": "vim, --force"})


def test_values_that_stand_somewhere_ten_thousand_times_are_refused() -> None:
    body = '[[file]]\npath = "/a"\nvalues = "plain"\ncontent = "' + "${a}" * 20000 + '"'
    with pytest.raises(BadContextValues, match="too long"):
        guest_of(body, {"a": "x" * 200})
