"""What is missing or taken on the volunteer's computer is said in words, and the program stays usable."""

import os
import shlex
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from client.hypervisor.qemu.find import search_path
from client.project.definition import load_project
from tests.helpers.program import Site, open_client, open_site, processes_of
from tests.helpers.screen import wait_for

pytestmark = [pytest.mark.end2end, pytest.mark.timeout(120)]


@pytest.fixture
def without_qemu() -> tuple[str, ...]:
    """A command that starts another one where QEMU is not: its files are covered, for that process only."""
    inside = ("unshare", "--map-root-user", "--mount")
    if subprocess.run([*inside, "true"], capture_output=True, timeout=60).returncode:
        pytest.skip("this system lets nobody make namespaces")
    found = [shutil.which("qemu-system-x86_64", path=place) for place in search_path().split(os.pathsep)]
    files = {str(Path(path).resolve()) for path in found if path}
    covers = [f"mount --bind /dev/null {shlex.quote(path)}" for path in sorted(files)]
    return (*inside, "sh", "-c", " && ".join([*covers, 'exec "$@"']), "sh")


def test_no_hypervisor_is_said_and_the_program_stays(tmp_path: Path, site: Site, without_qemu: tuple[str, ...]) -> None:
    words = ("--project", str(site.project), "--start")
    with open_client(tmp_path / "base", "headless", *words, wrapper=without_qemu) as client:
        wait_for("the sentence", lambda: "no-hypervisor" in client.problems(), 90)
        said = client.problems()["no-hypervisor"]
        assert said.startswith("No program that runs virtual machines was found")
        assert "Install QEMU" in said
        wait_for("its state", lambda: client.snapshot()["activity"] == "blocked", 60)
        assert client.ctl("stop")["ok"]
        wait_for("the button", lambda: client.snapshot()["allowed"]["start"], 60)
        assert client.quit() == 0
        assert processes_of(client.base) == []


def test_a_port_that_is_taken_is_said_and_another_one_used(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    with open_site(folder) as site:
        before = load_project(site.project)
    with socket.create_server(("127.0.0.1", before.xmpp_port)), open_site(folder) as site:
        after = load_project(site.project)
        assert after.xmpp_port != before.xmpp_port
        assert after.chirp_port == before.chirp_port
        said = (folder / "site-output.log").read_text()
        assert f"Port {before.xmpp_port} (xmpp) is taken by another program; a new one is chosen." in said
        assert "Clients that are attached need the new project file." in said
    assert processes_of(folder) == []
