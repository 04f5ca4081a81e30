"""Which display, and its secret."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.host.x11.address import cookie_file, cookie_in, number_of, read_cookie

COOKIE = b"MIT-MAGIC-COOKIE-1"


def entry(family: int, address: bytes, number: bytes, name: bytes, secret: bytes) -> bytes:
    words = b"".join(struct.pack(">H", len(word)) + word for word in (address, number, name, secret))
    return struct.pack(">H", family) + words


@pytest.mark.parametrize(
    ("display", "number"),
    [
        (":0", 0),
        (":17.1", 17),
        ("unix:3", 3),
        ("", None),
        ("localhost:10.0", None),
        ("desk.example:0", None),
        (":", None),
        (":999999", None),
        (":1 ", None),
    ],
)
def test_only_displays_of_this_computer_are_asked(display: str, number: int | None) -> None:
    assert number_of(display) == number


def test_the_secret_of_this_computer_is_better_than_any_other() -> None:
    data = (
        entry(256, b"desk", b"1", COOKIE, b"other display")
        + entry(256, b"old-name", b"0", COOKIE, b"other name")
        + entry(256, b"desk", b"0", b"XDM-AUTHORIZATION-1", b"other kind")
        + entry(256, b"desk", b"0", COOKIE, b"right")
    )
    assert cookie_in(data, 0, "desk") == b"right"
    assert cookie_in(data, 0, "renamed") == b"other name"
    assert cookie_in(data, 7, "desk") == b""


def test_an_entry_for_any_host_and_display_fits() -> None:
    assert cookie_in(entry(65535, b"", b"", COOKIE, b"wild"), 4, "desk") == b"wild"


@given(st.binary(max_size=200))
def test_a_broken_file_has_no_secret(data: bytes) -> None:
    assert isinstance(cookie_in(data, 0, "desk"), bytes)


def test_an_entry_that_is_cut_off_is_not_used() -> None:
    assert cookie_in(entry(256, b"desk", b"0", COOKIE, b"right")[:-1], 0, "desk") == b""


def test_the_file_is_where_the_session_says(tmp_path: Path) -> None:
    assert cookie_file({"XAUTHORITY": "/run/user/1/xauth", "HOME": "/home/me"}) == Path("/run/user/1/xauth")
    assert cookie_file({"HOME": "/home/me"}) == Path("/home/me/.Xauthority")
    assert read_cookie(tmp_path / "none", 0) == b""
    (tmp_path / "some").write_bytes(entry(65535, b"", b"", COOKIE, b"wild"))
    assert read_cookie(tmp_path / "some", 0) == b"wild"
