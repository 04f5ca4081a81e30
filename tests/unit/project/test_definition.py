"""A project file is checked whole, and says what is wrong."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.appliance.cvmfs.rules import AllowList
from client.errors import BadInput
from client.project.definition import Cvmfs, Needs, load_project, parse_project
from client.project.enrolment import parse_token
from client.project.errors import EnrolmentRefused
from client.project.shipped import shipped_catalogue

GOOD: dict[str, Any] = {
    "project": {"name": "Demo", "text": "Collisions", "publisher": "us"},
    "xmpp": {"host": "127.0.0.1", "port": 5222, "domain": "localhost", "job_manager": "jm@localhost", "ca_pem": ""},
    "transfer": {"chirp": "127.0.0.1:9094"},
    "enrolment": {"url": "http://127.0.0.1:8080/guest-token", "secret": "s3cret"},
    "appliance": {"url": "http://127.0.0.1:8080/appliance/manifest.json", "sha256": "0" * 64},
}


def changed(table: str, key: str, value: object) -> dict[str, Any]:
    said = deepcopy(GOOD)
    said.setdefault(table, {})[key] = value
    return said


def test_a_good_file_is_read_with_usual_needs() -> None:
    project = parse_project(GOOD, "p.toml")
    assert (project.chirp_host, project.chirp_port, project.needs) == ("127.0.0.1", 9094, Needs())
    assert "s3cret" not in repr(project)


def test_an_https_server_for_files_may_be_named() -> None:
    assert parse_project(GOOD, "p.toml").https == ""
    assert parse_project(changed("transfer", "https", "files.example:443"), "p.toml").https == "files.example:443"


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("transfer", "https", "files.example"),
        ("transfer", "https", 443),
        ("project", "name", ""),
        ("xmpp", "port", 70000),
        ("xmpp", "port", True),
        ("xmpp", "host", "a b; rm"),
        ("transfer", "chirp", "nowhere"),
        ("enrolment", "url", "http://example.org/token"),
        ("enrolment", "url", "file:///etc/passwd"),
        ("appliance", "sha256", "XYZ"),
        ("needs", "memory_mib", 1),
        ("needs", "network", "yes"),
    ],
)
def test_what_does_not_fit_is_named(table: str, key: str, value: object) -> None:
    with pytest.raises(BadInput) as caught:
        parse_project(changed(table, key, value), "p.toml")
    assert f"[{table}] {key}" in caught.value.what


CATALOGUE: dict[str, Any] = deepcopy(GOOD) | {
    "catalogue": {"url": "https://c.example/appliances", "root_sha256": "1" * 64},
    "appliance": {"name": "thin"},
}


def test_the_file_of_a_site_without_an_appliance_says_what_is_missing() -> None:
    said = {name: table for name, table in GOOD.items() if name != "appliance"}
    with pytest.raises(BadInput) as refused:
        parse_project(said, "p.toml")
    assert refused.value.what == "[appliance] is missing, so no virtual machine can work for this project"


def test_an_appliance_out_of_a_catalogue() -> None:
    project = parse_project(CATALOGUE, "p.toml")
    assert (project.manifest_url, project.manifest_sha256) == ("", "")
    assert (project.catalogue_url, project.root_sha256) == ("https://c.example/appliances/", "1" * 64)
    assert (project.appliance_name, project.appliance_version, project.appliance_project) == ("thin", "", "")
    exact = {"name": "thin", "version": "1.0", "sha256": "2" * 64, "project": "demo"}
    project = parse_project(CATALOGUE | {"appliance": exact}, "p.toml")
    assert (project.appliance_version, project.manifest_sha256, project.appliance_project) == ("1.0", "2" * 64, "demo")


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("catalogue", "url", "http://c.example/"),
        ("catalogue", "root_sha256", ""),
        ("appliance", "name", "../thin"),
        ("appliance", "name", ""),
        ("appliance", "version", "1 0"),
        ("appliance", "sha256", "0"),
        ("appliance", "url", "https://c.example/manifest.json"),
    ],
)
def test_what_does_not_fit_of_a_catalogue_is_named(table: str, key: str, value: object) -> None:
    said = deepcopy(CATALOGUE)
    said[table][key] = value
    with pytest.raises(BadInput) as caught:
        parse_project(said, "p.toml")
    assert f"[{table}] {key}" in caught.value.what


def test_the_catalogue_that_the_program_brings_serves_those_who_name_none(tmp_path: Path) -> None:
    assert shipped_catalogue(tmp_path) is None
    named = f'[catalogue]\nurl = "https://ours.example/c"\nroot_sha256 = "{"3" * 64}"\nmetadata = []\n'
    (tmp_path / "catalogue.toml").write_text(named)
    (tmp_path / "root.json").write_text("{}")
    shipped = shipped_catalogue(tmp_path)
    said = GOOD | {"appliance": {"name": "thin"}}
    project = parse_project(said, "p.toml", shipped)
    assert (project.catalogue_url, project.root_sha256) == ("https://ours.example/c/", "3" * 64)
    assert (project.root_file, project.appliance_name) == (tmp_path / "root.json", "thin")
    own = parse_project(CATALOGUE, "p.toml", shipped)
    assert (own.catalogue_url, own.root_file) == ("https://c.example/appliances/", None)
    assert parse_project(GOOD, "p.toml", shipped).catalogue_url == ""
    with pytest.raises(BadInput, match=r"\[appliance\] url"):
        parse_project(said, "p.toml")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[catalogue",
        "catalogue = 1",
        '[catalogue]\nurl = "https://a/"',
        f'[catalogue]\nurl = "http://a/"\nroot_sha256 = "{"3" * 64}"',
        '[catalogue]\nurl = "https://a/"\nroot_sha256 = "3"',
    ],
)
def test_a_damaged_catalogue_of_the_program_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "catalogue.toml").write_text(text)
    with pytest.raises(BadInput) as caught:
        shipped_catalogue(tmp_path)
    assert "catalogue.toml" in caught.value.where and "again" in caught.value.remedy


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(BadInput) as caught:
        parse_project({"xmpp": {}}, "p.toml")
    assert caught.value.what.count(";") >= 7


def test_servers_and_repositories_of_cvmfs() -> None:
    servers = ["http://s1.example.org:8000", "https://s2.example.org/", "http://[2001:db8::1]:81", "http://127.0.0.1"]
    project = parse_project({**GOOD, "cvmfs": {"servers": [*servers, servers[0]], "repositories": ["a.b"]}}, "p.toml")
    assert project.cvmfs == Cvmfs(tuple(servers), ("a.b",))
    assert AllowList(project.cvmfs.servers, project.cvmfs.repositories).find(f"{servers[0]}/cvmfs/a.b/x") is not None
    assert parse_project(GOOD, "p.toml").cvmfs == Cvmfs()


@pytest.mark.parametrize(
    "said",
    [
        {"servers": ["http://a"]},
        {"repositories": ["a.b"]},
        {"servers": "http://a", "repositories": ["a.b"]},
        {"servers": ["http://a"] * 65, "repositories": ["a.b"]},
        {"servers": ["http://a"], "repositories": [1]},
        {"servers": ["http://a"], "repositories": [".."]},
        {"servers": ["http://a"], "repositories": ["a/b"]},
        {"servers": ["http://a"], "repositories": ["a..b"]},
        *({"servers": [server], "repositories": ["a.b"]} for server in ("a", "http://", "ftp://a", "http://a/b")),
        *({"servers": [server], "repositories": ["a.b"]} for server in ("http://u@a", "http://a:0", "http://a:65536")),
    ],
)
def test_what_is_none_of_cvmfs(said: object) -> None:
    with pytest.raises(BadInput, match="cvmfs"):
        parse_project({**GOOD, "cvmfs": said}, "p.toml")


@given(st.text() | st.from_regex(r"https?://[a-z0-9.:\[\]-]{1,30}", fullmatch=True), st.text())
def test_what_is_taken_the_proxy_takes_too(server: str, repository: str) -> None:
    for one, other in ((server, "a.b"), ("http://a", repository)):
        try:
            cvmfs = parse_project({**GOOD, "cvmfs": {"servers": [one], "repositories": [other]}}, "p.toml").cvmfs
        except BadInput:
            continue
        if "[" not in one:  # of the addresses of version 6 the form alone is looked at here
            AllowList(cvmfs.servers, cvmfs.repositories)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        load_project(tmp_path / "none.toml")
    for content, said in (
        (b"\xff\xfe = [", "no project file: it is not text"),
        (b"[project]\nservices tcp\n", "its line 2 is not understood"),
        (b"#" * (2 << 20), "no project file: it is longer than"),
        (b'[project]\nname = "letters"\n', "it has none of"),
    ):
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(BadInput, match=said):
            load_project(tmp_path / "bad.toml")
    with pytest.raises(BadInput, match="a folder"):
        load_project(tmp_path)


def test_a_mark_that_windows_editors_put_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "marked.toml"
    file.write_bytes(b"\xef\xbb\xbf[project]\n")
    with pytest.raises(BadInput, match="it has none of"):
        load_project(file)


def test_a_token_is_read() -> None:
    token = parse_token(b'{"jid": "agent-1@localhost", "password": "pw", "expires_at": 1795187548}', "url")
    assert (token.jid, token.expires_at.year) == ("agent-1@localhost", 2026)
    assert "pw" not in repr(token)


@given(st.binary(max_size=200))
def test_no_answer_of_a_key_manager_does_harm(content: bytes) -> None:
    with pytest.raises(EnrolmentRefused):
        parse_token(content, "url")
