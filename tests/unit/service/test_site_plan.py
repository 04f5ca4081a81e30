import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.errors import BadInput
from client.service.site_plan import SiteShape, build_toml, load_plan, save_plan


def test_a_plan_is_kept_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    plan = load_plan(path)
    assert len({plan.site_secret, plan.enrolment_secret, plan.manager_password}) == 3
    assert plan.site_secret not in repr(plan)
    save_plan(path, plan)
    assert load_plan(path) == plan
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content", ["", "x", "[ports]\nxmpp = 1", "[ports]\nxmpp=1\nchirp=2\nkey=99999\n[secrets]", "\udcff"]
)
def test_a_damaged_plan_is_said_to_be_so(tmp_path: Path, content: str) -> None:
    path = tmp_path / "site.toml"
    path.write_text(content, errors="surrogateescape")
    with pytest.raises(BadInput, match=r"site\.toml"):
        load_plan(path)


def test_the_shape_of_a_site_is_kept_and_older_plans_have_the_usual_one(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    plan = load_plan(path)
    assert (plan.shape.queue, plan.shape.managers) == ("sqlite", 1)
    shaped = replace(plan, shape=SiteShape("redis", 3, legacy=True, appliance="/a b"))
    save_plan(path, shaped)
    assert load_plan(path) == shaped
    before = path.read_text().partition("[site]")[0]
    path.write_text(before)
    assert load_plan(path).shape == SiteShape()


@pytest.mark.parametrize("said", ['queue = "mysql"', "managers = 0", "managers = 99", 'managers = "two"'])
def test_a_shape_that_no_site_has_is_said_to_be_so(tmp_path: Path, said: str) -> None:
    path = tmp_path / "site.toml"
    save_plan(path, load_plan(path))
    before = path.read_text().partition("[site]")[0]
    path.write_text(f"{before}[site]\n{said}\n")
    with pytest.raises(BadInput, match=r"site\.toml"):
        load_plan(path)


def test_shares_that_an_operator_wrote_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    save_plan(path, load_plan(path))
    with path.open("a") as file:
        file.write('[shares]\natlas = 2\n"cms, Geneva" = 0.5\n')
    plan = load_plan(path)
    assert plan.shares == {"atlas": 2.0, "cms, Geneva": 0.5}
    save_plan(path, plan)
    assert load_plan(path) == plan


@pytest.mark.parametrize("weight", ["0", "-1", "nan", '"much"'])
def test_a_share_that_is_none_is_said_to_be_so(tmp_path: Path, weight: str) -> None:
    path = tmp_path / "site.toml"
    save_plan(path, load_plan(path))
    with path.open("a") as file:
        file.write(f"[shares]\natlas = {weight}\n")
    with pytest.raises(BadInput, match=r"site\.toml"):
        load_plan(path)


@given(st.dictionaries(st.sampled_from("abc"), st.text() | st.integers(-(2**60), 2**60) | st.booleans()))
def test_toml_comes_back_as_it_was(values: dict[str, object]) -> None:
    usable = {key: value for key, value in values.items() if not isinstance(value, str) or value.isprintable()}
    assert tomllib.loads(build_toml({"section": usable})) == {"section": usable}


def test_toml_leaves_nothing_out_and_escapes_what_it_must() -> None:
    text = build_toml({"a": {"none": None, "path": Path("/x y"), "lines": 'one\n"two"\x7f\\'}})
    assert tomllib.loads(text) == {"a": {"path": "/x y", "lines": 'one\n"two"\x7f\\'}}
