"""Where Debian packages come from: the host's own package sources, turned to the recipe's release."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.appliance.failure import BuildFailed

APT = Path("/etc/apt")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
#: Names by which a Debian release is asked for; a source with another one belongs to somebody else.
_RELEASES = re.compile(
    r"^(bullseye|bookworm|trixie|forky|duke|sid|oldoldstable|oldstable|stable|testing|unstable)(-|/|$)"
)
#: How addresses of Debian's archive and its mirrors end; others publish for Debian releases too.
_PLACES = re.compile(r"^mirror\+|/debian(-security)?(/\d{8}T\d{6}Z)?/?$")


def read_sources(folder: Path = APT) -> tuple[set[str], set[str]]:
    """The addresses of Debian's archive and of its security archive, as this machine is configured."""
    ordinary: set[str] = set()
    security: set[str] = set()
    for path in (folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))):
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found = _deb822(text) if path.suffix == ".sources" else _one_line(text)
        for address, suites, components, keys in found:
            if "main" not in components or not all(_RELEASES.match(suite) for suite in suites):
                continue
            if not _PLACES.search(address) or ("/" in keys and "debian-archive" not in keys):
                continue
            is_security = any("security" in suite or suite.endswith("/updates") for suite in suites)
            (security if is_security else ordinary).add(address)
    return ordinary, security


def write_sources(path: Path, suite: str, folder: Path = APT) -> None:
    """Write a package source file for one Debian release.

    Raises:
        BuildFailed: this machine knows no Debian archive.
    """
    ordinary, security = read_sources(folder)
    if not ordinary:
        raise BuildFailed(
            f"no source of Debian packages is configured in {folder}: the appliance is built from Debian packages"
        )
    signed = f"Signed-By: {KEYRING}\n" if KEYRING.exists() else ""
    parts = [(ordinary, f"{suite} {suite}-updates"), (security, f"{suite}-security")]
    path.write_text(
        "\n".join(
            f"Types: deb\nURIs: {' '.join(sorted(addresses))}\nSuites: {suites}\nComponents: main\n{signed}"
            for addresses, suites in parts
            if addresses
        ),
        encoding="utf-8",
    )


#: address, suites, components, keys that sign
_Source = tuple[str, list[str], list[str], str]


def _one_line(text: str) -> Iterator[_Source]:
    for line in text.splitlines():
        plain = line.split("#")[0]
        keys = re.search(r"signed-by=([^] ]*)", plain)
        words = re.sub(r"\[[^]]*\]", " ", plain).split()
        if len(words) >= 4 and words[0] == "deb":
            yield words[1], [words[2]], words[3:], keys[1] if keys else ""


def _deb822(text: str) -> Iterator[_Source]:
    for stanza in read_stanzas(text.splitlines()):
        if "deb" in stanza.get("Types", "").split() and stanza.get("Enabled", "yes") != "no":
            for address in stanza.get("URIs", "").split():
                suites = stanza.get("Suites", "").split()
                yield address, suites, stanza.get("Components", "").split(), stanza.get("Signed-By", "")


def read_stanzas(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """Stanzas of Debian's control format; continuation lines are joined by newlines."""
    stanza: dict[str, str] = {}
    key = ""
    for line in (*lines, ""):
        if line.startswith("#"):
            continue
        if not line.strip():
            if stanza:
                yield stanza
            stanza = {}
        elif line[0] in " \t":
            stanza[key] = stanza.get(key, "") + "\n" + line.strip()
        else:
            key, _, value = line.partition(":")
            stanza[key] = value.strip()
