from pathlib import Path

import pytest

from packaging.appliance.failure import BuildFailed
from packaging.appliance.sources import read_sources, read_stanzas, write_sources

DEB822 = """\
Types: deb deb-src
# a comment
URIs: http://mirror.test/debian
Suites: trixie trixie-updates
Components: main contrib

Types: deb
URIs: http://mirror.test/debian-security
Suites: trixie-security
Components: main

Types: deb
URIs: http://switched-off.test/debian
Suites: trixie
Components: main
Enabled: no
"""
ONE_LINE = """\
# deb http://commented.test/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://old.test/debian bookworm main
deb-src http://source.test/debian bookworm main
deb http://editor.test/repos stable main # of somebody else, but says stable
deb http://other.test/apt tool-bookworm main
deb http://other.test/linux bookworm tool
deb http://other.test/debian/12/prod bookworm main
deb [signed-by=/usr/share/keyrings/other.gpg] http://other.test/debian bookworm main
"""


def apt_folder(tmp_path: Path, one_line: str = "", deb822: str = "") -> Path:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(one_line)
    (tmp_path / "sources.list.d/debian.sources").write_text(deb822)
    return tmp_path


def test_deb822(tmp_path: Path) -> None:
    ordinary, security = read_sources(apt_folder(tmp_path, deb822=DEB822))
    assert ordinary == {"http://mirror.test/debian"}
    assert security == {"http://mirror.test/debian-security"}


def test_one_line_style(tmp_path: Path) -> None:
    ordinary, security = read_sources(apt_folder(tmp_path, one_line=ONE_LINE))
    assert ordinary == {"http://old.test/debian"}
    assert security == set()


def test_the_recipes_release_is_asked_for(tmp_path: Path) -> None:
    written = tmp_path / "out.sources"
    write_sources(written, "bookworm", apt_folder(tmp_path, deb822=DEB822))
    suites = [stanza["Suites"] for stanza in read_stanzas(written.read_text().splitlines())]
    assert suites == ["bookworm bookworm-updates", "bookworm-security"]


def test_no_debian_at_all(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="no source of Debian packages"):
        write_sources(tmp_path / "out", "bookworm", apt_folder(tmp_path, one_line="deb http://x.test/u jammy main"))
