import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.appliance.contextual.language import Kind, System
from client.appliance.contextual.template import MOST_BYTES, load_template, parse_template
from client.appliance.errors import BadTemplate
from client.messages import sentence
from tests.helpers.context_values import hostile

TOP = Path(__file__).resolve().parents[4]
SHIPPED = sorted((TOP / "resources" / "templates").glob("*.toml"))

BAD = b"""
[template]
name = "x"
system = "cloudinit"
colour = "red"
[field.Key]
kind = "ssh key"
[field.a]
kind = "txt"
label = "A"
[field.b]
label = "B"
kind = "secret"
default = "in the clear"
[guest]
host_name = "bad name"
packages = ["x;y", "${c}"]
organisations = ["a"]
[[user]]
name = "${a}"
password = "${a}"
[[user]]
nam = "x"
[[file]]
path = "/etc/../x"
content = '''
#!/bin/sh
echo ${a}'''
[ucernvm]
cvmfs_path = "b"
[cloud-init]
users = []
runcmd = ["echo ${a}"]
"""


def faults_of(data: bytes) -> tuple[str, ...]:
    with pytest.raises(BadTemplate) as caught:
        parse_template(data, "bad.toml")
    return caught.value.faults


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_templates_are_good_and_say_what_they_are(path: Path) -> None:
    template = load_template(path)
    assert template.name and template.text
    assert all(field.label for field in template.fields)


def test_there_are_templates_for_each_system() -> None:
    assert {load_template(path).system for path in SHIPPED} == set(System)


def test_examples_of_the_documentation_are_good() -> None:
    text = (TOP / "docs/contextualization.md").read_text(encoding="utf-8")
    examples = [block for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL) if "[template]" in block]
    assert examples
    for example in examples:
        assert parse_template(example.encode(), "docs").fields


def test_all_faults_are_said_at_once_each_with_its_line() -> None:
    faults = faults_of(BAD)
    said = "\n".join(faults)
    for line, word in (
        (4, "did you mean"),
        (5, "colour"),
        (6, "Key"),
        (9, "kind"),
        (14, "no secret"),
        (16, "host name"),
    ):
        assert any(fault.startswith(f"line {line}: ") and word in fault for fault in faults), (line, word, said)
    for word in ("'${c}'", "organisations is for CernVM", "of kind text", "user[1].name is missing", 'mean "name"'):
        assert word in said
    for word in (
        "'..'",
        'values = "shell"',
        "cvmfs_path",
        "cloud-init.users",
        "list of words",
        "field.b is used nowhere",
    ):
        assert word in said


def test_the_sentence_holds_all_of_it() -> None:
    with pytest.raises(BadTemplate) as caught:
        parse_template(b'[template]\nname = 1\nsystem = "x"\n', "bad.toml")
    assert "line 2" in sentence(caught.value).text
    assert "line 3" in sentence(caught.value).text


def test_a_fault_inside_a_text_of_several_lines_does_not_move_the_numbers() -> None:
    data = b'[template]\nname = "x"\ntext = """\n[field.a]\nkind = 3\n"""\nsystem = "y"\n'
    assert faults_of(data)[0].startswith("line 7: template.system")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"= 1",
        b"a" * (MOST_BYTES + 1),
        b"a = " + b"[" * 5000,
        b"a = " + b"9" * 5000,
        b"template = 3",
        b'[template]\nname = "x"\nsystem = "cloud-init"\nformat = 2',
        b'[template]\nname = "x"\nsystem = "cloud-init"\n[[guest]]\n[[guest]]',
        b'[template]\nname = "x"\nsystem = "cloud-init"\n[cloud-init]\na = 1979-05-27',
        b'[template]\nname = "x"\nsystem = "cloud-init"\n[cloud-init]\na = nan',
        b'[template]\nname = "x\\u2028y"\nsystem = "cloud-init"',
    ],
)
def test_what_is_no_template_is_refused_with_a_sentence(data: bytes) -> None:
    assert all(len(fault) > 10 for fault in faults_of(data))


def test_files_of_windows_editors_are_read() -> None:
    text = '[template]\nname = "x"\nsystem = "cloud-init"\n[script]\ntext = """\necho\n\necho"""\n'
    template = parse_template(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(), "x")
    assert template.body["script"]["text"] == "echo\n\necho"


def test_a_missing_and_a_huge_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "huge.toml").write_bytes(b"#" * (MOST_BYTES + 1))
    for name in ("huge.toml", "missing.toml", "."):
        with pytest.raises(BadTemplate):
            load_template(tmp_path / name)


def test_a_key_that_would_steer_a_terminal_is_said_without_that() -> None:
    data = b'[template]\nname = "x"\nsystem = "cloud-init"\n[guest]\n"\\u001b[2J\\u202e" = 1\n'
    assert faults_of(data)[0].isprintable()


