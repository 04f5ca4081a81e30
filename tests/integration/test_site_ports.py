"""Sites that start at the same moment: each gets ports of its own, and all of them serve."""

import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from client.service.site_plan import load_plan
from tests.helpers.program import MAIN, TOP, end

pytestmark = pytest.mark.integration
CHOOSERS = 8
NAMES = ("one", "two")
#: Chooses when it is told to, and keeps what it chose until it is told that all have chosen.
_CHOOSER = """
import json, sys
from client.service.site_plan import Ports
from client.service.site_ports import HeldPorts
wanted = Ports(**json.loads(sys.stdin.readline()))
held = HeldPorts()
print(json.dumps(vars(held.choose(wanted)[0])), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def choosers() -> Iterator[list["subprocess.Popen[str]"]]:
    command = [sys.executable, "-c", _CHOOSER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, cwd=TOP, **pipes) for _ in range(CHOOSERS)]  # type: ignore[call-overload]
    yield started
    for chooser in started:
        with chooser:
            chooser.stdin.close()


def chosen(choosers: list["subprocess.Popen[str]"], wanted: dict[str, int]) -> list[dict[str, int]]:
    """What each chose, all at once."""
    for chooser in choosers:
        assert chooser.stdin
        chooser.stdin.write(json.dumps(wanted) + "\n")
        chooser.stdin.flush()
    return [json.loads(chooser.stdout.readline()) for chooser in choosers if chooser.stdout]


def test_many_that_choose_at_once_choose_different_ports(choosers: list["subprocess.Popen[str]"]) -> None:
    ports = [port for one in chosen(choosers, {}) for port in one.values()]
    assert len(set(ports)) == len(ports) == CHOOSERS * 7


def test_of_many_that_want_the_same_port_one_gets_it(choosers: list["subprocess.Popen[str]"]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = chosen(choosers, {"xmpp": port})
    assert [one["xmpp"] for one in found].count(port) == 1
    assert len({port for one in found for port in one.values()}) == CHOOSERS * 7


@pytest.fixture
def base() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vc-two-", dir="/tmp") as name:
        yield Path(name)


def both_up(base: Path) -> str:
    """Start two sites at once, and end them when both serve; what they said."""
    command = [*MAIN, "site", "up", "--folder"]
    with ExitStack() as stack:
        sites = []
        for name in NAMES:
            pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
            site = subprocess.Popen([*command, str(base / name)], cwd=TOP, **pipe)  # type: ignore[call-overload]
            sites.append(stack.enter_context(site))
            stack.callback(end, site)
        return "".join(said_until_up(site) for site in sites)


def said_until_up(site: "subprocess.Popen[str]") -> str:
    said = ""
    assert site.stdout
    for line in site.stdout:
        said += line
        if line.startswith("The site is up"):
            return said
    raise AssertionError(said)


def all_ports(base: Path) -> list[int]:
    return [port for name in NAMES for port in vars(load_plan(base / name / "site.toml").ports).values()]


def test_two_sites_that_start_at_once_both_serve_even_where_they_want_the_same_ports(base: Path) -> None:
    assert "is taken" not in both_up(base)
    assert len(set(all_ports(base))) == 14
    # A copy of a site has the ports of the original.
    (base / NAMES[1] / "site.toml").write_bytes((base / NAMES[0] / "site.toml").read_bytes())
    assert "is taken by another program" in both_up(base)
    assert len(set(all_ports(base))) == 14
