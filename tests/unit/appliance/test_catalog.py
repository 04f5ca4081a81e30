"""A catalogue's values: facts and lists are read as hostile input; the right version is chosen."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.appliance.catalog import Catalog, CatalogAppliance, CatalogProject, read_catalog
from client.appliance.catalog_facts import (
    Facts,
    is_folder_url,
    is_id,
    is_path,
    read_facts,
    version_key,
)
from client.appliance.catalog_list import Listed, make_target, read_list, url_path
from client.appliance.errors import BadManifest, ClientTooOld, NotInCatalog
from client.appliance.target import PIECE_BYTES

TOP = Path(__file__).resolve().parents[3]
DIGEST, OTHER = "a" * 64, "b" * 64
FACTS = Facts("thin", "1.0", ("qcow2",), sources="demo/thin/1.0/sources.json")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def listed(**facts: Any) -> dict[str, Listed]:
    """A whole list of one version."""
    custom = {"appliance": replace(FACTS, **facts).to_json()}
    return {
        "demo/project.toml": Listed(10, DIGEST),
        "demo/templates/usual.toml": Listed(10, DIGEST),
        "demo/thin/1.0/manifest.json": Listed(10, DIGEST, custom),
        "demo/thin/1.0/sources.json": Listed(10, DIGEST),
        "demo/thin/1.0/thin.qcow2": Listed(
            PIECE_BYTES + 1,
            OTHER,
            {"pieces": {"bytes": PIECE_BYTES, "sha256": [DIGEST, DIGEST], "prefixes": [DIGEST, OTHER]}},
        ),
    }


def appliance(version: str, min_client: str = "0", name: str = "thin") -> CatalogAppliance:
    (found,) = read_list("demo", listed(), ()).appliances
    return replace(found, facts=replace(FACTS, name=name, version=version, min_client=min_client))


def catalog(*appliances: CatalogAppliance) -> Catalog:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return Catalog((CatalogProject("demo", "Demo", appliances=appliances),), at, at, contents={"demo/x": b"\xff"})


def test_a_list_becomes_an_appliance() -> None:
    found = read_list("demo", listed(), ["https://one/t/", "https://two/"])
    assert not found.problems
    (one,) = found.appliances
    assert (one.facts.name, list(one.files), one.size_bytes) == ("thin", ["thin.qcow2"], PIECE_BYTES + 1)
    assert one.sources is not None and one.sources.name == "demo/thin/1.0/sources.json"
    image = one.files["thin.qcow2"]
    assert (image.pieces, image.prefixes) == ((DIGEST, DIGEST), (DIGEST, OTHER))
    assert image.urls == tuple(f"https://{base}demo/thin/1.0/{OTHER}.thin.qcow2" for base in ("one/t/", "two/"))
    assert list(found.templates) == ["usual.toml"] and list(found.others) == ["project.toml"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"demo/thin/1.0/manifest.json": None}, "no manifest.json"),
        ({"demo/thin/1.0/sources.json": None}, "source packages"),
        ({"demo/thin/1.0/thin.qcow2": None}, "no files"),
        ({"demo/thin/1.0/thin.qcow2": Listed(0, OTHER)}, "size_bytes"),
        ({"demo/thin/1.0/thin.qcow2": Listed(5, "A" * 64)}, "sha256"),
        ({"demo/thin/1.0/thin.qcow2": Listed(5, OTHER, {"pieces": {"sha256": [DIGEST, DIGEST]}})}, "pieces"),
        ({"demo/thin/1.0/thin.qcow2": Listed(5, OTHER, {"pieces": {"prefixes": [DIGEST]}})}, "prefixes"),
        ({"demo/thin/1.0/p.xdelta": Listed(5, OTHER, {"patch": {"from": DIGEST}})}, "patch"),
        ({"demo/thin/1.0/manifest.json": Listed(2**23, OTHER, {"appliance": FACTS.to_json()})}, "too long"),
        ({"other/thin/1.0/x": Listed(5, OTHER)}, "no name of a file of demo"),
        ({"demo/thin/1.0/Thin.qcow2": Listed(5, OTHER)}, "case of its letters"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(change: dict[str, Listed | None], said: str) -> None:
    lines = {name: one for name, one in (listed() | change).items() if one is not None}
    assert said in read_list("demo", lines, ()).problem


def test_a_patch_belongs_to_the_file_that_it_makes() -> None:
    patch = Listed(7, DIGEST, {"patch": {"from": DIGEST, "to": OTHER}})
    (one,) = read_list("demo", listed() | {"demo/thin/1.0/thin.qcow2.from-x.xdelta": patch}, ()).appliances
    (found,) = one.files["thin.qcow2"].patches
    assert (found.from_sha256, found.target.size_bytes) == (DIGEST, 7)


def test_too_long_a_list_is_not_read() -> None:
    lines = {f"demo/a/{number}/x": Listed(1, DIGEST) for number in range(9000)}
    assert "more than" in read_list("demo", lines, ()).problem


@given(custom=JSON, name=st.text(max_size=40))
def test_no_custom_field_and_no_name_breaks_the_reader(custom: object, name: str) -> None:
    lines = listed() | {
        f"demo/{name}": Listed(5, DIGEST, custom),
        "demo/thin/1.0/manifest.json": Listed(5, DIGEST, custom),
    }
    found = read_list("demo", lines, ["https://one/"])
    assert all(is_path(path) for path in (*found.others, *found.templates))
    json.dumps([one.to_json() for one in found.appliances])


@given(said=JSON)
def test_facts_are_read_or_refused(said: object) -> None:
    try:
        facts = read_facts(said, "test")
    except BadManifest:
        return
    assert read_facts(facts.to_json(), "test") == facts


def test_unknown_words_of_later_versions_are_left_out() -> None:
    facts = read_facts(FACTS.to_json() | {"formats": ["qcow3", "iso"], "colour": "red"}, "test")
    assert facts.formats == ("iso",)


def test_the_newest_that_this_client_can_run_is_chosen() -> None:
    found = catalog(appliance("1.10", "2.0"), appliance("1.9"), appliance("1.2"), appliance("3", name="thick"))
    assert found.choose("thin", "1.0").facts.version == "1.9"
    assert found.choose("thin", "2.0").facts.version == "1.10"
    assert found.choose("thin", "1.0", version="1.2", project="demo").facts.version == "1.2"
    with pytest.raises(ClientTooOld):
        found.choose("thin", "1.0", version="1.10")
    for asked in ({"project": "other"}, {"version": "7"}):
        with pytest.raises(NotInCatalog):
            found.choose("thin", "1.0", **asked)
    with pytest.raises(NotInCatalog):
        found.project("other")


def test_versions_have_an_order() -> None:
    mixed = ["1.10", "1.0", "2026.03.01", "1.0.1", "0.9", "1.2", "1.0rc1"]
    assert sorted(mixed, key=version_key) == ["0.9", "1.0rc1", "1.0", "1.0.1", "1.2", "1.10", "2026.03.01"]


def test_a_catalogue_goes_through_the_pipe_as_it_is() -> None:
    found = catalog(appliance("1.0"))
    again = read_catalog(json.loads(json.dumps(found.to_json())), "test")
    assert again.projects == found.projects and again.contents == found.contents
    assert again.expires_at == found.expires_at and again.is_fresh


@given(
    said=JSON
    | st.fixed_dictionaries({"projects": st.lists(JSON), "expires_at": JSON, "fetched_at": JSON, "contents": JSON})
)
def test_anything_is_a_catalogue_or_refused_as_none(said: object) -> None:
    try:
        found = read_catalog(said, "test")
    except BadManifest:
        return
    assert read_catalog(found.to_json(), "test") == found


@pytest.mark.parametrize("name", ["demo", "a", "a-1", "0"])
def test_ids(name: str) -> None:
    assert is_id(name)


@pytest.mark.parametrize(
    "name", ["", "A", "root", "targets", "con", "a.b", "a/b", "-a", "a" * 42, "dem\u043e", None, 3, "a\n"]
)
def test_what_is_no_id(name: object) -> None:
    assert not is_id(name)


@pytest.mark.parametrize("path", ["a", "a/b.c", "a/b/c/d/e"])
def test_paths(path: str) -> None:
    assert is_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "a/../b",
        "../a",
        ".a",
        "a/.b",
        "a\\b",
        "a b",
        "a/b/c/d/e/f",
        "a/nul.txt",
        "a.",
        "\u0430",
        "a\n",
    ],
)
def test_what_is_no_path(path: str) -> None:
    assert not is_path(path)


@pytest.mark.parametrize(
    "url", ["https://a.b/", "https://a.b:8443/c/d", "http://127.0.0.1:80/x/", "http://localhost:1", "https://[::1]/"]
)
def test_addresses(url: str) -> None:
    assert is_folder_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://a.b/",
        "https://u:p@a/",
        "https://a/?q",
        "https://a/#x",
        "file:///etc/",
        "https://a/../b/",
        "https://a /",
        "https://a/\n",
        5,
        "http://127.0.0.1.evil/",
        "https://" + "a" * 600,
    ],
)
def test_what_is_no_address(url: object) -> None:
    assert not is_folder_url(url)


def test_targets_lie_where_the_framework_puts_them() -> None:
    assert url_path("catalog.json", DIGEST) == f"{DIGEST}.catalog.json"
    assert make_target("a/b", Listed(1, DIGEST), ["https://x/"]).urls == (f"https://x/a/{DIGEST}.b",)


def test_the_client_reads_catalogues_without_the_libraries_that_prove_them() -> None:
    heavy = "{'tuf', 'requests', 'urllib3', 'securesystemslib', 'cryptography'}"
    code = f"import sys, client.appliance.catalog, client.appliance.worker; print(*({heavy} & set(sys.modules)))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.split() == []
