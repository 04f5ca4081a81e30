import io
import json
import os
import stat
from pathlib import Path

import pycdlib
import pytest

from client.appliance.contextual.language import Template
from client.appliance.contextual.seed import build_seed, remove_seed, shown_files
from client.appliance.contextual.template import load_template, parse_template
from client.appliance.contextual.tree import Medium
from client.appliance.errors import BadContextValues
from client.errors import BadInput
from tests.helpers.context_values import KEY

TOP = Path(__file__).resolve().parents[4]
GIVEN = {"password": "PRECIOUS;1", "key": KEY, "script": "echo hello\n"}


@pytest.fixture
def template() -> Template:
    return load_template(TOP / "resources/templates/cernvm4.toml")


def read(path: Path, name: str, **system: str) -> bytes:
    iso = pycdlib.PyCdlib()
    iso.open(str(path))
    content = io.BytesIO()
    iso.get_file_from_iso_fp(content, **(system or {"rr_path": f"/{name}"}))
    iso.close()
    return content.getvalue()


def test_both_name_systems_have_the_paths(tmp_path: Path, template: Template) -> None:
    seed = build_seed(tmp_path / "a.iso", template, GIVEN, "vm-1")
    for name in ("openstack/latest/user_data", "ec2/latest/meta-data.json", "user-data", "meta-data"):
        assert read(seed.path, name) == read(seed.path, name, joliet_path=f"/{name}") != b""
    image = seed.path.read_bytes()
    assert image[32808:32840] == b"config-2".ljust(32)
    assert json.loads(read(seed.path, "openstack/latest/meta_data.json"))["uuid"] == seed.instance_id


@pytest.mark.parametrize("medium", list(Medium))
def test_each_medium_has_its_label(tmp_path: Path, template: Template, medium: Medium) -> None:
    seed = build_seed(tmp_path / "a.iso", template, GIVEN, "vm-1", medium)
    assert seed.path.read_bytes()[32808:32840] == medium.encode().ljust(32)


def test_the_instance_id_changes_with_the_content_only(tmp_path: Path, template: Template) -> None:
    path = tmp_path / "a.iso"
    first = build_seed(path, template, GIVEN, "vm-1")
    again = build_seed(path, template, GIVEN, "vm-1")
    other = build_seed(path, template, {**GIVEN, "password": "PRECIOUS;2"}, "vm-1")
    back = build_seed(path, template, GIVEN, "vm-1")
    assert first.is_new and not again.is_new and other.is_new and back.is_new
    assert first.instance_id == again.instance_id == back.instance_id != other.instance_id
    assert first.instance_id.startswith("vm-1-")


def test_the_instance_id_tells_nothing_about_the_secret(tmp_path: Path, template: Template) -> None:
    ids = {build_seed(tmp_path / name, template, GIVEN, "vm-1").instance_id for name in ("a.iso", "b.iso")}
    assert len(ids) == 2


def test_a_spoilt_key_makes_a_new_instance(tmp_path: Path, template: Template) -> None:
    path = tmp_path / "a.iso"
    first = build_seed(path, template, GIVEN, "vm-1")
    for spoilt in (b"", b"[]", b'{"key": "00"}', b'{"key": 5}', b"\xff"):
        (tmp_path / "a.iso.key").write_bytes(spoilt)
        seed = build_seed(path, template, GIVEN, "vm-1")
        assert seed.is_new and seed.instance_id != first.instance_id


def test_only_the_owner_reads_it_and_it_goes_away(tmp_path: Path, template: Template) -> None:
    mask = os.umask(0)
    try:
        seed = build_seed(tmp_path / "new" / "a.iso", template, GIVEN, "vm-1")
    finally:
        os.umask(mask)
    assert [stat.S_IMODE(one.stat().st_mode) for one in seed.path.parent.iterdir()] == [0o600, 0o600]
    remove_seed(seed.path)
    remove_seed(seed.path)
    assert list(seed.path.parent.iterdir()) == []


def test_a_refusal_makes_no_folder(tmp_path: Path, template: Template) -> None:
    with pytest.raises(BadContextValues):
        build_seed(tmp_path / "new" / "a.iso", template, {}, "vm-1")
    assert not (tmp_path / "new").exists()


def test_a_refusal_leaves_the_old_medium(tmp_path: Path, template: Template) -> None:
    seed = build_seed(tmp_path / "a.iso", template, GIVEN, "vm-1")
    before = seed.path.read_bytes()
    with pytest.raises(BadContextValues):
        build_seed(seed.path, template, {**GIVEN, "user": "Root;"}, "vm-1")
    assert seed.path.read_bytes() == before


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", "x" * 65, "é"])
def test_instance_ids_are_plain_names(tmp_path: Path, template: Template, name: str) -> None:
    with pytest.raises(BadInput):
        build_seed(tmp_path / "a.iso", template, GIVEN, name)


def test_what_is_shown_has_no_secret_and_is_checked_with_it(template: Template) -> None:
    shown = b"".join(shown_files(template, GIVEN).values())
    assert b"PRECIOUS" not in shown and b"config" in shown
    with pytest.raises(BadContextValues):
        shown_files(template, {**GIVEN, "password": "short"})


def test_a_secret_that_cannot_stand_in_its_place_is_not_repeated() -> None:
    head = '[template]\nname="x"\nsystem="cernvm"\n[field.s]\nkind="secret"\nlabel="s"\n'
    text = f'{head}[amiconfig.condor]\ncondor_secret="${{s}}"'
    with pytest.raises(BadContextValues) as caught:
        shown_files(parse_template(text.encode(), "x"), {"s": "PRECIOUS;x"})
    assert "';'" in caught.value.what and "PRECIOUS" not in caught.value.what