_HEAD = b'[template]\nname = "x"\nsystem = "other"\n'
_ROOM = MOST_BYTES - 1000


@pytest.mark.parametrize(
    "data",
    [
        b"[" + b" " * _ROOM,
        b"[guest]\n" + b"".join(b"k%d=1\n" % n for n in range(20000)),
        b"[cernvm]\n" + b"".join(b"k%d=1\n" % n for n in range(20000)),
        b"".join(b"[field.f%d]\n" % n for n in range(10000)),
        b"[cernvm]\nedition = 0x" + b"f" * 200000,
        b"[cloud-init]\na = 0x" + b"f" * 200000,
        b"[cloud-init]\n" + b".".join([b"a"] * 120000) + b" = 1",
        b"[cloud-init]\na = {" + b" . ".join([b"'a'"] * 30000) + b" = 1}",
        b"#" + b"a" * 240000,
        b"#" + b"'a' " * 60000,
        b"#" + b"a . " * 60000,
        b"[cloud-init]\na = '" + b"${" * 100000 + b"'",
        b"[cloud-init]\na = [" + b"'${b}'," * 30000 + b"]",
        b"".join(b"[[user]]\n" for _ in range(20000)),
        b"x='" + b"=" * _ROOM + b"'",
    ],
    ids=range(15),
)
def test_a_template_that_wants_to_keep_the_program_busy_is_refused_soon(data: bytes) -> None:
    began = time.process_time()
    assert len(faults_of(_HEAD + data)) <= 51
    assert time.process_time() - began < 10


@given(st.binary(max_size=300))
def test_any_bytes_are_a_template_or_refused(data: bytes) -> None:
    with pytest.raises(BadTemplate):
        parse_template(data, "x")


_WORDS = st.sampled_from(
    [
        "kind",
        "label",
        "default",
        "name",
        "host_name",
        "ssh_keys",
        "users",
        "path",
        "content",
        "mode",
        "text",
        "runcmd",
        "a",
    ]
)
_LEAF = st.one_of(hostile, st.integers(), st.booleans(), st.none(), st.lists(hostile, max_size=2), st.just("${a}"))
_TREE = st.recursive(
    _LEAF, lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(_WORDS, below, max_size=4))
)


@given(st.sampled_from(["guest", "user", "file", "script", "cernvm", "amiconfig", "ucernvm", "cloud-init"]), _TREE)
def test_a_tree_of_anything_is_built_or_refused(table: str, tree: object) -> None:
    from client.appliance.contextual.faults import Faults
    from client.appliance.contextual.filling import Filling
    from client.appliance.contextual.guest import Builder
    from client.appliance.contextual.language import Field

    faults = Faults({})
    field = Field("a", Kind.TEXT, "A", "", None, (), 0, 200)
    Builder(System.CERNVM, Filling((field,), None, faults), faults).build({table: tree})
    assert all(isinstance(fault, str) for fault in faults.all())


@given(st.integers(0, 60), hostile)
def test_a_changed_line_never_does_more_than_be_refused(number: int, line: str) -> None:
    lines = SHIPPED[0].read_text(encoding="utf-8").splitlines()
    lines[number % len(lines)] = line
    data = "\n".join(lines).encode(errors="replace")
    try:
        parse_template(data, "x")
    except BadTemplate as error:
        assert error.faults


@pytest.mark.parametrize("name", ["Big", "1a", "a-b", "http_proxy", "a" * 41])
def test_names_that_a_shell_would_not_take_are_refused(name: str) -> None:
    data = f'[template]\nname = "x"\nsystem = "cloud-init"\n[field.{name}]\nlabel = "x"\n'
    assert "is no name for a field" in faults_of(data.encode())[0]


@pytest.mark.parametrize(
    ("rest", "word"),
    [
        ('kind = "choice"', "choices"),
        ('choices = ["a"]', "choices"),
        ('kind = "number"\nminimum = 3\nmaximum = 2', "above"),
        ('kind = "number"\ndefault = true', "a number"),
        ('kind = "number"\ndefault = 4\nmaximum = 3', "whole number from"),
        ('kind = "switch"\ndefault = "on"', "true or false"),
        ('kind = "ssh key"\ndefault = "ssh-rsa x"', "whole public ssh key"),
        ("maximum = 1000000", "characters"),
    ],
)
def test_limits_that_contradict_each_other_are_refused(rest: str, word: str) -> None:
    head = '[template]\nname = "x"\nsystem = "cloud-init"\n[guest]\nhost_name = "${a}"\n'
    assert word in "\n".join(faults_of(f'{head}[field.a]\nlabel = "x"\n{rest}\n'.encode()))


def test_a_script_does_not_stand_where_one_line_belongs() -> None:
    body = '[template]\nname="x"\nsystem="cloud-init"\n[field.t]\nkind="script"\nlabel="t"\n[guest]\nhost_name="${t}"'
    assert "takes one line" in faults_of(body.encode())[0]
