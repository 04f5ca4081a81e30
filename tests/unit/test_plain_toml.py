"""TOML that others wrote."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.appliance.publish.images import read_image
from client.appliance.publish.settings import read_settings
from client.errors import BadInput
from client.plain_toml import BadToml, parse_toml, read_toml
from client.project.definition import load_project

HOSTILE = {
    "a name of a hundred thousand parts": ".".join("a" * 100_000) + " = 1",
    "the same in quotes": '"a" . ' * 100_000 + "a = 1",
    "the same as a table": "[" + ".".join("a" * 100_000) + "]",
    "deep arrays": "a = " + "[" * 100_000,
    "deep tables": "a = " + "{a = " * 20_000,
    "a long number": "a = " + "9" * 100_000,
    "a long file": "# " + "x" * (1 << 20),
    "no TOML": "a = ",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused_by_all_who_read_them(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(BadToml):
        read_toml(path)
    for read in (read_image, read_settings, load_project):
        with pytest.raises(BadInput):
            read(path)


def test_what_editors_on_windows_write_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b'\xef\xbb\xbf[a]\r\nb = "c"\r\n')
    assert read_toml(path) == {"a": {"b": "c"}}


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b'a = "\xff"')
    with pytest.raises(BadToml, match="UTF-8"):
        read_toml(path)


@given(st.text(alphabet='ab."[]{}=,\n 1', max_size=80))
def test_any_text_is_a_table_or_refused(text: str) -> None:
    with contextlib.suppress(BadToml):
        assert isinstance(parse_toml(text), dict)
