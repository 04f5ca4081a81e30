"""What the proxy serves and what not."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.appliance.cvmfs.rules import AllowList, ObjectName, is_public, parse_object, parse_repository, parse_server

SERVER, REPOSITORY = "http://s1.example.org:8000", "sft.example.org"
LIST = AllowList([SERVER, "https://s2.example.org", "http://[2001:db8::1]:81"], [REPOSITORY, "other.example.org"])
OBJECT = "data/ab/" + "c" * 38


def test_a_file_of_a_listed_server_and_repository_is_found() -> None:
    wanted = LIST.find(f"{SERVER}/cvmfs/{REPOSITORY}/.cvmfspublished")
    assert wanted is not None
    assert wanted.url == f"{SERVER}/cvmfs/{REPOSITORY}/.cvmfspublished"
    assert (wanted.name, wanted.short_lived_s) == (None, 60.0)


def test_names_of_hosts_know_no_case() -> None:
    wanted = LIST.find(f"HTTP://S1.Example.ORG:8000/cvmfs/{REPOSITORY}/{OBJECT}X")
    assert wanted is not None and wanted.name == ObjectName("ab" + "c" * 38, "", "X")


def test_a_server_with_https_is_asked_for_by_http() -> None:
    wanted = LIST.find(f"http://s2.example.org/cvmfs/{REPOSITORY}/{OBJECT}")
    assert wanted is not None and wanted.url.startswith("https://s2.example.org:443/cvmfs/")


def test_servers_by_distance_are_short_lived_too() -> None:
    wanted = LIST.find(f"{SERVER}/cvmfs/{REPOSITORY}/api/v1.0/geo/me@here/a.example.org,b.example.org:8000")
    assert wanted is not None and wanted.short_lived_s == 300.0


def test_an_address_of_version_6_is_found() -> None:
    wanted = LIST.find(f"http://[2001:DB8::1]:81/cvmfs/{REPOSITORY}/{OBJECT}")
    assert wanted is not None and wanted.url.startswith("http://[2001:db8::1]:81/")


@pytest.mark.parametrize(
    "target",
    [
        "",
        "/",
        "*",
        "s1.example.org:8000",
        f"/cvmfs/{REPOSITORY}/{OBJECT}",
        f"http://s1.example.org/cvmfs/{REPOSITORY}/{OBJECT}",
        f"http://s1.example.org:8001/cvmfs/{REPOSITORY}/{OBJECT}",
        f"https://s1.example.org/cvmfs/{REPOSITORY}/{OBJECT}",
        f"ftp://s1.example.org:8000/cvmfs/{REPOSITORY}/{OBJECT}",
        f"http://s3.example.org:8000/cvmfs/{REPOSITORY}/{OBJECT}",
        f"http://user@s1.example.org:8000/cvmfs/{REPOSITORY}/{OBJECT}",
        f"http://127.0.0.1:8000/cvmfs/{REPOSITORY}/{OBJECT}",
        f"{SERVER}/cvmfs/third.example.org/{OBJECT}",
        f"{SERVER}/cvmfs/{REPOSITORY.upper()}/{OBJECT}",
        f"{SERVER}/cvmfs/{REPOSITORY}/",
        f"{SERVER}/cvmfs/{REPOSITORY}",
        f"{SERVER}/cvmfs/{REPOSITORY}/../third/x",
        f"{SERVER}/cvmfs/{REPOSITORY}/..",
        f"{SERVER}/cvmfs/{REPOSITORY}/data/./x",
        f"{SERVER}/cvmfs/{REPOSITORY}//x",
        f"{SERVER}/cvmfs/{REPOSITORY}/%2e%2e/x",
        f"{SERVER}/cvmfs/{REPOSITORY}/x?y=z",
        f"{SERVER}/cvmfs/{REPOSITORY}/x#y",
        f"{SERVER}/cvmfs/{REPOSITORY}/x\\y",
        f"{SERVER}/cvmfs/{REPOSITORY}/x y",
        f"{SERVER}/cvmfs/{REPOSITORY}/x\n",
        f"{SERVER}/cvmfs/{REPOSITORY}/\u0660",
        f"{SERVER}/other/{OBJECT}",
        f" {SERVER}/cvmfs/{REPOSITORY}/{OBJECT}",
    ],
)
def test_anything_else_is_not_served(target: str) -> None:
    assert LIST.find(target) is None


@given(st.text() | st.text(alphabet="./%?#@:-a").map(lambda tail: f"{SERVER}/cvmfs/{REPOSITORY}/{tail}"))
def test_what_is_found_stays_below_a_listed_repository(target: str) -> None:
    wanted = LIST.find(target)
    if wanted is not None:
        assert wanted.url.startswith(f"{SERVER}/cvmfs/{REPOSITORY}/")
        assert not {"", ".", ".."} & set(wanted.path.split("/"))
        assert not set(wanted.path) & set("?#%\\ ")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (OBJECT, ObjectName("ab" + "c" * 38)),
        (OBJECT + "P", ObjectName("ab" + "c" * 38, "", "P")),
        (OBJECT + "-shake128C", ObjectName("ab" + "c" * 38, "-shake128", "C")),
        (OBJECT + "-rmd160", ObjectName("ab" + "c" * 38, "-rmd160")),
        (OBJECT + "CC", None),
        (OBJECT + "c", None),
        (OBJECT[:-1], None),
        (OBJECT.upper(), None),
        (OBJECT + "-md5", None),
        (".cvmfspublished", None),
    ],
)
def test_names_of_objects(path: str, name: ObjectName | None) -> None:
    assert parse_object(path) == name


@pytest.mark.parametrize("tag", ["", "-shake128"])
def test_an_object_is_known_by_its_bytes(tag: str) -> None:
    data = b"some bytes"
    digest = hashlib.shake_128(data).hexdigest(20) if tag else hashlib.sha1(data).hexdigest()
    for sent, fits in ((data, True), (data + b"!", False), (b"", False)):
        check = ObjectName(digest, tag).new_check()
        assert check is not None
        check.take(sent)
        assert check.fits() is fits


def test_an_algorithm_that_is_not_there_gives_no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def new(kind: str, **_: object) -> object:
        raise ValueError(kind)

    monkeypatch.setattr(hashlib, "new", new)
    assert ObjectName("ab" * 20, "-rmd160").new_check() is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s1",
        "http://",
        "http://a/b",
        "ftp://a",
        "http://a:0",
        "http://a:65536",
        "http://u@a",
        "http://[::g]",
        "http://[a]",
    ],
)
def test_what_is_no_server(text: str) -> None:
    with pytest.raises(ValueError):
        parse_server(text)


@pytest.mark.parametrize("text", ["", ".", "..", "a/b", "a b", "-a", "a..b", "a\n", "x" * 101])
def test_what_is_no_repository(text: str) -> None:
    with pytest.raises(ValueError):
        parse_repository(text)


def test_only_addresses_may_be_anywhere() -> None:
    listed = AllowList(["http://10.1.2.3", "http://localhost:81", "http://s1.example.org", "http://[fd00::1]"], ["r"])
    assert [listed.named_local(host) for host in ("10.1.2.3", "localhost", "fd00::1")] == [True] * 3
    assert not listed.named_local("s1.example.org")
    assert not listed.named_local("127.0.0.1")


@pytest.mark.parametrize("address", ["8.8.8.8", "128.142.1.1", "2001:1458:201::1", "64:ff9b::808:808"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1%eth0",
        "fec0::1",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "64:ff9b::7f00:1",
        "64:ff9b::c0a8:101",
        "name",
        "",
    ],
)
def test_addresses_of_this_computer_and_its_network_are_not_public(address: str) -> None:
    assert not is_public(address)
